/* SPDX-License-Identifier: Apache-2.0
 *
 * What the checked edges of the family ask of rows.
 */
#ifndef LIAM_HADAMARD_ROWS_H
#define LIAM_HADAMARD_ROWS_H

#include "liam_hadamard.h"
#include "sizes.h"

static inline int is_power_of_two(size_t n) { return n != 0 && (n & (n - 1)) == 0; }

/* The checks of rows of n elements, read from x and written to out. */
static inline int check_hadamard_rows(const void *x, size_t rows, size_t n, size_t x_stride, const void *out,
                                      size_t out_stride, size_t element_bytes) {
    size_t bytes;
    if (n == 0 || n > LIAM_MAX_HADAMARD) return LIAM_ERR_SIZE;
    if (x_stride < n || out_stride < n) return LIAM_ERR_STRIDE;
    if (!size_mul(rows, x_stride, &bytes) || !size_mul(bytes, element_bytes, &bytes) ||
        !size_mul(rows, out_stride, &bytes) || !size_mul(bytes, element_bytes, &bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    return rows != 0 && (x == NULL || out == NULL) ? LIAM_ERR_NULL : LIAM_OK;
}

#endif

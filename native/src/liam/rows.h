/* SPDX-License-Identifier: Apache-2.0
 *
 * The check of a matrix argument that all families share.
 */
#ifndef LIAM_ROWS_H
#define LIAM_ROWS_H

#include "liam.h"
#include "sizes.h"

/* Whether `rows` rows of `width` elements can lie `stride` apart. A NULL pointer may stand for no elements. */
static inline int check_rows(const void *p, size_t rows, size_t width, size_t stride, size_t element_bytes) {
    size_t elements, bytes;
    if (stride < width) return LIAM_ERR_STRIDE;
    if (!size_mul(rows, stride, &elements) || !size_mul(elements, element_bytes, &bytes)) return LIAM_ERR_OVERFLOW;
    if (p == NULL && rows != 0 && width != 0) return LIAM_ERR_NULL;
    return LIAM_OK;
}

/* The same for rows of nbits bits. */
static inline int check_bit_rows(const uint64_t *bits, size_t rows, size_t nbits, size_t stride) {
    if (nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    return check_rows(bits, rows, words_of(nbits), stride, sizeof *bits);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of arguments that the edges of GF(2) share.
 */
#ifndef LIAM_GF2_CHECK_H
#define LIAM_GF2_CHECK_H

#include "gf2_space.h"

/* Whether a stack of matrices has sizes within the limits and a span within the address space. */
static inline int gf2_check_matrix(size_t count, size_t rows, size_t nbits, size_t stride) {
    size_t span;
    if (rows > LIAM_MAX_NBITS || nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    if (stride < words_of(nbits)) return LIAM_ERR_STRIDE;
    if (!size_mul(count, rows, &span) || !size_mul(span, stride, &span) || !size_mul(span, sizeof(uint64_t), &span)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

/* Whether a matrix is there, if it has any bits. */
static inline int gf2_present(const uint64_t *matrix, size_t rows, size_t nbits) {
    return matrix != NULL || rows == 0 || nbits == 0;
}

static inline int gf2_check_workspace(const void *workspace, size_t bytes, size_t needed) {
    if (needed == 0) return LIAM_OK;
    if (workspace == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(workspace, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    return bytes < needed ? LIAM_ERR_MEMORY : LIAM_OK;
}

/* Zeroes rows of bits. */
static inline void gf2_zero(uint64_t *matrix, size_t rows, size_t nbits, size_t stride) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t w = 0; w < words_of(nbits); w++) matrix[i * stride + w] = 0;
    }
}

#endif

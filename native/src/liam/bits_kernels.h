/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on the bits of packed rows. Rotation and the Kronecker product are built from one kernel, the funnel, which
 * moves words by a part of a word.
 */
#ifndef LIAM_BITS_KERNELS_H
#define LIAM_BITS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

/* A bitwise operation. Rows have at least one word. */
typedef struct bitwise_job {
    const uint64_t *a;
    size_t a_stride;
    const uint64_t *b; /* ignored by not */
    size_t b_stride;
    size_t rows;
    size_t words;
    uint64_t tail; /* the valid bits of a row's last word */
    uint64_t *out; /* may be a or b */
    size_t out_stride;
} bitwise_job;

typedef void bitwise_fn(const bitwise_job *job);

typedef struct bits_kernels {
    bitwise_fn *and_rows, *or_rows, *xor_rows, *xnor_rows, *not_rows;

    /* As liam_bits_popcount and liam_bits_parity. Rows have at least one word, whose last one's valid bits are tail. */
    void (*popcount)(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint32_t *out);
    void (*parity)(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint8_t *out);

    /* out[k] = the low word of from[k + 1]:from[k] >> shift, for k < words and a shift within [1, 63]. So it reads
     * words + 1 words. */
    void (*funnel)(const uint64_t *from, size_t words, unsigned shift, uint64_t *out);
} bits_kernels;

extern const bits_kernels liam_bits_scalar, liam_bits_avx2, liam_bits_avx512;

#endif

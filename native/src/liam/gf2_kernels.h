/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear algebra over GF(2): what a level implements. The scalar level does it by definition, row by row; the others
 * run the drivers of gf2_panels.h on kernels of their own.
 */
#ifndef LIAM_GF2_KERNELS_H
#define LIAM_GF2_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

/* out = a b; m, k and n are not zero. */
typedef struct gf2_product {
    const uint64_t *a;
    size_t m;
    size_t k;
    size_t a_stride;
    const uint64_t *b;
    size_t n;
    size_t b_stride;
    uint64_t *out;
    size_t out_stride;
    void *workspace; /* as gf2_product_space says */
} gf2_product;

/* Elimination of m rows in two parts: pivots are searched in the left part alone, and the right part undergoes the
 * same row operations. m is not zero. */
typedef struct gf2_elimination {
    size_t m;
    const uint64_t *left;
    size_t left_bits;
    size_t left_stride;
    const uint64_t *right; /* NULL for the first right_bits columns of the identity */
    size_t right_bits;
    size_t right_stride;
    uint64_t *left_out; /* NULL if not wanted. Without both outputs only the rank and the pivots are found. */
    size_t left_out_stride;
    uint64_t *right_out; /* NULL if not wanted */
    size_t right_out_stride;
    int64_t *pivots; /* min(m, left_bits) values, or NULL */
    void *workspace; /* as gf2_elimination_space says */
} gf2_elimination;

typedef struct gf2_kernels {
    void (*multiply)(const gf2_product *job);
    void (*transpose)(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out, size_t out_stride);
    /* One matrix-vector product; m and nbits are not zero. */
    void (*apply)(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x, uint64_t *out);
    size_t (*eliminate)(const gf2_elimination *job); /* returns the rank */
} gf2_kernels;

extern const gf2_kernels liam_gf2_scalar, liam_gf2_avx2, liam_gf2_avx512, liam_gf2_gfni;

#endif

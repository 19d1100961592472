/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms of rows, and the other steps of a rotation.
 */
#ifndef LIAM_HADAMARD_KERNELS_H
#define LIAM_HADAMARD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

typedef void hadamard_order_fn(const void *natural, size_t n, void *out);

typedef struct hadamard_kernels {
    /* The arguments of liam_hadamard_*; n is a power of two, rows may be zero. */
    void (*f32)(const float *x, size_t rows, size_t n, size_t x_stride, float *out, size_t out_stride);
    void (*f64)(const double *x, size_t rows, size_t n, size_t x_stride, double *out, size_t out_stride);
    void (*i32)(const int32_t *x, size_t rows, size_t n, size_t x_stride, int32_t *out, size_t out_stride);
    /* Copies natural rows of at least SEQUENCY_TILE elements of 4 or 8 bytes in sequency order. */
    hadamard_order_fn *order_4;
    hadamard_order_fn *order_8;
    /* out[j] = x[j] or -x[j] as bit j is 1 or 0; out may be x. */
    void (*flip)(const float *x, const uint64_t *signs, size_t n, float *out);
    /* x[j] *= factor */
    void (*scale)(float *x, size_t n, float factor);
    /* Element j of both halves becomes ((a + b) * factor, (a - b) * factor). The halves do not overlap. */
    void (*mix)(float *low, float *high, size_t half, float factor);
} hadamard_kernels;

/* The scalar level's, also where a level has none of its own. */
hadamard_order_fn liam_hadamard_order_4, liam_hadamard_order_8;

extern const hadamard_kernels liam_hadamard_scalar, liam_hadamard_avx2, liam_hadamard_avx512;

#endif

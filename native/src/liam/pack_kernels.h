/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing and unpacking; the arguments are those of liam_pack_* and liam_unpack_*.
 */
#ifndef LIAM_PACK_KERNELS_H
#define LIAM_PACK_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

/* Floats are so wide that packing waits for them. Those of a matrix that no second-level cache holds are asked for some
 * lines early; for others the asking would cost more than it saves. */
#define NEAR_BYTES ((size_t)1024 * 1024)
#define PREFETCH_BYTES 1024

typedef struct pack_kernels {
    void (*f32)(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                size_t out_stride);
    void (*f64)(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                size_t out_stride);
    void (*i8)(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, const int8_t *thresholds, uint64_t *out,
               size_t out_stride);
    void (*boolean)(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride);
    void (*to_i8)(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int8_t *out, size_t out_stride);
    void (*to_f32)(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, float *out, size_t out_stride);
    void (*to_bool)(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out, size_t out_stride);

    /* Whether one of the values is NaN. */
    int (*any_nan)(const float *values, size_t count);
} pack_kernels;

extern const pack_kernels liam_pack_scalar, liam_pack_avx2, liam_pack_avx512;

#endif

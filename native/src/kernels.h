/* SPDX-License-Identifier: Apache-2.0
 *
 * What a SIMD level implements. The public functions check their arguments and then call these, which trust them.
 * Each kernel exists as liam_<name>_<level>, in the file <family>_<level>.c.
 */
#ifndef LIAM_KERNELS_H
#define LIAM_KERNELS_H

#include "liam.h"
#include "target.h"

/* Columns in one group of prepared weights. */
#define LIAM_PANEL 16

/* A product of packed activations and prepared weights. Of thresholds and scale with bias, a kernel reads what it
 * needs. Float outputs have no alignment promise, because networks write their scores into message buffers. */
typedef struct xnor_job {
    const uint64_t *a;
    size_t m;
    size_t a_stride;
    const uint64_t *panels;
    size_t n;
    size_t nbits;
    const int32_t *thresholds;
    const float *scale;
    const float *bias;
    void *out;
    size_t out_stride; /* elements of out */
} xnor_job;

/* An input encoder, padded to whole words: padding bits have source 0 and threshold NaN, and so are always 0.
 * run[g] is the first source of the g-th group of 16 bits if its sources are consecutive, else -1. */
typedef struct encoder {
    size_t features;
    size_t words;
    const int32_t *source;
    const float *thresholds;
    const int32_t *run;
} encoder;

typedef void pack_f32_fn(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                         uint64_t *out, size_t out_stride);
typedef void pack_f64_fn(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                         uint64_t *out, size_t out_stride);
typedef void pack_i8_fn(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out,
                        size_t out_stride);
typedef void pack_bool_fn(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out,
                          size_t out_stride);
typedef void unpack_i8_fn(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int8_t *out,
                          size_t out_stride);
typedef void unpack_f32_fn(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, float *out,
                           size_t out_stride);
typedef void unpack_bool_fn(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out,
                            size_t out_stride);
typedef void xnor_fn(const xnor_job *job);
typedef void encode_fn(const encoder *e, const void *x, size_t rows, uint64_t *out, size_t out_stride);

typedef struct kernels {
    liam_level_id level;
    pack_f32_fn *pack_f32;
    pack_f64_fn *pack_f64;
    pack_i8_fn *pack_i8;
    pack_bool_fn *pack_bool;
    unpack_i8_fn *unpack_i8;
    unpack_f32_fn *unpack_f32;
    unpack_bool_fn *unpack_bool;
    xnor_fn *xnor_dot;
    xnor_fn *xnor_threshold;
    xnor_fn *xnor_scale;
    encode_fn *encode;
} kernels;

pack_f32_fn liam_pack_f32_scalar, liam_pack_f32_avx2, liam_pack_f32_avx512;
pack_f64_fn liam_pack_f64_scalar, liam_pack_f64_avx2, liam_pack_f64_avx512;
pack_i8_fn liam_pack_i8_scalar, liam_pack_i8_avx2, liam_pack_i8_avx512;
pack_bool_fn liam_pack_bool_scalar, liam_pack_bool_avx2, liam_pack_bool_avx512;
unpack_i8_fn liam_unpack_i8_scalar, liam_unpack_i8_avx2, liam_unpack_i8_avx512;
unpack_f32_fn liam_unpack_f32_scalar, liam_unpack_f32_avx2, liam_unpack_f32_avx512;
unpack_bool_fn liam_unpack_bool_scalar, liam_unpack_bool_avx2, liam_unpack_bool_avx512;
xnor_fn liam_xnor_dot_scalar, liam_xnor_dot_avx2, liam_xnor_dot_avx512;
xnor_fn liam_xnor_threshold_scalar, liam_xnor_threshold_avx2, liam_xnor_threshold_avx512;
xnor_fn liam_xnor_scale_scalar, liam_xnor_scale_avx2, liam_xnor_scale_avx512;
encode_fn liam_encode_scalar, liam_encode_avx2, liam_encode_avx512;

/* The table in use. */
const kernels *liam_active(void);

/* The table of a level, or NULL if there is no such level or this machine cannot run it. */
const kernels *liam_kernels_for(int level);

/* liam_self_test on a table. */
int liam_self_test_on(const kernels *table, uint64_t *digest);

/* liam_network_run on a table, with arguments that have been checked. */
void liam_network_run_on(const kernels *table, const liam_network *net, const void *x, size_t rows, void *label,
                         void *scores, void *scratch);

#endif

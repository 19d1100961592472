/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products of packed activations and prepared weights.
 */
#ifndef LIAM_XNOR_KERNELS_H
#define LIAM_XNOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

/* Columns in one group of prepared weights. */
#define LIAM_PANEL 16

/* A product. Of thresholds and scale with bias, a kernel reads what it needs. Float outputs have no alignment promise,
 * because networks write their scores into message buffers. */
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

typedef void xnor_fn(const xnor_job *job);

typedef struct xnor_kernels {
    xnor_fn *dot;
    xnor_fn *threshold;
    xnor_fn *scale;
} xnor_kernels;

extern const xnor_kernels liam_xnor_scalar, liam_xnor_avx2, liam_xnor_avx512;

#endif

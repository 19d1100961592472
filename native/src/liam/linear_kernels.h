/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layers of floats, in the order of summation that liam_linear.h defines.
 */
#ifndef LIAM_LINEAR_KERNELS_H
#define LIAM_LINEAR_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "target.h"

/* Columns in one group of prepared weights. */
#define LINEAR_PANEL 16

/* Sums that a result is made of. */
#define LINEAR_SUMS 4

/* Inputs that a pass over all panels may keep in the second-level cache. */
#define LINEAR_BLOCK_BYTES (256 * 1024)

/* A layer's product. Rows and results have no alignment promise, because networks have them in message buffers. */
typedef struct linear_job {
    const void *x;
    size_t rows;
    size_t x_stride; /* in floats */
    const float *panels;
    size_t inputs;
    size_t outputs;
    void *out;
    size_t out_stride; /* in floats */
} linear_job;

typedef void linear_fn(const linear_job *job);

linear_fn liam_linear_scalar, liam_linear_avx2, liam_linear_avx512;

/* Floats of a panel: its biases, then its weights. */
static inline size_t linear_panel_floats(size_t inputs) { return (inputs + 1) * LINEAR_PANEL; }

static inline const char *linear_row(const linear_job *job, size_t i) {
    return (const char *)job->x + i * job->x_stride * sizeof(float);
}

static inline char *linear_result(const linear_job *job, size_t i, size_t j) {
    return (char *)job->out + (i * job->out_stride + j) * sizeof(float);
}

/* The k-th float of a row. */
static inline float linear_at(const char *row, size_t k) {
    float value;
    memcpy(&value, row + k * sizeof value, sizeof value);
    return value;
}

/* Rows of a block: a multiple of `unit`. */
static inline size_t linear_block_rows(const linear_job *job, size_t unit) {
    const size_t rows = LINEAR_BLOCK_BYTES / (job->inputs * sizeof(float) + 1) / unit * unit;
    return rows == 0 ? unit : rows;
}

#endif

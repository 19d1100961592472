/* SPDX-License-Identifier: Apache-2.0
 *
 * LIAM: linear layers of floats, whose results depend on their row alone. The conventions are those of liam.h.
 *
 * A row x of `inputs` floats becomes `outputs` floats, y = x W + b, in one order that nothing changes, be it the number of
 * rows, a row's place among them, the level, or alignment:
 *
 *     sum[l] = +0 + x[l] * W[l][j] + x[l + 4] * W[l + 4][j] + x[l + 8] * W[l + 8][j] + ...      for l = 0, 1, 2, 3
 *     y[j]   = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + b[j]
 *
 * Every product and every sum, from left to right, is rounded to float, to nearest even; none is fused, and subnormal
 * numbers are numbers. This holds whatever the calling thread does otherwise (on x86: its MXCSR is set for the call and put
 * back after it). Infinities and NaN go the way of IEEE 754, but a NaN in the result is always 0x7fc00000.
 *
 * Four sums are added up in the time of one, and their error is about a quarter of it: for each output at most
 * (inputs / 4 + 4) * 2^-24 times the sum of the magnitudes of what is added, as long as nothing is subnormal.
 */
#ifndef LIAM_LINEAR_H
#define LIAM_LINEAR_H

#include "liam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a prepared layer: outputs rounded up to a multiple of 16 columns of weights with their bias.
 * Errors: NULL, OVERFLOW. */
int liam_linear_prepared_bytes(size_t inputs, size_t outputs, size_t *bytes);

/* Writes a layer as liam_linear_run reads it, which is the same at every level: groups of 16 columns, each its biases and
 * then its weights input by input, missing columns zero. prepared is aligned to LIAM_ALIGNMENT.
 *   weights  inputs rows of outputs floats
 *   bias     outputs floats, or NULL for zeros
 * Errors: NULL, STRIDE, OVERFLOW, ALIGNMENT, and MEMORY if prepared_bytes is smaller than liam_linear_prepared_bytes
 * says. */
int liam_linear_prepare(const float *weights, size_t inputs, size_t outputs, size_t weights_stride, const float *bias,
                        void *prepared, size_t prepared_bytes);

/* Writes rows x outputs results for rows x inputs floats.
 * prepared: what liam_linear_prepare wrote for the same inputs and outputs, aligned to LIAM_ALIGNMENT.
 * Errors: NULL, STRIDE, OVERFLOW, ALIGNMENT. */
int liam_linear_run(const float *x, size_t rows, size_t inputs, size_t x_stride, const void *prepared, size_t outputs,
                    float *out, size_t out_stride);

#ifdef __cplusplus
}
#endif

#endif

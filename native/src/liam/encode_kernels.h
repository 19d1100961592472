/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding features as bits, the first step of a network.
 */
#ifndef LIAM_ENCODE_KERNELS_H
#define LIAM_ENCODE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

/* An input encoder, padded to whole words: padding bits have source 0 and threshold NaN, and so are always 0.
 * run[g] is the first source of the g-th group of 16 bits if its sources are consecutive, else -1. */
typedef struct encoder {
    size_t features;
    size_t words;
    const int32_t *source;
    const float *thresholds;
    const int32_t *run;
} encoder;

typedef void encode_fn(const encoder *e, const void *x, size_t rows, uint64_t *out, size_t out_stride);

encode_fn liam_encode_scalar, liam_encode_avx2, liam_encode_avx512;

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms stage by stage: the reference that the other levels are compared with.
 */
#include "hadamard_kernels.h"

/* Adds as `sum`, so that integers can wrap. */
#define TRANSFORM(name, type, sum)                                                                       \
    static void name(const type *x, size_t rows, size_t n, size_t x_stride, type *out, size_t out_stride) { \
        for (size_t r = 0; r < rows; r++, x += x_stride, out += out_stride) {                            \
            for (size_t i = 0; i < n; i++) out[i] = x[i];                                                \
            for (size_t h = 1; h < n; h *= 2) {                                                          \
                for (size_t i = 0; i < n; i++) {                                                         \
                    if (i & h) continue;                                                                 \
                    const sum a = (sum)out[i], b = (sum)out[i + h];                                      \
                    out[i] = (type)(a + b);                                                              \
                    out[i + h] = (type)(a - b);                                                          \
                }                                                                                        \
            }                                                                                            \
        }                                                                                                \
    }

TRANSFORM(transform_f32, float, float)
TRANSFORM(transform_f64, double, double)
TRANSFORM(transform_i32, int32_t, uint32_t)

static void flip(const float *x, const uint64_t *signs, size_t n, float *out) {
    for (size_t j = 0; j < n; j++) out[j] = signs[j / 64] >> (j % 64) & 1 ? x[j] : -x[j];
}

static void scale(float *x, size_t n, float factor) {
    for (size_t j = 0; j < n; j++) x[j] *= factor;
}

static void mix(float *low, float *high, size_t half, float factor) {
    for (size_t j = 0; j < half; j++) {
        const float a = low[j], b = high[j];
        low[j] = (a + b) * factor;
        high[j] = (a - b) * factor;
    }
}

const hadamard_kernels liam_hadamard_scalar = {
    .f32 = transform_f32, .f64 = transform_f64, .i32 = transform_i32, .flip = flip, .scale = scale, .mix = mix,
};

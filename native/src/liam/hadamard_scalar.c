/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms stage by stage: the reference that the other levels are compared with.
 */
#include <string.h>

#include "hadamard_kernels.h"
#include "hadamard_sequency.h"

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

LIAM_INLINE void order(const char *natural, size_t n, char *out, size_t element_bytes) {
    const size_t row_bytes = n / SEQUENCY_SIDE * element_bytes;
    size_t runs[SEQUENCY_SIDE];
    for (size_t b = 0; b < SEQUENCY_SIDE; b++) runs[b] = sequency_place(b, n);
    for (size_t middle = 0; middle < n / SEQUENCY_SIDE; middle += SEQUENCY_SIDE) {
        char tile[SEQUENCY_TILE * sizeof(uint64_t)]; /* or the lines of a column would evict each other */
        const size_t place = sequency_place(middle, n);
        for (size_t a = 0; a < SEQUENCY_SIDE; a++) {
            memcpy(tile + a * SEQUENCY_SIDE * element_bytes,
                   natural + sequency_rows[a] * row_bytes + middle * element_bytes, SEQUENCY_SIDE * element_bytes);
        }
        for (size_t b = 0; b < SEQUENCY_SIDE; b++) {
            const size_t complement = (place ^ runs[b]) % SEQUENCY_SIDE; /* all of its bits, or none */
            char *run = out + ((place ^ runs[b]) - complement) * element_bytes;
            for (size_t j = 0; j < SEQUENCY_SIDE; j++) {
                memcpy(run + (j ^ complement) * element_bytes, tile + (j * SEQUENCY_SIDE + b) * element_bytes,
                       element_bytes);
            }
        }
    }
}

void liam_hadamard_order_4(const void *natural, size_t n, void *out) { order(natural, n, out, 4); }

void liam_hadamard_order_8(const void *natural, size_t n, void *out) { order(natural, n, out, 8); }

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
    .f32 = transform_f32,
    .f64 = transform_f64,
    .i32 = transform_i32,
    .order_4 = liam_hadamard_order_4,
    .order_8 = liam_hadamard_order_8,
    .flip = flip,
    .scale = scale,
    .mix = mix,
};

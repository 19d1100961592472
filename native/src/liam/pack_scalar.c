/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing, one bit at a time: the reference that the other levels are compared with. Keep it obvious.
 */
#include "pack_kernels.h"
#include "sizes.h"

/* A row of words from `expression`, which says what bit j is. */
#define PACK_ROWS(expression)                                           \
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) { \
        for (size_t w = 0; w < words_of(nbits); w++) out[w] = 0;        \
        for (size_t j = 0; j < nbits; j++) {                            \
            out[j / 64] |= (uint64_t)(expression) << (j % 64);          \
        }                                                               \
    }

/* A row of numbers from its bits. */
#define UNPACK_ROWS(one, zero)                                                                    \
    for (size_t i = 0; i < rows; i++, bits += stride, out += out_stride) {                        \
        for (size_t j = 0; j < nbits; j++) out[j] = bits[j / 64] >> (j % 64) & 1 ? (one) : (zero); \
    }

static void pack_f32(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                     size_t out_stride) {
    if (thresholds == NULL) {
        PACK_ROWS(x[j] >= 0.0f)
    } else {
        PACK_ROWS(x[j] >= thresholds[j])
    }
}

static void pack_f64(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                     uint64_t *out, size_t out_stride) {
    if (thresholds == NULL) {
        PACK_ROWS(x[j] >= 0.0)
    } else {
        PACK_ROWS(x[j] >= (double)thresholds[j])
    }
}

static void pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, const int8_t *thresholds, uint64_t *out,
                    size_t out_stride) {
    if (thresholds == NULL) {
        PACK_ROWS(x[j] >= 0)
    } else {
        PACK_ROWS(x[j] >= thresholds[j])
    }
}

static void pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride) {
    PACK_ROWS(x[j] != 0)
}

static void unpack_i8(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int8_t *out, size_t out_stride) {
    UNPACK_ROWS(1, -1)
}

static void unpack_f32(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, float *out, size_t out_stride) {
    UNPACK_ROWS(1.0f, -1.0f)
}

static void unpack_bool(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out,
                        size_t out_stride) {
    UNPACK_ROWS(1, 0)
}

static int any_nan(const float *values, size_t count) {
    for (size_t j = 0; j < count; j++) {
        if (values[j] != values[j]) return 1;
    }
    return 0;
}

const pack_kernels liam_pack_scalar = {
    .f32 = pack_f32,
    .f64 = pack_f64,
    .i8 = pack_i8,
    .boolean = pack_bool,
    .to_i8 = unpack_i8,
    .to_f32 = unpack_f32,
    .to_bool = unpack_bool,
    .any_nan = any_nan,
};

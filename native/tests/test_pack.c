/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing and unpacking for every width from 0 to 1100 and some of up to 40 words, with inputs and outputs that end at an
 * inaccessible page. Because rows end there, every misalignment that a type allows occurs too.
 */
#include <math.h>

#include "check.h"

#define ROWS 3
#define MAX_NBITS 1100
#define MAX_LONG 2560

static float tricky_float(void) {
    static const float values[] = {0.0f, -0.0f, NAN, -NAN, INFINITY, -INFINITY, 0x1p-149f, -0x1p-149f, 1.0f, -1.0f};
    const size_t pick = random_below(20);
    return pick < sizeof values / sizeof *values ? values[pick] : random_float();
}

typedef struct memory {
    arena numbers, thresholds, bits, back;
} memory;

/* Strides that leave a gap after some widths; the last row has none. */
static size_t gap(size_t width, size_t nbits) { return width + nbits % 3; }

static size_t span(size_t width, size_t stride) { return (ROWS - 1) * stride + width; }

/* Checks a packed matrix against `expected`, one byte per bit, and the memory around it. */
static void check_packed(const uint64_t *bits, size_t nbits, size_t stride, const uint8_t *expected) {
    const size_t words = liam_words(nbits);
    CHECK(front_intact(bits));
    for (size_t i = 0; i < ROWS; i++) {
        const uint64_t *row = bits + i * stride;
        for (size_t j = 0; j < nbits; j++) CHECK(bit_of(row, j) == expected[i * nbits + j]);
        CHECK(excess_is_zero(row, nbits));
        if (i + 1 < ROWS) CHECK(all_canary(row + words, (stride - words) * sizeof *row));
    }
}

#define PACK_CASE(type, make_value, is_one, ...)                                                   \
    do {                                                                                           \
        type *x = arena_take(m.numbers, span(nbits, x_stride) * sizeof(type));                     \
        uint64_t *bits = arena_take(m.bits, span(words, stride) * sizeof *bits);                   \
        for (size_t i = 0; i < ROWS; i++) {                                                        \
            for (size_t j = 0; j < nbits; j++) {                                                   \
                const type value = (make_value);                                                   \
                x[i * x_stride + j] = value;                                                       \
                expected[i * nbits + j] = (is_one);                                                \
            }                                                                                      \
        }                                                                                          \
        CHECK((__VA_ARGS__) == LIAM_OK);                                                           \
        check_packed(bits, nbits, stride, expected);                                               \
    } while (0)

static void pack_width(memory m, size_t nbits) {
    static uint8_t expected[ROWS * MAX_LONG];
    const size_t words = liam_words(nbits);
    const size_t stride = gap(words, nbits);
    const size_t x_stride = gap(nbits, nbits);
    float *t = arena_take(m.thresholds, nbits * sizeof *t);
    for (size_t j = 0; j < nbits; j++) {
        do t[j] = tricky_float();
        while (isnan(t[j]));
    }

    PACK_CASE(float, tricky_float(), value >= 0.0f, liam_pack_f32(x, ROWS, nbits, x_stride, NULL, bits, stride));
    PACK_CASE(float, j % 5 ? tricky_float() : t[j], value >= t[j],
              liam_pack_f32(x, ROWS, nbits, x_stride, t, bits, stride));
    PACK_CASE(double, (double)tricky_float(), value >= 0.0,
              liam_pack_f64(x, ROWS, nbits, x_stride, NULL, bits, stride));
    PACK_CASE(double, (double)t[j] * (1.0 - 0x1p-50 * (double)random_below(3)), value >= (double)t[j],
              liam_pack_f64(x, ROWS, nbits, x_stride, t, bits, stride));
    PACK_CASE(int8_t, (int8_t)random_u64(), value >= 0, liam_pack_i8(x, ROWS, nbits, x_stride, NULL, bits, stride));
    int8_t *t8 = arena_take(m.thresholds, nbits);
    for (size_t j = 0; j < nbits; j++) t8[j] = (int8_t)random_u64();
    PACK_CASE(int8_t, (int8_t)(j % 5 ? random_u64() : (uint64_t)t8[j]), value >= t8[j],
              liam_pack_i8(x, ROWS, nbits, x_stride, t8, bits, stride));
    PACK_CASE(uint8_t, (uint8_t)(random_below(3) * 127), value != 0,
              liam_pack_bool(x, ROWS, nbits, x_stride, bits, stride));
}

#define UNPACK_CASE(type, one, zero, call)                                                           \
    do {                                                                                             \
        type *out = arena_take(m.numbers, span(nbits, out_stride) * sizeof(type));                   \
        CHECK((call) == LIAM_OK);                                                                    \
        CHECK(front_intact(out));                                                                    \
        for (size_t i = 0; i < ROWS; i++) {                                                          \
            const type *row = out + i * out_stride;                                                  \
            for (size_t j = 0; j < nbits; j++) {                                                     \
                CHECK(row[j] == (bit_of(bits + i * stride, j) ? (one) : (zero)));                    \
            }                                                                                        \
            if (i + 1 < ROWS) CHECK(all_canary(row + nbits, (out_stride - nbits) * sizeof(type)));   \
        }                                                                                            \
    } while (0)

static void unpack_width(memory m, size_t nbits) {
    const size_t words = liam_words(nbits);
    const size_t stride = gap(words, nbits);
    const size_t out_stride = gap(nbits, nbits);
    uint64_t *bits = arena_take(m.bits, span(words, stride) * sizeof *bits);
    for (size_t k = 0; k < span(words, stride); k++) bits[k] = random_u64(); /* excess bits are poisoned */

    UNPACK_CASE(int8_t, 1, -1, liam_unpack_i8(bits, ROWS, nbits, stride, out, out_stride));
    UNPACK_CASE(float, 1.0f, -1.0f, liam_unpack_f32(bits, ROWS, nbits, stride, out, out_stride));
    UNPACK_CASE(uint8_t, 1, 0, liam_unpack_bool(bits, ROWS, nbits, stride, out, out_stride));
}

static void bytes_width(memory m, size_t nbits) {
    const size_t words = liam_words(nbits);
    const size_t stride = gap(words, nbits);
    const size_t width = (nbits + 7) / 8;
    const size_t byte_stride = gap(width, nbits);
    for (int big = 0; big < 2; big++) {
        uint64_t *bits = arena_take(m.bits, span(words, stride) * sizeof *bits);
        for (size_t k = 0; k < span(words, stride); k++) bits[k] = random_u64();
        uint8_t *bytes = arena_take(m.numbers, span(width, byte_stride));
        CHECK(liam_to_bytes(bits, ROWS, nbits, stride, big, bytes, byte_stride) == LIAM_OK);
        CHECK(front_intact(bytes));
        for (size_t i = 0; i < ROWS; i++) {
            const uint8_t *row = bytes + i * byte_stride;
            for (size_t j = 0; j < width * 8; j++) {
                const int bit = row[j / 8] >> (big ? 7 - j % 8 : j % 8) & 1;
                CHECK(bit == (j < nbits ? bit_of(bits + i * stride, j) : 0));
            }
            if (i + 1 < ROWS) CHECK(all_canary(row + width, byte_stride - width));
        }
        uint64_t *back = arena_take(m.back, span(words, stride) * sizeof *back);
        if (nbits % 8) bytes[width - 1] |= (uint8_t)(big ? 0xff >> nbits % 8 : 0xff << nbits % 8); /* poison */
        CHECK(liam_from_bytes(bytes, ROWS, nbits, byte_stride, big, back, stride) == LIAM_OK);
        CHECK(front_intact(back));
        for (size_t i = 0; i < ROWS; i++) {
            for (size_t j = 0; j < nbits; j++) CHECK(bit_of(back + i * stride, j) == bit_of(bits + i * stride, j));
            CHECK(excess_is_zero(back + i * stride, nbits));
        }
    }
}

/* A NaN threshold is refused wherever it is, before anything is written. */
static void nan_thresholds(memory m, size_t nbits) {
    float *t = arena_take(m.thresholds, nbits * sizeof *t);
    double *x = arena_take(m.numbers, nbits * sizeof *x);
    uint64_t *bits = arena_take(m.bits, liam_words(nbits) * sizeof *bits);
    const size_t at = random_below(nbits);
    for (size_t j = 0; j < nbits; j++) t[j] = j == at ? (j % 2 ? NAN : -NAN) : INFINITY;
    memset(x, 0, nbits * sizeof *x);
    CHECK(liam_pack_f64(x, 1, nbits, nbits, t, bits, liam_words(nbits)) == LIAM_ERR_VALUE);
    CHECK(liam_pack_f32((const float *)(const void *)x, 1, nbits, nbits, t, bits, liam_words(nbits)) == LIAM_ERR_VALUE);
    CHECK(all_canary(bits, liam_words(nbits) * sizeof *bits));
    t[at] = 1.0f;
    CHECK(liam_pack_f64(x, 1, nbits, nbits, t, bits, liam_words(nbits)) == LIAM_OK);
}

void test_pack(void) {
    static memory m;
    if (m.bits.end == NULL) m = (memory){arena_new(), arena_new(), arena_new(), arena_new()};
    for (size_t nbits = 0; nbits <= MAX_NBITS; nbits++) {
        test_case = nbits;
        pack_width(m, nbits);
        unpack_width(m, nbits);
        bytes_width(m, nbits);
        if (nbits > 0) nan_thresholds(m, nbits);
    }
    for (size_t k = 0; k < LONG_WIDTHS; k++) {
        test_case = long_width(k);
        pack_width(m, long_width(k));
        unpack_width(m, long_width(k));
        bytes_width(m, long_width(k));
        nan_thresholds(m, long_width(k));
    }
}

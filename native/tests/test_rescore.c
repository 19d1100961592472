/* SPDX-License-Identifier: Apache-2.0
 *
 * Float scores against sums in the order that liam_search.h defines: every width from 0 to 1100 and some of up to
 * 40 words, every remainder of a shortlist, signed zeros, infinities and NaN, and memory that ends at an inaccessible
 * page.
 */
#include <math.h>

#include "check.h"
#include "liam_search.h"

#define ROWS 37

typedef struct memory {
    arena queries, rows, prepared, positions, out;
} memory;

static float expected(const float *terms, size_t width) {
    volatile float sum[16] = {0}; /* volatile: rounded after each step */
    for (size_t j = 0; j < width; j++) sum[j % 16] = sum[j % 16] + terms[j];
    for (size_t half = 8; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) sum[l] = sum[l] + sum[l + half];
    }
    return sum[0];
}

static int same(float a, float b) {
    const uint32_t nan = UINT32_C(0x7fc00000);
    return memcmp(&a, isnan(b) ? (const void *)&nan : (const void *)&b, sizeof a) == 0;
}

static float odd_float(void) {
    static const float odd[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, 0x1p127f};
    const size_t pick = random_below(400);
    return pick < sizeof odd / sizeof *odd ? odd[pick] : random_float();
}

static void scores(memory mem, size_t m, size_t c, size_t width) {
    static float terms[2600];
    const size_t words = liam_words(width);
    const size_t stride = width + width % 3, lists = c + width % 2;
    const size_t span = m ? (m - 1) * stride + width : 0, list_span = m ? (m - 1) * lists + c : 0;
    float *queries = arena_take(mem.queries, span * sizeof *queries);
    for (size_t k = 0; k < span; k++) queries[k] = odd_float();
    int64_t *positions = arena_take(mem.positions, list_span * sizeof *positions);
    for (size_t k = 0; k < list_span; k++) positions[k] = (int64_t)random_below(ROWS);

    uint64_t *rows = arena_take(mem.rows, ROWS * words * sizeof *rows);
    for (size_t k = 0; k < ROWS * words; k++) rows[k] = random_u64(); /* excess bits too */
    size_t bytes = SIZE_MAX;
    CHECK(liam_xnor_prepared_bytes(ROWS, width, &bytes) == LIAM_OK);
    void *prepared = arena_take(mem.prepared, bytes);
    CHECK(liam_xnor_prepare(rows, ROWS, width, words, prepared, bytes) == LIAM_OK);
    float *out = arena_take(mem.out, list_span * sizeof *out);
    CHECK(liam_search_rescore_bits(queries, m, stride, prepared, ROWS, width, positions, c, lists, out, lists) ==
          LIAM_OK);
    CHECK(front_intact(out));
    for (size_t i = 0; i < m; i++) {
        for (size_t s = 0; s < c; s++) {
            const uint64_t *row = rows + (size_t)positions[i * lists + s] * words;
            for (size_t j = 0; j < width; j++) {
                terms[j] = bit_of(row, j) ? queries[i * stride + j] : -queries[i * stride + j];
            }
            CHECK(same(out[i * lists + s], expected(terms, width)));
        }
        if (i + 1 < m) CHECK(all_canary(out + i * lists + c, (lists - c) * sizeof *out));
    }

    const size_t vectors_span = (ROWS - 1) * stride + width;
    float *vectors = arena_take(mem.rows, vectors_span * sizeof *vectors);
    for (size_t k = 0; k < vectors_span; k++) vectors[k] = odd_float();
    out = arena_take(mem.out, list_span * sizeof *out);
    CHECK(liam_search_rescore_f32(queries, m, stride, vectors, ROWS, width, stride, positions, c, lists, out, lists) ==
          LIAM_OK);
    CHECK(front_intact(out));
    for (size_t i = 0; i < m; i++) {
        for (size_t s = 0; s < c; s++) {
            const float *row = vectors + (size_t)positions[i * lists + s] * stride;
            for (size_t j = 0; j < width; j++) {
                const volatile float term = queries[i * stride + j] * row[j];
                terms[j] = term;
            }
            CHECK(same(out[i * lists + s], expected(terms, width)));
        }
        if (i + 1 < m) CHECK(all_canary(out + i * lists + c, (lists - c) * sizeof *out));
    }
}

void test_rescore(void) {
    static memory mem;
    if (mem.queries.end == NULL) {
        mem = (memory){arena_new(), arena_new(), arena_new(), arena_new(), arena_new()};
    }
    for (size_t width = 0; width <= 1100; width++) {
        test_case = width;
        scores(mem, 1 + width % 2, 1 + width % 6, width);
    }
    for (size_t k = 0; k < LONG_WIDTHS; k++) {
        test_case = long_width(k);
        scores(mem, 1 + k % 2, 1 + k % 6, long_width(k));
    }
    for (size_t m = 0; m <= 3; m++) {
        for (size_t c = 0; c <= 11; c++) {
            test_case = m * 100 + c;
            scores(mem, m, c, 77);
        }
    }
}

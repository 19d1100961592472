/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products against a loop over bits of words: every width from 0 to 1100 and some of up to 40 words, every
 * small number of rows and columns, poisoned excess bits, and memory that ends at an inaccessible page.
 */
#include "check.h"

typedef struct memory {
    arena a, weights, prepared, parameters, more_parameters, out, workspace;
} memory;

static int32_t expected_dot(const uint64_t *a, const uint64_t *w, size_t nbits) {
    int32_t different = 0;
    for (size_t k = 0; k < liam_words(nbits); k++) {
        const size_t left = nbits - k * 64;
        const uint64_t valid = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
        different += __builtin_popcountll((a[k] ^ w[k]) & valid);
    }
    return (int32_t)nbits - 2 * different;
}

static void products_in(memory mem, size_t m, size_t n, size_t nbits, int with_workspace) {
    const size_t words = liam_words(nbits);
    const size_t a_stride = words + nbits % 2;
    const size_t w_stride = words + m % 2;
    const size_t a_span = m ? (m - 1) * a_stride + words : 0;
    const size_t w_span = n ? (n - 1) * w_stride + words : 0;
    uint64_t *a = arena_take(mem.a, a_span * sizeof *a);
    uint64_t *w = arena_take(mem.weights, w_span * sizeof *w);
    const int extreme = random_below(4) == 0; /* words of all ones or all zeros bring counters to their limits */
    for (size_t k = 0; k < a_span; k++) a[k] = extreme ? UINT64_MAX : random_u64(); /* excess bits too */
    for (size_t k = 0; k < w_span; k++) w[k] = extreme ? 0 : random_u64();

    size_t bytes = SIZE_MAX;
    CHECK(liam_xnor_prepared_bytes(n, nbits, &bytes) == LIAM_OK);
    void *prepared = arena_take(mem.prepared, bytes);
    CHECK(liam_xnor_prepare(w, n, nbits, w_stride, prepared, bytes) == LIAM_OK);
    CHECK(front_intact(prepared));

    size_t room = SIZE_MAX;
    CHECK(liam_xnor_workspace_bytes(m, n, nbits, &room) == LIAM_OK);
    void *workspace = room == 0 || with_workspace == 0 ? NULL : arena_take(mem.workspace, room);

    const size_t out_stride = n + nbits % 3;
    const size_t out_span = m ? (m - 1) * out_stride + n : 0;
    int32_t *dot = arena_take(mem.out, out_span * sizeof *dot);
    CHECK(liam_xnor_dot(a, m, a_stride, prepared, n, nbits, dot, out_stride, workspace, room) == LIAM_OK);
    CHECK(front_intact(dot));
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            CHECK(dot[i * out_stride + j] == expected_dot(a + i * a_stride, w + j * w_stride, nbits));
        }
        if (i + 1 < m) CHECK(all_canary(dot + i * out_stride + n, (out_stride - n) * sizeof *dot));
    }

    int32_t *thresholds = arena_take(mem.parameters, n * sizeof *thresholds);
    for (size_t j = 0; j < n; j++) {
        static const int32_t extremes[] = {INT32_MIN, INT32_MAX, 0, 1, -1};
        const size_t pick = random_below(15);
        thresholds[j] = pick < 5 ? extremes[pick] : (int32_t)random_below(2 * nbits + 3) - (int32_t)nbits - 1;
        if (pick > 10 && m) thresholds[j] = expected_dot(a, w + j * w_stride, nbits) + (int32_t)(pick % 2);
    }
    const size_t bit_words = liam_words(n);
    const size_t bit_stride = bit_words + nbits % 3;
    uint64_t *bits = arena_take(mem.out, (m ? (m - 1) * bit_stride + bit_words : 0) * sizeof *bits);
    CHECK(liam_xnor_threshold(a, m, a_stride, prepared, n, nbits, thresholds, bits, bit_stride, workspace, room) ==
          LIAM_OK);
    CHECK(front_intact(bits));
    for (size_t i = 0; i < m; i++) {
        const uint64_t *row = bits + i * bit_stride;
        for (size_t j = 0; j < n; j++) {
            CHECK(bit_of(row, j) == (expected_dot(a + i * a_stride, w + j * w_stride, nbits) >= thresholds[j]));
        }
        CHECK(excess_is_zero(row, n));
        if (i + 1 < m) CHECK(all_canary(row + bit_words, (bit_stride - bit_words) * sizeof *row));
    }

    float *scale = arena_take(mem.parameters, n * sizeof *scale);
    float *bias = arena_take(mem.more_parameters, n * sizeof *bias);
    for (size_t j = 0; j < n; j++) {
        scale[j] = random_float();
        bias[j] = random_float();
    }
    float *score = arena_take(mem.out, out_span * sizeof *score);
    CHECK(liam_xnor_scale(a, m, a_stride, prepared, n, nbits, scale, bias, score, out_stride, workspace, room) ==
          LIAM_OK);
    CHECK(front_intact(score));
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            const volatile float product = /* volatile: rounded, never fused */
                scale[j] * (float)expected_dot(a + i * a_stride, w + j * w_stride, nbits);
            const float want = product + bias[j];
            CHECK(memcmp(&score[i * out_stride + j], &want, sizeof want) == 0);
        }
        if (i + 1 < m) CHECK(all_canary(score + i * out_stride + n, (out_stride - n) * sizeof *score));
    }
}

static void products(memory mem, size_t m, size_t n, size_t nbits) {
    products_in(mem, m, n, nbits, 1);
    if (m >= 32) products_in(mem, m, n, nbits, 0);
}

void test_xnor(void) {
    static memory mem;
    if (mem.a.end == NULL) {
        mem = (memory){arena_new(), arena_new(), arena_new(), arena_new(), arena_new(), arena_new(), arena_new()};
    }
    static const size_t some_m[] = {1, 9, 2, 16, 7, 32, 8};
    static const size_t some_n[] = {10, 17, 1, 64, 83};
    for (size_t nbits = 0; nbits <= 1100; nbits++) {
        test_case = nbits;
        products(mem, some_m[nbits % 7], some_n[nbits % 5], nbits);
    }
    for (size_t k = 0; k < LONG_WIDTHS; k++) {
        test_case = long_width(k);
        products(mem, some_m[k % 7], some_n[k % 5], long_width(k));
    }
    for (size_t m = 0; m <= 18; m++) {
        for (size_t n = 0; n <= 82; n++) {
            test_case = m * 1000 + n;
            products(mem, m, n, 130);
        }
    }
    for (test_case = 0; test_case < 40; test_case++) { /* long rows: byte counters are widened several times */
        products(mem, 1 + test_case % 10, 3, 64 * (90 + test_case) + 5);
    }
    for (size_t m = 30; m <= 66; m += 1 + m % 3) { /* batches: whole blocks of rows, and what is left of them */
        for (size_t n = 1; n <= 70; n += 3) {
            test_case = m * 1000 + n;
            products(mem, m, n, 64 * (n % 5) + m);
        }
    }
    test_case = 0;
    for (size_t k = 0; k < 16; k++) {
        products(mem, 33, 16 * (k % 4) + 9, 64 * 127 - k / 4); /* the longest rows of tiles, with extremes among them, */
    }
    products(mem, 33, 17, 64 * 127 + 1);  /* and one bit more */
    products(mem, 32, 1500, 64 * 16 + 1); /* more weights than are spread together */
    products(mem, 75, 18, 64 * 1000 - 1); /* more rows than one pass over the panels takes */
    products(mem, 17, 2, 64 * 5000 + 7);  /* rows so long that a pass takes the fewest */
}

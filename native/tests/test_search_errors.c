/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error code of the searches, from arguments that would touch memory wrongly if they were believed.
 */
#include <math.h>

#include "check.h"
#include "liam_search.h"

static _Alignas(LIAM_ALIGNMENT) uint64_t words[64];
static uint64_t keys[64];
static uint16_t narrow[64];
static uint32_t counts[64];
static float floats[64];
static int64_t positions[4] = {0, 1, 2, 3};
static liam_hit hits[8];
static size_t total;

#define HUGE_ROWS (SIZE_MAX / 4)
#define TOO_WIDE ((size_t)LIAM_MAX_NBITS + 1)

static void distances(void) {
    CHECK(liam_search_hamming16(NULL, 1, 1, words, 1, 64, narrow, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming16(words, 1, 1, NULL, 1, 64, narrow, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming16(words, 1, 1, words, 1, 64, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming16(words, 1, 1024, words, 1, 65536, narrow, 1) == LIAM_ERR_SIZE);
    CHECK(liam_search_hamming16(words, 1, 0, words, 1, 64, narrow, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_search_hamming16(words, 1, 1, words, 2, 64, narrow, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_search_hamming16(words, 1, 1, words + 1, 1, 64, narrow, 1) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_search_hamming16(words, HUGE_ROWS, 1, words, 1, 64, narrow, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_hamming16(words, 4, 1, words, HUGE_ROWS / 64, 64, narrow, HUGE_ROWS) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_hamming16(NULL, 0, 1, NULL, 1, 64, NULL, 1) == LIAM_OK);
    CHECK(liam_search_hamming16(NULL, 2, 0, NULL, 2, 0, narrow, 2) == LIAM_OK && narrow[3] == 0);
    CHECK(liam_search_hamming32(words, 1, TOO_WIDE, words, 1, TOO_WIDE, counts, 1) == LIAM_ERR_SIZE);
    CHECK(liam_search_hamming32(words, 1, 1, words, 1, 64, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_jaccard(words, 1, 1, words, 1, 64, NULL, floats, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_jaccard(words, 1, 1, words, 1, 64, counts, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_jaccard(NULL, 0, 1, NULL, 1, 64, NULL, NULL, 1) == LIAM_OK);
}

static void nearest(void) {
    CHECK(liam_search_hamming_top_k(NULL, 1, 1, words, 1, 64, 0, 1, keys) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming_top_k(words, 1, 1, words, 1, 64, 0, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming_top_k(words, 1, 0, words, 1, 64, 0, 1, keys) == LIAM_ERR_STRIDE);
    CHECK(liam_search_hamming_top_k(words, 1, 1, words + 1, 1, 64, 0, 1, keys) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_search_hamming_top_k(words, 1, 1, words, 1, 64, LIAM_MAX_ROWS, 1, keys) == LIAM_ERR_SIZE);
    CHECK(liam_search_hamming_top_k(words, 1, 0, words, (size_t)LIAM_MAX_ROWS + 1, 0, 0, 1, keys) == LIAM_ERR_SIZE);
    CHECK(liam_search_hamming_top_k(words, 2, 1, words, 1, 64, 0, HUGE_ROWS, keys) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_hamming_top_k(words, 2, 1, words, 1, 64, 0, 0, NULL) == LIAM_OK);
    CHECK(liam_search_hamming_top_k(words, 1, 1, NULL, 0, 64, 0, 1, keys) == LIAM_OK && keys[0] == UINT64_MAX);
    CHECK(liam_search_hamming_top_k(NULL, 1, 0, NULL, 2, 0, 5, 1, keys) == LIAM_OK && keys[0] == 5);
    CHECK(liam_search_jaccard_top_k(words, 1, 1, words, 1, 64, NULL, 0, 1, keys) == LIAM_ERR_NULL);
    CHECK(liam_search_jaccard_top_k(words, 1, 1, words, 1, 64, counts, 0, 1, NULL) == LIAM_ERR_NULL);
}

static void within(void) {
    CHECK(liam_search_hamming_within(words, 1, 1, NULL, 1, 64, 0, 0, hits, 8, &total) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming_within(words, 1, 1, words, 1, 64, 0, 0, NULL, 8, &total) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming_within(words, 1, 1, words, 1, 64, 0, 0, hits, 8, NULL) == LIAM_ERR_NULL);
    CHECK(liam_search_hamming_within(words, 1, 1, words, 1, 64, 0, 0, hits, HUGE_ROWS, &total) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_hamming_within(words, 1, 1, words, 2, 64, LIAM_MAX_ROWS, 0, hits, 8, &total) == LIAM_ERR_SIZE);
    CHECK(liam_search_hamming_within(words, 1, 1, words, 1, 64, 0, 64, NULL, 0, &total) == LIAM_OK && total == 1);
    CHECK(liam_search_hamming_within(NULL, 0, 1, NULL, 1, 64, 0, 64, NULL, 0, &total) == LIAM_OK && total == 0);
    CHECK(liam_search_jaccard_within(words, 1, 1, words, 1, 64, NULL, 0, 1.0f, hits, 8, &total) == LIAM_ERR_NULL);
    CHECK(liam_search_jaccard_within(words, 1, 1, words, 1, 64, counts, 0, NAN, hits, 8, &total) == LIAM_ERR_VALUE);
    CHECK(liam_search_jaccard_within(words, 1, 1, words, 1, 64, counts, 0, -1.0f, hits, 8, &total) == LIAM_OK);
    CHECK(total == 0);
    CHECK(liam_search_jaccard_within(words, 1, 1, words, 1, 64, counts, 0, -0.0f, hits, 8, &total) == LIAM_OK);
    CHECK(total == 1);
    CHECK(liam_search_jaccard_within(words, 1, 1, words, 1, 64, counts, 0, INFINITY, hits, 8, &total) == LIAM_OK);
    CHECK(total == 1);

    const liam_hit stray[] = {{0, 0}, {0, 3}};
    CHECK(liam_search_group(stray, 2, 3, keys, keys + 8) == LIAM_ERR_VALUE);
    CHECK(liam_search_group(stray, 2, 4, NULL, keys + 8) == LIAM_ERR_NULL);
    CHECK(liam_search_group(stray, 2, 4, keys, NULL) == LIAM_ERR_NULL);
    CHECK(liam_search_group(NULL, 2, 4, keys, keys + 8) == LIAM_ERR_NULL);
    CHECK(liam_search_group(stray, HUGE_ROWS, 4, keys, keys + 8) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_group(NULL, 0, 0, NULL, NULL) == LIAM_OK);
}

static void rescoring(void) {
    const int64_t *const p = positions;
    CHECK(liam_search_rescore_bits(NULL, 1, 9, words, 4, 9, p, 1, 1, floats, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_rescore_bits(floats, 1, 9, NULL, 4, 9, p, 1, 1, floats + 9, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_rescore_bits(floats, 1, 9, words, 4, 9, NULL, 1, 1, floats + 9, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_rescore_bits(floats, 1, 9, words, 4, 9, p, 1, 1, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_search_rescore_bits(floats, 1, 8, words, 4, 9, p, 1, 1, floats + 9, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_search_rescore_bits(floats, 1, 9, words, 4, 9, p, 2, 1, floats + 9, 2) == LIAM_ERR_STRIDE);
    CHECK(liam_search_rescore_bits(floats, 1, 9, words, 4, 9, p, 2, 2, floats + 9, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_search_rescore_bits(floats, 1, 9, words + 1, 4, 9, p, 1, 1, floats + 9, 1) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_search_rescore_bits(floats, HUGE_ROWS, 9, words, 4, 9, p, 1, 1, floats, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_rescore_bits(floats, 1, TOO_WIDE, words, 4, TOO_WIDE, p, 1, 1, floats, 1) == LIAM_ERR_SIZE);
    CHECK(liam_search_rescore_bits(floats, 1, 9, words, 3, 9, p, 4, 4, floats + 9, 4) == LIAM_ERR_VALUE);
    CHECK(liam_search_rescore_f32(floats, 1, 9, NULL, 2, 9, 9, p, 2, 2, floats + 27, 2) == LIAM_ERR_NULL);
    CHECK(liam_search_rescore_f32(floats, 1, 9, floats, 2, 9, 8, p, 2, 2, floats + 27, 2) == LIAM_ERR_STRIDE);
    CHECK(liam_search_rescore_f32(floats, 1, 9, floats, HUGE_ROWS, 9, 9, p, 2, 2, floats, 2) == LIAM_ERR_OVERFLOW);
    CHECK(liam_search_rescore_f32(floats, 1, 9, floats, 1, 9, 9, p, 2, 2, floats + 27, 2) == LIAM_ERR_VALUE);
    positions[1] = -1;
    CHECK(liam_search_rescore_f32(floats, 1, 9, floats, 2, 9, 9, p, 2, 2, floats + 27, 2) == LIAM_ERR_VALUE);
    positions[1] = 1;
    CHECK(liam_search_rescore_f32(NULL, 1, 0, NULL, 2, 0, 0, p, 2, 2, floats, 2) == LIAM_OK && floats[1] == 0.0f);
    CHECK(liam_search_rescore_f32(NULL, 0, 9, NULL, 0, 9, 9, NULL, 2, 2, NULL, 2) == LIAM_OK);
}

void test_search_errors(void) {
    distances();
    nearest();
    within();
    rescoring();
}

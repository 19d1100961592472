/* SPDX-License-Identifier: Apache-2.0
 *
 * An index against the parts that it is made of: queries of floats and of bytes that lie anywhere, every metric, scratch
 * for one query and for many, and memory that ends at an inaccessible page.
 */
#include <math.h>

#include "check.h"
#include "liam_index.h"

#define CODES 53
#define MOST_ROWS 9
#define MOST_BITS 200

typedef struct memory {
    arena x, ids, distances, scratch;
} memory;

typedef struct fixture {
    _Alignas(LIAM_ALIGNMENT) uint8_t prepared[(CODES + 16) * 4 * sizeof(uint64_t)];
    int64_t names[CODES];
    uint32_t popcounts[CODES];
    float thresholds[MOST_BITS];
} fixture;

static liam_index make(fixture *f, size_t nbits, int metric, int packed) {
    const size_t words = liam_words(nbits);
    uint64_t codes[CODES * 4];
    size_t bytes;
    for (size_t i = 0; i < CODES * words; i++) codes[i] = random_u64() & random_u64();
    CHECK(liam_xnor_prepared_bytes(CODES, nbits, &bytes) == LIAM_OK && bytes <= sizeof f->prepared);
    CHECK(liam_xnor_prepare(codes, CODES, nbits, words, f->prepared, bytes) == LIAM_OK);
    for (size_t i = 0; i < CODES; i++) {
        f->names[i] = (int64_t)random_u64();
        f->popcounts[i] = 0;
        for (size_t j = 0; j < nbits; j++) f->popcounts[i] += (uint32_t)bit_of(codes + i * words, j);
    }
    for (size_t j = 0; j < nbits; j++) f->thresholds[j] = random_float();
    return (liam_index){.prepared = f->prepared, .rows = CODES, .nbits = nbits, .ids = f->names,
                        .row_popcounts = f->popcounts, .thresholds = packed ? NULL : f->thresholds,
                        .k = 1 + random_below(CODES), .metric = metric, .packed = packed};
}

/* The same by the functions of the search itself. */
static void expect(const liam_index *index, const uint64_t *bits, size_t rows, int64_t *ids, uint32_t *distances) {
    static uint64_t keys[MOST_ROWS * CODES];
    const size_t words = liam_words(index->nbits);
    if (index->metric == LIAM_METRIC_JACCARD) {
        CHECK(liam_search_jaccard_top_k(bits, rows, words, index->prepared, CODES, index->nbits, index->row_popcounts, 0,
                                        index->k, keys) == LIAM_OK);
    } else {
        CHECK(liam_search_hamming_top_k(bits, rows, words, index->prepared, CODES, index->nbits, 0, index->k, keys) ==
              LIAM_OK);
    }
    for (size_t i = 0; i < rows * index->k; i++) {
        const int32_t hamming = (int32_t)(keys[i] >> 32);
        const int32_t dot = (int32_t)index->nbits - 2 * hamming;
        ids[i] = index->ids[(uint32_t)keys[i]];
        distances[i] = (uint32_t)(index->metric == LIAM_METRIC_DOT ? dot : hamming);
    }
}

static void check_run(memory mem, size_t rows, size_t nbits, int metric, int packed) {
    static fixture f;
    static int64_t ids[MOST_ROWS * CODES];
    static uint32_t distances[MOST_ROWS * CODES];
    const liam_index index = make(&f, nbits, metric, packed);
    const size_t width = packed ? (nbits + 7) / 8 : nbits * sizeof(float), words = liam_words(nbits);
    uint64_t bits[MOST_ROWS * 4];
    float floats[MOST_ROWS * MOST_BITS];
    uint8_t bytes[MOST_ROWS * MOST_BITS];
    for (size_t i = 0; i < rows * nbits; i++) floats[i] = random_below(20) ? random_float() : NAN;
    for (size_t i = 0; i < rows * width && packed; i++) bytes[i] = (uint8_t)random_u64(); /* excess bits too */
    if (packed) CHECK(liam_from_bytes(bytes, rows, nbits, width, 0, bits, words) == LIAM_OK);
    else CHECK(liam_pack_f32(floats, rows, nbits, nbits, f.thresholds, bits, words) == LIAM_OK);
    expect(&index, bits, rows, ids, distances);

    const size_t count = rows * index.k, shift = random_below(4);
    uint8_t *x = arena_take(mem.x, rows * width + shift);
    if (rows > 0 && nbits > 0) memcpy(x, packed ? (const void *)bytes : floats, rows * width);
    uint8_t *to_ids = arena_take(mem.ids, count * sizeof *ids + shift);
    uint8_t *to_distances = arena_take(mem.distances, count * sizeof *distances + shift);
    for (size_t room = 1; room < rows + 3; room++) {
        size_t needed = 0;
        CHECK(liam_index_scratch_bytes(&index, room, &needed) == LIAM_OK);
        uint8_t *scratch = arena_take(mem.scratch, (needed + 63) / 64 * 64);
        CHECK(liam_index_run(&index, x, rows, to_ids, to_distances, scratch, needed) == LIAM_OK);
        CHECK(front_intact(scratch) && front_intact(to_ids) && front_intact(to_distances));
        CHECK(memcmp(to_ids, ids, count * sizeof *ids) == 0);
        CHECK(memcmp(to_distances, distances, count * sizeof *distances) == 0);
        CHECK(all_canary(to_ids + count * sizeof *ids, shift) && all_canary(to_distances + count * 4, shift));
    }
}

static void test_errors_of(memory mem) {
    static fixture f;
    const liam_index good = make(&f, 100, LIAM_METRIC_HAMMING, 1);
    liam_index bad = good;
    size_t needed;
    CHECK(liam_index_scratch_bytes(&good, 1, &needed) == LIAM_OK);
    CHECK(liam_index_scratch_bytes(&good, SIZE_MAX / 8, &needed) == LIAM_ERR_OVERFLOW);
    CHECK(liam_index_scratch_bytes(NULL, 1, &needed) == LIAM_ERR_NULL);
    CHECK(liam_index_scratch_bytes(&good, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_index_scratch_bytes(&good, 1, &needed) == LIAM_OK);
    uint8_t *scratch = arena_take(mem.scratch, (needed + 127) / 64 * 64), *x = arena_take(mem.x, 13);
    uint8_t *ids = arena_take(mem.ids, 8 * CODES), *distances = arena_take(mem.distances, 4 * CODES);
    CHECK(liam_index_run(NULL, x, 1, ids, distances, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_index_run(&good, NULL, 1, ids, distances, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_index_run(&good, x, 1, NULL, distances, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_index_run(&good, x, 1, ids, NULL, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_index_run(&good, x, 1, ids, distances, NULL, needed) == LIAM_ERR_NULL);
    CHECK(liam_index_run(&good, x, 1, ids, distances, scratch + 8, needed) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_index_run(&good, x, 1, ids, distances, scratch, needed - 1) == LIAM_ERR_MEMORY);
    CHECK(liam_index_run(&good, x, SIZE_MAX / 2, ids, distances, scratch, needed) == LIAM_ERR_OVERFLOW);
    CHECK(liam_index_run(&good, NULL, 0, NULL, NULL, NULL, 0) == LIAM_OK);
    bad.k = CODES + 1;
    CHECK(liam_index_run(&bad, x, 1, ids, distances, scratch, needed) == LIAM_ERR_VALUE);
    bad = good;
    bad.metric = 3;
    CHECK(liam_index_run(&bad, x, 1, ids, distances, scratch, needed) == LIAM_ERR_VALUE);
    bad = good;
    bad.packed = 2;
    CHECK(liam_index_run(&bad, x, 1, ids, distances, scratch, needed) == LIAM_ERR_VALUE);
    bad = good;
    bad.nbits = (size_t)LIAM_MAX_NBITS + 1;
    CHECK(liam_index_run(&bad, x, 1, ids, distances, scratch, needed) == LIAM_ERR_SIZE);
    CHECK(all_canary(ids, 8 * CODES) && all_canary(distances, 4 * CODES));
}

void test_index(void) {
    const memory mem = {arena_new(), arena_new(), arena_new(), arena_new()};
    for (test_case = 0; test_case < 600; test_case++) {
        const size_t nbits = test_case % 4 == 0 ? 64 * (1 + random_below(3)) : 1 + random_below(MOST_BITS);
        check_run(mem, random_below(MOST_ROWS + 1), nbits, (int)(test_case % 3), (int)(test_case / 3 % 2));
    }
    test_errors_of(mem);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Distances, the nearest rows and the rows within a radius against a loop over bits: every width from 0 to 1100
 * and some of up to 40 words, every small number of queries and rows, poisoned excess bits, and memory that ends at an
 * inaccessible page.
 */
#include "check.h"
#include "liam_search.h"

typedef struct memory {
    arena queries, rows, prepared, popcounts, out, more;
} memory;

/* The operands of a search, and its distances by the book: want[i * n + j], floats as their bits for Jaccard. */
typedef struct operands {
    size_t m, n, nbits, stride;
    const uint64_t *queries;
    const void *prepared;
    const uint32_t *popcounts;
    uint32_t *hamming, *jaccard;
} operands;

static uint32_t count(const uint64_t *a, const uint64_t *b, size_t nbits, int of_both) {
    uint32_t sum = 0;
    for (size_t w = 0; w < liam_words(nbits); w++) {
        const size_t left = nbits - w * 64;
        const uint64_t valid = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
        sum += (uint32_t)__builtin_popcountll((of_both ? a[w] | b[w] : a[w] ^ b[w]) & valid);
    }
    return sum;
}

static operands make(memory mem, size_t m, size_t n, size_t nbits) {
    static uint32_t hamming[1 << 16], jaccard[1 << 16];
    const size_t words = liam_words(nbits);
    const size_t stride = words + nbits % 2;
    const size_t span = m ? (m - 1) * stride + words : 0;
    uint64_t *queries = arena_take(mem.queries, span * sizeof *queries);
    uint64_t *rows = arena_take(mem.rows, n * words * sizeof *rows);
    const size_t kind = random_below(4); /* the extremes bring counters to their limits */
    for (size_t k = 0; k < span; k++) queries[k] = kind == 0 ? UINT64_MAX : kind == 1 ? 0 : random_u64();
    for (size_t k = 0; k < n * words; k++) rows[k] = kind < 2 ? 0 : random_u64() & random_u64();

    size_t bytes = SIZE_MAX;
    CHECK(liam_xnor_prepared_bytes(n, nbits, &bytes) == LIAM_OK);
    void *prepared = arena_take(mem.prepared, bytes);
    CHECK(liam_xnor_prepare(rows, n, nbits, words, prepared, bytes) == LIAM_OK);
    uint32_t *popcounts = arena_take(mem.popcounts, n * sizeof *popcounts);
    for (size_t j = 0; j < n; j++) popcounts[j] = count(rows + j * words, rows + j * words, nbits, 1);
    if (m * n > sizeof hamming / sizeof *hamming) exit(2);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            const uint32_t different = count(queries + i * stride, rows + j * words, nbits, 0);
            const uint32_t either = count(queries + i * stride, rows + j * words, nbits, 1);
            const float distance = either == 0 ? 0.0f : (float)different / (float)either;
            hamming[i * n + j] = different;
            memcpy(&jaccard[i * n + j], &distance, sizeof distance);
        }
    }
    return (operands){m, n, nbits, stride, queries, prepared, popcounts, hamming, jaccard};
}

static void check_matrices(memory mem, const operands *x) {
    const size_t out_stride = x->n + x->nbits % 3;
    const size_t span = x->m ? (x->m - 1) * out_stride + x->n : 0;
    uint16_t *narrow = arena_take(mem.out, span * sizeof *narrow);
    CHECK(liam_search_hamming16(x->queries, x->m, x->stride, x->prepared, x->n, x->nbits, narrow, out_stride) ==
          LIAM_OK);
    CHECK(front_intact(narrow));
    uint32_t *wide = arena_take(mem.more, span * sizeof *wide);
    CHECK(liam_search_hamming32(x->queries, x->m, x->stride, x->prepared, x->n, x->nbits, wide, out_stride) ==
          LIAM_OK);
    CHECK(front_intact(wide));
    for (size_t i = 0; i < x->m; i++) {
        for (size_t j = 0; j < x->n; j++) {
            CHECK(narrow[i * out_stride + j] == x->hamming[i * x->n + j]);
            CHECK(wide[i * out_stride + j] == x->hamming[i * x->n + j]);
        }
        if (i + 1 == x->m) continue;
        CHECK(all_canary(narrow + i * out_stride + x->n, (out_stride - x->n) * sizeof *narrow));
        CHECK(all_canary(wide + i * out_stride + x->n, (out_stride - x->n) * sizeof *wide));
    }
    float *jaccard = arena_take(mem.more, span * sizeof *jaccard);
    CHECK(liam_search_jaccard(x->queries, x->m, x->stride, x->prepared, x->n, x->nbits, x->popcounts, jaccard,
                              out_stride) == LIAM_OK);
    CHECK(front_intact(jaccard));
    for (size_t i = 0; i < x->m; i++) {
        CHECK(memcmp(jaccard + i * out_stride, x->jaccard + i * x->n, x->n * sizeof *jaccard) == 0);
        if (i + 1 < x->m) CHECK(all_canary(jaccard + i * out_stride + x->n, (out_stride - x->n) * sizeof *jaccard));
    }
}

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The keys of query i, sorted. */
static void sort_row(const operands *x, const uint32_t *distances, size_t i, size_t base, uint64_t *keys) {
    for (size_t j = 0; j < x->n; j++) keys[j] = ((uint64_t)distances[i * x->n + j] << 32) + base + j;
    qsort(keys, x->n, sizeof *keys, ascending);
}

static void check_top_k(memory mem, const operands *x, size_t k) {
    static uint64_t sorted[1 << 16];
    const size_t base = random_below(2) ? random_below(1000) : LIAM_MAX_ROWS - x->n;
    for (int jaccard = 0; jaccard < 2; jaccard++) {
        uint64_t *keys = arena_take(mem.out, x->m * k * sizeof *keys);
        const int status = jaccard ? liam_search_jaccard_top_k(x->queries, x->m, x->stride, x->prepared, x->n, x->nbits,
                                                               x->popcounts, base, k, keys)
                                   : liam_search_hamming_top_k(x->queries, x->m, x->stride, x->prepared, x->n,
                                                               x->nbits, base, k, keys);
        CHECK(status == LIAM_OK);
        CHECK(front_intact(keys));
        for (size_t i = 0; i < x->m; i++) {
            sort_row(x, jaccard ? x->jaccard : x->hamming, i, base, sorted);
            for (size_t s = 0; s < k; s++) CHECK(keys[i * k + s] == (s < x->n ? sorted[s] : UINT64_MAX));
        }
    }
}

/* Position 7 is the first. */
static int find(const operands *x, int jaccard, uint32_t radius, float share, liam_hit *hits, size_t capacity,
                size_t *total) {
    return jaccard ? liam_search_jaccard_within(x->queries, x->m, x->stride, x->prepared, x->n, x->nbits,
                                                x->popcounts, 7, share, hits, capacity, total)
                   : liam_search_hamming_within(x->queries, x->m, x->stride, x->prepared, x->n, x->nbits, 7, radius,
                                                hits, capacity, total);
}

static void check_within(memory mem, const operands *x, uint32_t radius, float share) {
    for (int jaccard = 0; jaccard < 2; jaccard++) {
        const uint32_t *distances = jaccard ? x->jaccard : x->hamming;
        uint32_t limit = radius;
        if (jaccard) memcpy(&limit, &share, sizeof limit);
        size_t wanted = 0, total = SIZE_MAX;
        for (size_t k = 0; k < x->m * x->n; k++) wanted += distances[k] <= limit;

        const size_t few = wanted / 2;
        liam_hit *hits = arena_take(mem.out, few * sizeof *hits);
        CHECK(find(x, jaccard, radius, share, hits, few, &total) == LIAM_OK && total == wanted);
        CHECK(front_intact(hits));
        for (size_t h = 0; h < few; h++) {
            const size_t i = hits[h].query, j = (size_t)(hits[h].key & UINT32_MAX) - 7;
            CHECK(i < x->m && j < x->n && distances[i * x->n + j] <= limit);
        }
        hits = arena_take(mem.out, wanted * sizeof *hits);
        CHECK(find(x, jaccard, radius, share, hits, wanted, &total) == LIAM_OK && total == wanted);
        CHECK(front_intact(hits));

        uint64_t *counts = arena_take(mem.rows, x->m * sizeof *counts);
        uint64_t *keys = arena_take(mem.more, wanted * sizeof *keys);
        CHECK(liam_search_group(hits, wanted, x->m, counts, keys) == LIAM_OK);
        CHECK(front_intact(counts) && front_intact(keys));
        for (size_t i = 0, at = 0; i < x->m; at += counts[i], i++) { /* positions come in order */
            size_t here = 0;
            for (size_t j = 0; j < x->n; j++) {
                const uint32_t distance = distances[i * x->n + j];
                if (distance > limit) continue;
                CHECK(keys[at + here] == ((uint64_t)distance << 32) + 7 + j);
                here++;
            }
            CHECK(counts[i] == here);
        }
    }
}

static void searches(memory mem, size_t m, size_t n, size_t nbits) {
    const operands x = make(mem, m, n, nbits);
    check_matrices(mem, &x);
    check_top_k(mem, &x, 1 + random_below(12));
    check_within(mem, &x, (uint32_t)random_below(nbits + 2), (float)random_below(65) / 64.0f);
}

void test_search(void) {
    static memory mem;
    if (mem.queries.end == NULL) {
        mem = (memory){arena_new(), arena_new(), arena_new(), arena_new(), arena_new(), arena_new()};
    }
    static const size_t some_m[] = {1, 9, 2, 16, 7, 15};
    static const size_t some_n[] = {10, 17, 1, 64, 83};
    for (size_t nbits = 0; nbits <= 1100; nbits++) {
        test_case = nbits;
        searches(mem, some_m[nbits % 6], some_n[nbits % 5], nbits);
    }
    for (size_t k = 0; k < LONG_WIDTHS; k++) {
        test_case = long_width(k);
        searches(mem, some_m[k % 6], some_n[k % 5], long_width(k));
    }
    for (size_t m = 0; m <= 18; m++) {
        for (size_t n = 0; n <= 50; n++) {
            test_case = m * 1000 + n;
            searches(mem, m, n, 130);
        }
    }
    for (size_t m = 28; m <= 66; m += 1 + m % 3) { /* batches that the tile unit takes, and those between them */
        for (size_t n = 1; n <= 110; n += 1 + n / 3) {
            test_case = m * 1000 + n;
            searches(mem, m, n, 190 + (m * 7 + n) % 325);
        }
    }
    test_case = 0;
    searches(mem, 256, 50, 512);          /* as many and as long as tiles take, */
    searches(mem, 300, 50, 513);          /* more and longer */
    searches(mem, 3, 600, 64);            /* several stretches ahead */
    searches(mem, 600, 37, 90);           /* more queries than a kernel takes at once */
    searches(mem, 75, 18, 64 * 1000 - 1); /* rows so long that a block is small */
    const operands x = make(mem, 5, 90, 200);
    check_top_k(mem, &x, 0);
    check_top_k(mem, &x, 90);
    check_top_k(mem, &x, 100);
    check_within(mem, &x, 0, 0.0f);
    check_within(mem, &x, UINT32_MAX, 1.0f);
}

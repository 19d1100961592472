/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of searches among codes.
 */
#include <string.h>

#include "liam_search.h"
#include "liam_trial.h"

/* Queries and a database. */
typedef struct search {
    size_t m, n, nbits;
    operand *queries, *prepared;
} search;

static search draw_search(trial *t) {
    search s = {.m = trial_count(t), .n = trial_count(t), .nbits = trial_nbits(t)};
    s.queries = trial_bits(t, IN, s.m, s.nbits);
    s.prepared = trial_prepared(t, s.n, s.nbits);
    trial_effort(t, (wide)s.m * s.n); /* rows without bits have distances too */
    return s;
}

#define DATABASE s.queries->at, s.m, s.queries->stride, s.prepared->at, s.n, s.nbits

static size_t draw_base(trial *t, size_t n) {
    const uint64_t pick = trial_draw(t); /* the last position may be the last one that there is, or one past it */
    const size_t base = pick % 4 ? trial_count(t) : LIAM_MAX_ROWS - n + (size_t)(pick >> 8) % 3 - 1;
    trial_rule(t, (wide)base + n <= LIAM_MAX_ROWS, LIAM_ERR_SIZE);
    return base;
}

static void search_hamming16(trial *t) {
    const search s = draw_search(t);
    operand *out = trial_matrix(t, OUT, SHORTS, s.m, s.n);
    trial_rule(t, s.nbits <= UINT16_MAX, LIAM_ERR_SIZE);
    if (trial_ready(t)) trial_done(t, liam_search_hamming16(DATABASE, out->at, out->stride));
}

static void search_hamming32(trial *t) {
    const search s = draw_search(t);
    operand *out = trial_matrix(t, OUT, INTS, s.m, s.n);
    if (trial_ready(t)) trial_done(t, liam_search_hamming32(DATABASE, out->at, out->stride));
}

static void search_jaccard(trial *t) {
    const search s = draw_search(t);
    operand *counts = trial_vector(t, IN, INTS, s.n), *out = trial_matrix(t, OUT, FLOATS, s.m, s.n);
    if (trial_ready(t)) trial_done(t, liam_search_jaccard(DATABASE, counts->at, out->at, out->stride));
}

static void search_hamming_top_k(trial *t) {
    const search s = draw_search(t);
    const size_t base = draw_base(t, s.n), k = trial_count(t);
    operand *keys = trial_dense(t, OUT, LONGS, s.m, k);
    if (trial_ready(t)) trial_done(t, liam_search_hamming_top_k(DATABASE, base, k, keys->at));
}

static void search_jaccard_top_k(trial *t) {
    const search s = draw_search(t);
    const size_t base = draw_base(t, s.n), k = trial_count(t);
    operand *counts = trial_vector(t, IN, INTS, s.n), *keys = trial_dense(t, OUT, LONGS, s.m, k);
    if (trial_ready(t)) trial_done(t, liam_search_jaccard_top_k(DATABASE, counts->at, base, k, keys->at));
}

/* Hits and their number. */
static void draw_hits(trial *t, size_t *capacity, operand **hits, operand **total) {
    *capacity = trial_count(t);
    *hits = trial_dense(t, OUT, HITS, *capacity != 0, *capacity);
    *total = trial_vector(t, OUT, LONGS, 1);
}

static void search_hamming_within(trial *t) {
    const search s = draw_search(t);
    const size_t base = draw_base(t, s.n);
    const uint32_t radius = (uint32_t)trial_count(t);
    size_t capacity;
    operand *hits, *total;
    draw_hits(t, &capacity, &hits, &total);
    if (trial_ready(t)) {
        trial_done(t, liam_search_hamming_within(DATABASE, base, radius, hits->at, capacity, total->at));
    }
}

static void search_jaccard_within(trial *t) {
    const search s = draw_search(t);
    const size_t base = draw_base(t, s.n);
    const uint32_t random = (uint32_t)trial_draw(t);
    float radius = (float)(random % 9) / 8.0f;
    if (trial_chance(t, 8)) memcpy(&radius, &random, sizeof radius);
    size_t capacity;
    operand *counts = trial_vector(t, IN, INTS, s.n), *hits, *total;
    draw_hits(t, &capacity, &hits, &total);
    trial_rule(t, radius == radius, LIAM_ERR_VALUE);
    if (trial_ready(t)) {
        trial_done(t, liam_search_jaccard_within(DATABASE, counts->at, base, radius, hits->at, capacity, total->at));
    }
}

static void search_group(trial *t) {
    const size_t count = trial_count(t), m = trial_count(t);
    operand *hits = trial_below(trial_dense(t, IN, HITS, count != 0, count), m);
    operand *counts = trial_dense(t, OUT, LONGS, m != 0, m), *keys = trial_vector(t, OUT, LONGS, count);
    trial_avoid(t, m == 0 && count != 0); /* whose hits are they? */
    if (trial_ready(t)) trial_done(t, liam_search_group(hits->at, count, m, counts->at, keys->at));
}

static void search_rescore_bits(trial *t) {
    const size_t m = trial_count(t), n = trial_count(t), nbits = trial_nbits(t), c = trial_count(t);
    operand *queries = trial_matrix(t, IN, FLOATS, m, nbits), *prepared = trial_prepared(t, n, nbits);
    operand *positions = trial_below(trial_matrix(t, IN, LONG_POSITIONS, m, c), n);
    operand *out = trial_matrix(t, OUT, FLOATS, m, c);
    trial_avoid(t, n == 0 && m != 0 && c != 0); /* no position is within [0, 0) */
    if (trial_ready(t)) {
        trial_done(t, liam_search_rescore_bits(queries->at, m, queries->stride, prepared->at, n, nbits, positions->at, c,
                                               positions->stride, out->at, out->stride));
    }
}

static void search_rescore_f32(trial *t) {
    const size_t m = trial_count(t), n = trial_count(t), d = trial_count(t), c = trial_count(t);
    operand *queries = trial_matrix(t, IN, FLOATS, m, d), *vectors = trial_matrix(t, IN, FLOATS, n, d);
    operand *positions = trial_below(trial_matrix(t, IN, LONG_POSITIONS, m, c), n);
    operand *out = trial_matrix(t, OUT, FLOATS, m, c);
    trial_avoid(t, n == 0 && m != 0 && c != 0);
    if (trial_ready(t)) {
        trial_done(t, liam_search_rescore_f32(queries->at, m, queries->stride, vectors->at, n, d, vectors->stride,
                                              positions->at, c, positions->stride, out->at, out->stride));
    }
}

const trial_subject trials_search[] = {
    TRIAL(search_hamming16),      TRIAL(search_hamming32),      TRIAL(search_jaccard), TRIAL(search_hamming_top_k),
    TRIAL(search_jaccard_top_k),  TRIAL(search_hamming_within), TRIAL(search_group),   TRIAL(search_rescore_bits),
    TRIAL(search_jaccard_within), TRIAL(search_rescore_f32),    {0},
};

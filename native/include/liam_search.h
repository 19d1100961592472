/* SPDX-License-Identifier: Apache-2.0
 *
 * Search among packed codes: distances, the nearest rows, the rows within a radius, and float scores of a shortlist.
 * The conventions are those of liam.h.
 *
 * Database    n rows of nbits bits as liam_xnor_prepare writes them. A row's position counts from the first row.
 *             Panels of 16 rows follow one another in prepared memory, so rows 16 * g and after, at
 *             prepared + g * liam_xnor_prepared_bytes(16, nbits), are a database too. Calls on such ranges, each
 *             with the position of its first row as base, may run at once in several threads.
 * Distances   Hamming: the bits that differ, popcount(a xor b). Jaccard: x / u for x bits that differ and
 *             u = (|a| + |b| + x) / 2 bits that are set in a or in b, as the float32 quotient of two float32; 0 where
 *             no bit is set at all. The inner product of liam_xnor_dot is nbits - 2 * Hamming.
 * Keys        A row found is one uint64_t, (distance << 32) + position, with a Jaccard distance as the bits of its
 *             float32, which are ordered as their values are. So ascending keys are ascending distances, and equal
 *             distances ascending positions.
 * Popcounts   Jaccard reads |b| of every database row from row_popcounts. Wrong numbers there give wrong distances
 *             and nothing worse.
 *
 * The rows that round a database up to whole panels are never found.
 *
 * Errors of all functions: NULL, SIZE, STRIDE, OVERFLOW, ALIGNMENT; more where stated.
 */
#ifndef LIAM_SEARCH_H
#define LIAM_SEARCH_H

#include "liam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most rows of a database, and the end of the positions that ranges of it may reach: base + n. */
#define LIAM_MAX_ROWS 4294967295

/* ---- Distances ------------------------------------------------------------------------------------------------ */

/* out[i * out_stride + j] is the Hamming distance of query i and row j.
 * SIZE: nbits is above 65535 where out is 16 bits wide. */
int liam_search_hamming16(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                          size_t nbits, uint16_t *out, size_t out_stride);
int liam_search_hamming32(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                          size_t nbits, uint32_t *out, size_t out_stride);

/* out[i * out_stride + j] is the Jaccard distance of query i and row j. */
int liam_search_jaccard(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                        size_t nbits, const uint32_t *row_popcounts, float *out, size_t out_stride);

/* ---- The nearest rows ----------------------------------------------------------------------------------------- */

/* Row i of keys, k of them, is the k nearest rows of query i in ascending order. Where k is more than n, the rest is
 * UINT64_MAX. keys is the only memory used: while the search runs, it holds a heap for each query.
 * SIZE: base + n is above LIAM_MAX_ROWS. */
int liam_search_hamming_top_k(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                              size_t nbits, size_t base, size_t k, uint64_t *keys);
int liam_search_jaccard_top_k(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                              size_t nbits, const uint32_t *row_popcounts, size_t base, size_t k, uint64_t *keys);

/* ---- The rows within a radius --------------------------------------------------------------------------------- */

typedef struct liam_hit {
    uint64_t key;
    uint64_t query;
} liam_hit;

/* Writes the rows at a distance of at most radius, in no order that callers should rely on, but no more of them than
 * capacity. *total is how many there are in all; a caller with less capacity comes again with that much.
 * SIZE: as above. VALUE: radius is NaN. */
int liam_search_hamming_within(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                               size_t nbits, size_t base, uint32_t radius, liam_hit *hits, size_t capacity,
                               size_t *total);
int liam_search_jaccard_within(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                               size_t nbits, const uint32_t *row_popcounts, size_t base, float radius,
                               liam_hit *hits, size_t capacity, size_t *total);

/* Distributes hits by query: counts[i] hits of query i in a row, those of query 0 first, in the order in which hits
 * has them. counts has m numbers, keys has count. VALUE: a hit's query is not below m. */
int liam_search_group(const liam_hit *hits, size_t count, size_t m, uint64_t *counts, uint64_t *keys);

/* ---- Scores of a shortlist ------------------------------------------------------------------------------------ */

/* The exact scores of c rows for each query, out[i * out_stride + s] for row positions[i * positions_stride + s], in
 * float32 and in an order that is part of the definition: sum l of 16 adds its terms j = l, l + 16, l + 32, ... to 0
 * one after the other; then sums l and l + 8 are added, of these l and l + 4, then l + 2, then l + 1. A NaN is
 * written as 0x7fc00000. VALUE: a position is not within [0, n); nothing was written. */

/* Term j is queries[i * stride + j], negated where bit j of the row is 0. */
int liam_search_rescore_bits(const float *queries, size_t m, size_t stride, const void *prepared, size_t n,
                             size_t nbits, const int64_t *positions, size_t c, size_t positions_stride, float *out,
                             size_t out_stride);

/* Term j is queries[i * stride + j] * vectors[position * vectors_stride + j], rounded before it is added; j < d. */
int liam_search_rescore_f32(const float *queries, size_t m, size_t stride, const float *vectors, size_t n, size_t d,
                            size_t vectors_stride, const int64_t *positions, size_t c, size_t positions_stride,
                            float *out, size_t out_stride);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * An index as a server asks it: queries as they come off the wire in, ids and distances as they go out. Beside the
 * search of liam_search.h there is nothing in it but the queries' packing and the look-up of ids. The conventions are
 * those of liam.h.
 */
#ifndef LIAM_INDEX_H
#define LIAM_INDEX_H

#include "liam_search.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What distances are: bits that differ; nbits less twice as many, greatest first; or their share, as in liam_search.h. */
#define LIAM_METRIC_HAMMING 0
#define LIAM_METRIC_DOT 1
#define LIAM_METRIC_JACCARD 2

/* An index, whose arrays are the caller's. */
typedef struct liam_index {
    const void *prepared; /* rows of nbits bits as liam_xnor_prepare writes them */
    size_t rows;
    size_t nbits;
    const int64_t *ids;            /* rows of them: what the codes are called */
    const uint32_t *row_popcounts; /* rows of them; only of LIAM_METRIC_JACCARD */
    const float *thresholds;       /* of float queries: nbits values, none of them NaN; NULL for zeros */
    size_t k;                      /* neighbours of a query, at most rows */
    int metric;
    int packed; /* 1: a query is ceil(nbits / 8) bytes, first bit least significant; 0: it is nbits float */
} liam_index;

/* Bytes of scratch to search for so many rows at a time. Errors: NULL, SIZE (nbits), OVERFLOW. */
int liam_index_scratch_bytes(const liam_index *index, size_t rows, size_t *bytes);

/* Finds the k nearest codes of each query, nearest first and equal distances in the order of the codes.
 *   x          queries, contiguous, any alignment; a NaN gives 0 bits, and bits past nbits are ignored
 *   ids        int64_t[rows][k], any alignment
 *   distances  int32_t[rows][k], float of LIAM_METRIC_JACCARD, any alignment
 *   scratch    liam_index_scratch_bytes of at least one row, aligned to LIAM_ALIGNMENT, one per concurrent call; as many
 *              rows share a pass over the codes as it has room for
 * Errors: NULL, SIZE, OVERFLOW, ALIGNMENT, MEMORY, and VALUE: k is above rows, or metric, packed or a threshold is none.
 * After VALUE for a threshold nothing is promised of the outputs. */
int liam_index_run(const liam_index *index, const void *x, size_t rows, void *ids, void *distances, void *scratch,
                   size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Distances of queries and prepared rows: as whole matrices, and as a scan that looks at near rows only.
 */
#ifndef LIAM_SEARCH_KERNELS_H
#define LIAM_SEARCH_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "liam_search.h"
#include "target.h"
#include "xnor_kernels.h"

/* The most queries of one call of a kernel, which reads the database once for all of them. */
#define SEARCH_BLOCK 256

typedef struct search_job {
    const uint64_t *queries;
    size_t m;
    size_t stride;
    const uint64_t *panels;
    size_t n;
    size_t nbits;
    const uint32_t *row_popcounts; /* Jaccard only, as the next */
    uint32_t query_popcounts[SEARCH_BLOCK];
} search_job;

/* Writes the distances of a block of queries to out, whose rows are out_stride elements apart. */
typedef void search_matrix_fn(const search_job *job, void *out, size_t out_stride);

typedef struct search_scan search_scan;

/* Takes what a scan found: the rows `lanes` (bits) of a panel are nearer to a query than its limit, at distances[0] to
 * distances[15], which are floats' bits for Jaccard. May set another limit. */
typedef void search_found_fn(search_scan *scan, size_t query, size_t panel, uint32_t lanes, const uint32_t *distances);

/* A scan visits, for panel after panel, query after query, and calls `found` where there are rows of the panel whose
 * distance is below the query's limit. */
struct search_scan {
    search_job job;
    search_found_fn *found;
    uint32_t limit[SEARCH_BLOCK];
    int64_t start[SEARCH_BLOCK]; /* minus the limit: counters that start here end below zero for near rows */
    size_t base;                 /* position of the first row */
    size_t first_query;          /* of the block */
    uint64_t *keys;              /* the nearest: a heap of k for each query of the block */
    size_t k;
    liam_hit *hits; /* within a radius */
    size_t capacity;
    size_t total;
};

typedef void search_scan_fn(search_scan *scan);

typedef struct search_kernels {
    search_matrix_fn *hamming16;
    search_matrix_fn *hamming32;
    search_matrix_fn *jaccard;
    search_scan_fn *scan_hamming;
    search_scan_fn *scan_jaccard;
} search_kernels;

extern const search_kernels liam_search_scalar, liam_search_avx2, liam_search_avx512, liam_search_amx;

/* The checks that all searches share. */
int liam_search_check(const search_job *job);

/* Makes `block` the part of a checked job that one call of a kernel takes, from query `first` on. */
void liam_search_block(const search_job *job, size_t first, search_job *block);

/* The kernels for a checked job: rows without bits have nothing to read, so that the fast ones need not expect them. */
const search_kernels *liam_search_table(const search_job *job);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The nearest rows and the rows within a radius: the checked edge over the scans of search_<level>.c, and what is done
 * with the rows that they find.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "sizes.h"

static void set_limit(search_scan *scan, size_t query, uint32_t limit) {
    scan->limit[query] = limit;
    scan->start[query] = -(int64_t)limit;
}

static uint64_t key_of(const search_scan *scan, size_t panel, size_t lane, uint32_t distance) {
    return ((uint64_t)distance << 32) + (scan->base + panel * LIAM_PANEL + lane);
}

/* Puts key into the place of the greatest of k keys, which is the first of a heap. */
static void replace_greatest(uint64_t *heap, size_t k, uint64_t key) {
    size_t at = 0;
    for (size_t child = 1; child < k; child = 2 * at + 1) {
        if (child + 1 < k && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

static void sort_heap(uint64_t *heap, size_t k) {
    for (size_t left = k; left > 1; left--) {
        const uint64_t last = heap[left - 1];
        heap[left - 1] = heap[0];
        replace_greatest(heap, left - 1, last);
    }
}

/* Positions come in ascending order, so a row at the distance of the k-th is never better than it, and the limit need
 * not know of positions. */
static void keep_nearest(search_scan *scan, size_t query, size_t panel, uint32_t lanes, const uint32_t *distances) {
    uint64_t *heap = scan->keys + query * scan->k;
    for (size_t lane = 0; lanes >> lane != 0; lane++) {
        const uint64_t key = key_of(scan, panel, lane, distances[lane]);
        if ((lanes >> lane & 1) != 0 && key < heap[0]) replace_greatest(heap, scan->k, key);
    }
    set_limit(scan, query, (uint32_t)(heap[0] >> 32));
}

static void record(search_scan *scan, size_t query, size_t panel, uint32_t lanes, const uint32_t *distances) {
    for (size_t lane = 0; lanes >> lane != 0; lane++) {
        if ((lanes >> lane & 1) == 0) continue;
        if (scan->total < scan->capacity) {
            const liam_hit hit = {key_of(scan, panel, lane, distances[lane]), scan->first_query + query};
            scan->hits[scan->total] = hit;
        }
        scan->total++;
    }
}

/* The checks that both kinds of search add. */
static int check_search(const search_job *job, size_t base, int has_parameters) {
    const int status = liam_search_check(job);
    if (status != LIAM_OK) return status;
    if (job->n > LIAM_MAX_ROWS || base > LIAM_MAX_ROWS - job->n) return LIAM_ERR_SIZE;
    return has_parameters || job->m == 0 || job->n == 0 ? LIAM_OK : LIAM_ERR_NULL;
}

static int top_k(const search_job *job, search_scan_fn *kernel, size_t base, size_t k, uint64_t *keys,
                 int has_parameters) {
    search_scan scan;
    size_t bytes;
    const int status = check_search(job, base, has_parameters);
    if (status != LIAM_OK) return status;
    if (!size_mul(job->m, k, &bytes) || !size_mul(bytes, sizeof *keys, &bytes)) return LIAM_ERR_OVERFLOW;
    if (bytes == 0) return LIAM_OK;
    if (keys == NULL) return LIAM_ERR_NULL;

    memset(keys, 0xff, bytes); /* the nothing that every row is nearer than */
    scan.found = keep_nearest;
    scan.base = base;
    scan.k = k;
    for (size_t first = 0; first < job->m && job->n != 0; first += scan.job.m) {
        liam_search_block(job, first, &scan.job);
        scan.keys = keys + first * k;
        for (size_t i = 0; i < scan.job.m; i++) set_limit(&scan, i, UINT32_MAX);
        kernel(&scan);
        for (size_t i = 0; i < scan.job.m; i++) sort_heap(scan.keys + i * k, k);
    }
    return LIAM_OK;
}

int liam_search_hamming_top_k(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                              size_t nbits, size_t base, size_t k, uint64_t *keys) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits};
    return top_k(&job, liam_search_table(&job)->scan_hamming, base, k, keys, 1);
}

int liam_search_jaccard_top_k(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                              size_t nbits, const uint32_t *row_popcounts, size_t base, size_t k, uint64_t *keys) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits, .row_popcounts = row_popcounts};
    return top_k(&job, liam_search_table(&job)->scan_jaccard, base, k, keys, row_popcounts != NULL);
}

/* The rows whose distance is below limit. */
static int within(const search_job *job, search_scan_fn *kernel, size_t base, uint32_t limit, liam_hit *hits,
                  size_t capacity, size_t *total, int has_parameters) {
    search_scan scan;
    size_t bytes;
    const int status = check_search(job, base, has_parameters);
    if (status != LIAM_OK) return status;
    if (!size_mul(capacity, sizeof *hits, &bytes)) return LIAM_ERR_OVERFLOW;
    if (total == NULL || (hits == NULL && capacity != 0)) return LIAM_ERR_NULL;

    scan.found = record;
    scan.base = base;
    scan.hits = hits;
    scan.capacity = capacity;
    scan.total = 0;
    for (size_t first = 0; first < job->m && job->n != 0; first += scan.job.m) {
        liam_search_block(job, first, &scan.job);
        scan.first_query = first;
        for (size_t i = 0; i < scan.job.m; i++) set_limit(&scan, i, limit);
        kernel(&scan);
    }
    *total = scan.total;
    return LIAM_OK;
}

int liam_search_hamming_within(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                               size_t nbits, size_t base, uint32_t radius, liam_hit *hits, size_t capacity,
                               size_t *total) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits};
    const uint32_t limit = radius < UINT32_MAX ? radius + 1 : radius; /* no distance is so great */
    return within(&job, liam_search_table(&job)->scan_hamming, base, limit, hits, capacity, total, 1);
}

int liam_search_jaccard_within(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                               size_t nbits, const uint32_t *row_popcounts, size_t base, float radius, liam_hit *hits,
                               size_t capacity, size_t *total) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits, .row_popcounts = row_popcounts};
    const float nearest = radius < 0.0f ? 0.0f : radius + 0.0f; /* -0.0 has other bits than 0.0 */
    uint32_t limit;
    if (isnan(radius)) return LIAM_ERR_VALUE;
    memcpy(&limit, &nearest, sizeof limit);
    limit = radius < 0.0f ? 0 : limit + 1; /* the bits of the next float */
    return within(&job, liam_search_table(&job)->scan_jaccard, base, limit, hits, capacity, total,
                  row_popcounts != NULL);
}

int liam_search_group(const liam_hit *hits, size_t count, size_t m, uint64_t *counts, uint64_t *keys) {
    size_t bytes;
    if (!size_mul(count, sizeof *hits, &bytes) || !size_mul(m, sizeof *counts, &bytes)) return LIAM_ERR_OVERFLOW;
    if ((m != 0 && counts == NULL) || (count != 0 && (hits == NULL || keys == NULL))) return LIAM_ERR_NULL;
    for (size_t h = 0; h < count; h++) {
        if (hits[h].query >= m) return LIAM_ERR_VALUE;
    }
    /* Counts become starts, starts become ends as the hits are placed, and ends become counts again. */
    if (m != 0) memset(counts, 0, m * sizeof *counts);
    for (size_t h = 0; h < count; h++) counts[hits[h].query]++;
    uint64_t start = 0;
    for (size_t i = 0; i < m; i++) {
        const uint64_t here = counts[i];
        counts[i] = start;
        start += here;
    }
    for (size_t h = 0; h < count; h++) keys[counts[hits[h].query]++] = hits[h].key;
    for (size_t i = m; i-- > 1;) counts[i] -= counts[i - 1];
    return LIAM_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Distances: the checked edge over search_<level>.c, and the blocks of queries in which all searches go.
 */
#include "kernels.h"
#include "popcount.h"
#include "sizes.h"

/* Queries that a pass over the database may keep in the second-level cache. */
#define BLOCK_BYTES (256 * 1024)

int liam_search_check(const search_job *job) {
    size_t bytes;
    const int status = liam_xnor_prepared_bytes(job->n, job->nbits, &bytes);
    if (status != LIAM_OK) return status;
    if (job->stride < words_of(job->nbits)) return LIAM_ERR_STRIDE;
    if (!size_mul(job->m, job->stride, &bytes) || !size_mul(bytes, sizeof(uint64_t), &bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    if (job->m == 0 || job->n == 0 || job->nbits == 0) return LIAM_OK; /* nothing to read */
    if (job->queries == NULL || job->panels == NULL) return LIAM_ERR_NULL;
    return is_aligned(job->panels, LIAM_ALIGNMENT) ? LIAM_OK : LIAM_ERR_ALIGNMENT;
}

static uint32_t popcount_of(const uint64_t *row, size_t nbits) {
    const size_t words = words_of(nbits);
    uint32_t sum = 0;
    for (size_t w = 0; w < words; w++) sum += popcount64(w + 1 < words ? row[w] : row[w] & tail_mask(nbits));
    return sum;
}

void liam_search_block(const search_job *job, size_t first, search_job *block) {
    static const uint64_t nothing[LIAM_PANEL] = {0};
    const size_t words = words_of(job->nbits);
    size_t rows = words == 0 ? SEARCH_BLOCK : BLOCK_BYTES / sizeof(uint64_t) / words / 8 * 8;
    if (rows < 8) rows = 8;
    if (rows > SEARCH_BLOCK) rows = SEARCH_BLOCK;
    block->m = job->m - first < rows ? job->m - first : rows;
    block->queries = words == 0 ? nothing : job->queries + first * job->stride;
    block->stride = words == 0 ? 0 : job->stride;
    block->panels = words == 0 ? nothing : job->panels;
    block->n = job->n;
    block->nbits = job->nbits;
    block->row_popcounts = job->row_popcounts;
    if (job->row_popcounts == NULL) return;
    for (size_t i = 0; i < block->m; i++) {
        block->query_popcounts[i] = popcount_of(block->queries + i * block->stride, block->nbits);
    }
}

const search_kernels *liam_search_table(const search_job *job) {
    return job->nbits == 0 ? &liam_search_scalar : liam_active()->search;
}

/* The checks of a matrix of distances. */
static int check_matrix(const search_job *job, const void *out, size_t out_stride, size_t element) {
    size_t bytes;
    const int status = liam_search_check(job);
    if (status != LIAM_OK) return status;
    if (out_stride < job->n) return LIAM_ERR_STRIDE;
    if (!size_mul(job->m, out_stride, &bytes) || !size_mul(bytes, element, &bytes)) return LIAM_ERR_OVERFLOW;
    return out == NULL && job->m != 0 && job->n != 0 ? LIAM_ERR_NULL : LIAM_OK;
}

static int write_matrix(const search_job *job, search_matrix_fn *kernel, void *out, size_t out_stride,
                        size_t element) {
    search_job block;
    if (job->n == 0) return LIAM_OK;
    for (size_t first = 0; first < job->m; first += block.m) {
        liam_search_block(job, first, &block);
        kernel(&block, (char *)out + first * out_stride * element, out_stride);
    }
    return LIAM_OK;
}

int liam_search_hamming16(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                          size_t nbits, uint16_t *out, size_t out_stride) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits};
    const int status = nbits > UINT16_MAX ? LIAM_ERR_SIZE : check_matrix(&job, out, out_stride, sizeof *out);
    if (status != LIAM_OK) return status;
    return write_matrix(&job, liam_search_table(&job)->hamming16, out, out_stride, sizeof *out);
}

int liam_search_hamming32(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                          size_t nbits, uint32_t *out, size_t out_stride) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits};
    const int status = check_matrix(&job, out, out_stride, sizeof *out);
    if (status != LIAM_OK) return status;
    return write_matrix(&job, liam_search_table(&job)->hamming32, out, out_stride, sizeof *out);
}

int liam_search_jaccard(const uint64_t *queries, size_t m, size_t stride, const void *prepared, size_t n,
                        size_t nbits, const uint32_t *row_popcounts, float *out, size_t out_stride) {
    const search_job job = {.queries = queries, .m = m, .stride = stride, .panels = prepared, .n = n,
                            .nbits = nbits, .row_popcounts = row_popcounts};
    const int status = check_matrix(&job, out, out_stride, sizeof *out);
    if (status != LIAM_OK) return status;
    if (m == 0 || n == 0) return LIAM_OK;
    if (row_popcounts == NULL) return LIAM_ERR_NULL;
    return write_matrix(&job, liam_search_table(&job)->jaccard, out, out_stride, sizeof *out);
}

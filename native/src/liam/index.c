/* SPDX-License-Identifier: Apache-2.0
 *
 * An index: queries are packed, searched for, and named, as many at a time as the scratch has room for.
 */
#include "liam_index.h"

#include <string.h>

#include "kernels.h"
#include "sizes.h"

/* What the scratch holds for each query: its bits, the keys found, and its floats where those do not lie aligned. */
typedef struct index_share {
    size_t words;
    size_t key_bytes;
    size_t float_bytes;
    size_t bytes;
} index_share;

static int share_of(const liam_index *index, index_share *share) {
    if (index->nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    share->words = words_of(index->nbits);
    share->float_bytes = index->packed ? 0 : index->nbits * sizeof(float);
    if (!size_mul(index->k, sizeof(uint64_t), &share->key_bytes) ||
        !size_add(share->words * sizeof(uint64_t) + share->float_bytes, share->key_bytes, &share->bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

int liam_index_scratch_bytes(const liam_index *index, size_t rows, size_t *bytes) {
    index_share share;
    if (index == NULL || bytes == NULL) return LIAM_ERR_NULL;
    const int status = share_of(index, &share);
    if (status != LIAM_OK) return status;
    return size_mul(rows, share.bytes, bytes) ? LIAM_OK : LIAM_ERR_OVERFLOW;
}

static size_t query_bytes(const liam_index *index) {
    return index->packed ? (index->nbits + 7) / 8 : index->nbits * sizeof(float);
}

/* The checks of the search itself, before a query is packed. */
static int check_codes(const liam_index *index) {
    static const uint64_t query = 0; /* there will be one */
    const search_job job = {.queries = &query, .m = 1, .stride = words_of(index->nbits), .panels = index->prepared,
                            .n = index->rows, .nbits = index->nbits};
    if (index->rows > LIAM_MAX_ROWS) return LIAM_ERR_SIZE;
    if (index->metric == LIAM_METRIC_JACCARD && index->row_popcounts == NULL) return LIAM_ERR_NULL;
    return liam_search_check(&job);
}

static int check(const liam_index *index, const void *x, size_t rows, const void *ids, const void *distances) {
    size_t span;
    if (index->k > index->rows || index->metric < LIAM_METRIC_HAMMING || index->metric > LIAM_METRIC_JACCARD ||
        (index->packed != 0 && index->packed != 1)) {
        return LIAM_ERR_VALUE;
    }
    if (!size_mul(rows, query_bytes(index), &span) || !size_mul(rows, index->k, &span) ||
        !size_mul(span, sizeof(int64_t), &span)) {
        return LIAM_ERR_OVERFLOW;
    }
    if (rows == 0 || index->k == 0) return LIAM_OK;
    if ((x == NULL && index->nbits != 0) || ids == NULL || distances == NULL || index->ids == NULL) return LIAM_ERR_NULL;
    return check_codes(index);
}

static int pack(const liam_index *index, const uint8_t *x, size_t rows, uint64_t *bits, size_t words, float *floats) {
    if (index->packed) return liam_from_bytes(x, rows, index->nbits, (index->nbits + 7) / 8, 0, bits, words);
    const void *aligned = x;
    if (!is_aligned(x, sizeof(float))) aligned = memcpy(floats, x, rows * index->nbits * sizeof(float));
    return liam_pack_f32(aligned, rows, index->nbits, index->nbits, index->thresholds, bits, words);
}

static int search(const liam_index *index, const uint64_t *bits, size_t rows, size_t words, uint64_t *keys) {
    if (index->metric == LIAM_METRIC_JACCARD) {
        return liam_search_jaccard_top_k(bits, rows, words, index->prepared, index->rows, index->nbits,
                                         index->row_popcounts, 0, index->k, keys);
    }
    return liam_search_hamming_top_k(bits, rows, words, index->prepared, index->rows, index->nbits, 0, index->k, keys);
}

static void name(const liam_index *index, const uint64_t *keys, size_t count, uint8_t *ids, uint8_t *distances) {
    for (size_t i = 0; i < count; i++) {
        uint32_t distance = (uint32_t)(keys[i] >> 32);
        if (index->metric == LIAM_METRIC_DOT) distance = (uint32_t)index->nbits - 2 * distance;
        memcpy(ids + i * sizeof(int64_t), &index->ids[keys[i] & UINT32_MAX], sizeof(int64_t));
        memcpy(distances + i * sizeof distance, &distance, sizeof distance);
    }
}

int liam_index_run(const liam_index *index, const void *x, size_t rows, void *ids, void *distances, void *scratch,
                   size_t scratch_bytes) {
    index_share share;
    if (index == NULL) return LIAM_ERR_NULL;
    int status = share_of(index, &share);
    if (status == LIAM_OK) status = check(index, x, rows, ids, distances);
    if (status != LIAM_OK || rows == 0 || index->k == 0) return status;
    if (scratch == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(scratch, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (scratch_bytes < share.bytes) return LIAM_ERR_MEMORY;
    const size_t room = scratch_bytes / share.bytes, block = room < rows ? room : rows;
    uint64_t *bits = scratch, *keys = bits + block * share.words;
    float *floats = (float *)(keys + block * index->k);
    const uint8_t *from = x;
    uint8_t *to_ids = ids, *to_distances = distances;
    for (size_t done = 0, count; done < rows; done += count) {
        count = rows - done < block ? rows - done : block;
        status = pack(index, from, count, bits, share.words, floats);
        if (status == LIAM_OK) status = search(index, bits, count, share.words, keys);
        if (status != LIAM_OK) return status; /* of the first block: others are no different */
        name(index, keys, count * index->k, to_ids, to_distances);
        from += count * query_bytes(index);
        to_ids += count * index->k * sizeof(int64_t);
        to_distances += count * index->k * sizeof(int32_t);
    }
    return LIAM_OK;
}

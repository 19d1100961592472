/* SPDX-License-Identifier: Apache-2.0
 *
 * Distances and scans, one word and one row at a time: the reference that the other levels are compared with.
 */
#include <string.h>

#include "popcount.h"
#include "search_kernels.h"
#include "sizes.h"

static uint32_t hamming(const search_job *job, size_t i, size_t j) {
    const size_t words = words_of(job->nbits);
    const uint64_t *query = job->queries + i * job->stride;
    const uint64_t *lane = job->panels + j / LIAM_PANEL * words * LIAM_PANEL + j % LIAM_PANEL;
    uint32_t different = 0;
    for (size_t w = 0; w < words; w++) {
        const uint64_t valid = w + 1 < words ? UINT64_MAX : tail_mask(job->nbits);
        different += popcount64((query[w] ^ lane[w * LIAM_PANEL]) & valid);
    }
    return different;
}

static float jaccard(const search_job *job, size_t i, size_t j) {
    const uint32_t different = hamming(job, i, j);
    const uint32_t either = (job->query_popcounts[i] + job->row_popcounts[j] + different) / 2;
    return either == 0 ? 0.0f : (float)different / (float)either;
}

static uint32_t jaccard_bits(const search_job *job, size_t i, size_t j) {
    const float distance = jaccard(job, i, j);
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    return bits;
}

static void write_hamming16(const search_job *job, void *out, size_t out_stride) {
    for (size_t i = 0; i < job->m; i++) {
        uint16_t *row = (uint16_t *)out + i * out_stride;
        for (size_t j = 0; j < job->n; j++) row[j] = (uint16_t)hamming(job, i, j);
    }
}

static void write_hamming32(const search_job *job, void *out, size_t out_stride) {
    for (size_t i = 0; i < job->m; i++) {
        uint32_t *row = (uint32_t *)out + i * out_stride;
        for (size_t j = 0; j < job->n; j++) row[j] = hamming(job, i, j);
    }
}

static void write_jaccard(const search_job *job, void *out, size_t out_stride) {
    for (size_t i = 0; i < job->m; i++) {
        float *row = (float *)out + i * out_stride;
        for (size_t j = 0; j < job->n; j++) row[j] = jaccard(job, i, j);
    }
}

static void visit(search_scan *scan, uint32_t (*distance)(const search_job *job, size_t i, size_t j)) {
    const search_job *job = &scan->job;
    for (size_t first = 0; first < job->n; first += LIAM_PANEL) {
        const size_t rows = job->n - first < LIAM_PANEL ? job->n - first : LIAM_PANEL;
        for (size_t i = 0; i < job->m; i++) {
            uint32_t distances[LIAM_PANEL] = {0};
            uint32_t near = 0;
            for (size_t lane = 0; lane < rows; lane++) {
                distances[lane] = distance(job, i, first + lane);
                near |= (uint32_t)(distances[lane] < scan->limit[i]) << lane;
            }
            if (near != 0) scan->found(scan, i, first / LIAM_PANEL, near, distances);
        }
    }
}

static void scan_hamming(search_scan *s) { visit(s, hamming); }

static void scan_jaccard(search_scan *s) { visit(s, jaccard_bits); }

const search_kernels liam_search_scalar = {
    .hamming16 = write_hamming16,
    .hamming32 = write_hamming32,
    .jaccard = write_jaccard,
    .scan_hamming = scan_hamming,
    .scan_jaccard = scan_jaccard,
};

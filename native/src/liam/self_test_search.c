/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test that computes distances, scans, also with as many queries as let the tile unit do it, and
 * scores a shortlist.
 */
#include "self_test.h"
#include "sizes.h"

#define QUERIES 15 /* one tile of each height */
#define BATCH (2 * TILE_PAIR_ROWS - 3)
#define BITS 203
#define WORDS ((BITS + 63) / 64)
#define ROWS 75
#define PANEL_ROWS ((ROWS + LIAM_PANEL - 1) / LIAM_PANEL * LIAM_PANEL)

typedef struct work {
    _Alignas(LIAM_ALIGNMENT) uint64_t panels[PANEL_ROWS * WORDS];
    uint64_t rows[ROWS * WORDS];
    uint64_t queries[QUERIES * WORDS];
    uint64_t batch[BATCH * WORDS];
    uint32_t row_popcounts[ROWS];
    float x[QUERIES * BITS];
    int64_t positions[7];
    search_scan scan;
    union {
        uint16_t u16[QUERIES * ROWS];
        uint32_t u32[QUERIES * ROWS];
        float f32[QUERIES * ROWS];
    } out;
} work;

/* Digests what a scan finds. */
static void digest_found(search_scan *scan, size_t query, size_t panel, uint32_t lanes, const uint32_t *distances) {
    uint64_t *digest = scan->keys;
    const uint64_t where[] = {query, panel, lanes};
    *digest = digest_of(*digest, where, 3, sizeof *where);
    for (size_t lane = 0; lane < LIAM_PANEL; lane++) {
        if (lanes >> lane & 1) *digest = digest_of(*digest, distances + lane, 1, sizeof *distances);
    }
}

static void set_limits(search_scan *scan, uint32_t limit) {
    for (size_t i = 0; i < scan->job.m; i++) {
        scan->limit[i] = limit;
        scan->start[i] = -(int64_t)limit;
    }
}

uint64_t liam_self_test_search(const kernels *table, uint64_t d) {
    work w;
    uint64_t state = 0x5345415243; /* "SEARC" */
    memset(&w, 0, sizeof w);
    for (size_t i = 0; i < ROWS * WORDS; i++) w.rows[i] = next_random(&state); /* excess bits too */
    for (size_t i = 0; i < QUERIES * WORDS; i++) w.queries[i] = next_random(&state);
    for (size_t i = 0; i < QUERIES * BITS; i++) w.x[i] = next_float(&state);
    for (size_t i = 0; i < ROWS; i++) w.row_popcounts[i] = (uint32_t)(next_random(&state) % BITS);
    for (size_t i = 0; i < 7; i++) w.positions[i] = (int64_t)(next_random(&state) % ROWS);
    if (liam_xnor_prepare(w.rows, ROWS, BITS, WORDS, w.panels, sizeof w.panels) != LIAM_OK) return d;

    w.scan = (search_scan){.found = digest_found, .keys = &d};
    w.scan.job = (search_job){.queries = w.queries, .m = QUERIES, .stride = WORDS, .panels = w.panels, .n = ROWS,
                              .nbits = BITS, .row_popcounts = w.row_popcounts};
    for (size_t i = 0; i < QUERIES; i++) w.scan.job.query_popcounts[i] = (uint32_t)(next_random(&state) % BITS);

    table->search->hamming16(&w.scan.job, w.out.u16, ROWS);
    d = digest_of(d, w.out.u16, QUERIES * ROWS, sizeof *w.out.u16);
    table->search->hamming32(&w.scan.job, w.out.u32, ROWS);
    d = digest_of(d, w.out.u32, QUERIES * ROWS, sizeof *w.out.u32);
    table->search->jaccard(&w.scan.job, w.out.f32, ROWS);
    d = digest_of(d, w.out.f32, QUERIES * ROWS, sizeof *w.out.f32);
    set_limits(&w.scan, 90);
    table->search->scan_hamming(&w.scan);
    set_limits(&w.scan, UINT32_C(0x3f000000)); /* 0.5f */
    table->search->scan_jaccard(&w.scan);
    for (size_t i = 0; i < BATCH * WORDS; i++) w.batch[i] = next_random(&state);
    w.scan.job.queries = w.batch;
    w.scan.job.m = BATCH;
    set_limits(&w.scan, 88);
    table->search->scan_hamming(&w.scan);

    const rescore_job job = {.query = w.x, .panels = w.panels, .vectors = w.x, .vectors_stride = 7, .width = BITS,
                             .positions = w.positions, .c = 7, .out = w.out.f32};
    table->rescore->bits(&job);
    d = digest_of(d, w.out.f32, 7, sizeof *w.out.f32);
    table->rescore->f32(&job);
    return digest_of(d, w.out.f32, 7, sizeof *w.out.f32);
}

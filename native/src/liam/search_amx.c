/* SPDX-License-Identifier: Apache-2.0
 *
 * Scans for near rows with many queries, in the tile unit: three panels are spread at a time and multiplied with all
 * queries, which were spread before. What is written is what the vectors of AVX-512 write for few queries, for long rows,
 * and for all other searches.
 */
#include "search_kernels.h"
#include "tile_amx.h"

#if LIAM_TILES

/* Shorter rows, and longer ones, are faster with vectors, and scans work on the stack. */
#define MIN_WORDS 4
#define MAX_WORDS 8
#define MAX_PAIRS (SEARCH_BLOCK / TILE_PAIR_ROWS)

typedef struct tile_scan {
    _Alignas(64) uint8_t rows[MAX_PAIRS * MAX_WORDS * TILE_PAIR_BYTES]; /* queries, spread */
    _Alignas(64) uint8_t columns[MAX_WORDS * TILE_PAIR_BYTES];
    _Alignas(64) tile_sums sums[MAX_PAIRS];
    size_t pairs, words;
    search_scan *scan;
    int32_t row_sums[SEARCH_BLOCK]; /* of the queries' +1 and -1 */
    int32_t bound[SEARCH_BLOCK];    /* rows whose inner product with a query is greater are near to it */
    uint64_t near[SEARCH_BLOCK];    /* those of a three of panels, 16 bits for each */
} tile_scan;

LIAM_AMX_BEGIN

static void set_bound(tile_scan *s, size_t i) {
    const uint32_t nbits = (uint32_t)s->scan->job.nbits, limit = s->scan->limit[i];
    s->bound[i] = (int32_t)nbits - 2 * (int32_t)(limit <= nbits ? limit : nbits + 1);
}

static void spread_queries(tile_scan *s) {
    const search_job *job = &s->scan->job;
    for (size_t p = 0; p < s->pairs; p++) {
        const size_t first = p * TILE_PAIR_ROWS, left = job->m - first;
        const uint64_t *queries = job->queries + first * job->stride;
        spread_rows(queries, job->stride, left, s->words, s->rows + p * s->words * TILE_PAIR_BYTES);
        for (size_t r = 0; r < TILE_PAIR_ROWS && r < left; r++) {
            const uint64_t *query = queries + r * job->stride;
            s->row_sums[first + r] = sum_of_signs(query, s->words, (int32_t)job->nbits, tail_mask(job->nbits));
            set_bound(s, first + r);
        }
    }
    for (size_t i = job->m; i < s->pairs * TILE_PAIR_ROWS; i++) { /* no query, no row near to it */
        s->row_sums[i] = 0;
        s->bound[i] = INT32_MAX;
    }
}

/* Finds the rows near to a pair's queries; returns whether there are any. */
static uint64_t look(tile_scan *s, size_t pair) {
    uint64_t any = 0;
    for (size_t r = 0; r < TILE_PAIR_ROWS; r++) {
        const size_t i = pair * TILE_PAIR_ROWS + r;
        const __m512i bound = _mm512_set1_epi32(s->bound[i]);
        __m512i x, y, z;
        inner_products(&s->sums[pair], r, s->row_sums[i], &x, &y, &z);
        const uint64_t near = (uint64_t)_mm512_cmpgt_epi32_mask(x, bound) |
                              (uint64_t)_mm512_cmpgt_epi32_mask(y, bound) << 16 |
                              (uint64_t)_mm512_cmpgt_epi32_mask(z, bound) << 32;
        s->near[i] = near;
        any |= near;
    }
    return any;
}

/* Hands over what was found in the panels from p on: panel after panel, query after query. */
static void hand_over(tile_scan *s, size_t p) {
    search_scan *scan = s->scan;
    const __m512i nbits = _mm512_set1_epi32((int)scan->job.nbits);
    for (size_t c = 0; c < TILE_PANELS && (p + c) * LIAM_PANEL < scan->job.n; c++) {
        const uint64_t lanes = low_bits(scan->job.n - (p + c) * LIAM_PANEL) & 0xffff;
        for (size_t i = 0; i < scan->job.m; i++) {
            const uint32_t near = (uint32_t)(s->near[i] >> (16 * c) & lanes);
            if (near == 0) continue;
            __m512i dot[TILE_PANELS];
            uint32_t found[LIAM_PANEL];
            inner_products(&s->sums[i / TILE_PAIR_ROWS], i % TILE_PAIR_ROWS, s->row_sums[i], &dot[0], &dot[1], &dot[2]);
            _mm512_storeu_si512(found, _mm512_srli_epi32(_mm512_sub_epi32(nbits, dot[c]), 1));
            scan->found(scan, i, p + c, near, found);
            set_bound(s, i);
        }
    }
}

static void scan_in_tiles(search_scan *scan, size_t words) {
    tile_scan s;
    const size_t panels = (scan->job.n + LIAM_PANEL - 1) / LIAM_PANEL, panel_words = words * LIAM_PANEL;
    s.scan = scan;
    s.words = words;
    s.pairs = (scan->job.m + TILE_PAIR_ROWS - 1) / TILE_PAIR_ROWS;
    spread_queries(&s);
    _tile_loadconfig(&eight_tiles);
    for (size_t p = 0; p < panels; p += TILE_PANELS) {
        uint64_t any = 0;
        spread_columns(scan->job.panels + p * panel_words, panel_words, panels - p, words, s.columns);
        MEMORY_BARRIER();
        for (size_t pair = 0; pair < s.pairs; pair++) {
            const uint8_t *rows = s.rows + pair * words * TILE_PAIR_BYTES;
            multiply_tiles(rows, s.columns, words, 1, &s.sums[pair]);
            any |= look(&s, pair);
        }
        if (any != 0) hand_over(&s, p);
    }
    _tile_release();
}

static void scan_hamming(search_scan *scan) {
    const size_t words = words_of(scan->job.nbits), m = scan->job.m;
    const size_t padded = (m + TILE_PAIR_ROWS - 1) / TILE_PAIR_ROWS * TILE_PAIR_ROWS;
    if (words >= MIN_WORDS && words <= MAX_WORDS && m >= padded - padded / 8) { /* what is padded is multiplied too */
        scan_in_tiles(scan, words);
    } else {
        liam_search_avx512.scan_hamming(scan);
    }
}

/* The others are those of AVX-512, which are no constants here. */
static void write_hamming16(const search_job *job, void *out, size_t out_stride) {
    liam_search_avx512.hamming16(job, out, out_stride);
}

static void write_hamming32(const search_job *job, void *out, size_t out_stride) {
    liam_search_avx512.hamming32(job, out, out_stride);
}

static void write_jaccard(const search_job *job, void *out, size_t out_stride) {
    liam_search_avx512.jaccard(job, out, out_stride);
}

static void scan_jaccard(search_scan *scan) { liam_search_avx512.scan_jaccard(scan); }

LIAM_TARGET_END

const search_kernels liam_search_amx = {
    .hamming16 = write_hamming16,
    .hamming32 = write_hamming32,
    .jaccard = write_jaccard,
    .scan_hamming = scan_hamming,
    .scan_jaccard = scan_jaccard,
};
#endif

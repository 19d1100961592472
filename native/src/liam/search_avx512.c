/* SPDX-License-Identifier: Apache-2.0
 *
 * Distances and scans with AVX-512 VPOPCNTDQ. All visit the database in the order of memory, and compare what is in the
 * first-level cache with all queries of a block.
 */
#include "search_kernels.h"
#include "tile_avx512.h"

#if LIAM_X86

/* The database is prefetched one stretch ahead, a stretch at a time. Half of it, twice of it, and a distance of more
 * than one stretch were all slower from memory. */
#define STRETCH_BYTES 2048

/* Panels that stay in the first-level cache while a block of queries passes: enough of them that a row of a matrix is
 * written some cache lines at a time. Scans write nothing and take one by one. */
#define GROUP_BYTES (16 * 1024)

typedef enum finisher { TO_HAMMING16, TO_HAMMING32, TO_JACCARD, SCAN_HAMMING, SCAN_JACCARD } finisher;

/* What is done with the counts of a tile: written to out, or looked through by scan. */
typedef struct pass {
    const search_job *job;
    char *out;
    size_t out_stride;
    search_scan *scan;
} pass;

LIAM_AVX512_BEGIN

/* Sixteen quotients of differing bits and bits set in either, which are half of `set` and those that differ. */
LIAM_INLINE __m512 jaccard(__m512i different, __m512i set) {
    const __m512i either = _mm512_srli_epi32(_mm512_add_epi32(set, different), 1);
    return _mm512_maskz_div_ps(_mm512_test_epi32_mask(either, either), _mm512_cvtepi32_ps(different),
                               _mm512_cvtepi32_ps(either));
}

/* The distances of query i and panel p, from its counts; floats as their bits. */
LIAM_INLINE __m512i distances(const search_job *job, finisher kind, size_t i, size_t p, __mmask16 lanes,
                              const __m512i *count) {
    const __m512i different = narrow_counts(count[0], count[1]);
    if (kind != TO_JACCARD && kind != SCAN_JACCARD) return different;
    const __m512i set = _mm512_add_epi32(_mm512_set1_epi32((int)job->query_popcounts[i]),
                                         _mm512_maskz_loadu_epi32(lanes, job->row_popcounts + p * LIAM_PANEL));
    return _mm512_castps_si512(jaccard(different, set));
}

/* Writes the distances of query i and panel p. */
LIAM_INLINE void write_distances(const pass *to, finisher kind, size_t i, size_t p, const __m512i *count) {
    const __mmask16 lanes = (__mmask16)low_bits(to->job->n - p * LIAM_PANEL);
    const size_t at = i * to->out_stride + p * LIAM_PANEL;
    const __m512i values = distances(to->job, kind, i, p, lanes, count);
    if (kind == TO_HAMMING16) {
        _mm256_mask_storeu_epi16((uint16_t *)to->out + at, lanes, _mm512_cvtepi32_epi16(values));
    } else {
        _mm512_mask_storeu_epi32((uint32_t *)to->out + at, lanes, values);
    }
}

/* Hands the near rows of a tile over. Tiles without any, which is nearly all of them, end at the one test. */
LIAM_INLINE void find_hamming(search_scan *scan, size_t i, size_t p, unsigned rows, const __m512i *count) {
    __m512i any = count[0];
    LIAM_UNROLL
    for (unsigned k = 1; k < 2 * rows; k++) any = _mm512_or_si512(any, count[k]);
    if (_mm512_movepi64_mask(any) == 0) return;

    const uint32_t lanes = (uint32_t)low_bits(scan->job.n - p * LIAM_PANEL) & 0xffff;
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        const uint32_t low = _mm512_movepi64_mask(count[2 * r]);
        const uint32_t high = _mm512_movepi64_mask(count[2 * r + 1]);
        const uint32_t near = (low | high << 8) & lanes;
        if (near == 0) continue;
        uint32_t found[LIAM_PANEL];
        _mm512_storeu_si512(found, _mm512_add_epi32(narrow_counts(count[2 * r], count[2 * r + 1]),
                                                    _mm512_set1_epi32((int)scan->limit[i + r])));
        scan->found(scan, i + r, p, near, found);
    }
}

LIAM_INLINE void find_jaccard(search_scan *scan, size_t i, size_t p, unsigned rows, const __m512i *count) {
    const __mmask16 lanes = (__mmask16)low_bits(scan->job.n - p * LIAM_PANEL);
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        const __m512i values = distances(&scan->job, SCAN_JACCARD, i + r, p, lanes, count + 2 * r);
        const __mmask16 near =
            _mm512_mask_cmplt_epu32_mask(lanes, values, _mm512_set1_epi32((int)scan->limit[i + r]));
        if (near == 0) continue;
        uint32_t found[LIAM_PANEL];
        _mm512_storeu_si512(found, values);
        scan->found(scan, i + r, p, near, found);
    }
}

/* Queries i to i + rows and panel p. rows is a constant where this is inlined. */
LIAM_INLINE void tile(const pass *to, finisher kind, size_t i, size_t p, unsigned rows) {
    const search_job *job = to->job;
    const uint64_t *panel = job->panels + p * words_of(job->nbits) * LIAM_PANEL;
    __m512i count[MAX_COUNTERS];
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * rows; k++) {
        count[k] = kind == SCAN_HAMMING ? _mm512_set1_epi64(to->scan->start[i + k / 2]) : _mm512_setzero_si512();
    }
    count_tile(job->queries + i * job->stride, job->stride, panel, job->nbits, rows, 1, count);
    if (kind == SCAN_HAMMING) {
        find_hamming(to->scan, i, p, rows, count);
    } else if (kind == SCAN_JACCARD) {
        find_jaccard(to->scan, i, p, rows, count);
    } else {
        LIAM_UNROLL
        for (unsigned r = 0; r < rows; r++) write_distances(to, kind, i + r, p, count + 2 * r);
    }
}

LIAM_INLINE void prefetch(const uint64_t *memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) _mm_prefetch((const char *)memory + at, _MM_HINT_T0);
}

/* Panels p to end with queries i to i + rows. */
LIAM_INLINE void strip(const pass *to, finisher kind, size_t i, size_t p, size_t end, unsigned rows) {
    for (; p < end; p++) tile(to, kind, i, p, rows);
}

/* Panels p to end with all queries. */
LIAM_INLINE void group(const pass *to, finisher kind, size_t p, size_t end) {
    const size_t m = to->job->m;
    size_t i = 0;
    for (; i + TILE_ROWS <= m; i += TILE_ROWS) strip(to, kind, i, p, end, TILE_ROWS);
    if (m - i >= 4) {
        strip(to, kind, i, p, end, 4);
        i += 4;
    }
    if (m - i >= 2) {
        strip(to, kind, i, p, end, 2);
        i += 2;
    }
    if (m - i >= 1) strip(to, kind, i, p, end, 1);
}

LIAM_INLINE size_t at_least_one(size_t count) { return count == 0 ? 1 : count; }

LIAM_INLINE void write_all(const pass *to, finisher kind) {
    const size_t panels = (to->job->n + LIAM_PANEL - 1) / LIAM_PANEL;
    const size_t panel_bytes = words_of(to->job->nbits) * LIAM_PANEL * sizeof(uint64_t);
    const size_t step = at_least_one(GROUP_BYTES / panel_bytes);
    for (size_t p = 0; p < panels; p += step) group(to, kind, p, panels - p < step ? panels : p + step);
}

LIAM_INLINE void scan_all(search_scan *scan, finisher kind) {
    const pass to = {.job = &scan->job, .scan = scan};
    const size_t panels = (scan->job.n + LIAM_PANEL - 1) / LIAM_PANEL;
    const size_t panel_words = words_of(scan->job.nbits) * LIAM_PANEL;
    const size_t panel_bytes = panel_words * sizeof(uint64_t);
    const size_t stretch = at_least_one(STRETCH_BYTES / panel_bytes); /* panels */
    const size_t stretch_bytes = panel_bytes < STRETCH_BYTES ? stretch * panel_bytes : STRETCH_BYTES;
    size_t next = 0;
    for (size_t p = 0; p < panels; p++) {
        if (p == next && panels - p >= 2 * stretch) {
            next += stretch;
            prefetch(scan->job.panels + next * panel_words, stretch_bytes);
        }
        group(&to, kind, p, p + 1);
    }
}

static void write_hamming16(const search_job *job, void *out, size_t out_stride) {
    const pass to = {.job = job, .out = out, .out_stride = out_stride};
    write_all(&to, TO_HAMMING16);
}

static void write_hamming32(const search_job *job, void *out, size_t out_stride) {
    const pass to = {.job = job, .out = out, .out_stride = out_stride};
    write_all(&to, TO_HAMMING32);
}

static void write_jaccard(const search_job *job, void *out, size_t out_stride) {
    const pass to = {.job = job, .out = out, .out_stride = out_stride};
    write_all(&to, TO_JACCARD);
}

static void scan_hamming(search_scan *scan) { scan_all(scan, SCAN_HAMMING); }

static void scan_jaccard(search_scan *scan) { scan_all(scan, SCAN_JACCARD); }

LIAM_TARGET_END

const search_kernels liam_search_avx512 = {
    .hamming16 = write_hamming16,
    .hamming32 = write_hamming32,
    .jaccard = write_jaccard,
    .scan_hamming = scan_hamming,
    .scan_jaccard = scan_jaccard,
};
#endif

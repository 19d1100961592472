/* SPDX-License-Identifier: Apache-2.0
 *
 * Distances and scans with AVX2, one query and one panel at a time.
 */
#include "search_kernels.h"
#include "tile_avx2.h"

#if LIAM_X86

typedef enum finisher { TO_HAMMING16, TO_HAMMING32, TO_JACCARD, SCAN_HAMMING, SCAN_JACCARD } finisher;

LIAM_AVX2_BEGIN

/* Lanes 0 to 7 of which the first `left` are set. */
LIAM_INLINE __m256i first_lanes(size_t left) {
    const int count = left < 8 ? (int)left : 8;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The distances of query i and rows j to j + 8, from the bits that differ; floats as their bits. */
LIAM_INLINE __m256i jaccard(const search_job *job, size_t i, size_t j, __m256i different) {
    const __m256i of_rows = _mm256_maskload_epi32((const int *)job->row_popcounts + j, first_lanes(job->n - j));
    const __m256i set = _mm256_add_epi32(_mm256_set1_epi32((int)job->query_popcounts[i]), of_rows);
    const __m256i either = _mm256_srli_epi32(_mm256_add_epi32(set, different), 1);
    const __m256i nothing = _mm256_cmpeq_epi32(either, _mm256_setzero_si256());
    const __m256 quotient = _mm256_div_ps(_mm256_cvtepi32_ps(different), _mm256_cvtepi32_ps(either));
    return _mm256_andnot_si256(nothing, _mm256_castps_si256(quotient));
}

LIAM_INLINE void write_distances(const search_job *job, finisher kind, size_t i, size_t j, __m256i different,
                                 void *out, size_t out_stride) {
    const __m256i lanes = first_lanes(job->n - j);
    if (kind == TO_JACCARD) {
        _mm256_maskstore_epi32((int *)out + i * out_stride + j, lanes, jaccard(job, i, j, different));
    } else if (kind == TO_HAMMING32) {
        _mm256_maskstore_epi32((int *)out + i * out_stride + j, lanes, different);
    } else {
        uint16_t *to = (uint16_t *)out + i * out_stride + j;
        const __m128i narrow =
            _mm_packus_epi32(_mm256_castsi256_si128(different), _mm256_extracti128_si256(different, 1));
        if (job->n - j >= 8) {
            _mm_storeu_si128((__m128i *)to, narrow);
        } else {
            uint16_t values[8];
            _mm_storeu_si128((__m128i *)values, narrow);
            for (size_t lane = 0; lane < job->n - j; lane++) to[lane] = values[lane];
        }
    }
}

LIAM_INLINE void write_matrix(const search_job *job, finisher kind, void *out, size_t out_stride) {
    const size_t words = words_of(job->nbits);
    for (size_t j = 0; j < job->n; j += LIAM_PANEL) {
        for (size_t i = 0; i < job->m; i++) {
            __m256i total[VECTORS];
            LIAM_UNROLL
            for (unsigned c = 0; c < VECTORS; c++) total[c] = _mm256_setzero_si256();
            count_row(job->queries + i * job->stride, job->panels + j * words, job->nbits, total);
            write_distances(job, kind, i, j, narrow_counts(total[0], total[1]), out, out_stride);
            if (job->n - j <= 8) continue;
            write_distances(job, kind, i, j + 8, narrow_counts(total[2], total[3]), out, out_stride);
        }
    }
}

LIAM_INLINE uint32_t below(__m256i values, uint32_t limit) {
    const __m256i sign = _mm256_set1_epi32(INT32_MIN); /* AVX2 compares signed numbers only */
    const __m256i less = _mm256_cmpgt_epi32(_mm256_xor_si256(_mm256_set1_epi32((int)limit), sign),
                                            _mm256_xor_si256(values, sign));
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(less));
}

/* Hands over the rows from j on that are near to query i, if any are. */
LIAM_INLINE void find(search_scan *scan, finisher kind, size_t i, size_t j, const __m256i *total) {
    const search_job *job = &scan->job;
    const uint32_t lanes = (uint32_t)low_bits(job->n - j) & 0xffff;
    __m256i low = narrow_counts(total[0], total[1]), high = narrow_counts(total[2], total[3]);
    if (kind == SCAN_JACCARD) {
        low = jaccard(job, i, j, low);
        high = job->n - j > 8 ? jaccard(job, i, j + 8, high) : _mm256_setzero_si256();
    } else { /* the counters started at minus the limit */
        const __m256i limit = _mm256_set1_epi32((int)scan->limit[i]);
        low = _mm256_add_epi32(low, limit);
        high = _mm256_add_epi32(high, limit);
    }
    const uint32_t near = (below(low, scan->limit[i]) | below(high, scan->limit[i]) << 8) & lanes;
    if (near == 0) return;
    uint32_t found[LIAM_PANEL];
    _mm256_storeu_si256((__m256i *)found, low);
    _mm256_storeu_si256((__m256i *)(found + 8), high);
    scan->found(scan, i, j / LIAM_PANEL, near, found);
}

LIAM_INLINE void visit(search_scan *scan, finisher kind) {
    const search_job *job = &scan->job;
    const size_t words = words_of(job->nbits);
    for (size_t j = 0; j < job->n; j += LIAM_PANEL) {
        for (size_t i = 0; i < job->m; i++) {
            __m256i total[VECTORS];
            LIAM_UNROLL
            for (unsigned c = 0; c < VECTORS; c++) {
                total[c] = _mm256_set1_epi64x(kind == SCAN_HAMMING ? scan->start[i] : 0);
            }
            count_row(job->queries + i * job->stride, job->panels + j * words, job->nbits, total);
            if (kind == SCAN_HAMMING) {
                const __m256i any = _mm256_or_si256(_mm256_or_si256(total[0], total[1]),
                                                    _mm256_or_si256(total[2], total[3]));
                if (_mm256_movemask_pd(_mm256_castsi256_pd(any)) == 0) continue;
            }
            find(scan, kind, i, j, total);
        }
    }
}

static void write_hamming16(const search_job *job, void *out, size_t out_stride) {
    write_matrix(job, TO_HAMMING16, out, out_stride);
}

static void write_hamming32(const search_job *job, void *out, size_t out_stride) {
    write_matrix(job, TO_HAMMING32, out, out_stride);
}

static void write_jaccard(const search_job *job, void *out, size_t out_stride) {
    write_matrix(job, TO_JACCARD, out, out_stride);
}

static void scan_hamming(search_scan *scan) { visit(scan, SCAN_HAMMING); }

static void scan_jaccard(search_scan *scan) { visit(scan, SCAN_JACCARD); }

LIAM_TARGET_END

const search_kernels liam_search_avx2 = {
    .hamming16 = write_hamming16,
    .hamming32 = write_hamming32,
    .jaccard = write_jaccard,
    .scan_hamming = scan_hamming,
    .scan_jaccard = scan_jaccard,
};
#endif

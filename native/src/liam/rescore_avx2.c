/* SPDX-License-Identifier: Apache-2.0
 *
 * Float scores with AVX2: two vectors are the sixteen sums of a row, and two rows go together, because a sum waits for
 * the addition before.
 */
#include "rescore_kernels.h"
#include "sizes.h"
#include "xnor_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define GROUP 2

LIAM_AVX2_BEGIN

/* Eight floats, of which those from `left` on are zero and not read. */
LIAM_INLINE __m256 load_first(const float *x, size_t left) {
    if (left >= 8) return _mm256_loadu_ps(x);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(x, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left), lane));
}

LIAM_INLINE float sum_of(const __m256 *halves) {
    const __m256 eight = _mm256_add_ps(halves[0], halves[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return rescore_result(_mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1))));
}

/* Eight terms, negated where one of the lowest eight bits is 0. */
LIAM_INLINE __m256 signed_terms(__m256 terms, uint64_t bits) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i clear =
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)(bits & 0xff)), bit), _mm256_setzero_si256());
    return _mm256_xor_ps(terms, _mm256_castsi256_ps(_mm256_slli_epi32(clear, 31)));
}

/* Scores s to s + rows. Columns past the width are zeros, which change no sum: none of them is ever -0. */
LIAM_INLINE void score_bits_of(const rescore_job *job, size_t s, unsigned rows) {
    const size_t words = words_of(job->width);
    const uint64_t *row[GROUP];
    __m256 sum[2 * GROUP];
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        const size_t position = (size_t)job->positions[s + r];
        row[r] = job->panels + position / LIAM_PANEL * words * LIAM_PANEL + position % LIAM_PANEL;
        sum[2 * r] = sum[2 * r + 1] = _mm256_setzero_ps();
    }
    for (size_t j = 0; j < job->width; j += RESCORE_LANES) {
        LIAM_UNROLL
        for (unsigned half = 0; half < 2; half++) {
            const size_t first = j + 8 * half;
            const __m256 terms = first < job->width ? load_first(job->query + first, job->width - first)
                                                    : _mm256_setzero_ps();
            LIAM_UNROLL
            for (unsigned r = 0; r < rows; r++) {
                const uint64_t bits = row[r][j / 64 * LIAM_PANEL] >> (first % 64);
                sum[2 * r + half] = _mm256_add_ps(sum[2 * r + half], signed_terms(terms, bits));
            }
        }
    }
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) job->out[s + r] = sum_of(sum + 2 * r);
}

LIAM_INLINE void score_f32_of(const rescore_job *job, size_t s, unsigned rows) {
    const float *row[GROUP];
    __m256 sum[2 * GROUP];
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        row[r] = job->vectors + (size_t)job->positions[s + r] * job->vectors_stride;
        sum[2 * r] = sum[2 * r + 1] = _mm256_setzero_ps();
    }
    for (size_t j = 0; j < job->width; j += RESCORE_LANES) {
        LIAM_UNROLL
        for (unsigned half = 0; half < 2; half++) {
            const size_t first = j + 8 * half;
            if (first >= job->width) break;
            const __m256 factors = load_first(job->query + first, job->width - first);
            LIAM_UNROLL
            for (unsigned r = 0; r < rows; r++) {
                const __m256 of_row = load_first(row[r] + first, job->width - first);
                sum[2 * r + half] = _mm256_add_ps(sum[2 * r + half], _mm256_mul_ps(factors, of_row));
            }
        }
    }
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) job->out[s + r] = sum_of(sum + 2 * r);
}

static void score_bits(const rescore_job *job) {
    size_t s = 0;
    for (; s + GROUP <= job->c; s += GROUP) score_bits_of(job, s, GROUP);
    for (; s < job->c; s++) score_bits_of(job, s, 1);
}

static void score_f32(const rescore_job *job) {
    size_t s = 0;
    for (; s + GROUP <= job->c; s += GROUP) score_f32_of(job, s, GROUP);
    for (; s < job->c; s++) score_f32_of(job, s, 1);
}

LIAM_TARGET_END

const rescore_kernels liam_rescore_avx2 = {.bits = score_bits, .f32 = score_f32};
#endif

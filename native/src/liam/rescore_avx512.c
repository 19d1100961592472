/* SPDX-License-Identifier: Apache-2.0
 *
 * Float scores with AVX-512: a vector is the sixteen sums of a row, and four rows go together, because a sum waits for
 * the addition before.
 */
#include "rescore_kernels.h"
#include "sizes.h"
#include "xnor_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define GROUP 4

LIAM_AVX512_BEGIN

LIAM_INLINE float sum_of(__m512 lanes) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return rescore_result(_mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1))));
}

/* Sixteen terms, negated where `minus` has ones. */
LIAM_INLINE __m512 signed_terms(__m512 terms, uint64_t minus) {
    return _mm512_mask_xor_ps(terms, (__mmask16)minus, terms, _mm512_set1_ps(-0.0f));
}

LIAM_INLINE const uint64_t *row_at(const rescore_job *job, size_t s) {
    const size_t position = (size_t)job->positions[s];
    return job->panels + position / LIAM_PANEL * words_of(job->width) * LIAM_PANEL + position % LIAM_PANEL;
}

/* Scores s to s + rows. The words of a row lie in as many cache lines, so those of the rows to come, from `next` on, are
 * prefetched. Columns past the width are zeros, which change no sum: none of them is ever -0. */
LIAM_INLINE void score_bits_of(const rescore_job *job, size_t s, size_t next, unsigned rows) {
    const size_t full = job->width / 64;
    const uint64_t *row[GROUP], *later[GROUP];
    __m512 sum[GROUP];
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        row[r] = row_at(job, s + r);
        later[r] = row_at(job, next + r);
        sum[r] = _mm512_setzero_ps();
    }
    for (size_t w = 0; w < full; w++) {
        LIAM_UNROLL
        for (unsigned r = 0; r < rows; r++) _mm_prefetch((const char *)(later[r] + w * LIAM_PANEL), _MM_HINT_T0);
        LIAM_UNROLL
        for (unsigned j = 0; j < 64; j += RESCORE_LANES) {
            const __m512 terms = _mm512_loadu_ps(job->query + w * 64 + j);
            LIAM_UNROLL
            for (unsigned r = 0; r < rows; r++) {
                sum[r] = _mm512_add_ps(sum[r], signed_terms(terms, ~row[r][w * LIAM_PANEL] >> j));
            }
        }
    }
    for (size_t j = full * 64; j < job->width; j += RESCORE_LANES) {
        const __m512 terms = _mm512_maskz_loadu_ps((__mmask16)low_bits(job->width - j), job->query + j);
        LIAM_UNROLL
        for (unsigned r = 0; r < rows; r++) {
            sum[r] = _mm512_add_ps(sum[r], signed_terms(terms, ~row[r][full * LIAM_PANEL] >> (j % 64)));
        }
    }
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) job->out[s + r] = sum_of(sum[r]);
}

LIAM_INLINE void score_f32_of(const rescore_job *job, size_t s, unsigned rows) {
    const float *row[GROUP];
    __m512 sum[GROUP];
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        row[r] = job->vectors + (size_t)job->positions[s + r] * job->vectors_stride;
        sum[r] = _mm512_setzero_ps();
    }
    for (size_t j = 0; j < job->width; j += RESCORE_LANES) {
        const __mmask16 valid = (__mmask16)low_bits(job->width - j);
        const __m512 factors = _mm512_maskz_loadu_ps(valid, job->query + j);
        LIAM_UNROLL
        for (unsigned r = 0; r < rows; r++) {
            sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(factors, _mm512_maskz_loadu_ps(valid, row[r] + j)));
        }
    }
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) job->out[s + r] = sum_of(sum[r]);
}

static void score_bits(const rescore_job *job) {
    size_t s = 0;
    for (; s + GROUP <= job->c; s += GROUP) {
        score_bits_of(job, s, s + 2 * GROUP <= job->c ? s + GROUP : s, GROUP);
    }
    for (; s < job->c; s++) score_bits_of(job, s, s, 1);
}

static void score_f32(const rescore_job *job) {
    size_t s = 0;
    for (; s + GROUP <= job->c; s += GROUP) score_f32_of(job, s, GROUP);
    for (; s < job->c; s++) score_f32_of(job, s, 1);
}

LIAM_TARGET_END

const rescore_kernels liam_rescore_avx512 = {.bits = score_bits, .f32 = score_f32};
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products with AVX2, which has no popcount: bytes are counted by two table look-ups per nibble, summed
 * as bytes for as many words as cannot overflow, then widened. A vector holds one word of four columns.
 */
#include <string.h>

#include "xnor_kernels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define VECTORS 4          /* in a panel */
#define WORDS_PER_SUM 31   /* 31 * 8 bits still fit a byte */

typedef enum epilogue { TO_DOT, TO_BITS, TO_SCORE } epilogue;

LIAM_AVX2_BEGIN

LIAM_INLINE __m256i popcount_bytes(__m256i v) {
    const __m256i of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                               0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(v, nibble));
    const __m256i high = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
    return _mm256_add_epi8(low, high);
}

/* The popcounts of row a against a panel, as 64-bit lanes. */
LIAM_INLINE void count_row(const uint64_t *a, const uint64_t *panel, size_t words, uint64_t tail, __m256i *total) {
    LIAM_UNROLL
    for (unsigned c = 0; c < VECTORS; c++) total[c] = _mm256_setzero_si256();
    for (size_t w = 0; w < words;) {
        const size_t end = words - w > WORDS_PER_SUM ? w + WORDS_PER_SUM : words;
        __m256i sum[VECTORS];
        LIAM_UNROLL
        for (unsigned c = 0; c < VECTORS; c++) sum[c] = _mm256_setzero_si256();
        for (; w < end; w++) {
            const uint64_t valid = w + 1 < words ? UINT64_MAX : tail;
            const __m256i word = _mm256_set1_epi64x((long long)(a[w] & valid));
            LIAM_UNROLL
            for (unsigned c = 0; c < VECTORS; c++) {
                const __m256i weights = _mm256_load_si256((const __m256i *)(panel + w * LIAM_PANEL) + c);
                sum[c] = _mm256_add_epi8(sum[c], popcount_bytes(_mm256_xor_si256(word, weights)));
            }
        }
        LIAM_UNROLL
        for (unsigned c = 0; c < VECTORS; c++) {
            total[c] = _mm256_add_epi64(total[c], _mm256_sad_epu8(sum[c], _mm256_setzero_si256()));
        }
    }
}

/* Eight inner products from two vectors of popcounts. */
LIAM_INLINE __m256i dots(__m256i low, __m256i high, __m256i nbits) {
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const __m256i counts = _mm256_blend_epi32(_mm256_permutevar8x32_epi32(low, even),
                                              _mm256_permutevar8x32_epi32(high, even), 0xf0);
    return _mm256_sub_epi32(nbits, _mm256_slli_epi32(counts, 1));
}

/* Writes eight results of row i from column j on; j < n. */
LIAM_INLINE void finish(const xnor_job *job, epilogue kind, size_t i, size_t j, __m256i dot) {
    const int left = job->n - j < 8 ? (int)(job->n - j) : 8;
    const __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    if (kind == TO_DOT) {
        _mm256_maskstore_epi32((int32_t *)job->out + i * job->out_stride + j, lanes, dot);
    } else if (kind == TO_BITS) {
        const __m256i thresholds = _mm256_maskload_epi32(job->thresholds + j, lanes);
        const __m256i set = _mm256_andnot_si256(_mm256_cmpgt_epi32(thresholds, dot), lanes);
        const uint8_t bits = (uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(set));
        memcpy((char *)((uint64_t *)job->out + i * job->out_stride) + j / 8, &bits, sizeof bits);
    } else {
        const __m256 scale = _mm256_maskload_ps(job->scale + j, lanes);
        const __m256 bias = _mm256_maskload_ps(job->bias + j, lanes);
        const __m256 score = _mm256_add_ps(_mm256_mul_ps(scale, _mm256_cvtepi32_ps(dot)), bias);
        _mm256_maskstore_ps((float *)((char *)job->out + (i * job->out_stride + j) * sizeof(float)), lanes, score);
    }
}

LIAM_INLINE void product(const xnor_job *job, epilogue kind) {
    const size_t words = words_of(job->nbits);
    const size_t panels = (job->n + LIAM_PANEL - 1) / LIAM_PANEL;
    const __m256i nbits = _mm256_set1_epi32((int)job->nbits);

    if (kind == TO_BITS) { /* columns past n write nothing, but excess bits are zero */
        for (size_t i = 0; i < job->m; i++) ((uint64_t *)job->out)[i * job->out_stride + (job->n - 1) / 64] = 0;
    }
    for (size_t p = 0; p < panels; p++) {
        const uint64_t *panel = job->panels + p * words * LIAM_PANEL;
        const size_t j = p * LIAM_PANEL;
        for (size_t i = 0; i < job->m; i++) {
            __m256i total[VECTORS];
            count_row(job->a + i * job->a_stride, panel, words, tail_mask(job->nbits), total);
            finish(job, kind, i, j, dots(total[0], total[1], nbits));
            if (job->n - j > 8) finish(job, kind, i, j + 8, dots(total[2], total[3], nbits));
        }
    }
}

static void to_dot(const xnor_job *job) { product(job, TO_DOT); }

static void to_threshold(const xnor_job *job) { product(job, TO_BITS); }

static void to_scale(const xnor_job *job) { product(job, TO_SCORE); }

LIAM_TARGET_END

const xnor_kernels liam_xnor_avx2 = {.dot = to_dot, .threshold = to_threshold, .scale = to_scale};
#endif

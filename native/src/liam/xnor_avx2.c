/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products with AVX2.
 */
#include <string.h>

#include "tile_avx2.h"

#if LIAM_X86

typedef enum epilogue { TO_DOT, TO_BITS, TO_SCORE } epilogue;

LIAM_AVX2_BEGIN

/* Eight inner products from two vectors of popcounts. */
LIAM_INLINE __m256i dots(__m256i low, __m256i high, __m256i nbits) {
    return _mm256_sub_epi32(nbits, _mm256_slli_epi32(narrow_counts(low, high), 1));
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
            LIAM_UNROLL
            for (unsigned c = 0; c < VECTORS; c++) total[c] = _mm256_setzero_si256();
            count_row(job->a + i * job->a_stride, panel, job->nbits, total);
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

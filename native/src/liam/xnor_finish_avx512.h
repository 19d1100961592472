/* SPDX-License-Identifier: Apache-2.0
 *
 * What the products with 512-bit vectors do with sixteen inner products of a row.
 */
#ifndef LIAM_XNOR_FINISH_AVX512_H
#define LIAM_XNOR_FINISH_AVX512_H

#include <string.h>

#include "sizes.h"
#include "xnor_kernels.h"

#if LIAM_X86
#include <immintrin.h>

typedef enum epilogue { TO_DOT, TO_BITS, TO_SCORE } epilogue;

/* Panels past n write nothing, but the excess bits of a row are zero. */
static inline void clear_last_words(const xnor_job *job) {
    for (size_t i = 0; i < job->m; i++) ((uint64_t *)job->out)[i * job->out_stride + (job->n - 1) / 64] = 0;
}

LIAM_AVX512_BEGIN

/* Writes the results of row i, panel p. */
LIAM_INLINE void finish(const xnor_job *job, epilogue kind, size_t i, size_t p, __m512i dot) {
    const size_t j = p * LIAM_PANEL;
    const __mmask16 lanes = (__mmask16)low_bits(job->n - j);
    if (kind == TO_DOT) {
        _mm512_mask_storeu_epi32((int32_t *)job->out + i * job->out_stride + j, lanes, dot);
    } else if (kind == TO_BITS) {
        const __m512i thresholds = _mm512_maskz_loadu_epi32(lanes, job->thresholds + j);
        const uint16_t bits = (uint16_t)_mm512_mask_cmpge_epi32_mask(lanes, dot, thresholds);
        memcpy((char *)((uint64_t *)job->out + i * job->out_stride) + p * sizeof bits, &bits, sizeof bits);
    } else {
        const __m512 scale = _mm512_maskz_loadu_ps(lanes, job->scale + j);
        const __m512 bias = _mm512_maskz_loadu_ps(lanes, job->bias + j);
        const __m512 score = _mm512_add_ps(_mm512_mul_ps(scale, _mm512_cvtepi32_ps(dot)), bias);
        _mm512_mask_storeu_ps((char *)job->out + (i * job->out_stride + j) * sizeof(float), lanes, score);
    }
}

LIAM_TARGET_END
#endif
#endif

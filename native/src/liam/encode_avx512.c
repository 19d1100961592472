/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding features as bits with AVX-512: sixteen features by one load where their sources are consecutive, else by
 * one gather.
 */
#include "encode_kernels.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX512_BEGIN

void liam_encode_avx512(const encoder *e, const void *x, size_t rows, uint64_t *out, size_t out_stride) {
    for (size_t i = 0; i < rows; i++) {
        const char *row = (const char *)x + i * e->features * sizeof(float);
        uint64_t *words = out + i * out_stride;
        for (size_t w = 0; w < e->words; w++) {
            uint64_t word = 0;
            for (unsigned k = 0; k < 4; k++) {
                const size_t g = 4 * w + k;
                const __m512 features =
                    e->run[g] >= 0 ? _mm512_loadu_ps(row + (size_t)e->run[g] * sizeof(float))
                                   : _mm512_i32gather_ps(_mm512_load_si512(e->source + 16 * g), row, sizeof(float));
                const __m512 thresholds = _mm512_load_ps(e->thresholds + 16 * g);
                word |= (uint64_t)_mm512_cmp_ps_mask(features, thresholds, _CMP_GE_OQ) << (16 * k);
            }
            words[w] = word;
        }
    }
}

LIAM_TARGET_END
#endif

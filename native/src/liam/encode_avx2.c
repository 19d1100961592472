/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding features as bits with AVX2: eight features by one load where their sources are consecutive, else by one
 * gather.
 */
#include "encode_kernels.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX2_BEGIN

/* Bits of eight features: from consecutive sources starting at first, or from the given sources if that is negative. */
LIAM_INLINE uint64_t bits8(const float *row, int32_t first, const int32_t *source, const float *thresholds) {
    const __m256i sources = _mm256_load_si256((const __m256i *)source);
    const __m256 features = first >= 0 ? _mm256_loadu_ps(row + first) : _mm256_i32gather_ps(row, sources, sizeof *row);
    const __m256 ge = _mm256_cmp_ps(features, _mm256_load_ps(thresholds), _CMP_GE_OQ);
    return (uint32_t)_mm256_movemask_ps(ge);
}

void liam_encode_avx2(const encoder *e, const void *x, size_t rows, uint64_t *out, size_t out_stride) {
    for (size_t i = 0; i < rows; i++) {
        const float *row = (const float *)((const char *)x + i * e->features * sizeof(float));
        uint64_t *words = out + i * out_stride;
        for (size_t w = 0; w < e->words; w++) {
            uint64_t word = 0;
            for (unsigned k = 0; k < 8; k++) {
                const size_t j = 64 * w + 8 * k;
                const int32_t run = e->run[j / 16];
                const int32_t first = run < 0 ? -1 : run + (int32_t)(j % 16);
                word |= bits8(row, first, e->source + j, e->thresholds + j) << (8 * k);
            }
            words[w] = word;
        }
    }
}

LIAM_TARGET_END
#endif

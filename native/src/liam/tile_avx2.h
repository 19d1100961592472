/* SPDX-License-Identifier: Apache-2.0
 *
 * What all products of bits share with AVX2, which has no popcount: bytes are counted by two table look-ups per nibble,
 * summed as bytes for as many words as cannot overflow, then widened. A vector holds one word of four columns.
 */
#ifndef LIAM_TILE_AVX2_H
#define LIAM_TILE_AVX2_H

#include "sizes.h"
#include "target.h"
#include "xnor_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define VECTORS 4        /* in a panel */
#define WORDS_PER_SUM 31 /* 31 * 8 bits still fit a byte */

LIAM_AVX2_BEGIN

LIAM_INLINE __m256i popcount_bytes(__m256i v) {
    const __m256i of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                               0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(v, nibble));
    const __m256i high = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
    return _mm256_add_epi8(low, high);
}

/* Adds to total the bits in which row a differs from the columns of a panel, as 64-bit lanes. */
LIAM_INLINE void count_row(const uint64_t *a, const uint64_t *panel, size_t nbits, __m256i *total) {
    const size_t words = words_of(nbits);
    for (size_t w = 0; w < words;) {
        const size_t end = words - w > WORDS_PER_SUM ? w + WORDS_PER_SUM : words;
        __m256i sum[VECTORS];
        LIAM_UNROLL
        for (unsigned c = 0; c < VECTORS; c++) sum[c] = _mm256_setzero_si256();
        for (; w < end; w++) {
            const uint64_t valid = w + 1 < words ? UINT64_MAX : tail_mask(nbits);
            const __m256i word = _mm256_set1_epi64x((long long)(a[w] & valid));
            LIAM_UNROLL
            for (unsigned c = 0; c < VECTORS; c++) {
                const __m256i column = _mm256_load_si256((const __m256i *)(panel + w * LIAM_PANEL) + c);
                sum[c] = _mm256_add_epi8(sum[c], popcount_bytes(_mm256_xor_si256(word, column)));
            }
        }
        LIAM_UNROLL
        for (unsigned c = 0; c < VECTORS; c++) {
            total[c] = _mm256_add_epi64(total[c], _mm256_sad_epu8(sum[c], _mm256_setzero_si256()));
        }
    }
}

/* Eight counts, narrowed to 32 bits. */
LIAM_INLINE __m256i narrow_counts(__m256i low, __m256i high) {
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    return _mm256_blend_epi32(_mm256_permutevar8x32_epi32(low, even), _mm256_permutevar8x32_epi32(high, even), 0xf0);
}

LIAM_TARGET_END

#endif
#endif

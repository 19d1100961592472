/* SPDX-License-Identifier: Apache-2.0
 *
 * The tile that all products of bits share: differing bits of some rows and a panel, counted with AVX-512 VPOPCNTDQ. A
 * vector holds one word of eight columns, a panel is two vectors, and a row's word is broadcast against them: xor,
 * popcount, add, with 64-bit counters that cannot overflow.
 */
#ifndef LIAM_TILE_AVX512_H
#define LIAM_TILE_AVX512_H

#include "sizes.h"
#include "target.h"
#include "xnor_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define TILE_ROWS 8
#define MAX_COUNTERS 16

LIAM_AVX512_BEGIN

/* One step of a tile: word w, with `valid` applied to the rows. */
LIAM_INLINE void count_word(const uint64_t *a, size_t a_stride, const uint64_t *panel, size_t panel_words, size_t w,
                            __m512i valid, int masked, unsigned rows, unsigned panels, __m512i *count) {
    LIAM_UNROLL
    for (unsigned c = 0; c < 2 * panels; c++) {
        const __m512i column = _mm512_load_si512(panel + c / 2 * panel_words + w * LIAM_PANEL + c % 2 * 8);
        LIAM_UNROLL
        for (unsigned r = 0; r < rows; r++) {
            const __m512i word = _mm512_set1_epi64((long long)a[r * a_stride + w]);
            /* 0x6c is (word and valid) xor column, for operands valid, column, word */
            const __m512i different =
                masked ? _mm512_ternarylogic_epi64(valid, column, word, 0x6c) : _mm512_xor_si512(word, column);
            count[r * 2 * panels + c] =
                _mm512_add_epi64(count[r * 2 * panels + c], _mm512_popcnt_epi64(different));
        }
    }
}

/* Adds to count[(r * panels + p) * 2 + c] the bits in which row r differs from half c of panel p. rows and panels are
 * constants where this is inlined, and there is at least one word. */
LIAM_INLINE void count_tile(const uint64_t *a, size_t a_stride, const uint64_t *panel, size_t nbits, unsigned rows,
                            unsigned panels, __m512i *count) {
    const size_t words = words_of(nbits);
    const size_t panel_words = words * LIAM_PANEL;
    const __m512i valid = _mm512_set1_epi64((long long)tail_mask(nbits));
    /* The masked word goes first: after the loop, compilers would keep every counter twice. */
    count_word(a, a_stride, panel, panel_words, words - 1, valid, 1, rows, panels, count);
    for (size_t w = 0; w + 1 < words; w++) {
        count_word(a, a_stride, panel, panel_words, w, valid, 0, rows, panels, count);
    }
}

/* The sixteen counts of a panel, narrowed to 32 bits. */
LIAM_INLINE __m512i narrow_counts(__m512i low, __m512i high) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_epi32(low, even, high);
}

LIAM_TARGET_END

#endif
#endif

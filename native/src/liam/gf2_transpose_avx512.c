/* SPDX-License-Identifier: Apache-2.0
 *
 * Transposing bit matrices, and single matrix-vector products, with AVX-512.
 *
 * A transpose goes by squares of 512 bits, so that whole cache lines are read and written whatever the strides: a
 * vector is a row of eight words, eight blocks of 64 x 64 bits lie beside each other, and halves are exchanged in all of
 * them at once, by 32, 16, 8 bits and so on (Warren, Hacker's Delight, 7-3). Then words of eight rows of blocks make a
 * row of the result.
 */
#include "gf2_panels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX512_BEGIN

#include "gf2_words.h"

/* Exchanges the high bits of u, by groups of `width`, with the low bits of v. */
LIAM_INLINE void exchange(__m512i *u, __m512i *v, unsigned width, uint64_t low) {
    const __m512i mask = _mm512_set1_epi64((long long)low);
    const __m512i t = _mm512_ternarylogic_epi64(_mm512_srli_epi64(*u, width), *v, mask, 0x28); /* (u xor v) and mask */
    *v = _mm512_xor_si512(*v, t);
    *u = _mm512_xor_si512(*u, _mm512_slli_epi64(t, width));
}

/* Three rounds of exchanges among rows r, r + step, ..., r + 7 step, of which the widest is 4 step bits. */
LIAM_INLINE void exchanges(__m512i *rows, unsigned step, uint64_t low4, uint64_t low2, uint64_t low1) {
    __m512i x[8];
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k++) x[k] = rows[k * step];
    LIAM_UNROLL
    for (unsigned k = 0; k < 4; k++) exchange(&x[k], &x[k + 4], 4 * step, low4);
    LIAM_UNROLL
    for (unsigned k = 0; k < 4; k++) exchange(&x[k + k / 2 * 2], &x[k + k / 2 * 2 + 2], 2 * step, low2);
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k += 2) exchange(&x[k], &x[k + 1], step, low1);
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k++) rows[k * step] = x[k];
}

static void transpose_blocks(__m512i *rows) {
    for (unsigned r = 0; r < 8; r++) {
        exchanges(rows + r, 8, UINT64_C(0x00000000ffffffff), UINT64_C(0x0000ffff0000ffff), UINT64_C(0x00ff00ff00ff00ff));
    }
    for (unsigned r = 0; r < 64; r += 8) {
        exchanges(rows + r, 1, UINT64_C(0x0f0f0f0f0f0f0f0f), UINT64_C(0x3333333333333333), UINT64_C(0x5555555555555555));
    }
}

/* A square of up to 512 x 512 bits; `columns` and `rows` of it exist. */
static void transpose_square(const uint64_t *a, size_t rows, size_t columns, size_t a_stride, uint64_t *out,
                             size_t out_stride) {
    __m512i square[8][64];
    const __mmask8 in = (__mmask8)low_bits(words_of(columns)), to = (__mmask8)low_bits(words_of(rows));
    for (size_t g = 0; g < words_of(rows); g++) {
        for (size_t r = 0; r < 64; r++) {
            const size_t i = g * 64 + r;
            square[g][r] = i < rows ? _mm512_maskz_loadu_epi64(in, a + i * a_stride) : _mm512_setzero_si512();
        }
        transpose_blocks(square[g]);
    }
    for (size_t r = 0; r < 64 && r < columns; r++) {
        __m512i x[8];
        for (size_t g = 0; g < 8; g++) x[g] = g < words_of(rows) ? square[g][r] : _mm512_setzero_si512();
        transpose_words(x);
        for (size_t w = 0; w * 64 + r < columns; w++) {
            _mm512_mask_storeu_epi64(out + (w * 64 + r) * out_stride, to, x[w]);
        }
    }
}

void liam_gf2_transpose_avx512(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out,
                               size_t out_stride) {
    for (size_t i = 0; i < m; i += 512) {
        for (size_t j = 0; j < nbits; j += 512) {
            transpose_square(a + i * a_stride + j / 64, m - i < 512 ? m - i : 512, nbits - j < 512 ? nbits - j : 512,
                             a_stride, out + j * out_stride + i / 64, out_stride);
        }
    }
}

/* The sums of the words of eight vectors, as a vector. */
LIAM_INLINE __m512i sums_of_words(const __m512i *x) {
    __m512i t[4];
    LIAM_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        t[k] = _mm512_xor_si512(_mm512_unpacklo_epi64(x[2 * k], x[2 * k + 1]),
                                _mm512_unpackhi_epi64(x[2 * k], x[2 * k + 1]));
    }
    const __m512i low = _mm512_xor_si512(_mm512_shuffle_i64x2(t[0], t[1], 0x88), _mm512_shuffle_i64x2(t[0], t[1], 0xdd));
    const __m512i high =
        _mm512_xor_si512(_mm512_shuffle_i64x2(t[2], t[3], 0x88), _mm512_shuffle_i64x2(t[2], t[3], 0xdd));
    return _mm512_xor_si512(_mm512_shuffle_i64x2(low, high, 0x88), _mm512_shuffle_i64x2(low, high, 0xdd));
}

/* Bit r is row r of a, up to eight rows, times x. */
LIAM_INLINE uint64_t eight_products(const uint64_t *a, size_t rows, size_t nbits, size_t a_stride, const uint64_t *x) {
    const size_t words = words_of(nbits);
    __m512i sum[8];
    LIAM_UNROLL
    for (unsigned r = 0; r < 8; r++) sum[r] = _mm512_setzero_si512();
    for (size_t w = 0; w < words; w += 8) {
        const __mmask8 present = (__mmask8)low_bits(words - w);
        __m512i vector = _mm512_maskz_loadu_epi64(present, x + w);
        if (words - w <= 8) {
            vector = _mm512_mask_and_epi64(vector, (__mmask8)(1u << (words - w - 1)), vector,
                                           _mm512_set1_epi64((long long)tail_mask(nbits)));
        }
        LIAM_UNROLL
        for (unsigned r = 0; r < 8; r++) {
            if (r >= rows) break;
            const __m512i row = _mm512_maskz_loadu_epi64(present, a + r * a_stride + w);
            sum[r] = _mm512_ternarylogic_epi64(sum[r], row, vector, 0x78); /* sum xor (row and vector) */
        }
    }
    return _mm512_test_epi64_mask(_mm512_popcnt_epi64(sums_of_words(sum)), _mm512_set1_epi64(1));
}

void liam_gf2_apply_avx512(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x,
                           uint64_t *out) {
    for (size_t i = 0; i < m; i += 64) {
        uint64_t word = 0;
        for (size_t r = i; r < m && r < i + 64; r += 8) {
            const size_t rows = m - r < 8 ? m - r : 8;
            word |= (rows == 8 ? eight_products(a + r * a_stride, 8, nbits, a_stride, x)
                               : eight_products(a + r * a_stride, rows, nbits, a_stride, x))
                    << (r - i);
        }
        out[i / 64] = word;
    }
}

LIAM_TARGET_END
#endif

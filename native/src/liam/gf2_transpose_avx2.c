/* SPDX-License-Identifier: Apache-2.0
 *
 * Transposing bit matrices, and single matrix-vector products, with AVX2: as gf2_transpose_avx512.c does, by squares of
 * 256 bits.
 */
#include <string.h>

#include "gf2_panels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX2_BEGIN

LIAM_INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* Up to four words; the others are zero. */
LIAM_INLINE __m256i load_some(const uint64_t *p, size_t words) {
    if (words >= 4) return load(p);
    uint64_t part[4] = {0};
    memcpy(part, p, words * sizeof *p);
    return load(part);
}

/* Exchanges the high bits of u, by groups of `width`, with the low bits of v. */
LIAM_INLINE void exchange(__m256i *u, __m256i *v, int width, uint64_t low) {
    const __m256i mask = _mm256_set1_epi64x((long long)low);
    const __m256i t = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi64(*u, width), *v), mask);
    *v = _mm256_xor_si256(*v, t);
    *u = _mm256_xor_si256(*u, _mm256_slli_epi64(t, width));
}

/* Three rounds of exchanges among rows r, r + step, ..., r + 7 step, of which the widest is 4 step bits. */
LIAM_INLINE void exchanges(__m256i *rows, int step, uint64_t low4, uint64_t low2, uint64_t low1) {
    __m256i x[8];
    LIAM_UNROLL
    for (int k = 0; k < 8; k++) x[k] = rows[k * step];
    LIAM_UNROLL
    for (int k = 0; k < 4; k++) exchange(&x[k], &x[k + 4], 4 * step, low4);
    LIAM_UNROLL
    for (int k = 0; k < 4; k++) exchange(&x[k + k / 2 * 2], &x[k + k / 2 * 2 + 2], 2 * step, low2);
    LIAM_UNROLL
    for (int k = 0; k < 8; k += 2) exchange(&x[k], &x[k + 1], step, low1);
    LIAM_UNROLL
    for (int k = 0; k < 8; k++) rows[k * step] = x[k];
}

static void transpose_blocks(__m256i *rows) {
    for (int r = 0; r < 8; r++) {
        exchanges(rows + r, 8, UINT64_C(0x00000000ffffffff), UINT64_C(0x0000ffff0000ffff), UINT64_C(0x00ff00ff00ff00ff));
    }
    for (int r = 0; r < 64; r += 8) {
        exchanges(rows + r, 1, UINT64_C(0x0f0f0f0f0f0f0f0f), UINT64_C(0x3333333333333333), UINT64_C(0x5555555555555555));
    }
}

/* Transposes four vectors of four words. */
LIAM_INLINE void transpose_words(__m256i *x) {
    const __m256i a = _mm256_unpacklo_epi64(x[0], x[1]), b = _mm256_unpackhi_epi64(x[0], x[1]);
    const __m256i c = _mm256_unpacklo_epi64(x[2], x[3]), d = _mm256_unpackhi_epi64(x[2], x[3]);
    x[0] = _mm256_permute2x128_si256(a, c, 0x20);
    x[1] = _mm256_permute2x128_si256(b, d, 0x20);
    x[2] = _mm256_permute2x128_si256(a, c, 0x31);
    x[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

/* A square of up to 256 x 256 bits; `columns` and `rows` of it exist. */
static void transpose_square(const uint64_t *a, size_t rows, size_t columns, size_t a_stride, uint64_t *out,
                             size_t out_stride) {
    __m256i square[4][64];
    const size_t in = words_of(columns), to = words_of(rows);
    for (size_t g = 0; g < to; g++) {
        for (size_t r = 0; r < 64; r++) {
            const size_t i = g * 64 + r;
            square[g][r] = i < rows ? load_some(a + i * a_stride, in) : _mm256_setzero_si256();
        }
        transpose_blocks(square[g]);
    }
    for (size_t r = 0; r < 64 && r < columns; r++) {
        __m256i x[4];
        for (size_t g = 0; g < 4; g++) x[g] = g < to ? square[g][r] : _mm256_setzero_si256();
        transpose_words(x);
        for (size_t w = 0; w * 64 + r < columns; w++) {
            memcpy(out + (w * 64 + r) * out_stride, &x[w], to * sizeof *out);
        }
    }
}

void liam_gf2_transpose_avx2(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out,
                             size_t out_stride) {
    for (size_t i = 0; i < m; i += 256) {
        for (size_t j = 0; j < nbits; j += 256) {
            transpose_square(a + i * a_stride + j / 64, m - i < 256 ? m - i : 256, nbits - j < 256 ? nbits - j : 256,
                             a_stride, out + j * out_stride + i / 64, out_stride);
        }
    }
}

/* Bit r is row r of a, up to four rows, times x. */
LIAM_INLINE uint64_t four_products(const uint64_t *a, size_t rows, size_t nbits, size_t a_stride, const uint64_t *x) {
    const size_t words = words_of(nbits);
    __m256i sum[4];
    LIAM_UNROLL
    for (unsigned r = 0; r < 4; r++) sum[r] = _mm256_setzero_si256();
    for (size_t w = 0; w < words; w += 4) {
        const size_t left = words - w < 4 ? words - w : 4;
        uint64_t part[4] = {0};
        memcpy(part, x + w, left * sizeof *x);
        if (w + left == words) part[left - 1] &= tail_mask(nbits);
        const __m256i vector = load(part);
        LIAM_UNROLL
        for (unsigned r = 0; r < 4; r++) {
            if (r >= rows) break;
            sum[r] = _mm256_xor_si256(sum[r], _mm256_and_si256(load_some(a + r * a_stride + w, left), vector));
        }
    }
    transpose_words(sum);
    __m256i word = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
    word = _mm256_xor_si256(word, _mm256_slli_epi64(word, 32)); /* the parity of each goes to its highest bit */
    word = _mm256_xor_si256(word, _mm256_slli_epi64(word, 16));
    word = _mm256_xor_si256(word, _mm256_slli_epi64(word, 8));
    word = _mm256_xor_si256(word, _mm256_slli_epi64(word, 4));
    word = _mm256_xor_si256(word, _mm256_slli_epi64(word, 2));
    word = _mm256_xor_si256(word, _mm256_slli_epi64(word, 1));
    return (uint64_t)_mm256_movemask_pd(_mm256_castsi256_pd(word));
}

void liam_gf2_apply_avx2(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x, uint64_t *out) {
    for (size_t i = 0; i < m; i += 64) {
        uint64_t word = 0;
        for (size_t r = i; r < m && r < i + 64; r += 4) {
            const size_t rows = m - r < 4 ? m - r : 4;
            word |= (rows == 4 ? four_products(a + r * a_stride, 4, nbits, a_stride, x)
                               : four_products(a + r * a_stride, rows, nbits, a_stride, x))
                    << (r - i);
        }
        out[i / 64] = word;
    }
}

LIAM_TARGET_END
#endif

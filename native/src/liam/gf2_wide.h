/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte panels by 512-bit vectors: what gf2_avx512.c and gf2_gfni.c share. The file that includes this, inside its target
 * region, has defined
 *   columns_of(x)     eight words, of rows 0 to 7, to the 64 bytes of their columns
 *   words_of_rows(x)  back
 */
#ifndef LIAM_GF2_WIDE_H
#define LIAM_GF2_WIDE_H

#include "gf2_words.h"

/* Rows of at most so many words are gathered word by word, because most of a vector along the row would be empty. */
#define FEW_WORDS 2

/* x[w] becomes word w of eight rows. Rows past `rows` and bits past `nbits`, at most 512, are zero. */
LIAM_INLINE void load_words(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, __m512i *x) {
    const size_t words = nbits < 512 ? words_of(nbits) : 8;
    LIAM_UNROLL
    for (unsigned i = 0; i < 8; i++) x[i] = _mm512_setzero_si512();
    if (rows == 0) return;
    if (words <= FEW_WORDS) {
        const __mmask8 present = (__mmask8)low_bits(rows < 8 ? rows : 8);
        const __m512i index = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7),
                                                 _mm512_set1_epi64((long long)stride));
        for (size_t w = 0; w < words; w++) {
            const __m512i word = stride == 1 ? _mm512_maskz_loadu_epi64(present, bits)
                                             : _mm512_mask_i64gather_epi64(x[7], present, index, bits + w, 8);
            const uint64_t valid = w + 1 < words ? UINT64_MAX : tail_mask(nbits);
            x[w] = _mm512_and_si512(word, _mm512_set1_epi64((long long)valid));
        }
        return;
    }
    if (rows >= 8 && nbits >= 512) {
        LIAM_UNROLL
        for (unsigned i = 0; i < 8; i++) x[i] = _mm512_loadu_si512(bits + i * stride);
    } else {
        const __mmask8 present = (__mmask8)low_bits(words);
        const __m512i valid = _mm512_mask_set1_epi64(_mm512_set1_epi64(-1), (__mmask8)(1u << (words - 1)),
                                                     (long long)(nbits < 512 ? tail_mask(nbits) : UINT64_MAX));
        LIAM_UNROLL
        for (unsigned i = 0; i < 8; i++) {
            if (i < rows) x[i] = _mm512_and_si512(_mm512_maskz_loadu_epi64(present, bits + i * stride), valid);
        }
    }
    transpose_words(x);
}

/* Strip by strip, because rows are read fastest in order. */
static void pack(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to, size_t tile_step,
                 size_t panels) {
    for (size_t strip = 0; strip < panels; strip += GF2_STRIP_PANELS) {
        const size_t end = panels - strip < GF2_STRIP_PANELS ? panels : strip + GF2_STRIP_PANELS;
        for (size_t j = 0; j < nbits; j += 512) {
            const size_t tiles = nbits - j < 512 ? (nbits - j + GF2_TILE_COLUMNS - 1) / GF2_TILE_COLUMNS : 4;
            for (size_t p = strip; p < end; p++) {
                const size_t first = p * GF2_PANEL_ROWS;
                const size_t left = rows > first ? rows - first : 0;
                __m512i x[8];
                load_words(left == 0 ? bits : bits + first * stride + j / 64, left, nbits - j, stride, x);
                LIAM_UNROLL
                for (unsigned t = 0; t < 4; t++) {
                    if (t >= tiles) break;
                    uint8_t *panel = to + (j / GF2_TILE_COLUMNS + t) * tile_step + p * GF2_PANEL_BYTES;
                    _mm512_store_si512(panel, columns_of(x[2 * t]));
                    _mm512_store_si512(panel + 64, columns_of(x[2 * t + 1]));
                }
            }
        }
    }
}

static void unpack(const uint8_t *from, size_t tile_step, size_t rows, size_t nbits, uint64_t *bits, size_t stride,
                   const size_t *place) {
    for (size_t i = 0; i < rows; i += GF2_PANEL_ROWS) {
        for (size_t j = 0; j < nbits; j += 512) {
            const size_t tiles = nbits - j < 512 ? (nbits - j + GF2_TILE_COLUMNS - 1) / GF2_TILE_COLUMNS : 4;
            const __mmask8 present = (__mmask8)low_bits(nbits - j < 512 ? words_of(nbits - j) : 8);
            const uint8_t *panel = from + j / GF2_TILE_COLUMNS * tile_step + i / GF2_PANEL_ROWS * GF2_PANEL_BYTES;
            __m512i x[8];
            LIAM_UNROLL
            for (unsigned w = 0; w < 8; w++) {
                x[w] = w / 2 < tiles ? words_of_rows(_mm512_load_si512(panel + w / 2 * tile_step + w % 2 * 64))
                                     : _mm512_setzero_si512();
            }
            transpose_words(x);
            LIAM_UNROLL
            for (unsigned r = 0; r < 8; r++) {
                if (i + r >= rows) break;
                const size_t to = place != NULL ? place[i + r] : i + r;
                _mm512_mask_storeu_epi64(bits + to * stride + j / 64, present, x[r]);
            }
        }
    }
}

static void column(const uint8_t *from, size_t panels, uint64_t *words) {
    for (size_t p = 0; p < panels; p++) {
        _mm512_store_si512(words + p * GF2_PANEL_ROWS, words_of_rows(_mm512_load_si512(from + p * GF2_PANEL_BYTES)));
    }
}

/* The sums of the words of a and of b. */
LIAM_INLINE void sums_of(__m512i a, __m512i b, uint64_t *sum_a, uint64_t *sum_b) {
    const __m512i pairs = _mm512_xor_si512(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m256i four = _mm256_xor_si256(_mm512_castsi512_si256(pairs), _mm512_extracti64x4_epi64(pairs, 1));
    const __m128i two = _mm_xor_si128(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    *sum_a = (uint64_t)_mm_cvtsi128_si64(two);
    *sum_b = (uint64_t)_mm_extract_epi64(two, 1);
}

/* As gf2_basis_offer, eight members at a time. */
static void offer(gf2_basis *basis, uint64_t word, size_t row) {
    const size_t count = basis->count;
    const __m512i words = _mm512_set1_epi64((long long)word);
    __m512i reduced = _mm512_setzero_si512(), sums = _mm512_setzero_si512();
    for (size_t k = 0; k < count; k += 8) {
        const __mmask8 added = _mm512_test_epi64_mask(words, _mm512_load_si512(basis->pivot + k));
        reduced = _mm512_mask_xor_epi64(reduced, added, reduced, _mm512_load_si512(basis->reduced + k));
        sums = _mm512_mask_xor_epi64(sums, added, sums, _mm512_load_si512(basis->sum + k));
    }
    uint64_t rest, sum;
    sums_of(reduced, sums, &rest, &sum);
    rest ^= word;
    sum ^= UINT64_C(1) << count;
    if (rest == 0) return;
    const __m512i rests = _mm512_set1_epi64((long long)rest), own = _mm512_set1_epi64((long long)sum);
    const __m512i pivot = _mm512_set1_epi64((long long)(rest & (0 - rest)));
    for (size_t k = 0; k < count; k += 8) {
        const __m512i member = _mm512_load_si512(basis->reduced + k), its_sum = _mm512_load_si512(basis->sum + k);
        const __mmask8 added = _mm512_test_epi64_mask(member, pivot);
        _mm512_store_si512(basis->reduced + k, _mm512_mask_xor_epi64(member, added, member, rests));
        _mm512_store_si512(basis->sum + k, _mm512_mask_xor_epi64(its_sum, added, its_sum, own));
    }
    gf2_basis_append(basis, rest, sum, row);
}

static void fetch(const uint64_t *bits, size_t rows, size_t words, size_t stride) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t w = 0; w < words; w += 8) _mm_prefetch((const char *)(bits + i * stride + w), _MM_HINT_T1);
    }
}

#endif

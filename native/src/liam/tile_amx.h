/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of bits in the tile unit (AMX-INT8), which multiplies 1,024 pairs of bytes in a cycle where xor, popcount and add
 * count 341 pairs of bits.
 *
 * A byte of columns holds bits of two panels, so that two tiles do for three. Bits of rows become bytes +2 and -2; x, y and
 * z, the bits of three panels' columns, become x + 128 y and y + 128 z. The tile unit then adds up
 *
 *     low = X + 128 Y    and    high = Y + 128 Z
 *
 * where X is the sum for the first panel. Less the sum of the row's +1 and -1, X, Y and Z are the inner products
 * themselves, since 2 x - 1 is the column's sign. 128 high - low is 16,384 Z - X, from which Z is read off by rounding, as
 * long as rows have fewer than 8,192 bits; Y and X follow. All of it is exact in 32 bits.
 */
#ifndef LIAM_TILE_AMX_H
#define LIAM_TILE_AMX_H

#include "sizes.h"
#include "xnor_kernels.h"

#if LIAM_TILES
#include <immintrin.h>

/* What LDTILECFG reads: eight tiles of 16 rows of 64 bytes. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

static _Alignas(64) const tile_config eight_tiles = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

/* The sums of 32 rows and a three of panels. */
typedef struct tile_sums {
    int32_t low[TILE_PAIR_ROWS][LIAM_PANEL], high[TILE_PAIR_ROWS][LIAM_PANEL];
} tile_sums;

/* The intrinsics of tiles do not say that they read and write memory. */
#define MEMORY_BARRIER() __asm__ volatile("" ::: "memory")

LIAM_AMX_BEGIN

/* The sum of the +1 and -1 of some words of a row, `nbits` bits; `valid` are those of the last word. */
static inline int32_t sum_of_signs(const uint64_t *row, size_t words, int32_t nbits, uint64_t valid) {
    int32_t ones = (int32_t)_mm_popcnt_u64(row[words - 1] & valid);
    for (size_t w = 0; w + 1 < words; w++) ones += (int32_t)_mm_popcnt_u64(row[w]);
    return 2 * ones - nbits;
}

/* Spreads words of rows: word w of row r becomes row r of the w-th pair of tiles. Bits past the end meet columns of
 * zero; rows from `count` on are zero. */
static inline void spread_rows(const uint64_t *a, size_t stride, size_t count, size_t words, uint8_t *to) {
    const __m512i two = _mm512_set1_epi8(2), minus_two = _mm512_set1_epi8(-2);
    for (size_t w = 0; w < words; w++) {
        for (size_t r = 0; r < TILE_PAIR_ROWS; r++, to += 64) {
            _mm512_store_si512(to, r < count ? _mm512_mask_blend_epi8(a[r * stride + w], minus_two, two)
                                             : _mm512_setzero_si512());
        }
    }
}

/* Words of up to three panels, those after them zero, as halves: the low ones of the 16 columns, then the high ones. */
LIAM_INLINE void load_halves(const uint64_t *panel, size_t panel_words, size_t panels, __m512i half[2][TILE_PANELS]) {
    const __m512i low = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i high = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    LIAM_UNROLL
    for (size_t p = 0; p < TILE_PANELS; p++) {
        const uint64_t *words = panel + p * panel_words;
        const __m512i left = p < panels ? _mm512_load_si512(words) : _mm512_setzero_si512();
        const __m512i right = p < panels ? _mm512_load_si512(words + 8) : _mm512_setzero_si512();
        half[0][p] = _mm512_permutex2var_epi32(left, low, right);
        half[1][p] = _mm512_permutex2var_epi32(left, high, right);
    }
}

/* Spreads words of up to three panels, panel_words apart: of word w, bits 4 q to 4 q + 3 of columns c of the panels become
 * bytes 4 c to 4 c + 3 of row q of the w-th pair of tiles, the order in which the second operand of a multiplication is
 * read. */
static inline void spread_columns(const uint64_t *panel, size_t panel_words, size_t panels, size_t count, uint8_t *tiles) {
    const __m512i first_bits = _mm512_set1_epi64(0x2322212003020100); /* of the halves of two columns */
    const __m512i one = _mm512_set1_epi8(1), top = _mm512_set1_epi8((char)128);
    for (size_t w = 0; w < count; w++, panel += LIAM_PANEL, tiles += TILE_PAIR_BYTES) {
        __m512i half[2][TILE_PANELS];
        load_halves(panel, panel_words, panels, half);
        LIAM_UNROLL
        for (int q = 0; q < 16; q++) {
            const __m512i to_one = _mm512_add_epi8(first_bits, _mm512_set1_epi8((char)(q % 8 * 4)));
            const __m512i to_top = _mm512_add_epi8(first_bits, _mm512_set1_epi8((char)(q % 8 * 4 - 7)));
            LIAM_UNROLL
            for (int k = 0; k < 2; k++) {
                const __m512i x = _mm512_and_si512(_mm512_multishift_epi64_epi8(to_one, half[q / 8][k]), one);
                const __m512i y = _mm512_multishift_epi64_epi8(to_top, half[q / 8][k + 1]);
                /* 0xf8 is x or (y and top) */
                _mm512_store_si512(tiles + k * TILE_BYTES + 64 * q, _mm512_ternarylogic_epi64(x, y, top, 0xf8));
            }
        }
    }
}

/* Adds the products of some words, spread, to sums, or begins with them. */
static inline void multiply_tiles(const uint8_t *rows, const uint8_t *columns, size_t words, int begins, tile_sums *sums) {
    if (begins) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums->low, 64);
        _tile_loadd(1, sums->low + LIAM_PANEL, 64);
        _tile_loadd(2, sums->high, 64);
        _tile_loadd(3, sums->high + LIAM_PANEL, 64);
    }
    for (size_t w = 0; w < words; w++, rows += TILE_PAIR_BYTES, columns += TILE_PAIR_BYTES) {
        _tile_loadd(6, columns, 64);
        _tile_loadd(4, rows, 64);
        _tile_dpbsud(0, 4, 6);
        _tile_loadd(5, rows + TILE_BYTES, 64);
        _tile_dpbsud(1, 5, 6);
        _tile_loadd(7, columns + TILE_BYTES, 64);
        _tile_dpbsud(2, 4, 7);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, sums->low, 64);
    _tile_stored(1, sums->low + LIAM_PANEL, 64);
    _tile_stored(2, sums->high, 64);
    _tile_stored(3, sums->high + LIAM_PANEL, 64);
    MEMORY_BARRIER();
}

/* The inner products of row r and three panels, from complete sums. */
LIAM_INLINE void inner_products(const tile_sums *sums, size_t r, int32_t sum_of_row, __m512i *x, __m512i *y, __m512i *z) {
    const __m512i row_sum = _mm512_set1_epi32(129 * sum_of_row);
    const __m512i low = _mm512_sub_epi32(_mm512_load_si512(sums->low[r]), row_sum);
    const __m512i high = _mm512_sub_epi32(_mm512_load_si512(sums->high[r]), row_sum);
    const __m512i apart = _mm512_sub_epi32(_mm512_slli_epi32(high, 7), low); /* 16,384 z - x */
    *z = _mm512_srai_epi32(_mm512_add_epi32(apart, _mm512_set1_epi32(1 << 13)), 14);
    *y = _mm512_sub_epi32(high, _mm512_slli_epi32(*z, 7));
    *x = _mm512_sub_epi32(low, _mm512_slli_epi32(*y, 7));
}

LIAM_TARGET_END

#endif
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2) with GFNI: VGF2P8AFFINEQB multiplies an 8 x 8 block of bits with the 64 columns of a vector of bytes. Byte 7 - i
 * of the block is its row i; bit i of a result is the parity of row i and the column.
 */
#include "gf2_panels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define DEPTH 128
#define BLOCK_BYTES 8

LIAM_GFNI_BEGIN

/* Byte d of word j of the result is the byte of x that byte d of `first` numbers, plus j. */
LIAM_INLINE __m512i permute_bytes(uint64_t first, __m512i x) {
    const __m512i step = _mm512_setr_epi64(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303,
                                           0x0404040404040404, 0x0505050505050505, 0x0606060606060606,
                                           0x0707070707070707);
    return _mm512_permutexvar_epi8(_mm512_add_epi8(_mm512_set1_epi64((long long)first), step), x);
}

/* Eight words, of rows 0 to 7, to eight blocks: byte 7 - i of block j is byte j of word i. */
LIAM_INLINE __m512i blocks_of(__m512i x) { return permute_bytes(UINT64_C(0x0008101820283038), x); }

/* Byte r of these is 1 << r, so as the vector they take bit r of every row of a block: the block transposed. */
LIAM_INLINE __m512i transposes_of(__m512i blocks) {
    return _mm512_gf2p8affine_epi64_epi8(_mm512_set1_epi64((long long)UINT64_C(0x8040201008040201)), blocks, 0);
}

LIAM_INLINE __m512i columns_of(__m512i x) { return transposes_of(blocks_of(x)); }

LIAM_INLINE __m512i words_of_rows(__m512i x) {
    const __m512i reversed = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607); /* bytes in words */
    const __m512i rows = transposes_of(_mm512_shuffle_epi8(x, reversed));
    return permute_bytes(UINT64_C(0x3830282018100800), rows); /* byte j of word i is byte i of word j */
}

#include "gf2_wide.h"

static void blocks(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to) {
    for (size_t j = 0; j < nbits; j += 512) {
        const size_t words = nbits - j < 512 ? words_of(nbits - j) : 8;
        __m512i part[8][GF2_STRIP_PANELS];
        for (unsigned p = 0; p < GF2_STRIP_PANELS; p++) {
            const size_t first = p * GF2_PANEL_ROWS;
            const size_t left = rows > first ? rows - first : 0;
            __m512i x[8];
            load_words(left == 0 ? bits : bits + first * stride + j / 64, left, nbits - j, stride, x);
            LIAM_UNROLL
            for (unsigned w = 0; w < 8; w++) {
                if (w >= words) break;
                part[w][p] = blocks_of(x[w]);
            }
        }
        for (size_t w = 0; w < words; w++) {
            uint8_t *word = to + (j / 8 + w * 8) * GF2_STRIP_PANELS * BLOCK_BYTES;
            transpose_words(part[w]);
            LIAM_UNROLL
            for (unsigned d = 0; d < 8; d++) _mm512_store_si512(word + d * 64, part[w][d]);
        }
    }
}

/* One strip of one tile: two depths at a time, whose products are added by one instruction. */
LIAM_INLINE void tile(const uint8_t *a, const uint8_t *b, uint8_t *c, size_t depth, unsigned panels, int accumulate) {
    __m512i sum[2 * GF2_STRIP_PANELS];
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * panels; k++) {
        sum[k] = accumulate ? _mm512_load_si512(c + k * 64) : _mm512_setzero_si512();
    }
    for (size_t d = 0; d < depth; d += 2) {
        const __m512i b00 = _mm512_load_si512(b), b01 = _mm512_load_si512(b + 64);
        const __m512i b10 = _mm512_load_si512(b + 128), b11 = _mm512_load_si512(b + 192);
        LIAM_UNROLL
        for (unsigned p = 0; p < panels; p++) {
            const __m512i a0 = _mm512_set1_epi64(((const long long *)(const void *)a)[p]);
            const __m512i a1 = _mm512_set1_epi64(((const long long *)(const void *)a)[p + GF2_STRIP_PANELS]);
            sum[2 * p] = _mm512_ternarylogic_epi64(sum[2 * p], _mm512_gf2p8affine_epi64_epi8(b00, a0, 0),
                                                   _mm512_gf2p8affine_epi64_epi8(b10, a1, 0), 0x96);
            sum[2 * p + 1] = _mm512_ternarylogic_epi64(sum[2 * p + 1], _mm512_gf2p8affine_epi64_epi8(b01, a0, 0),
                                                       _mm512_gf2p8affine_epi64_epi8(b11, a1, 0), 0x96);
        }
        a += 2 * GF2_STRIP_PANELS * BLOCK_BYTES;
        b += 2 * GF2_PANEL_BYTES;
    }
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * panels; k++) _mm512_store_si512(c + k * 64, sum[k]);
}

LIAM_INLINE void all_tiles(const gf2_tiles *job, unsigned panels, int accumulate) {
    for (size_t i = 0; i < job->count; i++) {
        tile(job->a + i * job->a_step, job->b + i * job->b_step, job->c + i * job->c_step, job->depth, panels,
             accumulate);
    }
}

static void tiles(const gf2_tiles *job) {
    switch (job->panels) {
    case 8:
        if (job->accumulate) {
            all_tiles(job, 8, 1);
        } else {
            all_tiles(job, 8, 0);
        }
        return;
    case 4: all_tiles(job, 4, job->accumulate); return;
    case 2: all_tiles(job, 2, job->accumulate); return;
    default: all_tiles(job, 1, job->accumulate); return;
    }
}

LIAM_TARGET_END

static const gf2_panel_kernels kernels = {.block_bytes = BLOCK_BYTES, .depth = DEPTH, .pack = pack, .unpack = unpack,
                                          .blocks = blocks, .column = column, .tiles = tiles, .offer = offer, .fetch = fetch};

static void multiply(const gf2_product *job) { liam_gf2_multiply_panels(&kernels, job); }

static size_t eliminate(const gf2_elimination *job) { return liam_gf2_eliminate_panels(&kernels, job); }

const gf2_kernels liam_gf2_gfni = {.multiply = multiply, .transpose = liam_gf2_transpose_avx512,
                                   .apply = liam_gf2_apply_avx512, .eliminate = eliminate};
#endif

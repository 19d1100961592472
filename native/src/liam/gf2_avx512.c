/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2) with AVX-512 and without GFNI. A block is two tables of 16 bytes: the sums of its columns 0 to 3, and of its
 * columns 4 to 7, for each of their choices. So VPSHUFB multiplies it with the low and with the high halves of a vector
 * of bytes, 64 columns at a time, and tables never leave the registers.
 */
#include "gf2_panels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define DEPTH 64
#define BLOCK_BYTES 32

LIAM_AVX512_BEGIN

/* Swaps bits of x that are `shift` apart: those in `low` with those above them. */
LIAM_INLINE __m512i swap_bits(__m512i x, int shift, uint64_t low) {
    const __m512i mask = _mm512_set1_epi64((long long)low);
    /* 0x28 is (x xor shifted) and mask; 0x96 is the sum of three */
    const __m512i t = _mm512_ternarylogic_epi64(x, _mm512_srli_epi64(x, (unsigned)shift), mask, 0x28);
    return _mm512_ternarylogic_epi64(x, t, _mm512_slli_epi64(t, (unsigned)shift), 0x96);
}

/* The bits of each word as a transposed 8 x 8 block (Warren, Hacker's Delight, 7-3). */
LIAM_INLINE __m512i transpose_bits(__m512i x) {
    x = swap_bits(x, 7, UINT64_C(0x00aa00aa00aa00aa));
    x = swap_bits(x, 14, UINT64_C(0x0000cccc0000cccc));
    return swap_bits(x, 28, UINT64_C(0x00000000f0f0f0f0));
}

/* Byte j of word i becomes byte i of word j: pairs of bytes within 16, then all pairs. */
LIAM_INLINE __m512i transpose_bytes(__m512i x) {
    const __m512i pairs = _mm512_set4_epi32(0x0f070e06, 0x0d050c04, 0x0b030a02, 0x09010800);
    const __m512i step = _mm512_setr_epi64(0, 0x0001000100010001, 0x0002000200020002, 0x0003000300030003,
                                           0x0004000400040004, 0x0005000500050005, 0x0006000600060006,
                                           0x0007000700070007);
    const __m512i index = _mm512_add_epi16(_mm512_set1_epi64(0x0018001000080000), step);
    return _mm512_permutexvar_epi16(index, _mm512_shuffle_epi8(x, pairs));
}

LIAM_INLINE __m512i columns_of(__m512i x) { return transpose_bits(transpose_bytes(x)); }

LIAM_INLINE __m512i words_of_rows(__m512i x) { return transpose_bytes(transpose_bits(x)); }

#include "gf2_wide.h"

/* For column b of four, which sums of a table it is part of: a shuffle that takes the column there and zero elsewhere,
 * from bytes 0 to 3 in even parts of 16 bytes and from bytes 4 to 7 in odd ones. */
LIAM_INLINE __m512i chooser(unsigned b) {
    const __m512i choice = _mm512_set4_epi32(0x0f0e0d0c, 0x0b0a0908, 0x07060504, 0x03020100);
    const __m512i half = _mm512_setr_epi64(0, 0, 0x0404040404040404, 0x0404040404040404, 0, 0, 0x0404040404040404,
                                           0x0404040404040404);
    const __mmask64 chosen = _mm512_test_epi8_mask(choice, _mm512_set1_epi8((char)(1 << b)));
    return _mm512_mask_add_epi8(_mm512_set1_epi8((char)0x80), chosen, half, _mm512_set1_epi8((char)b));
}

static void blocks(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to) {
    const __m512i c0 = chooser(0), c1 = chooser(1), c2 = chooser(2), c3 = chooser(3);
    const size_t step = GF2_STRIP_PANELS * BLOCK_BYTES;
    for (size_t j = 0; j < nbits; j += 512) {
        const size_t words = nbits - j < 512 ? words_of(nbits - j) : 8;
        for (unsigned p = 0; p < GF2_STRIP_PANELS; p++) {
            const size_t first = p * GF2_PANEL_ROWS;
            const size_t left = rows > first ? rows - first : 0;
            __m512i x[8];
            load_words(left == 0 ? bits : bits + first * stride + j / 64, left, nbits - j, stride, x);
            for (size_t w = 0; w < words; w++) {
                const __m512i columns = columns_of(x[w]);
                uint8_t *word = to + (j / 8 + w * 8) * step + p * BLOCK_BYTES;
                LIAM_UNROLL
                for (unsigned d = 0; d < 8; d += 2) { /* two blocks, each in two parts of 16 bytes */
                    const __m512i which = _mm512_add_epi64(_mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1), _mm512_set1_epi64(d));
                    const __m512i two = _mm512_permutexvar_epi64(which, columns);
                    const __m512i low = _mm512_xor_si512(_mm512_shuffle_epi8(two, c0), _mm512_shuffle_epi8(two, c1));
                    const __m512i sums = _mm512_ternarylogic_epi64(low, _mm512_shuffle_epi8(two, c2),
                                                                   _mm512_shuffle_epi8(two, c3), 0x96);
                    _mm256_store_si256((__m256i *)(void *)(word + d * step), _mm512_castsi512_si256(sums));
                    _mm256_store_si256((__m256i *)(void *)(word + (d + 1) * step), _mm512_extracti64x4_epi64(sums, 1));
                }
            }
        }
    }
}

LIAM_INLINE __m512i table(const uint8_t *at) {
    return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(const void *)at));
}

/* One strip of one tile. */
LIAM_INLINE void tile(const uint8_t *a, const uint8_t *b, uint8_t *c, size_t depth, unsigned panels, int accumulate) {
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i sum[2 * GF2_STRIP_PANELS];
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * panels; k++) {
        sum[k] = accumulate ? _mm512_load_si512(c + k * 64) : _mm512_setzero_si512();
    }
    for (size_t d = 0; d < depth; d++) {
        const __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 64);
        const __m512i low0 = _mm512_and_si512(b0, nibble), low1 = _mm512_and_si512(b1, nibble);
        const __m512i high0 = _mm512_and_si512(_mm512_srli_epi16(b0, 4), nibble);
        const __m512i high1 = _mm512_and_si512(_mm512_srli_epi16(b1, 4), nibble);
        LIAM_UNROLL
        for (unsigned p = 0; p < panels; p++) {
            const __m512i low = table(a + p * BLOCK_BYTES), high = table(a + p * BLOCK_BYTES + 16);
            sum[2 * p] = _mm512_ternarylogic_epi64(sum[2 * p], _mm512_shuffle_epi8(low, low0),
                                                   _mm512_shuffle_epi8(high, high0), 0x96);
            sum[2 * p + 1] = _mm512_ternarylogic_epi64(sum[2 * p + 1], _mm512_shuffle_epi8(low, low1),
                                                       _mm512_shuffle_epi8(high, high1), 0x96);
        }
        a += GF2_STRIP_PANELS * BLOCK_BYTES;
        b += GF2_PANEL_BYTES;
    }
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * panels; k++) _mm512_store_si512(c + k * 64, sum[k]);
}

LIAM_INLINE void all_tiles(const gf2_tiles *job, unsigned panels) {
    for (size_t i = 0; i < job->count; i++) {
        tile(job->a + i * job->a_step, job->b + i * job->b_step, job->c + i * job->c_step, job->depth, panels,
             job->accumulate);
    }
}

static void tiles(const gf2_tiles *job) {
    switch (job->panels) {
    case 8: all_tiles(job, 8); return;
    case 4: all_tiles(job, 4); return;
    case 2: all_tiles(job, 2); return;
    default: all_tiles(job, 1); return;
    }
}

LIAM_TARGET_END

static const gf2_panel_kernels kernels = {.block_bytes = BLOCK_BYTES, .depth = DEPTH, .pack = pack, .unpack = unpack,
                                          .blocks = blocks, .column = column, .tiles = tiles, .offer = offer, .fetch = fetch};

static void multiply(const gf2_product *job) { liam_gf2_multiply_panels(&kernels, job); }

static size_t eliminate(const gf2_elimination *job) { return liam_gf2_eliminate_panels(&kernels, job); }

const gf2_kernels liam_gf2_avx512 = {.multiply = multiply, .transpose = liam_gf2_transpose_avx512,
                                     .apply = liam_gf2_apply_avx512, .eliminate = eliminate};
#endif

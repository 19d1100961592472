/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2) with AVX2. Blocks are tables as in gf2_avx512.c. A vector is two parts of 16 bytes that shuffles do not mix;
 * each part belongs to a tile of its own while rows become panels and back.
 */
#include <string.h>

#include "gf2_panels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define DEPTH 64
#define BLOCK_BYTES 32

/* Columns of two tiles, which is what one vector of a row holds. */
#define PAIR_COLUMNS (2 * GF2_TILE_COLUMNS)

/* Rows of blocks and half a tile, that the registers have room for. */
#define HALF_PANELS 4

LIAM_AVX2_BEGIN

LIAM_INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

LIAM_INLINE __m128i load_half(const void *p) { return _mm_loadu_si128((const __m128i *)p); }

LIAM_INLINE void store_half(void *p, __m128i x) { _mm_storeu_si128((__m128i *)p, x); }

/* Swaps bits of x that are `shift` apart: those in `low` with those above them. */
LIAM_INLINE __m256i swap_bits(__m256i x, int shift, uint64_t low) {
    const __m256i mask = _mm256_set1_epi64x((long long)low);
    const __m256i t = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi64(x, shift)), mask);
    return _mm256_xor_si256(x, _mm256_xor_si256(t, _mm256_slli_epi64(t, shift)));
}

/* The bits of each word as a transposed 8 x 8 block (Warren, Hacker's Delight, 7-3). */
LIAM_INLINE __m256i transpose_bits(__m256i x) {
    x = swap_bits(x, 7, UINT64_C(0x00aa00aa00aa00aa));
    x = swap_bits(x, 14, UINT64_C(0x0000cccc0000cccc));
    return swap_bits(x, 28, UINT64_C(0x00000000f0f0f0f0));
}

/* Eight rows of 256 bits. Rows past `rows` and bits past nbits are zero. */
LIAM_INLINE void load_rows(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, __m256i *x) {
    if (rows >= 8 && nbits >= PAIR_COLUMNS) {
        LIAM_UNROLL
        for (unsigned i = 0; i < 8; i++) x[i] = load(bits + i * stride);
        return;
    }
    uint64_t part[8][4] = {{0}};
    const size_t words = nbits < PAIR_COLUMNS ? words_of(nbits) : 4;
    for (size_t i = 0; i < rows && i < 8; i++) {
        memcpy(part[i], bits + i * stride, words * sizeof *bits);
        if (nbits < PAIR_COLUMNS) part[i][words - 1] &= tail_mask(nbits);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 8; i++) x[i] = load(part[i]);
}

/* Columns of eight rows, a byte each: those of columns 16 k to 16 k + 15 of either tile are the parts of x[k]. */
LIAM_INLINE void columns_of(__m256i *x) {
    __m256i t[8], u[8];
    LIAM_UNROLL
    for (unsigned i = 0; i < 4; i++) { /* bytes 0 to 7 and 8 to 15 of pairs of rows */
        t[2 * i] = _mm256_unpacklo_epi8(x[2 * i], x[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi8(x[2 * i], x[2 * i + 1]);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 2; i++) { /* four bytes each of rows 4 i to 4 i + 3 */
        u[4 * i] = _mm256_unpacklo_epi16(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm256_unpackhi_epi16(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm256_unpacklo_epi16(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm256_unpackhi_epi16(t[4 * i + 1], t[4 * i + 3]);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 4; i++) { /* two bytes each of all rows */
        x[2 * i] = transpose_bits(_mm256_unpacklo_epi32(u[i], u[4 + i]));
        x[2 * i + 1] = transpose_bits(_mm256_unpackhi_epi32(u[i], u[4 + i]));
    }
}

/* The inverse: x[i] becomes row i. */
LIAM_INLINE void rows_of(__m256i *x) {
    const __m256i pairs = _mm256_set_epi64x(0x0f070e060d050c04, 0x0b030a0209010800, 0x0f070e060d050c04, 0x0b030a0209010800);
    __m256i t[8];
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k++) x[k] = _mm256_shuffle_epi8(transpose_bits(x[k]), pairs); /* two bytes of each row */
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k += 2) { /* rows 0 to 3, rows 4 to 7 */
        t[k] = _mm256_unpacklo_epi16(x[k], x[k + 1]);
        t[k + 1] = _mm256_unpackhi_epi16(x[k], x[k + 1]);
    }
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k += 4) { /* two rows each */
        x[k] = _mm256_unpacklo_epi32(t[k], t[k + 2]);
        x[k + 1] = _mm256_unpackhi_epi32(t[k], t[k + 2]);
        x[k + 2] = _mm256_unpacklo_epi32(t[k + 1], t[k + 3]);
        x[k + 3] = _mm256_unpackhi_epi32(t[k + 1], t[k + 3]);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_epi64(x[i], x[4 + i]);
        t[2 * i + 1] = _mm256_unpackhi_epi64(x[i], x[4 + i]);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 8; i++) x[i] = t[i];
}

static void pack(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to, size_t tile_step,
                 size_t panels) {
    for (size_t j = 0; j < nbits; j += PAIR_COLUMNS) {
        uint8_t *first = to + j / GF2_TILE_COLUMNS * tile_step;
        for (size_t p = 0; p < panels; p++) {
            const size_t row = p * GF2_PANEL_ROWS;
            const size_t left = rows > row ? rows - row : 0;
            __m256i x[8];
            load_rows(left == 0 ? bits : bits + row * stride + j / 64, left, nbits - j, stride, x);
            columns_of(x);
            uint8_t *panel = first + p * GF2_PANEL_BYTES;
            LIAM_UNROLL
            for (unsigned k = 0; k < 8; k++) store_half(panel + 16 * k, _mm256_castsi256_si128(x[k]));
            if (nbits - j <= GF2_TILE_COLUMNS) continue;
            LIAM_UNROLL
            for (unsigned k = 0; k < 8; k++) store_half(panel + tile_step + 16 * k, _mm256_extracti128_si256(x[k], 1));
        }
    }
}

static void unpack(const uint8_t *from, size_t tile_step, size_t rows, size_t nbits, uint64_t *bits, size_t stride,
                   const size_t *place) {
    for (size_t j = 0; j < nbits; j += PAIR_COLUMNS) {
        const uint8_t *first = from + j / GF2_TILE_COLUMNS * tile_step;
        const size_t second = nbits - j <= GF2_TILE_COLUMNS ? 0 : tile_step; /* its own tile again if there is none */
        const size_t words = nbits - j < PAIR_COLUMNS ? words_of(nbits - j) : 4;
        for (size_t i = 0; i < rows; i += GF2_PANEL_ROWS) {
            const uint8_t *panel = first + i / GF2_PANEL_ROWS * GF2_PANEL_BYTES;
            __m256i x[8];
            LIAM_UNROLL
            for (unsigned k = 0; k < 8; k++) {
                x[k] = _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(panel + 16 * k)),
                                               load_half(panel + second + 16 * k), 1);
            }
            rows_of(x);
            for (unsigned r = 0; r < 8 && i + r < rows; r++) {
                uint64_t *to = bits + (place != NULL ? place[i + r] : i + r) * stride + j / 64;
                memcpy(to, &x[r], words * sizeof *to);
            }
        }
    }
}

/* The words of eight panels at a time, by way of rows of bytes. */
static void column(const uint8_t *from, size_t panels, uint64_t *words) {
    const __m256i pairs = _mm256_set_epi64x(0x0f070e060d050c04, 0x0b030a0209010800, 0x0f070e060d050c04, 0x0b030a0209010800);
    for (size_t p = 0; p < panels; p += 2) {
        const uint8_t *panel = from + p * GF2_PANEL_BYTES;
        __m256i x[4];
        LIAM_UNROLL
        for (unsigned k = 0; k < 4; k++) {
            const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(panel + 16 * k)),
                                                         load_half(panel + GF2_PANEL_BYTES + 16 * k), 1);
            x[k] = _mm256_shuffle_epi8(transpose_bits(both), pairs);
        }
        const __m256i a = _mm256_unpacklo_epi16(x[0], x[1]), b = _mm256_unpackhi_epi16(x[0], x[1]);
        const __m256i c = _mm256_unpacklo_epi16(x[2], x[3]), d = _mm256_unpackhi_epi16(x[2], x[3]);
        const __m256i rows[4] = {_mm256_unpacklo_epi32(a, c), _mm256_unpackhi_epi32(a, c), _mm256_unpacklo_epi32(b, d),
                                 _mm256_unpackhi_epi32(b, d)};
        LIAM_UNROLL
        for (unsigned k = 0; k < 4; k++) {
            store_half(words + p * 8 + 2 * k, _mm256_castsi256_si128(rows[k]));
            store_half(words + p * 8 + 8 + 2 * k, _mm256_extracti128_si256(rows[k], 1));
        }
    }
}

/* For column b of four, which sums of a table it is part of: a shuffle that takes the column there and zero elsewhere,
 * from bytes 0 to 3 in the first part and from bytes 4 to 7 in the second. */
LIAM_INLINE __m256i chooser(unsigned b) {
    const __m256i choice = _mm256_set_epi64x(0x0f0e0d0c0b0a0908, 0x0706050403020100, 0x0f0e0d0c0b0a0908, 0x0706050403020100);
    const __m256i bit = _mm256_set1_epi8((char)(1 << b));
    const __m256i column = _mm256_add_epi8(_mm256_set_epi64x(0x0404040404040404, 0x0404040404040404, 0, 0),
                                           _mm256_set1_epi8((char)b));
    const __m256i chosen = _mm256_cmpeq_epi8(_mm256_and_si256(choice, bit), bit);
    return _mm256_blendv_epi8(_mm256_set1_epi8((char)0x80), column, chosen);
}

static void blocks(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to) {
    const __m256i c0 = chooser(0), c1 = chooser(1), c2 = chooser(2), c3 = chooser(3);
    for (size_t j = 0; j < nbits; j += PAIR_COLUMNS) {
        const size_t depth = (nbits - j < PAIR_COLUMNS ? words_of(nbits - j) : 4) * 8;
        for (size_t p = 0; p < GF2_STRIP_PANELS; p++) {
            const size_t row = p * GF2_PANEL_ROWS;
            const size_t left = rows > row ? rows - row : 0;
            uint64_t columns[32];
            __m256i x[8];
            load_rows(left == 0 ? bits : bits + row * stride + j / 64, left, nbits - j, stride, x);
            columns_of(x);
            LIAM_UNROLL
            for (unsigned k = 0; k < 8; k++) {
                store_half(columns + 2 * k, _mm256_castsi256_si128(x[k]));
                store_half(columns + 16 + 2 * k, _mm256_extracti128_si256(x[k], 1));
            }
            for (size_t d = 0; d < depth; d++) {
                const __m256i block = _mm256_set1_epi64x((long long)columns[d]);
                const __m256i low = _mm256_xor_si256(_mm256_shuffle_epi8(block, c0), _mm256_shuffle_epi8(block, c1));
                const __m256i high = _mm256_xor_si256(_mm256_shuffle_epi8(block, c2), _mm256_shuffle_epi8(block, c3));
                uint8_t *at = to + ((j / 8 + d) * GF2_STRIP_PANELS + p) * BLOCK_BYTES;
                _mm256_store_si256((__m256i *)(void *)at, _mm256_xor_si256(low, high));
            }
        }
    }
}

static void fetch(const uint64_t *bits, size_t rows, size_t words, size_t stride) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t w = 0; w < words; w += 8) _mm_prefetch((const char *)(bits + i * stride + w), _MM_HINT_T1);
    }
}

LIAM_INLINE __m256i table(const uint8_t *at) { return _mm256_broadcastsi128_si256(load_half(at)); }

/* Up to half a strip of half a tile. */
LIAM_INLINE void tile(const uint8_t *a, const uint8_t *b, uint8_t *c, size_t depth, unsigned panels, int accumulate) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i sum[2 * HALF_PANELS];
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * panels; k++) {
        sum[k] = accumulate ? load(c + k / 2 * GF2_PANEL_BYTES + k % 2 * 32) : _mm256_setzero_si256();
    }
    for (size_t d = 0; d < depth; d++) {
        const __m256i b0 = load(b), b1 = load(b + 32);
        const __m256i low0 = _mm256_and_si256(b0, nibble), low1 = _mm256_and_si256(b1, nibble);
        const __m256i high0 = _mm256_and_si256(_mm256_srli_epi16(b0, 4), nibble);
        const __m256i high1 = _mm256_and_si256(_mm256_srli_epi16(b1, 4), nibble);
        LIAM_UNROLL
        for (unsigned p = 0; p < panels; p++) {
            const __m256i low = table(a + p * BLOCK_BYTES), high = table(a + p * BLOCK_BYTES + 16);
            sum[2 * p] = _mm256_xor_si256(sum[2 * p], _mm256_shuffle_epi8(low, low0));
            sum[2 * p + 1] = _mm256_xor_si256(sum[2 * p + 1], _mm256_shuffle_epi8(low, low1));
            sum[2 * p] = _mm256_xor_si256(sum[2 * p], _mm256_shuffle_epi8(high, high0));
            sum[2 * p + 1] = _mm256_xor_si256(sum[2 * p + 1], _mm256_shuffle_epi8(high, high1));
        }
        a += GF2_STRIP_PANELS * BLOCK_BYTES;
        b += GF2_PANEL_BYTES;
    }
    LIAM_UNROLL
    for (unsigned k = 0; k < 2 * panels; k++) {
        _mm256_storeu_si256((__m256i *)(void *)(c + k / 2 * GF2_PANEL_BYTES + k % 2 * 32), sum[k]);
    }
}

LIAM_INLINE void all_tiles(const gf2_tiles *job, unsigned panels) {
    for (size_t i = 0; i < job->count; i++) {
        const uint8_t *a = job->a + i * job->a_step, *b = job->b + i * job->b_step;
        uint8_t *c = job->c + i * job->c_step;
        for (size_t half = 0; half < GF2_PANEL_BYTES; half += GF2_PANEL_BYTES / 2) {
            for (size_t p = 0; p < job->panels; p += panels) {
                tile(a + p * BLOCK_BYTES, b + half, c + p * GF2_PANEL_BYTES + half, job->depth, panels, job->accumulate);
            }
        }
    }
}

static void tiles(const gf2_tiles *job) {
    switch (job->panels) {
    case 8:
    case 4: all_tiles(job, HALF_PANELS); return;
    case 2: all_tiles(job, 2); return;
    default: all_tiles(job, 1); return;
    }
}

LIAM_TARGET_END

static const gf2_panel_kernels kernels = {.block_bytes = BLOCK_BYTES, .depth = DEPTH, .pack = pack, .unpack = unpack,
                                          .blocks = blocks, .column = column, .tiles = tiles, .offer = gf2_basis_offer, .fetch = fetch};

static void multiply(const gf2_product *job) { liam_gf2_multiply_panels(&kernels, job); }

static size_t eliminate(const gf2_elimination *job) { return liam_gf2_eliminate_panels(&kernels, job); }

const gf2_kernels liam_gf2_avx2 = {.multiply = multiply, .transpose = liam_gf2_transpose_avx2,
                                   .apply = liam_gf2_apply_avx2, .eliminate = eliminate};
#endif

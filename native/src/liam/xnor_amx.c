/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products of batches in the tile unit (AMX-INT8), which multiplies 1,024 pairs of bytes in a cycle where
 * xor, popcount and add count 341 pairs of bits. Bits become bytes +1 and -1 (and 0 past the end of a row), so that the
 * 32-bit sums of a tile are the inner products themselves.
 *
 * Spreading bits costs about as much as one multiplication of tiles. So a block of weights is spread once and stays in the
 * second-level cache while all rows pass by, 32 at a time.
 */
#include "xnor_finish_avx512.h"

#if LIAM_TILES

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

/* The intrinsics of tiles do not say that they read and write memory. */
#define MEMORY_BARRIER() __asm__ volatile("" ::: "memory")

static size_t panels_of(const xnor_job *job) { return (job->n + LIAM_PANEL - 1) / LIAM_PANEL; }

LIAM_AMX_BEGIN

/* Spreads 16 rows of activations: word w of row r becomes row r of tile w. */
static void spread_rows(const uint64_t *a, size_t a_stride, size_t words, uint8_t *tiles) {
    const __m512i one = _mm512_set1_epi8(1), minus_one = _mm512_set1_epi8(-1);
    for (size_t w = 0; w < words; w++, tiles += TILE_BYTES) {
        LIAM_UNROLL
        for (size_t r = 0; r < 16; r++) {
            _mm512_store_si512(tiles + 64 * r, _mm512_mask_blend_epi8(a[r * a_stride + w], minus_one, one));
        }
    }
}

/* Spreads a panel of weights: bits 4 q to 4 q + 3 of word w of column c become bytes 4 c to 4 c + 3 of row q of tile w, the
 * order in which the second operand of a multiplication is read. */
static void spread_panel(const uint64_t *panel, size_t nbits, uint8_t *tiles) {
    const __m512i one = _mm512_set1_epi8(1), minus_one = _mm512_set1_epi8(-1);
    const __m512i low_halves = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i high_halves = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i first_bytes = _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0));
    const size_t words = words_of(nbits);
    for (size_t w = 0; w < words; w++, panel += LIAM_PANEL, tiles += TILE_BYTES) {
        const __m512i left = _mm512_load_si512(panel), right = _mm512_load_si512(panel + 8);
        const __m512i half[2] = {_mm512_permutex2var_epi32(left, low_halves, right),
                                 _mm512_permutex2var_epi32(left, high_halves, right)};
        const uint64_t valid = w + 1 < words ? UINT64_MAX : tail_mask(nbits);
        LIAM_UNROLL
        for (int q = 0; q < 16; q++) {
            const __m512i byte = _mm512_add_epi8(first_bytes, _mm512_set1_epi8((char)(q % 8 / 2)));
            const __m512i bit = _mm512_set1_epi32(q % 2 ? (int)0x80402010 : 0x08040201);
            const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(half[q / 8], byte), bit);
            const __mmask64 lanes = (valid >> (4 * q) & 15) * UINT64_C(0x1111111111111111);
            _mm512_store_si512(tiles + 64 * q,
                               _mm512_maskz_mov_epi8(lanes, _mm512_mask_blend_epi8(set, minus_one, one)));
        }
    }
}

/* Rows i to i + 32 and panel p, and the next one too if there are two. `two` is a constant where this is inlined. */
LIAM_INLINE void multiply(const xnor_job *job, epilogue kind, size_t i, size_t p, const uint8_t *a, const uint8_t *b,
                          int two) {
    const size_t words = words_of(job->nbits), tiles = words * TILE_BYTES;
    _Alignas(64) int32_t sums[4][LIAM_PANEL * LIAM_PANEL];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t w = 0; w < words; w++, a += TILE_BYTES, b += TILE_BYTES) {
        _tile_loadd(4, a, 64);
        _tile_loadd(5, a + tiles, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 5, 6);
        if (two) {
            _tile_loadd(7, b + tiles, 64);
            _tile_dpbssd(2, 4, 7);
            _tile_dpbssd(3, 5, 7);
        }
    }
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    _tile_stored(2, sums[2], 64);
    _tile_stored(3, sums[3], 64);
    MEMORY_BARRIER();
    for (size_t r = 0; r < TILE_BLOCK_ROWS; r++) {
        const int32_t *row = sums[r / 16] + r % 16 * 16;
        finish(job, kind, i + r, p, _mm512_load_si512(row));
        if (two) finish(job, kind, i + r, p + 1, _mm512_load_si512(row + 2 * LIAM_PANEL * LIAM_PANEL));
    }
}

/* All rows, which are a multiple of 32. */
LIAM_INLINE void product(const xnor_job *job, epilogue kind) {
    const size_t words = words_of(job->nbits), tiles = words * TILE_BYTES, panels = panels_of(job);
    const size_t most = tile_block_panels(panels, words);
    uint8_t *rows = job->workspace, *columns = rows + 2 * tiles;

    if (kind == TO_BITS) clear_last_words(job);
    _tile_loadconfig(&eight_tiles);
    for (size_t first = 0; first < panels; first += most) {
        const size_t count = panels - first < most ? panels - first : most;
        for (size_t p = 0; p < count; p++) {
            spread_panel(job->panels + (first + p) * words * LIAM_PANEL, job->nbits, columns + p * tiles);
        }
        for (size_t i = 0; i < job->m; i += TILE_BLOCK_ROWS) {
            spread_rows(job->a + i * job->a_stride, job->a_stride, words, rows);
            spread_rows(job->a + (i + LIAM_PANEL) * job->a_stride, job->a_stride, words, rows + tiles);
            MEMORY_BARRIER();
            size_t p = 0;
            for (; p + 2 <= count; p += 2) multiply(job, kind, i, first + p, rows, columns + p * tiles, 1);
            if (p < count) multiply(job, kind, i, first + p, rows, columns + p * tiles, 0);
        }
    }
    _tile_release();
}

/* Whole blocks of rows here, and what is left, or all where nothing is given to work in, with vectors. */
LIAM_INLINE void divided(const xnor_job *job, epilogue kind, xnor_fn *vectors, size_t element_bytes) {
    xnor_job batch = *job, rest = *job;
    batch.m = job->workspace == NULL || words_of(job->nbits) > TILE_MAX_WORDS ? 0 : job->m / TILE_BLOCK_ROWS * TILE_BLOCK_ROWS;
    if (batch.m > 0) product(&batch, kind);
    rest.m -= batch.m;
    rest.a += batch.m * job->a_stride;
    rest.out = (char *)job->out + batch.m * job->out_stride * element_bytes;
    if (rest.m > 0) vectors(&rest);
}

static void to_dot(const xnor_job *job) { divided(job, TO_DOT, liam_xnor_avx512.dot, sizeof(int32_t)); }

static void to_threshold(const xnor_job *job) {
    divided(job, TO_BITS, liam_xnor_avx512.threshold, sizeof(uint64_t));
}

static void to_scale(const xnor_job *job) { divided(job, TO_SCORE, liam_xnor_avx512.scale, sizeof(float)); }

LIAM_TARGET_END

const xnor_kernels liam_xnor_amx = {.dot = to_dot, .threshold = to_threshold, .scale = to_scale};
#endif

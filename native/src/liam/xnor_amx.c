/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products of batches in the tile unit (AMX-INT8), which multiplies 1,024 pairs of bytes in a cycle where
 * xor, popcount and add count 341 pairs of bits.
 *
 * A byte of weights holds bits of two columns, so that two tiles do for three panels. Bits of activations become bytes
 * +2 and -2; x, y and z, the bits of three columns, become x + 128 y and y + 128 z. The tile unit then adds up
 *
 *     low = X + 128 Y    and    high = Y + 128 Z
 *
 * where X is the sum for the first column. Less the sum of the row's +1 and -1, X, Y and Z are the inner products
 * themselves, since 2 x - 1 is the weight. 128 high - low is 16,384 Z - X, from which Z is read off by rounding, as long
 * as rows have fewer than 8,192 bits; Y and X follow. All of it is exact in 32 bits.
 *
 * A block of weights is spread once and stays in the second-level cache while all rows pass by, 32 at a time, in
 * stretches of 512 bits that stay in the first: loading both operands of a multiplication from the second level takes
 * longer than to multiply. Sums wait in memory from one stretch to the next.
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

/* The sums of 32 rows and a three of panels. */
typedef struct tile_sums {
    int32_t low[TILE_PAIR_ROWS][LIAM_PANEL], high[TILE_PAIR_ROWS][LIAM_PANEL];
} tile_sums;

/* A block of weights, and the 32 rows that pass by. */
typedef struct tile_block {
    const xnor_job *job;
    size_t first, panels, threes;     /* the first panel, and how many */
    size_t i;                         /* the first row */
    uint8_t *rows, *columns;          /* spread: a stretch of the rows, all stretches of the weights */
    tile_sums *sums;                  /* of each three */
    int32_t row_sums[TILE_PAIR_ROWS]; /* of the rows' +1 and -1 */
} tile_block;

/* Words w to w + count of all rows; `end` is whether these are the last ones. */
typedef struct tile_stretch {
    size_t w, count;
    int end;
} tile_stretch;

static tile_stretch stretch_at(size_t w, size_t words) {
    const int end = words - w <= TILE_STRETCH_WORDS;
    return (tile_stretch){.w = w, .count = end ? words - w : TILE_STRETCH_WORDS, .end = end};
}

/* Where the stretch of three t is. */
static uint8_t *columns_at(const tile_block *block, tile_stretch s, size_t t) {
    return block->columns + (s.w * block->threes + s.count * t) * TILE_PAIR_BYTES;
}

/* The intrinsics of tiles do not say that they read and write memory. */
#define MEMORY_BARRIER() __asm__ volatile("" ::: "memory")

LIAM_AMX_BEGIN

/* Adds up the +1 and -1 of a stretch. */
static void add_row_sums(tile_block *block, tile_stretch s) {
    const xnor_job *job = block->job;
    const uint64_t valid = s.end ? tail_mask(job->nbits) : UINT64_MAX;
    const int32_t nbits = (int32_t)(s.end ? job->nbits - 64 * s.w : 64 * s.count);
    for (size_t r = 0; r < TILE_PAIR_ROWS; r++) {
        const uint64_t *row = job->a + (block->i + r) * job->a_stride + s.w;
        int32_t ones = (int32_t)_mm_popcnt_u64(row[s.count - 1] & valid);
        for (size_t w = 0; w + 1 < s.count; w++) ones += (int32_t)_mm_popcnt_u64(row[w]);
        block->row_sums[r] = (s.w == 0 ? 0 : block->row_sums[r]) + 2 * ones - nbits;
    }
}

/* Spreads a stretch of the rows: word w of row r becomes row r of the w-th pair of tiles. Bits past the end meet
 * weights of zero. */
static void spread_rows(const tile_block *block, tile_stretch s) {
    const __m512i two = _mm512_set1_epi8(2), minus_two = _mm512_set1_epi8(-2);
    const size_t stride = block->job->a_stride;
    const uint64_t *a = block->job->a + block->i * stride + s.w;
    uint8_t *to = block->rows;
    for (size_t w = 0; w < s.count; w++) {
        for (size_t r = 0; r < TILE_PAIR_ROWS; r++, to += 64) {
            _mm512_store_si512(to, _mm512_mask_blend_epi8(a[r * stride + w], minus_two, two));
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

/* Spreads a stretch of three t: of word w, bits 4 q to 4 q + 3 of columns c of the panels become bytes 4 c to 4 c + 3
 * of row q of the w-th pair of tiles, the order in which the second operand of a multiplication is read. */
static void spread_columns(const tile_block *block, tile_stretch s, size_t t) {
    const __m512i first_bits = _mm512_set1_epi64(0x2322212003020100); /* of the halves of two columns */
    const __m512i one = _mm512_set1_epi8(1), top = _mm512_set1_epi8((char)128);
    const size_t panel_words = words_of(block->job->nbits) * LIAM_PANEL, p = t * TILE_PANELS;
    const uint64_t *panel = block->job->panels + (block->first + p) * panel_words + s.w * LIAM_PANEL;
    uint8_t *tiles = columns_at(block, s, t);
    for (size_t w = 0; w < s.count; w++, panel += LIAM_PANEL, tiles += TILE_PAIR_BYTES) {
        __m512i half[2][TILE_PANELS];
        load_halves(panel, panel_words, block->panels - p, half);
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

/* Adds a stretch's products of the rows and three t to their sums, or begins with them. */
static void multiply(const tile_block *block, tile_stretch s, size_t t) {
    tile_sums *sums = &block->sums[t];
    const uint8_t *rows = block->rows, *columns = columns_at(block, s, t);
    if (s.w == 0) {
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
    for (size_t w = 0; w < s.count; w++, rows += TILE_PAIR_BYTES, columns += TILE_PAIR_BYTES) {
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

/* The complete sums of three t become results. */
LIAM_INLINE void finish_as(const tile_block *block, epilogue kind, size_t t) {
    const size_t p = t * TILE_PANELS, panels = block->panels - p, panel = block->first + p;
    const tile_sums *sums = &block->sums[t];
    for (size_t r = 0; r < TILE_PAIR_ROWS; r++) {
        const __m512i row_sum = _mm512_set1_epi32(129 * block->row_sums[r]);
        const __m512i low = _mm512_sub_epi32(_mm512_load_si512(sums->low[r]), row_sum);
        const __m512i high = _mm512_sub_epi32(_mm512_load_si512(sums->high[r]), row_sum);
        const __m512i apart = _mm512_sub_epi32(_mm512_slli_epi32(high, 7), low); /* 16,384 z - x */
        const __m512i z = _mm512_srai_epi32(_mm512_add_epi32(apart, _mm512_set1_epi32(1 << 13)), 14);
        const __m512i y = _mm512_sub_epi32(high, _mm512_slli_epi32(z, 7));
        const __m512i x = _mm512_sub_epi32(low, _mm512_slli_epi32(y, 7));
        finish(block->job, kind, block->i + r, panel, x);
        if (panels > 1) finish(block->job, kind, block->i + r, panel + 1, y);
        if (panels > 2) finish(block->job, kind, block->i + r, panel + 2, z);
    }
}

/* Apart from the tiles, so that the registers of both are their own. */
static void finish_three(const tile_block *block, epilogue kind, size_t t) {
    switch (kind) {
    case TO_DOT: finish_as(block, TO_DOT, t); return;
    case TO_BITS: finish_as(block, TO_BITS, t); return;
    case TO_SCORE: finish_as(block, TO_SCORE, t); return;
    }
}

static void spread_block(const tile_block *block, size_t words) {
    for (size_t w = 0; w < words; w += TILE_STRETCH_WORDS) {
        for (size_t t = 0; t < block->threes; t++) spread_columns(block, stretch_at(w, words), t);
    }
}

/* 32 rows and a block of weights. */
static void multiply_block(tile_block *block, epilogue kind, size_t words) {
    for (size_t w = 0; w < words; w += TILE_STRETCH_WORDS) {
        const tile_stretch s = stretch_at(w, words);
        add_row_sums(block, s);
        spread_rows(block, s);
        MEMORY_BARRIER();
        for (size_t t = 0; t < block->threes; t++) {
            multiply(block, s, t);
            if (s.end) finish_three(block, kind, t);
        }
    }
}

/* All rows, which are a multiple of 32. */
static void product(const xnor_job *job, epilogue kind) {
    const size_t words = words_of(job->nbits), panels = (job->n + LIAM_PANEL - 1) / LIAM_PANEL;
    const size_t threes = tile_block_threes(panels, words), most = threes * TILE_PANELS;
    tile_block block = {.job = job, .rows = job->workspace};
    block.sums = (tile_sums *)(void *)(block.rows + tile_stretch_bytes(words));
    block.columns = (uint8_t *)(block.sums + threes);

    if (kind == TO_BITS) clear_last_words(job);
    _tile_loadconfig(&eight_tiles);
    for (; block.first < panels; block.first += block.panels) {
        block.panels = panels - block.first < most ? panels - block.first : most;
        block.threes = tile_threes(block.panels);
        spread_block(&block, words);
        for (block.i = 0; block.i < job->m; block.i += TILE_PAIR_ROWS) multiply_block(&block, kind, words);
    }
    _tile_release();
}

/* Whole blocks of rows here, and what is left, or all where nothing is given to work in, with vectors. */
static void divided(const xnor_job *job, epilogue kind, xnor_fn *vectors, size_t element_bytes) {
    xnor_job batch = *job, rest = *job;
    const int fits = job->workspace != NULL && words_of(job->nbits) <= TILE_MAX_WORDS;
    batch.m = fits ? job->m / TILE_PAIR_ROWS * TILE_PAIR_ROWS : 0;
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

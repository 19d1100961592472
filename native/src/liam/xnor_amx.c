/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products of batches in the tile unit.
 *
 * A block of weights is spread once and stays in the second-level cache while all rows pass by, 32 at a time, in
 * stretches of 512 bits that stay in the first: loading both operands of a multiplication from the second level takes
 * longer than to multiply. Sums wait in memory from one stretch to the next.
 */
#include "tile_amx.h"
#include "xnor_finish_avx512.h"

#if LIAM_TILES

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

LIAM_AMX_BEGIN

/* Adds up the +1 and -1 of a stretch. */
static void add_row_sums(tile_block *block, tile_stretch s) {
    const xnor_job *job = block->job;
    const uint64_t valid = s.end ? tail_mask(job->nbits) : UINT64_MAX;
    const int32_t nbits = (int32_t)(s.end ? job->nbits - 64 * s.w : 64 * s.count);
    for (size_t r = 0; r < TILE_PAIR_ROWS; r++) {
        const uint64_t *row = job->a + (block->i + r) * job->a_stride + s.w;
        block->row_sums[r] = (s.w == 0 ? 0 : block->row_sums[r]) + sum_of_signs(row, s.count, nbits, valid);
    }
}

/* The complete sums of three t become results. */
LIAM_INLINE void finish_as(const tile_block *block, epilogue kind, size_t t) {
    const size_t p = t * TILE_PANELS, panels = block->panels - p, panel = block->first + p;
    const tile_sums *sums = &block->sums[t];
    for (size_t r = 0; r < TILE_PAIR_ROWS; r++) {
        __m512i x, y, z;
        inner_products(sums, r, block->row_sums[r], &x, &y, &z);
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
    const size_t panel_words = words * LIAM_PANEL;
    for (size_t w = 0; w < words; w += TILE_STRETCH_WORDS) {
        const tile_stretch s = stretch_at(w, words);
        for (size_t t = 0; t < block->threes; t++) {
            const size_t p = t * TILE_PANELS;
            const uint64_t *panel = block->job->panels + (block->first + p) * panel_words + w * LIAM_PANEL;
            spread_columns(panel, panel_words, block->panels - p, s.count, columns_at(block, s, t));
        }
    }
}

/* 32 rows and a block of weights. */
static void multiply_block(tile_block *block, epilogue kind, size_t words) {
    const xnor_job *job = block->job;
    for (size_t w = 0; w < words; w += TILE_STRETCH_WORDS) {
        const tile_stretch s = stretch_at(w, words);
        add_row_sums(block, s);
        spread_rows(job->a + block->i * job->a_stride + w, job->a_stride, TILE_PAIR_ROWS, s.count, block->rows);
        MEMORY_BARRIER();
        for (size_t t = 0; t < block->threes; t++) {
            multiply_tiles(block->rows, columns_at(block, s, t), s.count, w == 0, &block->sums[t]);
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

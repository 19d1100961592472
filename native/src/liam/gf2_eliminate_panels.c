/* SPDX-License-Identifier: Apache-2.0
 *
 * Gauss-Jordan elimination in byte panels, 64 columns at a time.
 *
 * The words of 64 columns give pivots by themselves: the rows that have given none so far are offered to a basis. Its
 * members, as whole rows, are sums of the rows the pivots came from, so they are products of 64 x 64 bits with the
 * strips of those rows. Put at the row of its pivot column, member c clears that column from a row by being added where
 * the row's word has bit c: the word, kept to pivot columns, is the row's factor, and one product of depth 8 updates the
 * whole matrix. A row that gave pivot c is the sum of the members that its own word tells, so it would become zero: its
 * factor has bit c turned over, and it becomes member c. Rows stay where they are until the end.
 *
 * A tile where all members are zero is left out, which spares most of an identity on the right side, and so is a strip
 * whose factors are zero.
 */
#include <string.h>

#include "gf2_space.h"

typedef struct elimination {
    const gf2_panel_kernels *kernels;
    size_t rows;
    size_t rank;
    int rank_only;
    gf2_elimination_space space;
    size_t tile_step;
    size_t blocks_step;
    uint8_t *matrix;
    uint8_t *reduced; /* the members of the basis as whole rows: one strip of each tile */
    uint8_t *blocks;
    uint64_t *words; /* of 64 columns, then factors */
    size_t *place;
    uint8_t *used;
    int64_t *pivots;
    gf2_basis basis;
} elimination;

/* The first right_bits columns of the identity as panels of zeroed memory. */
static void put_identity(const elimination *e, uint8_t *to, size_t columns) {
    memset(to, 0, ceil_div(columns, GF2_TILE_COLUMNS) * e->tile_step);
    for (size_t i = 0; i < e->rows && i < columns; i++) {
        to[i / GF2_TILE_COLUMNS * e->tile_step + i / GF2_PANEL_ROWS * GF2_PANEL_BYTES + i % GF2_TILE_COLUMNS] =
            (uint8_t)(1u << i % GF2_PANEL_ROWS);
    }
}

static void load(elimination *e, const gf2_elimination *job) {
    const size_t panels = e->space.strips * GF2_STRIP_PANELS;
    uint8_t *right = e->matrix + e->space.left_tiles * e->tile_step;
    e->kernels->pack(job->left, job->m, job->left_bits, job->left_stride, e->matrix, e->tile_step, panels);
    if (job->right != NULL) {
        e->kernels->pack(job->right, job->m, job->right_bits, job->right_stride, right, e->tile_step, panels);
    } else {
        put_identity(e, right, job->right_bits);
    }
    memset(e->used, 0, e->rows);
}

/* Fills the basis from the words of the rows that have given no pivot. */
static void find_pivots(elimination *e) {
    gf2_basis *basis = &e->basis;
    const size_t wanted = e->rows - e->rank < 64 ? e->rows - e->rank : 64;
    gf2_basis_clear(basis);
    for (size_t i = 0; i < e->rows && basis->count < wanted; i++) {
        if (!e->used[i] && e->words[i] != 0) e->kernels->offer(basis, e->words[i], i);
    }
}

/* Adds to e->reduced what the rows of one strip, those of pivots first to last, are of the basis's members. */
static void add_strip(elimination *e, size_t first, size_t last, size_t first_tile, int accumulate) {
    const gf2_basis *basis = &e->basis;
    const size_t strip = basis->row[first] / GF2_STRIP_ROWS;
    uint64_t factors[64] = {0}; /* of member c, at c: which rows of the strip to add */
    for (size_t from = first; from < last;) { /* runs of consecutive rows */
        size_t to = from + 1;
        while (to < last && basis->row[to] == basis->row[to - 1] + 1) to++;
        for (size_t k = 0; k < basis->count; k++) {
            factors[basis->column[k]] |= (basis->sum[k] >> from & low_bits(to - from)) << basis->row[from] % 64;
        }
        from = to;
    }
    e->kernels->blocks(factors, GF2_STRIP_ROWS, 64, 1, e->blocks);
    const gf2_tiles tiles = {.a = e->blocks,
                             .b = e->matrix + first_tile * e->tile_step + strip * GF2_STRIP_BYTES,
                             .b_step = e->tile_step,
                             .c = e->reduced + first_tile * GF2_STRIP_BYTES,
                             .c_step = GF2_STRIP_BYTES,
                             .count = e->space.tiles - first_tile,
                             .depth = 8,
                             .panels = GF2_STRIP_PANELS,
                             .accumulate = accumulate};
    e->kernels->tiles(&tiles);
}

/* The members of the basis as whole rows, from first_tile on. */
static void reduce_pivot_rows(elimination *e, size_t first_tile) {
    const gf2_basis *basis = &e->basis;
    for (size_t first = 0; first < basis->count;) {
        size_t last = first + 1;
        const size_t strip = basis->row[first] / GF2_STRIP_ROWS;
        while (last < basis->count && basis->row[last] / GF2_STRIP_ROWS == strip) last++;
        add_strip(e, first, last, first_tile, first != 0);
        first = last;
    }
}

/* Turns words into factors. */
static void find_factors(elimination *e) {
    const gf2_basis *basis = &e->basis;
    for (size_t i = 0; i < e->rows; i++) e->words[i] &= basis->pivots;
    if (e->rank_only) { /* rows that gave a pivot are not needed any more */
        for (size_t i = 0; i < e->rows; i++) e->words[i] &= (uint64_t)e->used[i] - 1;
        for (size_t k = 0; k < basis->count; k++) e->words[basis->row[k]] = 0;
    } else {
        for (size_t k = 0; k < basis->count; k++) e->words[basis->row[k]] ^= UINT64_C(1) << basis->column[k];
    }
}

/* Whether any of the `count` words is not zero. */
static int any(const void *words, size_t count) {
    const uint64_t *word = words;
    uint64_t seen = 0;
    for (size_t i = 0; i < count; i++) seen |= word[i];
    return seen != 0;
}

/* Adds factors times reduced to strips first to last of every tile from first_tile on. */
static void update_strips(elimination *e, size_t first, size_t last, size_t first_tile) {
    for (size_t i = first; i < last; i++) {
        e->kernels->blocks(e->words + i * GF2_STRIP_ROWS, GF2_STRIP_ROWS, 64, 1, e->blocks + i * e->blocks_step);
    }
    for (size_t j = first_tile; j < e->space.tiles; j++) {
        const uint8_t *reduced = e->reduced + j * GF2_STRIP_BYTES;
        if (!any(reduced, GF2_STRIP_BYTES / sizeof(uint64_t))) continue;
        const gf2_tiles tiles = {.a = e->blocks + first * e->blocks_step,
                                 .a_step = e->blocks_step,
                                 .b = reduced,
                                 .c = e->matrix + j * e->tile_step + first * GF2_STRIP_BYTES,
                                 .c_step = GF2_STRIP_BYTES,
                                 .count = last - first,
                                 .depth = 8,
                                 .panels = GF2_STRIP_PANELS,
                                 .accumulate = 1};
        e->kernels->tiles(&tiles);
    }
}

static void update(elimination *e, size_t first_tile) {
    for (size_t first = 0; first < e->space.strips;) {
        if (!any(e->words + first * GF2_STRIP_ROWS, GF2_STRIP_ROWS)) {
            first++;
            continue;
        }
        size_t last = first + 1;
        while (last < e->space.strips && any(e->words + last * GF2_STRIP_ROWS, GF2_STRIP_ROWS)) last++;
        update_strips(e, first, last, first_tile);
        first = last;
    }
}

/* Numbers the rows that gave pivots, in the order of the pivot columns. `columns` is the number of the first column. */
static void note_pivots(elimination *e, size_t columns) {
    const gf2_basis *basis = &e->basis;
    size_t row_of[64];
    for (size_t k = 0; k < basis->count; k++) row_of[basis->column[k]] = basis->row[k];
    for (unsigned c = 0; c < 64; c++) {
        if ((basis->pivots >> c & 1) == 0) continue;
        if (e->pivots != NULL) e->pivots[e->rank] = (int64_t)(columns + c);
        e->used[row_of[c]] = 1;
        e->place[row_of[c]] = e->rank++;
    }
}

static void store(elimination *e, const gf2_elimination *job) {
    size_t next = e->rank;
    for (size_t i = 0; i < e->rows; i++) {
        if (!e->used[i]) e->place[i] = next++;
    }
    if (job->left_out != NULL) {
        e->kernels->unpack(e->matrix, e->tile_step, e->rows, job->left_bits, job->left_out, job->left_out_stride,
                           e->place);
    }
    if (job->right_out != NULL) {
        e->kernels->unpack(e->matrix + e->space.left_tiles * e->tile_step, e->tile_step, e->rows, job->right_bits,
                           job->right_out, job->right_out_stride, e->place);
    }
}

size_t liam_gf2_eliminate_panels(const gf2_panel_kernels *kernels, const gf2_elimination *job) {
    elimination e = {.kernels = kernels, .rows = job->m, .pivots = job->pivots,
                     .rank_only = job->left_out == NULL && job->right_out == NULL};
    if (!gf2_elimination_space_of(job->m, job->left_bits, job->right_bits, &e.space)) return 0;
    e.tile_step = e.space.strips * GF2_STRIP_BYTES;
    e.blocks_step = 8 * GF2_STRIP_PANELS * kernels->block_bytes;
    e.matrix = job->workspace;
    e.reduced = e.matrix + e.space.reduced;
    e.blocks = e.matrix + e.space.blocks;
    e.words = (uint64_t *)(void *)(e.matrix + e.space.words);
    e.place = (size_t *)(void *)(e.matrix + e.space.place);
    e.used = e.matrix + e.space.used;
    load(&e, job);
    for (size_t word = 0; word < words_of(job->left_bits) && e.rank < e.rows; word++) {
        kernels->column(e.matrix + word / 2 * e.tile_step + word % 2 * 64, e.space.strips * GF2_STRIP_PANELS, e.words);
        find_pivots(&e);
        if (e.basis.count == 0) continue;
        /* all members are zero before these columns, which themselves are not needed again for the rank alone */
        const size_t first_tile = (word + (size_t)e.rank_only) / 2;
        reduce_pivot_rows(&e, first_tile);
        find_factors(&e);
        update(&e, first_tile);
        note_pivots(&e, word * 64);
    }
    store(&e, job);
    return e.rank;
}

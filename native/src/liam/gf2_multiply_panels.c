/* SPDX-License-Identifier: Apache-2.0
 *
 * The product in byte panels, a group of b's columns after the other. The columns become panels once. Then strips of a,
 * a group at a time, become blocks: depth by depth, each tile of b, which stays in the first cache, is multiplied with
 * all strips of the group, whose sums stay in the second. At last the group's sums become rows.
 */
#include "gf2_space.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Panels of a strip with `rows` rows, as kernels want them: 1, 2, 4 or 8. */
static unsigned panels_for(size_t rows) {
    unsigned panels = 1;
    while (panels * GF2_PANEL_ROWS < rows && panels < GF2_STRIP_PANELS) panels *= 2;
    return panels;
}

typedef struct product {
    const gf2_panel_kernels *kernels;
    const gf2_product *job;
    gf2_product_space space;
    size_t blocks_step;
    uint8_t *panels;
    uint8_t *blocks;
    uint8_t *sums;
} product;

/* A part of the rows that a conversion is about to touch. */
typedef struct rows_ahead {
    const uint64_t *bits;
    size_t rows;
    size_t words;
    size_t stride;
} rows_ahead;

/* Asks for share j of count of the rows. */
static void fetch(const gf2_panel_kernels *kernels, const rows_ahead *ahead, size_t j, size_t count) {
    const size_t from = ahead->rows * j / count, to = ahead->rows * (j + 1) / count;
    kernels->fetch(ahead->bits + from * ahead->stride, to - from, ahead->words, ahead->stride);
}

/* Rows first to first + rows, at most a group of strips, of the columns that are panels. Tiles compute much and read
 * little, so meanwhile the rows of the next conversions are fetched. */
static void multiply_group(const product *p, size_t first, size_t rows, size_t column, size_t columns) {
    const gf2_panel_kernels *kernels = p->kernels;
    const gf2_product *job = p->job;
    const size_t strips = ceil_div(rows, GF2_STRIP_ROWS), tile_count = ceil_div(columns, GF2_TILE_COLUMNS);
    const uint64_t *a = job->a + first * job->a_stride;
    uint64_t *out = job->out + first * job->out_stride + column / 64;
    const rows_ahead a_ahead = {.bits = a + (first + rows < job->m ? rows * job->a_stride : 0),
                                .rows = smaller(rows, job->m - first - rows),
                                .words = words_of(job->k),
                                .stride = job->a_stride};
    const rows_ahead out_ahead = {.bits = out, .rows = rows, .words = words_of(columns), .stride = job->out_stride};
    gf2_tiles tiles = {.a_step = p->blocks_step, .c_step = GF2_STRIP_BYTES, .count = strips,
                       .panels = panels_for(rows)};
    for (size_t i = 0; i < strips; i++) {
        kernels->blocks(a + i * GF2_STRIP_ROWS * job->a_stride, smaller(GF2_STRIP_ROWS, rows - i * GF2_STRIP_ROWS),
                        job->k, job->a_stride, p->blocks + i * p->blocks_step);
    }
    for (size_t d = 0; d < p->space.depth; d += kernels->depth) {
        tiles.a = p->blocks + d * GF2_STRIP_PANELS * kernels->block_bytes;
        tiles.depth = smaller(kernels->depth, p->space.depth - d);
        tiles.accumulate = d != 0;
        for (size_t j = 0; j < tile_count; j++) {
            if (d + kernels->depth >= p->space.depth) {
                fetch(kernels, &a_ahead, j, tile_count);
                fetch(kernels, &out_ahead, j, tile_count);
            }
            tiles.b = p->panels + (j * p->space.depth + d) * GF2_PANEL_BYTES;
            tiles.c = p->sums + j * strips * GF2_STRIP_BYTES;
            kernels->tiles(&tiles);
        }
    }
    kernels->unpack(p->sums, strips * GF2_STRIP_BYTES, rows, columns, out, job->out_stride, NULL);
}

void liam_gf2_multiply_panels(const gf2_panel_kernels *kernels, const gf2_product *job) {
    product p = {.kernels = kernels, .job = job, .panels = job->workspace};
    if (!gf2_product_space_of(job->m, job->k, job->n, &p.space)) return;
    p.blocks = p.panels + p.space.blocks;
    p.sums = p.panels + p.space.sums;
    p.blocks_step = words_of(job->k) * 8 * GF2_STRIP_PANELS * kernels->block_bytes;
    const size_t group_rows = p.space.strips * GF2_STRIP_ROWS, group_columns = p.space.tiles * GF2_TILE_COLUMNS;
    for (size_t column = 0; column < job->n; column += group_columns) {
        const size_t columns = smaller(group_columns, job->n - column);
        kernels->pack(job->b + column / 64, job->k, columns, job->b_stride, p.panels,
                      p.space.depth * GF2_PANEL_BYTES, p.space.depth);
        for (size_t first = 0; first < job->m; first += group_rows) {
            multiply_group(&p, first, smaller(group_rows, job->m - first), column, columns);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The product in byte panels. b becomes panels once. Then strips of a, a group at a time, become blocks: depth by
 * depth, each tile of b, which stays in the first cache, is multiplied with all strips of the group, whose sums stay in
 * the second. At last the group's sums become rows.
 */
#include "gf2_space.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Panels of a strip with `rows` rows, as kernels want them: 1, 2, 4 or 8. */
static unsigned panels_for(size_t rows) {
    unsigned panels = 1;
    while (panels * GF2_PANEL_ROWS < rows && panels < GF2_STRIP_PANELS) panels *= 2;
    return panels;
}

void liam_gf2_multiply_panels(const gf2_panel_kernels *kernels, const gf2_product *job) {
    gf2_product_space s;
    if (!gf2_product_space_of(job->m, job->k, job->n, &s)) return;
    uint8_t *const panels = job->workspace;
    uint8_t *const blocks = panels + s.blocks;
    uint8_t *const sums = panels + s.sums;
    const size_t tile_step = s.depth * GF2_PANEL_BYTES;
    const size_t blocks_step =
        smaller(kernels->depth, words_of(job->k) * 8) * GF2_STRIP_PANELS * kernels->block_bytes;
    kernels->pack(job->b, job->k, job->n, job->b_stride, panels, tile_step, s.depth);

    for (size_t first = 0; first < job->m; first += s.strips * GF2_STRIP_ROWS) {
        const size_t rows = smaller(s.strips * GF2_STRIP_ROWS, job->m - first);
        const size_t strips = ceil_div(rows, GF2_STRIP_ROWS);
        const uint64_t *a = job->a + first * job->a_stride;
        gf2_tiles tiles = {.a = blocks, .a_step = blocks_step, .c_step = GF2_STRIP_BYTES, .count = strips,
                           .panels = panels_for(rows)};
        for (size_t d = 0; d < s.depth; d += kernels->depth) {
            const size_t columns = smaller(kernels->depth * 8, job->k - d * 8);
            tiles.depth = smaller(kernels->depth, s.depth - d);
            tiles.accumulate = d != 0;
            for (size_t i = 0; i < strips; i++) {
                kernels->blocks(a + i * GF2_STRIP_ROWS * job->a_stride + d / 8,
                                smaller(GF2_STRIP_ROWS, rows - i * GF2_STRIP_ROWS), columns, job->a_stride,
                                blocks + i * blocks_step);
            }
            for (size_t j = 0; j < s.tiles; j++) {
                tiles.b = panels + j * tile_step + d * GF2_PANEL_BYTES;
                tiles.c = sums + j * strips * GF2_STRIP_BYTES;
                kernels->tiles(&tiles);
            }
        }
        kernels->unpack(sums, strips * GF2_STRIP_BYTES, rows, job->n, job->out + first * job->out_stride,
                        job->out_stride, NULL);
    }
}

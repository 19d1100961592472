/* SPDX-License-Identifier: Apache-2.0
 *
 * How GF(2) divides the caller's workspace, which is the same at every level. All parts start on LIAM_ALIGNMENT.
 */
#ifndef LIAM_GF2_SPACE_H
#define LIAM_GF2_SPACE_H

#include "gf2_panels.h"
#include "liam.h"
#include "sizes.h"

/* Strips of c that one pass over b serves, and tiles of b that are panels at a time: with 4096 rows of b, panels, sums
 * and blocks fit a second-level cache of 1.5 MB. */
#define GF2_GROUP_STRIPS 8
#define GF2_GROUP_TILES 16

/* A product: b as panels, the blocks of a group of strips, and their sums. */
typedef struct gf2_product_space {
    size_t tiles;  /* in a group */
    size_t depth;  /* panels of k rows, even */
    size_t strips; /* in a group */
    size_t blocks; /* offsets; panels are at 0 */
    size_t sums;
    size_t bytes;
} gf2_product_space;

/* An elimination: both parts as panels (or rows, at the scalar level), and what the steps need. */
typedef struct gf2_elimination_space {
    size_t strips;
    size_t left_tiles;
    size_t tiles;   /* of both parts, each of whole tiles */
    size_t reduced; /* offsets; the matrix is at 0 */
    size_t blocks;
    size_t words;
    size_t place;
    size_t used;
    size_t bytes;
} gf2_elimination_space;

/* Adds count * size bytes to a workspace, rounded up to LIAM_ALIGNMENT. *offset is where they start. */
static inline int space_add(size_t *bytes, size_t count, size_t size, size_t *offset) {
    size_t more;
    *offset = *bytes;
    return size_mul(count, size, &more) && size_round_up(more, LIAM_ALIGNMENT, &more) && size_add(*bytes, more, bytes);
}

static inline size_t ceil_div(size_t a, size_t b) { return a / b + (a % b != 0); }

static inline int gf2_product_space_of(size_t m, size_t k, size_t n, gf2_product_space *s) {
    size_t at, panels, blocks;
    s->tiles = ceil_div(n, GF2_TILE_COLUMNS);
    if (s->tiles > GF2_GROUP_TILES) s->tiles = GF2_GROUP_TILES;
    s->depth = ceil_div(k, GF2_PANEL_ROWS);
    s->depth += s->depth % 2;
    s->strips = ceil_div(m, GF2_STRIP_ROWS);
    if (s->strips > GF2_GROUP_STRIPS) s->strips = GF2_GROUP_STRIPS;
    s->bytes = 0;
    return size_mul(s->depth, s->tiles, &panels) && space_add(&s->bytes, panels, GF2_PANEL_BYTES, &at) &&
           size_mul(s->strips, words_of(k) * 8, &blocks) &&
           space_add(&s->bytes, blocks, GF2_STRIP_PANELS * GF2_MAX_BLOCK_BYTES, &s->blocks) &&
           space_add(&s->bytes, s->strips * s->tiles, GF2_STRIP_BYTES, &s->sums);
}

static inline int gf2_elimination_space_of(size_t m, size_t left_bits, size_t right_bits, gf2_elimination_space *s) {
    size_t at, matrix;
    s->strips = ceil_div(m, GF2_STRIP_ROWS);
    s->left_tiles = ceil_div(left_bits, GF2_TILE_COLUMNS);
    s->tiles = s->left_tiles + ceil_div(right_bits, GF2_TILE_COLUMNS);
    s->bytes = 0;
    return size_mul(s->strips, s->tiles, &matrix) && space_add(&s->bytes, matrix, GF2_STRIP_BYTES, &at) &&
           space_add(&s->bytes, s->tiles, GF2_STRIP_BYTES, &s->reduced) &&
           space_add(&s->bytes, s->strips, 8 * GF2_STRIP_PANELS * GF2_MAX_BLOCK_BYTES, &s->blocks) &&
           space_add(&s->bytes, s->strips, GF2_STRIP_ROWS * sizeof(uint64_t), &s->words) &&
           space_add(&s->bytes, m, sizeof(size_t), &s->place) && space_add(&s->bytes, m, 1, &s->used);
}

#endif

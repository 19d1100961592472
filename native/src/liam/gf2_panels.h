/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte panels, in which the vector levels multiply and eliminate.
 *
 * Eight rows are a panel: a byte holds eight rows of one column, row r of the panel in bit r. 128 columns are a tile:
 * byte j of panel p of a tile is at p * GF2_PANEL_BYTES + j, and tiles follow each other at a step that the caller
 * chooses. Eight panels, 64 rows, are a strip: of one tile they are GF2_STRIP_BYTES consecutive bytes.
 *
 * A product takes its left matrix as blocks of 8 x 8 bits, each in whatever form its level multiplies with; the blocks
 * of one strip lie [depth][panel], where depth counts eight columns of the left matrix, a panel of the right one. So
 * one instruction multiplies a block with a vector of columns, and results are panels again: products chain without
 * conversion, and elimination stays in this form from its first step to its last.
 */
#ifndef LIAM_GF2_PANELS_H
#define LIAM_GF2_PANELS_H

#include "gf2_basis.h"
#include "gf2_kernels.h"

#define GF2_PANEL_ROWS 8
#define GF2_STRIP_PANELS 8
#define GF2_STRIP_ROWS 64
#define GF2_TILE_COLUMNS 128
#define GF2_PANEL_BYTES 128
#define GF2_STRIP_BYTES 1024

/* The largest block of any level, in bytes. */
#define GF2_MAX_BLOCK_BYTES 32

/* c (+)= a b for `count` strips or tiles, each with its own a, b and c at the given steps in bytes. */
typedef struct gf2_tiles {
    const uint8_t *a; /* blocks of a strip */
    size_t a_step;
    const uint8_t *b; /* panels of a tile */
    size_t b_step;
    uint8_t *c; /* panels of a tile */
    size_t c_step;
    size_t count;
    size_t depth;    /* even */
    unsigned panels; /* of c: 1, 2, 4 or 8 */
    int accumulate;  /* whether to add to c */
} gf2_tiles;

typedef struct gf2_panel_kernels {
    size_t block_bytes;
    /* How many panels of b one pass over c takes, a multiple of 8: these and the blocks for them fit the first cache. */
    size_t depth;

    /* Rows to panels. Rows past `rows` and columns past nbits become zero, up to `panels` panels and whole tiles. */
    void (*pack)(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to, size_t tile_step,
                 size_t panels);
    /* Panels to rows; row i goes to row place[i], or to row i if place is NULL. Columns past nbits are zero. */
    void (*unpack)(const uint8_t *from, size_t tile_step, size_t rows, size_t nbits, uint64_t *bits, size_t stride,
                   const size_t *place);
    /* The blocks of up to 64 rows: one strip, `words_of(nbits) * 8` deep. */
    void (*blocks)(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *to);
    /* The words of 64 columns: from points to the first panel's byte of the first of them. */
    void (*column)(const uint8_t *from, size_t panels, uint64_t *words);
    void (*tiles)(const gf2_tiles *job);
    gf2_offer_fn *offer;
    /* Asks for rows of words to be brought near. */
    void (*fetch)(const uint64_t *bits, size_t rows, size_t words, size_t stride);
} gf2_panel_kernels;

/* The drivers: gf2_kernels.multiply and .eliminate in terms of these. */
void liam_gf2_multiply_panels(const gf2_panel_kernels *kernels, const gf2_product *job);
size_t liam_gf2_eliminate_panels(const gf2_panel_kernels *kernels, const gf2_elimination *job);

/* Transposes and single vectors, which AVX-512 does alike with and without GFNI. */
void liam_gf2_transpose_avx512(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out,
                               size_t out_stride);
void liam_gf2_apply_avx512(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x,
                           uint64_t *out);
void liam_gf2_transpose_avx2(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out,
                             size_t out_stride);
void liam_gf2_apply_avx2(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x, uint64_t *out);

#endif

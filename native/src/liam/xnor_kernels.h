/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products of packed activations and prepared weights.
 */
#ifndef LIAM_XNOR_KERNELS_H
#define LIAM_XNOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "target.h"

/* Columns in one group of prepared weights. */
#define LIAM_PANEL 16

/* What the tile unit works in (xnor_amx.c): a tile of 16 rows for each word of bits spread to bytes. Three panels of
 * weights share two tiles. */
#define TILE_BYTES 1024
#define TILE_PAIR_BYTES (2 * TILE_BYTES)
#define TILE_PAIR_ROWS (2 * LIAM_PANEL) /* rows of activations that are spread together */
#define TILE_PANELS 3
#define TILE_STRETCH_WORDS 8               /* words of a row that are multiplied together */
#define TILE_BLOCK_BYTES ((size_t)960 << 10) /* spread weights and sums that stay in the second-level cache */
#define TILE_MAX_WORDS 127                 /* sums of longer rows could not be told apart */

static inline size_t tile_threes(size_t panels) { return (panels + TILE_PANELS - 1) / TILE_PANELS; }

/* What a stretch of activations needs. */
static inline size_t tile_stretch_bytes(size_t words) {
    return (words < TILE_STRETCH_WORDS ? words : TILE_STRETCH_WORDS) * TILE_PAIR_BYTES;
}

/* What a three needs: its weights, and 32 rows' sums, which are two pairs of tiles. */
static inline size_t tile_three_bytes(size_t words) { return (words + 2) * TILE_PAIR_BYTES; }

/* Threes of panels that are spread together; words is at most TILE_MAX_WORDS. */
static inline size_t tile_block_threes(size_t panels, size_t words) {
    const size_t most = TILE_BLOCK_BYTES / tile_three_bytes(words);
    return tile_threes(panels) < most ? tile_threes(panels) : most;
}

/* A product. Of thresholds and scale with bias, a kernel reads what it needs. Float outputs have no alignment promise,
 * because networks write their scores into message buffers. */
typedef struct xnor_job {
    const uint64_t *a;
    size_t m;
    size_t a_stride;
    const uint64_t *panels;
    size_t n;
    size_t nbits;
    const int32_t *thresholds;
    const float *scale;
    const float *bias;
    void *out;
    size_t out_stride; /* elements of out */
    void *workspace;   /* of liam_xnor_workspace_bytes, or NULL */
} xnor_job;

typedef void xnor_fn(const xnor_job *job);

typedef struct xnor_kernels {
    xnor_fn *dot;
    xnor_fn *threshold;
    xnor_fn *scale;
} xnor_kernels;

extern const xnor_kernels liam_xnor_scalar, liam_xnor_avx2, liam_xnor_avx512, liam_xnor_amx;

#endif

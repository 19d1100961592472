/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test that runs the products of a batch: as many rows, and memory to work in, as let the tile
 * unit do them, with rows and columns left over, and rows of two stretches.
 */
#include "self_test.h"
#include "sizes.h"

#define ROWS (TILE_PAIR_ROWS + 1)
#define BITS 523
#define WORDS ((BITS + 63) / 64)
#define PANELS 5
#define COLUMNS (PANELS * LIAM_PANEL - 3)
#define WORKSPACE_BYTES (TILE_STRETCH_WORDS * TILE_PAIR_BYTES + 2 * (WORDS + 2) * TILE_PAIR_BYTES)

typedef struct work {
    _Alignas(LIAM_ALIGNMENT) uint64_t panels[PANELS * LIAM_PANEL * WORDS];
    _Alignas(LIAM_ALIGNMENT) char workspace[WORKSPACE_BYTES];
    uint64_t bits[ROWS * WORDS];
    uint64_t weights[COLUMNS * WORDS];
    int32_t thresholds[COLUMNS];
    float scale[COLUMNS];
    float bias[COLUMNS];
    union {
        int32_t dot[ROWS * COLUMNS];
        float score[ROWS * COLUMNS];
        uint64_t words[ROWS * ((COLUMNS + 63) / 64)];
    } out;
} work;

static void fill(work *w) {
    uint64_t state = 0x74696c65; /* "tile" */
    for (size_t i = 0; i < ROWS * WORDS; i++) w->bits[i] = next_random(&state); /* excess bits too */
    for (size_t i = 0; i < COLUMNS * WORDS; i++) w->weights[i] = next_random(&state);
    for (size_t i = 0; i < WORDS; i++) { /* the greatest sums and the least */
        w->bits[i] = w->weights[i] = UINT64_MAX;
        w->bits[WORDS + i] = w->weights[WORDS + i] = 0;
    }
    for (size_t j = 0; j < COLUMNS; j++) {
        w->thresholds[j] = (int32_t)(next_random(&state) % 21) - 10;
        w->scale[j] = next_float(&state);
        w->bias[j] = next_float(&state);
    }
}

uint64_t liam_self_test_batch(const kernels *table, uint64_t d) {
    work w;
    size_t needed;
    memset(&w, 0, sizeof w);
    fill(&w);
    if (liam_xnor_prepare(w.weights, COLUMNS, BITS, WORDS, w.panels, sizeof w.panels) != LIAM_OK ||
        liam_xnor_workspace_bytes(ROWS, COLUMNS, BITS, &needed) != LIAM_OK || needed > sizeof w.workspace) {
        return d;
    }
    xnor_job job = {.a = w.bits, .m = ROWS, .a_stride = WORDS, .panels = w.panels, .n = COLUMNS, .nbits = BITS,
                    .thresholds = w.thresholds, .scale = w.scale, .bias = w.bias, .out = &w.out,
                    .out_stride = COLUMNS, .workspace = w.workspace};
    table->xnor->dot(&job);
    d = digest_of(d, w.out.dot, ROWS * COLUMNS, sizeof(int32_t));
    table->xnor->scale(&job);
    d = digest_of(d, w.out.score, ROWS * COLUMNS, sizeof(float));
    job.out_stride = words_of(COLUMNS);
    table->xnor->threshold(&job);
    return digest_of(d, w.out.words, ROWS * words_of(COLUMNS), sizeof(uint64_t));
}

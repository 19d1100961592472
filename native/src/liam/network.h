/* SPDX-License-Identifier: Apache-2.0
 *
 * The prepared network: this struct, then its arrays, each aligned to LIAM_ALIGNMENT and named by its byte offset from
 * the struct, so that the block holds no pointers.
 */
#ifndef LIAM_NETWORK_H
#define LIAM_NETWORK_H

#include "kernels.h"

#define NETWORK_MAGIC UINT64_C(0x314e4e424d41494c) /* "LIAMBNN1" in little-endian bytes */

typedef struct network_layer {
    size_t nbits;   /* of its input */
    size_t outputs; /* neurons, or classes of the head */
    size_t panels;  /* offset of the prepared weights */
    size_t first;   /* offset of the thresholds, or of the head's scale or table */
    size_t second;  /* offset of the head's bias */
} network_layer;

struct liam_network {
    uint64_t magic;
    size_t bytes;
    size_t features;
    size_t input_words;
    size_t source;
    size_t thresholds;
    size_t run;
    size_t block_rows;    /* rows that go through all layers together */
    size_t row_words;     /* of the widest row of bits */
    size_t workspace;     /* offset in scratch of what the products work in */
    size_t scratch_bytes; /* two blocks of bits, a block of the head's inner products if it has a table, workspace */
    size_t head_has_table;
    size_t hidden_layers;
    network_layer layers[LIAM_MAX_HIDDEN_LAYERS + 1]; /* hidden layers, then the head */
};

/* liam_network_run on a table, with arguments that have been checked. */
void liam_network_run_on(const kernels *table, const liam_network *net, const void *x, size_t rows, void *label,
                         void *scores, void *scratch);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The prepared network: this struct, then its arrays, each aligned to LIAM_ALIGNMENT and named by its byte offset from
 * the struct, so that the block holds no pointers.
 */
#ifndef LIAM_NETWORK_H
#define LIAM_NETWORK_H

#include "kernels.h"

#define NETWORK_MAGIC UINT64_C(0x324e4e424d41494c) /* "LIAMBNN2" in little-endian bytes */

typedef struct network_layer {
    size_t inputs;  /* bits, or floats of the input layer */
    size_t outputs; /* neurons, or classes of the head */
    size_t panels;  /* offset of the prepared weights, of floats with their biases */
    size_t first;   /* offset of the thresholds, or of the head's scale or table */
    size_t second;  /* offset of the head's bias */
} network_layer;

typedef enum network_head { HEAD_SCALE, HEAD_TABLE, HEAD_FLOAT } network_head;

struct liam_network {
    uint64_t magic;
    size_t bytes;
    size_t features;
    size_t input_words;
    size_t source;
    size_t thresholds;
    size_t run;
    size_t block_rows; /* rows that go through all layers together */
    size_t row_words;  /* of the widest row of bits */
    size_t numbers;    /* offset in scratch of a block's floats or inner products, between two steps */
    size_t workspace;  /* offset in scratch of what the products work in */
    size_t scratch_bytes;
    size_t has_input;
    network_head head;
    network_layer input; /* of floats, if there is one */
    size_t hidden_layers;
    network_layer layers[LIAM_MAX_HIDDEN_LAYERS + 1]; /* hidden layers, then the head */
};

/* The weights of the layer of bits with this index, and their stride; the one after the hidden layers is the head. */
const uint64_t *liam_network_weights(const liam_network_spec *spec, size_t index, size_t *stride);

/* Lays out the network from the sizes in its spec. */
int liam_network_plan(const liam_network_spec *spec, liam_network *net);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Where everything in a prepared network and in its scratch goes, from the sizes in its description alone.
 */
#include <string.h>

#include "liam_linear.h"
#include "network.h"
#include "sizes.h"

#define BLOCK_ROWS 64
#define MIN_BLOCK_ROWS 8
#define SCRATCH_TARGET (256 * 1024) /* bytes that the blocks of wide networks stay near to */

/* Reserves an aligned array at the end of the block. */
static int reserve(size_t *end, size_t count, size_t element_bytes, size_t *offset) {
    size_t bytes;
    *offset = *end;
    return size_mul(count, element_bytes, &bytes) && size_round_up(bytes, LIAM_ALIGNMENT, &bytes) &&
           size_add(*end, bytes, end);
}

static int is_count(size_t count, size_t limit) { return count != 0 && count <= limit; }

const uint64_t *liam_network_weights(const liam_network_spec *spec, size_t index, size_t *stride) {
    if (index == spec->hidden_layers) {
        *stride = spec->head_stride;
        return spec->head_weights;
    }
    *stride = spec->layers[index].weights_stride;
    return spec->layers[index].weights;
}

static network_head head_of(const liam_network_spec *spec) {
    if (spec->head != NULL) return HEAD_FLOAT;
    return spec->table != NULL ? HEAD_TABLE : HEAD_SCALE;
}

/* Lays out one layer of bits and returns its status. */
static int plan_bits(const liam_network_spec *spec, size_t index, network_layer *layer, size_t *end) {
    size_t stride, span, panel_bytes;
    liam_network_weights(spec, index, &stride);
    if (stride < words_of(layer->inputs)) return LIAM_ERR_STRIDE;
    if (!size_mul(layer->outputs, stride, &span) || !size_mul(span, sizeof(uint64_t), &span)) {
        return LIAM_ERR_OVERFLOW;
    }
    const int status = liam_xnor_prepared_bytes(layer->outputs, layer->inputs, &panel_bytes);
    if (status != LIAM_OK) return status;
    const int is_head = index == spec->hidden_layers, has_table = is_head && spec->table != NULL;
    size_t values = layer->outputs; /* of float, or of int32_t thresholds, which are as large */
    if ((has_table && !size_mul(layer->outputs, layer->inputs + 1, &values)) ||
        !reserve(end, panel_bytes, 1, &layer->panels) || !reserve(end, values, sizeof(float), &layer->first) ||
        !reserve(end, is_head && !has_table ? layer->outputs : 0, sizeof(float), &layer->second)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

/* The same for one of floats. */
static int plan_floats(const liam_float_layer_spec *spec, network_layer *layer, size_t *end) {
    size_t span, panel_bytes;
    if (spec->outputs != layer->outputs) return LIAM_ERR_SIZE;
    if (spec->weights_stride < layer->outputs) return LIAM_ERR_STRIDE;
    if (!size_mul(layer->inputs, spec->weights_stride, &span) || !size_mul(span, sizeof(float), &span)) {
        return LIAM_ERR_OVERFLOW;
    }
    const int status = liam_linear_prepared_bytes(layer->inputs, layer->outputs, &panel_bytes);
    if (status != LIAM_OK) return status;
    return reserve(end, panel_bytes, 1, &layer->panels) ? LIAM_OK : LIAM_ERR_OVERFLOW;
}

/* All layers after the encoding, each with as many inputs as the one before it has outputs. */
static int plan_layers(const liam_network_spec *spec, liam_network *net, size_t *end) {
    size_t width = spec->input_bits;
    for (size_t index = 0; index <= spec->hidden_layers; index++) {
        const int is_head = index == spec->hidden_layers;
        network_layer *layer = &net->layers[index];
        layer->inputs = width;
        layer->outputs = is_head ? spec->classes : spec->layers[index].outputs;
        if (!is_count(layer->outputs, LIAM_MAX_NBITS)) return LIAM_ERR_SIZE;
        const int status =
            is_head && spec->head != NULL ? plan_floats(spec->head, layer, end) : plan_bits(spec, index, layer, end);
        if (status != LIAM_OK) return status;
        width = layer->outputs;
        if (!is_head && words_of(width) > net->row_words) net->row_words = words_of(width);
    }
    return LIAM_OK;
}

/* What the layer of bits that needs most works in; the widths have been checked. */
static size_t layer_workspace(const liam_network *net) {
    size_t most = 0;
    for (size_t index = 0; index < net->hidden_layers + (net->head != HEAD_FLOAT); index++) {
        const network_layer *layer = &net->layers[index];
        size_t bytes = 0;
        liam_xnor_workspace_bytes(net->block_rows, layer->outputs, layer->inputs, &bytes);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* The most floats, or inner products, which are as large, that a row has between two steps: what the input layer writes,
 * signs that a head of floats reads, or products that a table turns into scores. */
static size_t most_numbers(const liam_network *net) {
    const network_layer *head = &net->layers[net->hidden_layers];
    size_t most = 0;
    if (net->head != HEAD_SCALE) most = net->head == HEAD_FLOAT ? head->inputs : head->outputs;
    return net->has_input && net->input.outputs > most ? net->input.outputs : most;
}

/* Settles how many rows go through the layers together, and what they need of scratch: two blocks of bits, since a layer
 * reads one and writes the other, a block of numbers, and workspace. */
static int plan_scratch(liam_network *net) {
    const size_t bit_bytes = 2 * net->row_words * sizeof(uint64_t);
    size_t row_bytes;
    if (!size_mul(most_numbers(net), sizeof(float), &row_bytes) || !size_add(row_bytes, bit_bytes, &row_bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    net->block_rows = SCRATCH_TARGET / row_bytes / MIN_BLOCK_ROWS * MIN_BLOCK_ROWS;
    if (net->block_rows > BLOCK_ROWS) net->block_rows = BLOCK_ROWS;
    if (net->block_rows < MIN_BLOCK_ROWS) net->block_rows = MIN_BLOCK_ROWS;
    if (!size_mul(row_bytes, net->block_rows, &net->workspace) ||
        !size_round_up(net->workspace, LIAM_ALIGNMENT, &net->workspace) ||
        !size_add(net->workspace, layer_workspace(net), &net->scratch_bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    net->numbers = bit_bytes * net->block_rows;
    return LIAM_OK;
}

int liam_network_plan(const liam_network_spec *spec, liam_network *net) {
    if (spec == NULL) return LIAM_ERR_NULL;
    if (!is_count(spec->features, INT32_MAX) || !is_count(spec->input_bits, LIAM_MAX_NBITS) ||
        !is_count(spec->classes, LIAM_MAX_NBITS) || spec->hidden_layers > LIAM_MAX_HIDDEN_LAYERS ||
        (spec->input != NULL && !is_count(spec->input->outputs, INT32_MAX))) {
        return LIAM_ERR_SIZE;
    }
    if (spec->hidden_layers != 0 && spec->layers == NULL) return LIAM_ERR_NULL;

    memset(net, 0, sizeof *net);
    net->magic = NETWORK_MAGIC;
    net->features = spec->features;
    net->input_words = words_of(spec->input_bits);
    net->has_input = spec->input != NULL;
    net->head = head_of(spec);
    net->hidden_layers = spec->hidden_layers;
    net->row_words = net->input_words;

    size_t end;
    const size_t padded_bits = net->input_words * 64;
    if (!size_round_up(sizeof *net, LIAM_ALIGNMENT, &end) ||
        !reserve(&end, padded_bits, sizeof(int32_t), &net->source) ||
        !reserve(&end, padded_bits, sizeof(float), &net->thresholds) ||
        !reserve(&end, padded_bits / 16, sizeof(int32_t), &net->run)) {
        return LIAM_ERR_OVERFLOW;
    }
    if (spec->input != NULL) {
        net->input.inputs = spec->features;
        net->input.outputs = spec->input->outputs;
        const int status = plan_floats(spec->input, &net->input, &end);
        if (status != LIAM_OK) return status;
    }
    const int status = plan_layers(spec, net, &end);
    if (status != LIAM_OK) return status;
    net->bytes = end;
    return plan_scratch(net);
}

int liam_network_bytes(const liam_network_spec *spec, size_t *bytes) {
    liam_network net;
    if (bytes == NULL) return LIAM_ERR_NULL;
    const int status = liam_network_plan(spec, &net);
    if (status == LIAM_OK) *bytes = net.bytes;
    return status;
}

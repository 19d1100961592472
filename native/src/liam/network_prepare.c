/* SPDX-License-Identifier: Apache-2.0
 *
 * From a network's description to the block of memory that runs it: sizes are settled and checked first, values are
 * checked next, and only then is anything written.
 */
#include <math.h>
#include <string.h>

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

/* The weights of the layer with this index; the one after the hidden layers is the head. */
static const uint64_t *weights_of(const liam_network_spec *spec, size_t index, size_t *stride) {
    if (index == spec->hidden_layers) {
        *stride = spec->head_stride;
        return spec->head_weights;
    }
    *stride = spec->layers[index].weights_stride;
    return spec->layers[index].weights;
}

static size_t outputs_of(const liam_network_spec *spec, size_t index) {
    return index == spec->hidden_layers ? spec->classes : spec->layers[index].outputs;
}

/* Lays out one layer and returns its status. */
static int plan_layer(const liam_network_spec *spec, size_t index, size_t nbits, network_layer *layer, size_t *end) {
    size_t stride, span, panel_bytes;
    const int is_head = index == spec->hidden_layers;
    weights_of(spec, index, &stride);
    layer->nbits = nbits;
    layer->outputs = outputs_of(spec, index);
    if (!is_count(layer->outputs, LIAM_MAX_NBITS)) return LIAM_ERR_SIZE;
    if (stride < words_of(nbits)) return LIAM_ERR_STRIDE;
    if (!size_mul(layer->outputs, stride, &span) || !size_mul(span, sizeof(uint64_t), &span)) {
        return LIAM_ERR_OVERFLOW;
    }
    const int status = liam_xnor_prepared_bytes(layer->outputs, nbits, &panel_bytes);
    if (status != LIAM_OK) return status;
    const int has_table = is_head && spec->table != NULL;
    size_t values = layer->outputs; /* of float, or of int32_t thresholds, which are as large */
    if ((has_table && !size_mul(layer->outputs, nbits + 1, &values)) ||
        !reserve(end, panel_bytes, 1, &layer->panels) || !reserve(end, values, sizeof(float), &layer->first) ||
        !reserve(end, is_head && !has_table ? layer->outputs : 0, sizeof(float), &layer->second)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

/* What the layer that needs most works in; the widths have been checked. */
static size_t layer_workspace(const liam_network *net) {
    size_t most = 0;
    for (size_t index = 0; index <= net->hidden_layers; index++) {
        const network_layer *layer = &net->layers[index];
        size_t bytes = 0;
        liam_xnor_workspace_bytes(net->block_rows, layer->outputs, layer->nbits, &bytes);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* Settles how many rows go through the layers together, and what they need of scratch. */
static int plan_scratch(liam_network *net) {
    /* Two buffers of bits, since a layer reads one and writes the other. Rows start on cache lines when they are at
     * least that wide; narrow ones stay dense. */
    const size_t row_bytes = 2 * net->row_words * sizeof(uint64_t);
    net->block_rows = SCRATCH_TARGET / row_bytes / MIN_BLOCK_ROWS * MIN_BLOCK_ROWS;
    if (net->block_rows > BLOCK_ROWS) net->block_rows = BLOCK_ROWS;
    if (net->block_rows < MIN_BLOCK_ROWS) net->block_rows = MIN_BLOCK_ROWS;
    size_t products = 0;
    if (net->head_has_table && !size_mul(net->layers[net->hidden_layers].outputs, sizeof(int32_t), &products)) {
        return LIAM_ERR_OVERFLOW;
    }
    if (!size_add(row_bytes, products, &net->workspace) ||
        !size_mul(net->workspace, net->block_rows, &net->workspace) ||
        !size_round_up(net->workspace, LIAM_ALIGNMENT, &net->workspace) ||
        !size_add(net->workspace, layer_workspace(net), &net->scratch_bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

/* Lays out the whole network from the sizes in the spec. */
static int plan(const liam_network_spec *spec, liam_network *net) {
    if (spec == NULL) return LIAM_ERR_NULL;
    if (!is_count(spec->features, INT32_MAX) || !is_count(spec->input_bits, LIAM_MAX_NBITS) ||
        !is_count(spec->classes, LIAM_MAX_NBITS) || spec->hidden_layers > LIAM_MAX_HIDDEN_LAYERS) {
        return LIAM_ERR_SIZE;
    }
    if (spec->hidden_layers != 0 && spec->layers == NULL) return LIAM_ERR_NULL;

    memset(net, 0, sizeof *net);
    net->magic = NETWORK_MAGIC;
    net->features = spec->features;
    net->input_words = words_of(spec->input_bits);
    net->head_has_table = spec->table != NULL;
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
    size_t nbits = spec->input_bits;
    for (size_t index = 0; index <= spec->hidden_layers; index++) {
        const int status = plan_layer(spec, index, nbits, &net->layers[index], &end);
        if (status != LIAM_OK) return status;
        nbits = net->layers[index].outputs;
        if (index < spec->hidden_layers && words_of(nbits) > net->row_words) net->row_words = words_of(nbits);
    }
    net->bytes = end;
    return plan_scratch(net);
}

static int all_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) return 0;
    }
    return 1;
}

static int all_within(const int32_t *values, size_t count, int32_t low, int32_t high) {
    for (size_t i = 0; i < count; i++) {
        if (values[i] < low || values[i] > high) return 0;
    }
    return 1;
}

static int head_is_finite(const liam_network_spec *spec, const liam_network *net) {
    if (spec->table != NULL) {
        return all_finite(spec->table, spec->classes * (net->layers[net->hidden_layers].nbits + 1));
    }
    return all_finite(spec->scale, spec->classes) && all_finite(spec->bias, spec->classes);
}

/* Checks every value that the run will trust. The sizes have been checked. */
static int check_values(const liam_network_spec *spec, const liam_network *net) {
    if (spec->source == NULL || spec->thresholds == NULL) return LIAM_ERR_NULL;
    if (spec->table == NULL && (spec->scale == NULL || spec->bias == NULL)) return LIAM_ERR_NULL;
    for (size_t index = 0; index < spec->hidden_layers; index++) {
        if (spec->layers[index].thresholds == NULL) return LIAM_ERR_NULL;
    }
    for (size_t index = 0; index <= spec->hidden_layers; index++) {
        size_t stride;
        if (weights_of(spec, index, &stride) == NULL) return LIAM_ERR_NULL;
    }
    for (size_t index = 0; index < spec->hidden_layers; index++) {
        const int32_t limit = (int32_t)net->layers[index].nbits + 1;
        if (!all_within(spec->layers[index].thresholds, spec->layers[index].outputs, -limit, limit)) {
            return LIAM_ERR_VALUE;
        }
    }
    const int valid = all_within(spec->source, spec->input_bits, 0, (int32_t)(spec->features - 1)) &&
                      all_finite(spec->thresholds, spec->input_bits) && head_is_finite(spec, net);
    return valid ? LIAM_OK : LIAM_ERR_VALUE;
}

int liam_network_bytes(const liam_network_spec *spec, size_t *bytes) {
    liam_network net;
    if (bytes == NULL) return LIAM_ERR_NULL;
    const int status = plan(spec, &net);
    if (status == LIAM_OK) *bytes = net.bytes;
    return status;
}

/* Writes the encoder's arrays with their padding, and finds the groups that can be read without gathering. */
static void write_encoder(const liam_network_spec *spec, liam_network *net) {
    int32_t *source = (int32_t *)((char *)net + net->source);
    float *thresholds = (float *)((char *)net + net->thresholds);
    int32_t *run = (int32_t *)((char *)net + net->run);
    const size_t padded_bits = net->input_words * 64;
    memcpy(source, spec->source, spec->input_bits * sizeof *source);
    memcpy(thresholds, spec->thresholds, spec->input_bits * sizeof *thresholds);
    for (size_t j = spec->input_bits; j < padded_bits; j++) {
        source[j] = 0;
        thresholds[j] = NAN;
    }
    for (size_t g = 0; g < padded_bits / 16; g++) {
        const int32_t *group = source + 16 * g;
        run[g] = group[0];
        for (int32_t k = 1; k < 16; k++) {
            if (group[k] != group[0] + k) run[g] = -1;
        }
    }
}

/* Writes what makes scores of the head's inner products. */
static void write_head(const liam_network_spec *spec, liam_network *net) {
    const network_layer *head = &net->layers[net->hidden_layers];
    if (spec->table != NULL) {
        memcpy((char *)net + head->first, spec->table, head->outputs * (head->nbits + 1) * sizeof(float));
    } else {
        memcpy((char *)net + head->first, spec->scale, head->outputs * sizeof(float));
        memcpy((char *)net + head->second, spec->bias, head->outputs * sizeof(float));
    }
}

int liam_network_prepare(const liam_network_spec *spec, liam_network *net, size_t net_bytes) {
    liam_network planned;
    int status = plan(spec, &planned);
    if (status != LIAM_OK) return status;
    if (net == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(net, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (net_bytes < planned.bytes) return LIAM_ERR_MEMORY;
    status = check_values(spec, &planned);
    if (status != LIAM_OK) return status;

    *net = planned;
    write_encoder(spec, net);
    for (size_t index = 0; index <= spec->hidden_layers; index++) {
        const network_layer *layer = &net->layers[index];
        size_t stride;
        const uint64_t *weights = weights_of(spec, index, &stride);
        status = liam_xnor_prepare(weights, layer->outputs, layer->nbits, stride, (char *)net + layer->panels,
                                   layer->first - layer->panels);
        if (status != LIAM_OK) return status;
        if (index < spec->hidden_layers) {
            memcpy((char *)net + layer->first, spec->layers[index].thresholds, layer->outputs * sizeof(int32_t));
        }
    }
    write_head(spec, net);
    return LIAM_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * From a network's description to the block of memory that runs it: sizes are settled first, values are checked next, and
 * only then is anything written.
 */
#include <math.h>
#include <string.h>

#include "liam_linear.h"
#include "network.h"
#include "sizes.h"

/* Weights and biases of a head of floats: no sum of LIAM_MAX_NBITS of them, and none on the way to it, is infinite. */
#define HEAD_LIMIT 0x1p64f

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

/* Whether no value of a layer of floats has a magnitude above the limit, or is NaN. */
static int floats_are_within(const liam_float_layer_spec *spec, const network_layer *layer, float limit) {
    for (size_t j = 0; j < layer->outputs; j++) {
        if (!(fabsf(spec->bias[j]) <= limit)) return 0;
    }
    for (size_t k = 0; k < layer->inputs; k++) {
        const float *row = spec->weights + k * spec->weights_stride;
        for (size_t j = 0; j < layer->outputs; j++) {
            if (!(fabsf(row[j]) <= limit)) return 0;
        }
    }
    return 1;
}

/* Whether the head has all its arrays. */
static int head_is_there(const liam_network_spec *spec) {
    if (spec->head != NULL) return spec->head->weights != NULL && spec->head->bias != NULL;
    return spec->head_weights != NULL && (spec->table != NULL || (spec->scale != NULL && spec->bias != NULL));
}

static int head_is_valid(const liam_network_spec *spec, const network_layer *head) {
    if (spec->head != NULL) return floats_are_within(spec->head, head, HEAD_LIMIT);
    if (spec->table != NULL) return all_finite(spec->table, head->outputs * (head->inputs + 1));
    return all_finite(spec->scale, head->outputs) && all_finite(spec->bias, head->outputs);
}

/* Checks every value that the run will trust. The sizes have been checked. */
static int check_values(const liam_network_spec *spec, const liam_network *net) {
    if (spec->source == NULL || spec->thresholds == NULL || !head_is_there(spec)) return LIAM_ERR_NULL;
    if (spec->input != NULL && (spec->input->weights == NULL || spec->input->bias == NULL)) return LIAM_ERR_NULL;
    for (size_t index = 0; index < spec->hidden_layers; index++) {
        if (spec->layers[index].weights == NULL || spec->layers[index].thresholds == NULL) return LIAM_ERR_NULL;
    }
    for (size_t index = 0; index < spec->hidden_layers; index++) {
        const int32_t limit = (int32_t)net->layers[index].inputs + 1;
        if (!all_within(spec->layers[index].thresholds, spec->layers[index].outputs, -limit, limit)) {
            return LIAM_ERR_VALUE;
        }
    }
    const size_t encoded = spec->input != NULL ? spec->input->outputs : spec->features;
    const int valid = (spec->input == NULL || floats_are_within(spec->input, &net->input, 0x1.fffffep127f)) &&
                      all_within(spec->source, spec->input_bits, 0, (int32_t)(encoded - 1)) &&
                      all_finite(spec->thresholds, spec->input_bits) &&
                      head_is_valid(spec, &net->layers[net->hidden_layers]);
    return valid ? LIAM_OK : LIAM_ERR_VALUE;
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

static int write_bits(const liam_network_spec *spec, size_t index, liam_network *net) {
    const network_layer *layer = &net->layers[index];
    size_t stride;
    const uint64_t *weights = liam_network_weights(spec, index, &stride);
    return liam_xnor_prepare(weights, layer->outputs, layer->inputs, stride, (char *)net + layer->panels,
                             layer->first - layer->panels);
}

static int write_floats(const liam_float_layer_spec *spec, const network_layer *layer, liam_network *net) {
    return liam_linear_prepare(spec->weights, layer->inputs, layer->outputs, spec->weights_stride, spec->bias,
                               (char *)net + layer->panels, net->bytes - layer->panels);
}

static int write_head(const liam_network_spec *spec, liam_network *net) {
    const network_layer *head = &net->layers[net->hidden_layers];
    if (spec->head != NULL) return write_floats(spec->head, head, net);
    if (spec->table != NULL) {
        memcpy((char *)net + head->first, spec->table, head->outputs * (head->inputs + 1) * sizeof(float));
    } else {
        memcpy((char *)net + head->first, spec->scale, head->outputs * sizeof(float));
        memcpy((char *)net + head->second, spec->bias, head->outputs * sizeof(float));
    }
    return write_bits(spec, net->hidden_layers, net);
}

int liam_network_prepare(const liam_network_spec *spec, liam_network *net, size_t net_bytes) {
    liam_network planned;
    int status = liam_network_plan(spec, &planned);
    if (status != LIAM_OK) return status;
    if (net == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(net, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (net_bytes < planned.bytes) return LIAM_ERR_MEMORY;
    status = check_values(spec, &planned);
    if (status != LIAM_OK) return status;

    *net = planned;
    write_encoder(spec, net);
    if (spec->input != NULL) status = write_floats(spec->input, &net->input, net);
    for (size_t index = 0; index < spec->hidden_layers && status == LIAM_OK; index++) {
        const network_layer *layer = &net->layers[index];
        memcpy((char *)net + layer->first, spec->layers[index].thresholds, layer->outputs * sizeof(int32_t));
        status = write_bits(spec, index, net);
    }
    return status == LIAM_OK ? write_head(spec, net) : status;
}

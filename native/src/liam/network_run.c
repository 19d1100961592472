/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole network in one call. A block of rows goes through all layers before the next block starts, so that its bits
 * stay in cache and scratch does not grow with the number of rows.
 */
#include <string.h>

#include "float_mode.h"
#include "network.h"
#include "sizes.h"

static const void *at(const liam_network *net, size_t offset) { return (const char *)net + offset; }

static xnor_job job_of(const liam_network *net, size_t index, const uint64_t *bits, size_t rows, void *workspace) {
    const network_layer *layer = &net->layers[index];
    return (xnor_job){
        .a = bits,
        .m = rows,
        .a_stride = net->row_words,
        .panels = at(net, layer->panels),
        .n = layer->outputs,
        .nbits = layer->inputs,
        .workspace = workspace,
    };
}

/* The lowest index of the greatest of count scores, none of which is NaN. */
static int64_t argmax(const char *scores, size_t count) {
    float best;
    int64_t label = 0;
    memcpy(&best, scores, sizeof best);
    for (size_t c = 1; c < count; c++) {
        float score;
        memcpy(&score, scores + c * sizeof score, sizeof score);
        if (score > best) {
            best = score;
            label = (int64_t)c;
        }
    }
    return label;
}

/* A layer of floats: what x is for each row, contiguous, to out. */
static void run_floats(const kernels *table, const liam_network *net, const network_layer *layer, const void *x,
                       size_t rows, void *out) {
    const linear_job job = {.x = x, .rows = rows, .x_stride = layer->inputs, .panels = at(net, layer->panels),
                            .inputs = layer->inputs, .outputs = layer->outputs, .out = out,
                            .out_stride = layer->outputs};
    table->linear(&job);
}

/* scores[i][c] = table[c][(dots[i][c] + inputs) / 2] */
static void look_up(const network_layer *head, const float *table, const int32_t *dots, size_t rows, char *scores) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t c = 0; c < head->outputs; c++) {
            const size_t position = i * head->outputs + c;
            const size_t column = (size_t)((int64_t)dots[position] + (int64_t)head->inputs) / 2;
            memcpy(scores + position * sizeof *table, table + c * (head->inputs + 1) + column, sizeof *table);
        }
    }
}

/* Scores of the rows of bits that the last hidden layer wrote. numbers is room for the signs that a head of floats reads, or
 * the products that are looked up. */
static void run_head(const kernels *table, const liam_network *net, const uint64_t *bits, size_t rows, void *numbers,
                     char *scores, void *workspace) {
    const network_layer *head = &net->layers[net->hidden_layers];
    xnor_job job = job_of(net, net->hidden_layers, bits, rows, workspace);
    job.out_stride = head->outputs;
    switch (net->head) {
    case HEAD_FLOAT:
        table->pack->to_f32(bits, rows, head->inputs, net->row_words, numbers, head->inputs);
        run_floats(table, net, head, numbers, rows, scores);
        break;
    case HEAD_TABLE:
        job.out = numbers;
        table->xnor->dot(&job);
        look_up(head, at(net, head->first), numbers, rows, scores);
        break;
    case HEAD_SCALE:
        job.scale = at(net, head->first);
        job.bias = at(net, head->second);
        job.out = scores;
        table->xnor->scale(&job);
        break;
    }
}

/* The first bits of some rows, from their features or from what the input layer makes of them. */
static void encode(const kernels *table, const liam_network *net, const void *x, size_t rows, void *numbers,
                   uint64_t *bits) {
    const encoder e = {
        .features = net->has_input ? net->input.outputs : net->features,
        .words = net->input_words,
        .source = at(net, net->source),
        .thresholds = at(net, net->thresholds),
        .run = at(net, net->run),
    };
    if (net->has_input) run_floats(table, net, &net->input, x, rows, numbers);
    table->encode(&e, net->has_input ? numbers : x, rows, bits, net->row_words);
}

static void run_block(const kernels *table, const liam_network *net, const char *x, size_t rows, char *label,
                      char *scores, void *scratch) {
    uint64_t *bits = scratch;
    uint64_t *next = bits + net->block_rows * net->row_words;
    void *numbers = (char *)scratch + net->numbers;
    void *workspace = (char *)scratch + net->workspace;
    encode(table, net, x, rows, numbers, bits);

    for (size_t index = 0; index < net->hidden_layers; index++) {
        xnor_job job = job_of(net, index, bits, rows, workspace);
        job.thresholds = at(net, net->layers[index].first);
        job.out = next;
        job.out_stride = net->row_words;
        table->xnor->threshold(&job);
        next = bits;
        bits = job.out;
    }

    run_head(table, net, bits, rows, numbers, scores, workspace);
    const size_t classes = net->layers[net->hidden_layers].outputs;
    for (size_t i = 0; i < rows; i++) {
        const int64_t best = argmax(scores + i * classes * sizeof(float), classes);
        memcpy(label + i * sizeof best, &best, sizeof best);
    }
}

/* The whole run, with arguments that have been checked. */
static void run_all(const kernels *table, const liam_network *net, const void *x, size_t rows, void *label, void *scores,
                    void *scratch) {
    const size_t classes = net->layers[net->hidden_layers].outputs;
    for (size_t i = 0; i < rows; i += net->block_rows) {
        const size_t count = rows - i < net->block_rows ? rows - i : net->block_rows;
        run_block(table, net, (const char *)x + i * net->features * sizeof(float), count,
                  (char *)label + i * sizeof(int64_t), (char *)scores + i * classes * sizeof(float), scratch);
    }
}

int liam_network_scratch_bytes(const liam_network *net, size_t *bytes) {
    if (net == NULL || bytes == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(net, LIAM_ALIGNMENT) || net->magic != NETWORK_MAGIC) return LIAM_ERR_VALUE;
    *bytes = net->scratch_bytes;
    return LIAM_OK;
}

int liam_network_run(const liam_network *net, const void *x, size_t rows, void *label, void *scores, void *scratch,
                     size_t scratch_bytes) {
    size_t needed, span;
    const int status = liam_network_scratch_bytes(net, &needed);
    if (status != LIAM_OK) return status;
    const size_t classes = net->layers[net->hidden_layers].outputs;
    if (!size_mul(rows, net->features, &span) || !size_mul(span, sizeof(float), &span) ||
        !size_mul(rows, classes, &span) || !size_mul(span, sizeof(float), &span) ||
        !size_mul(rows, sizeof(int64_t), &span)) {
        return LIAM_ERR_OVERFLOW;
    }
    if (rows == 0) return LIAM_OK;
    if (x == NULL || label == NULL || scores == NULL || scratch == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(scratch, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (scratch_bytes < needed) return LIAM_ERR_MEMORY;
    const unsigned mode = float_mode_enter();
    run_all(liam_active(), net, x, rows, label, scores, scratch);
    float_mode_leave(mode);
    return LIAM_OK;
}

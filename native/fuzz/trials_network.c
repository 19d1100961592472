/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of whole networks.
 */
#include <stdlib.h>

#include "liam_trial.h"

#define LAYERS 3

/* A description, with operands for its arrays. */
typedef struct plan {
    liam_network_spec spec;
    liam_layer_spec layers[LAYERS];
    liam_float_layer_spec input, head;
    operand *source, *limits, *weights[LAYERS + 1], *thresholds[LAYERS], *scale, *bias, *table;
    operand *input_weights, *input_bias, *float_weights, *float_bias;
    wide bytes; /* of all weights, about */
} plan;

/* A count that must be there. */
static size_t draw_some(trial *t, size_t limit) {
    const size_t count = trial_count(t) + (size_t)!trial_chance(t, 30);
    trial_rule(t, count != 0 && count <= limit, LIAM_ERR_SIZE);
    return count;
}

/* The weights of a layer of `outputs` rows, also as they will be prepared. */
static operand *draw_weights(trial *t, plan *p, size_t outputs, size_t nbits) {
    const wide bytes = ((wide)outputs + 15) / 16 * 16 * (((wide)nbits + 63) / 64) * 8;
    trial_fits(t, bytes);
    p->bytes += bytes;
    return trial_bits(t, IN, outputs, nbits);
}

/* The same of a layer of floats, and its biases. */
static operand *draw_floats(trial *t, plan *p, size_t inputs, size_t outputs, operand **bias) {
    const wide bytes = ((wide)inputs + 1) * (((wide)outputs + 15) / 16 * 16) * sizeof(float);
    trial_fits(t, bytes);
    p->bytes += bytes;
    *bias = trial_vector(t, IN, FLOATS, outputs);
    return trial_matrix(t, IN, FLOATS, inputs, outputs);
}

/* A head of floats, or of bits with a scale and a bias, or with a table. */
static void draw_head(trial *t, plan *p, size_t nbits) {
    liam_network_spec *s = &p->spec;
    s->classes = draw_some(t, LIAM_MAX_NBITS);
    if (trial_chance(t, 3)) {
        p->float_weights = draw_floats(t, p, nbits, s->classes, &p->float_bias);
        p->head = (liam_float_layer_spec){NULL, p->float_weights->stride, NULL, s->classes + (size_t)trial_chance(t, 40)};
        trial_rule(t, p->head.outputs == s->classes, LIAM_ERR_SIZE);
        s->head = &p->head;
        return;
    }
    p->weights[LAYERS] = draw_weights(t, p, s->classes, nbits);
    p->table = trial_optional(trial_vector(t, IN, FLOATS, (wide)s->classes * ((wide)nbits + 1)));
    p->table->is_null |= trial_chance(t, 2);
    p->bytes += p->table->width * sizeof(float);
    p->scale = trial_vector(t, IN, FLOATS, s->classes);
    p->bias = trial_vector(t, IN, FLOATS, s->classes);
    p->scale->is_optional = p->bias->is_optional = !p->table->is_null;
    s->head_stride = p->weights[LAYERS]->stride;
    s->table = p->table->is_null ? NULL : (const float *)p->table; /* read only when there is memory */
}

static void draw_plan(trial *t, plan *p) {
    *p = (plan){0};
    liam_network_spec *s = &p->spec;
    s->features = draw_some(t, INT32_MAX);
    s->input_bits = draw_some(t, LIAM_MAX_NBITS);
    s->hidden_layers = trial_chance(t, 30) ? LIAM_MAX_HIDDEN_LAYERS + 1 + trial_count(t) : trial_draw(t) % (LAYERS + 1);
    trial_rule(t, s->hidden_layers <= LIAM_MAX_HIDDEN_LAYERS, LIAM_ERR_SIZE);
    size_t encoded = s->features;
    if (trial_chance(t, 3)) {
        encoded = draw_some(t, INT32_MAX);
        p->input_weights = draw_floats(t, p, s->features, encoded, &p->input_bias);
        p->input = (liam_float_layer_spec){NULL, p->input_weights->stride, NULL, encoded};
        s->input = &p->input;
    }
    p->source = trial_below(trial_vector(t, IN, INT_POSITIONS, s->input_bits), encoded);
    p->limits = trial_vector(t, IN, FLOATS, s->input_bits);
    size_t nbits = s->input_bits;
    for (size_t i = 0; i < s->hidden_layers && i < LAYERS; i++) {
        liam_layer_spec *layer = &p->layers[i];
        layer->outputs = draw_some(t, LIAM_MAX_NBITS);
        p->weights[i] = draw_weights(t, p, layer->outputs, nbits);
        p->thresholds[i] = trial_below(trial_vector(t, IN, INT_POSITIONS, layer->outputs), nbits + 1);
        layer->weights_stride = p->weights[i]->stride;
        nbits = layer->outputs;
    }
    draw_head(t, p, nbits);
    s->layers = p->layers;
    if (p->bytes > PTRDIFF_MAX / 2) t->either |= 1u << LIAM_ERR_OVERFLOW; /* the sum of all arrays */
}

/* Puts the operands' memory into the description. */
static void fill_plan(plan *p) {
    liam_network_spec *s = &p->spec;
    s->source = p->source->at;
    s->thresholds = p->limits->at;
    for (size_t i = 0; i < s->hidden_layers && i < LAYERS; i++) {
        p->layers[i].weights = p->weights[i]->at;
        p->layers[i].thresholds = p->thresholds[i]->at;
    }
    if (s->input != NULL) {
        p->input.weights = p->input_weights->at;
        p->input.bias = p->input_bias->at;
    }
    if (s->head != NULL) {
        p->head.weights = p->float_weights->at;
        p->head.bias = p->float_bias->at;
        return;
    }
    s->head_weights = p->weights[LAYERS]->at;
    s->scale = p->scale->at;
    s->bias = p->bias->at;
    s->table = p->table->at;
}

static void network_bytes(trial *t) {
    plan p;
    draw_plan(t, &p);
    for (size_t i = 0; i < t->count; i++) { /* arrays are not looked at, but whether there is a table */
        if (&t->operands[i] != p.table) t->operands[i].is_null = 0;
    }
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    if (trial_ready(t)) trial_done(t, liam_network_bytes(&p.spec, bytes->at));
}

static void network_prepare(trial *t) {
    plan p;
    draw_plan(t, &p);
    size_t needed = 0;
    const int status = liam_network_bytes(&p.spec, &needed);
    operand *net = trial_block(t, OUT, status, needed);
    if (!trial_ready(t)) return;
    fill_plan(&p);
    trial_done(t, liam_network_prepare(&p.spec, net->at, net->bytes));
}

/* A network of few features and classes, now and then with a layer of floats at an end, which is the caller's to free. */
static liam_network *make_network(trial *t, size_t features, size_t hidden, size_t classes) {
    uint64_t words[70 * 2];
    int32_t source[70], thresholds[70];
    float limits[70], factors[70], weights[70 * 70];
    for (size_t i = 0; i < 70; i++) {
        words[i] = trial_draw(t);
        words[70 + i] = trial_draw(t);
        source[i] = (int32_t)(words[i] % features);
        thresholds[i] = (int32_t)(words[i] >> 8 & 15) - 8;
        limits[i] = (float)(words[i] >> 16 & 7) - 4.0f;
        factors[i] = (float)(words[i] >> 24 & 15) - 8.0f;
    }
    for (size_t i = 0; i < 70 * 70; i++) weights[i] = factors[i % 70] * limits[i / 70];
    const liam_layer_spec layer = {words, 2, thresholds, hidden};
    const liam_float_layer_spec input = {weights, 70, factors, features}, head = {weights, 70, factors, classes};
    const liam_network_spec spec = {features, 67, source, limits, hidden != 0, &layer, words, 2, factors, factors, classes,
                                    NULL, trial_chance(t, 3) ? &input : NULL, trial_chance(t, 3) ? &head : NULL};
    size_t bytes;
    void *net = NULL;
    if (liam_network_bytes(&spec, &bytes) != LIAM_OK || posix_memalign(&net, LIAM_ALIGNMENT, bytes) != 0) abort();
    if (liam_network_prepare(&spec, net, bytes) != LIAM_OK) abort();
    return net;
}

static void network_run(trial *t) {
    const size_t rows = trial_count(t), features = 1 + trial_draw(t) % 40, classes = 1 + trial_draw(t) % 60;
    liam_network *net = make_network(t, features, trial_draw(t) % 70, classes);
    size_t needed = 0;
    const int status = liam_network_scratch_bytes(net, &needed);
    operand *x = trial_dense(t, IN, BYTES, rows, features * sizeof(float));
    operand *label = trial_dense(t, OUT, BYTES, rows, sizeof(int64_t));
    operand *scores = trial_dense(t, OUT, BYTES, rows, classes * sizeof(float));
    operand *scratch = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_network_run(net, x->at, rows, label->at, scores->at, scratch->at, scratch->bytes));
    }
    free(net);
}

const trial_subject trials_network[] = {TRIAL(network_bytes), TRIAL(network_prepare), TRIAL(network_run), {0}};

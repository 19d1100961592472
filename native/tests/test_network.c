/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole networks against a reference that works on +1 and -1 as int32_t, one row at a time: random depths and widths, with
 * layers of floats at either end and without, every misalignment of the caller's buffers, every position of a row, and exact scratch that ends at an inaccessible
 * page.
 */
#include <math.h>

#include "check.h"

#define MAX_LAYERS 3
#define MAX_WIDTH 300
#define MAX_ROWS 70

typedef struct model {
    liam_network_spec spec;
    liam_layer_spec layers[MAX_LAYERS];
    int32_t source[MAX_WIDTH];
    float thresholds[MAX_WIDTH];
    uint64_t weights[MAX_LAYERS + 1][MAX_WIDTH * (MAX_WIDTH / 64 + 1)];
    int32_t limits[MAX_LAYERS][MAX_WIDTH];
    float scale[MAX_WIDTH];
    float bias[MAX_WIDTH];
    float table[MAX_WIDTH * (MAX_WIDTH + 1)];
    liam_float_layer_spec input, head;
    float float_weights[2][MAX_WIDTH * (MAX_WIDTH + 2)];
    float float_bias[2][MAX_WIDTH];
} model;

static size_t width(void) { return 1 + random_below(random_below(2) ? 70 : MAX_WIDTH); }

static const liam_float_layer_spec *make_floats(model *m, int which, size_t inputs, size_t outputs, int tied) {
    liam_float_layer_spec *layer = which ? &m->head : &m->input;
    float *weights = m->float_weights[which], *bias = m->float_bias[which];
    *layer = (liam_float_layer_spec){weights, outputs + random_below(3), bias, outputs};
    for (size_t k = 0; k < inputs * layer->weights_stride; k++) weights[k] = tied ? 0.25f : random_float();
    for (size_t j = 0; j < outputs; j++) bias[j] = tied ? 0.0f : random_float();
    return layer;
}

/* Parameters that turn nbits bits into scores, in one of the three ways. */
static void make_head(model *m, size_t nbits, size_t classes) {
    const int tied = random_below(2) != 0; /* equal parameters make many ties */
    if (random_below(3) == 0) {
        m->spec.head = make_floats(m, 1, nbits, classes, tied);
        m->spec.head_weights = NULL;
        m->spec.head_stride = 0;
        m->spec.scale = m->spec.bias = NULL;
        return;
    }
    for (size_t c = 0; c < classes; c++) {
        m->scale[c] = tied ? -0.5f : random_float();
        m->bias[c] = tied ? 0.0f : random_float();
    }
    if (random_below(2)) return;
    m->spec.table = m->table;
    m->spec.scale = m->spec.bias = NULL;
    for (size_t k = 0; k < classes * (nbits + 1); k++) {
        m->table[k] = tied ? (float)random_below(3) : random_float();
    }
}

static void make_model(model *m, size_t hidden) {
    const size_t features = width();
    size_t nbits = width();
    const int in_runs = random_below(2) != 0;
    m->spec = (liam_network_spec){.features = features, .input_bits = nbits, .source = m->source,
                                  .thresholds = m->thresholds, .hidden_layers = hidden, .layers = m->layers,
                                  .head_weights = m->weights[hidden], .scale = m->scale, .bias = m->bias};
    size_t encoded = features;
    if (random_below(3) == 0) {
        encoded = width();
        m->spec.input = make_floats(m, 0, features, encoded, random_below(8) == 0);
    }
    for (size_t j = 0; j < nbits; j++) {
        m->source[j] = (int32_t)(in_runs ? j % encoded : random_below(encoded));
        m->thresholds[j] = random_float();
    }
    for (size_t index = 0; index <= hidden; index++) {
        const size_t outputs = width();
        const size_t stride = liam_words(nbits) + (liam_words(nbits) < MAX_WIDTH / 64 + 1 ? random_below(2) : 0);
        for (size_t k = 0; k < outputs * stride; k++) m->weights[index][k] = random_u64();
        if (index == hidden) {
            m->spec.classes = outputs;
            m->spec.head_stride = stride;
            make_head(m, nbits, outputs);
        } else {
            m->layers[index] = (liam_layer_spec){m->weights[index], stride, m->limits[index], outputs};
            for (size_t n = 0; n < outputs; n++) {
                m->limits[index][n] = (int32_t)random_below(2 * nbits + 3) - (int32_t)nbits - 1;
            }
        }
        nbits = outputs;
    }
}

static int32_t sign_dot(const int32_t *signs, const uint64_t *weights, size_t count) {
    int32_t sum = 0;
    for (size_t j = 0; j < count; j++) sum += bit_of(weights, j) ? signs[j] : -signs[j];
    return sum;
}

/* One output of a layer of floats, in the order that liam_linear.h documents. */
static float expected_float(const liam_float_layer_spec *layer, size_t j, const float *x, size_t inputs) {
    volatile float sum[4] = {0};
    for (size_t k = 0; k < inputs; k++) {
        const volatile float term = x[k] * layer->weights[k * layer->weights_stride + j];
        sum[k % 4] = sum[k % 4] + term;
    }
    const volatile float low = sum[0] + sum[1], high = sum[2] + sum[3], all = low + high;
    return all + layer->bias[j];
}

static float expected_score(const model *m, size_t c, size_t nbits, int32_t dot) {
    if (m->spec.table != NULL) return m->table[c * (nbits + 1) + (size_t)(dot + (int32_t)nbits) / 2];
    const volatile float product = m->scale[c] * (float)dot;
    return product + m->bias[c];
}

static int64_t expected_row(const model *m, const float *x, float *scores) {
    int32_t signs[MAX_WIDTH], next[MAX_WIDTH];
    float encoded[MAX_WIDTH];
    size_t count = m->spec.input_bits;
    if (m->spec.input != NULL) {
        for (size_t j = 0; j < m->input.outputs; j++) encoded[j] = expected_float(&m->input, j, x, m->spec.features);
        x = encoded;
    }
    for (size_t j = 0; j < count; j++) signs[j] = x[m->source[j]] >= m->thresholds[j] ? 1 : -1;
    for (size_t index = 0; index < m->spec.hidden_layers; index++) {
        const liam_layer_spec *layer = &m->layers[index];
        for (size_t n = 0; n < layer->outputs; n++) {
            const int32_t dot = sign_dot(signs, layer->weights + n * layer->weights_stride, count);
            next[n] = dot >= layer->thresholds[n] ? 1 : -1;
        }
        count = layer->outputs;
        memcpy(signs, next, sizeof signs);
    }
    int64_t label = 0;
    for (size_t j = 0; j < count; j++) encoded[j] = (float)signs[j];
    for (size_t c = 0; c < m->spec.classes; c++) {
        if (m->spec.head != NULL) {
            scores[c] = expected_float(&m->head, c, encoded, count);
        } else {
            const int32_t dot = sign_dot(signs, m->spec.head_weights + c * m->spec.head_stride, count);
            scores[c] = expected_score(m, c, count, dot);
        }
        if (scores[c] > scores[label]) label = (int64_t)c;
    }
    return label;
}

static void run_model(const model *m, arena net_arena, arena scratch_arena, arena x_arena, arena label_arena,
                      arena scores_arena) {
    static float rows[MAX_ROWS * MAX_WIDTH];
    static float scores[MAX_ROWS * MAX_WIDTH];
    static int64_t labels[MAX_ROWS];
    const size_t features = m->spec.features, classes = m->spec.classes;
    for (size_t i = 0; i < MAX_ROWS * features; i++) rows[i] = random_below(m->spec.input ? 9 * features : 9) ? random_float() : NAN;
    for (size_t i = 0; i < MAX_ROWS && m->spec.input == NULL; i++) { /* values that equal a threshold of theirs */
        for (size_t k = 0; k < 8; k++) {
            const size_t j = random_below(m->spec.input_bits);
            rows[i * features + (size_t)m->source[j]] = m->thresholds[j];
        }
    }
    for (size_t i = 0; i < MAX_ROWS; i++) labels[i] = expected_row(m, rows + i * features, scores + i * classes);

    size_t net_bytes, scratch_bytes;
    CHECK(liam_network_bytes(&m->spec, &net_bytes) == LIAM_OK);
    liam_network *net = arena_take(net_arena, net_bytes);
    CHECK(liam_network_prepare(&m->spec, net, net_bytes) == LIAM_OK);
    CHECK(liam_network_scratch_bytes(net, &scratch_bytes) == LIAM_OK);

    for (size_t trial = 0; trial < 64; trial++) { /* trial is the misalignment of x, and others of the outputs */
        const size_t count = trial < MAX_ROWS / 2 ? trial : random_below(MAX_ROWS + 1);
        const size_t first = random_below(MAX_ROWS + 1 - count);
        void *scratch = arena_take(scratch_arena, scratch_bytes);
        uint8_t *x = arena_take(x_arena, count * features * sizeof(float) + trial);
        uint8_t *label = arena_take(label_arena, count * sizeof(int64_t) + trial * 7 % 64);
        uint8_t *score = arena_take(scores_arena, count * classes * sizeof(float) + trial * 5 % 64);
        if (trial % 2) { /* the buffers' ends or their starts are misaligned against the guard page */
            x += trial;
            label += trial * 7 % 64;
            score += trial * 5 % 64;
        }
        memcpy(x, rows + first * features, count * features * sizeof(float));
        CHECK(liam_network_run(net, x, count, label, score, scratch, scratch_bytes) == LIAM_OK);
        CHECK(memcmp(label, labels + first, count * sizeof(int64_t)) == 0);
        CHECK(memcmp(score, scores + first * classes, count * classes * sizeof(float)) == 0);
        CHECK(front_intact(label) && front_intact(score) && front_intact(scratch));
    }
}

void test_network(void) {
    static model m;
    static arena arenas[5];
    for (size_t k = 0; k < 5; k++) {
        if (arenas[k].end == NULL) arenas[k] = arena_new();
    }
    for (test_case = 0; test_case < 80; test_case++) {
        make_model(&m, test_case % (MAX_LAYERS + 1));
        run_model(&m, arenas[0], arenas[1], arenas[2], arenas[3], arenas[4]);
    }
}

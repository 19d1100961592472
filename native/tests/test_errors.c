/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error code of every function, from arguments that would touch memory wrongly if they were believed.
 */
#include <math.h>

#include "check.h"
#include "liam_bits.h"

static _Alignas(LIAM_ALIGNMENT) uint64_t words[64];
static float floats[64];
static double doubles[64];
static int32_t ints[64];
static uint8_t octets[64];

#define HUGE_ROWS (SIZE_MAX / 4)
#define TOO_WIDE ((size_t)LIAM_MAX_NBITS + 1)

static void packing(void) {
    int8_t *const i8 = (int8_t *)octets;
    CHECK(liam_pack_f32(NULL, 1, 1, 1, NULL, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_pack_f32(floats, 1, 1, 1, NULL, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_pack_f32(NULL, 0, 9, 9, NULL, NULL, 1) == LIAM_OK);
    CHECK(liam_pack_f32(NULL, 9, 0, 0, NULL, NULL, 0) == LIAM_OK);
    CHECK(liam_pack_f32(floats, 1, TOO_WIDE, TOO_WIDE, NULL, words, TOO_WIDE) == LIAM_ERR_SIZE);
    CHECK(liam_pack_f32(floats, 1, 9, 8, NULL, words, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_pack_f32(floats, 1, 65, 65, NULL, words, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_pack_f32(floats, HUGE_ROWS, 9, 9, NULL, words, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_pack_f64(NULL, 1, 1, 1, NULL, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_pack_f64(doubles, HUGE_ROWS, 1, 1, NULL, words, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_pack_i8(i8, 1, 9, 8, NULL, words, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_pack_bool(octets, HUGE_ROWS, 1, 1, words, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_unpack_i8(words, 1, 9, 0, i8, 9) == LIAM_ERR_STRIDE);
    CHECK(liam_unpack_i8(NULL, 1, 9, 1, i8, 9) == LIAM_ERR_NULL);
    CHECK(liam_unpack_f32(words, 1, 9, 1, NULL, 9) == LIAM_ERR_NULL);
    CHECK(liam_unpack_bool(words, 1, TOO_WIDE, TOO_WIDE, octets, TOO_WIDE) == LIAM_ERR_SIZE);
    CHECK(liam_from_bytes(octets, 1, 9, 1, 0, words, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_from_bytes(octets, 1, 9, 2, 2, words, 1) == LIAM_ERR_VALUE);
    CHECK(liam_from_bytes(octets, 1, TOO_WIDE, TOO_WIDE, 0, words, TOO_WIDE) == LIAM_ERR_SIZE);
    CHECK(liam_from_bytes(NULL, 1, 9, 2, 0, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_from_bytes(NULL, 5, 0, 0, 0, NULL, 0) == LIAM_OK);
    CHECK(liam_to_bytes(words, HUGE_ROWS, 9, 1, 0, octets, 2) == LIAM_ERR_OVERFLOW);
    CHECK(liam_to_bytes(words, 1, 9, 1, -1, octets, 2) == LIAM_ERR_VALUE);
}

static void bits(void) {
    uint32_t *const counts = (uint32_t *)ints;
    CHECK(liam_bits_and(NULL, 1, words, 1, 1, 9, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_bits_or(words, 1, NULL, 1, 1, 9, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_bits_xor(words, 1, words, 1, 1, 9, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_bits_xnor(NULL, 0, NULL, 0, 9, 0, NULL, 0) == LIAM_OK);
    CHECK(liam_bits_and(NULL, 1, NULL, 1, 0, 9, NULL, 1) == LIAM_OK);
    CHECK(liam_bits_and(words, 0, words, 1, 1, 9, words, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_or(words, 1, words, 0, 1, 9, words, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_xor(words, 1, words, 1, 1, 9, words, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_xor(words, TOO_WIDE, words, TOO_WIDE, 1, TOO_WIDE, words, TOO_WIDE) == LIAM_ERR_SIZE);
    CHECK(liam_bits_xnor(words, 1, words, 1, HUGE_ROWS, 9, words, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_bits_not(NULL, 1, 1, 9, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_bits_not(words, 1, 1, 65, words, 2) == LIAM_ERR_STRIDE);

    CHECK(liam_bits_popcount(NULL, 1, 9, 1, counts) == LIAM_ERR_NULL);
    CHECK(liam_bits_popcount(words, 1, 9, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_bits_popcount(words, 1, 65, 1, counts) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_popcount(words, 1, TOO_WIDE, TOO_WIDE, counts) == LIAM_ERR_SIZE);
    CHECK(liam_bits_popcount(words, HUGE_ROWS, 0, 0, counts) == LIAM_ERR_OVERFLOW);
    ints[2] = 5;
    CHECK(liam_bits_popcount(NULL, 3, 0, 0, counts) == LIAM_OK && ints[2] == 0);
    CHECK(liam_bits_parity(words, 1, 9, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_bits_parity(words, HUGE_ROWS, 9, 1, octets) == LIAM_ERR_OVERFLOW);
    CHECK(liam_bits_parity(NULL, 0, 9, 1, NULL) == LIAM_OK);
    octets[2] = 5;
    CHECK(liam_bits_parity(NULL, 3, 0, 0, octets) == LIAM_OK && octets[2] == 0);

    CHECK(liam_bits_rotate(NULL, 1, 9, 1, 1, words, 1) == LIAM_ERR_NULL);
    CHECK(liam_bits_rotate(words, 1, 9, 1, 1, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_bits_rotate(words, 1, 65, 2, 1, words + 8, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_rotate(words, HUGE_ROWS, 9, 1, 1, words + 8, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_bits_rotate(words, 1, TOO_WIDE, TOO_WIDE, 1, words + 8, TOO_WIDE) == LIAM_ERR_SIZE);
    CHECK(liam_bits_rotate(NULL, 7, 0, 0, INT64_MIN, NULL, 0) == LIAM_OK);

    CHECK(liam_bits_kronecker(NULL, 1, 9, 1, words, 1, 9, 1, words + 8, 2) == LIAM_ERR_NULL);
    CHECK(liam_bits_kronecker(words, 1, 9, 1, NULL, 1, 9, 1, words + 8, 2) == LIAM_ERR_NULL);
    CHECK(liam_bits_kronecker(words, 1, 9, 1, words, 1, 9, 1, NULL, 2) == LIAM_ERR_NULL);
    CHECK(liam_bits_kronecker(words, 1, 9, 0, words, 1, 9, 1, words + 8, 2) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_kronecker(words, 1, 9, 1, words, 1, 9, 0, words + 8, 2) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_kronecker(words, 1, 9, 1, words, 1, 9, 1, words + 8, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_bits_kronecker(words, 1, TOO_WIDE, TOO_WIDE, words, 1, 9, 1, words, TOO_WIDE) == LIAM_ERR_SIZE);
    CHECK(liam_bits_kronecker(words, 1, 9, 1, words, 1, LIAM_MAX_NBITS / 9 + 1, TOO_WIDE, words, TOO_WIDE) ==
          LIAM_ERR_SIZE);
    CHECK(liam_bits_kronecker(words, HUGE_ROWS / 8, 9, 1, words, 64, 9, 1, words, 2) == LIAM_ERR_OVERFLOW);
    CHECK(liam_bits_kronecker(words, 9, 9, 1, words, HUGE_ROWS / 16, 9, 1, words, 2) == LIAM_ERR_OVERFLOW);
    CHECK(liam_bits_kronecker(NULL, 0, 9, 1, words, HUGE_ROWS / 16, 9, 1, NULL, 2) == LIAM_OK);
    CHECK(liam_bits_kronecker(words, 3, 9, 1, NULL, 5, 0, 0, NULL, 0) == LIAM_OK);
}

static void products(void) {
    size_t bytes;
    CHECK(liam_xnor_prepared_bytes(1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_xnor_prepared_bytes(1, TOO_WIDE, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_xnor_prepared_bytes(SIZE_MAX, 64, &bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_xnor_prepared_bytes(SIZE_MAX / 64, 6400, &bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_xnor_prepared_bytes(17, 65, &bytes) == LIAM_OK && bytes == 32 * 2 * sizeof(uint64_t));

    CHECK(liam_xnor_prepare(words, 1, 64, 0, words + 16, 128) == LIAM_ERR_STRIDE);
    CHECK(liam_xnor_prepare(NULL, 1, 64, 1, words, 128) == LIAM_ERR_NULL);
    CHECK(liam_xnor_prepare(words, 1, 64, 1, NULL, 128) == LIAM_ERR_NULL);
    CHECK(liam_xnor_prepare(words, 1, 64, 1, words + 17, 128) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_xnor_prepare(words, 1, 64, 1, words + 16, 127) == LIAM_ERR_MEMORY);
    CHECK(liam_xnor_prepare(words, 3, 64, SIZE_MAX / 4, words + 16, 128) == LIAM_ERR_OVERFLOW);
    CHECK(liam_xnor_prepare(NULL, 0, 64, 1, NULL, 0) == LIAM_OK);

    CHECK(liam_xnor_dot(NULL, 1, 1, words, 1, 64, ints, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_xnor_dot(words, 1, 1, NULL, 1, 64, ints, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_xnor_dot(words, 1, 1, words, 1, 64, NULL, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_xnor_dot(words, 1, 0, words, 1, 64, ints, 1, NULL, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_xnor_dot(words, 1, 1, words, 2, 64, ints, 1, NULL, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_xnor_dot(words, 1, 1, words + 1, 1, 64, ints, 1, NULL, 0) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_xnor_dot(words, HUGE_ROWS, 1, words, 1, 64, ints, 1, NULL, 0) == LIAM_ERR_OVERFLOW);
    CHECK(liam_xnor_dot(words, 1, TOO_WIDE, words, 1, TOO_WIDE, ints, 1, NULL, 0) == LIAM_ERR_SIZE);
    CHECK(liam_xnor_dot(NULL, 0, 1, NULL, 1, 64, NULL, 1, NULL, 0) == LIAM_OK);
    CHECK(liam_xnor_dot(NULL, 2, 0, NULL, 2, 0, ints, 2, NULL, 0) == LIAM_OK && ints[3] == 0);
    CHECK(liam_xnor_dot(NULL, 2, 0, words + 1, 2, 0, ints, 2, NULL, 0) == LIAM_OK);
    CHECK(liam_xnor_workspace_bytes(32, 17, 65, NULL) == LIAM_ERR_NULL);
    CHECK(liam_xnor_workspace_bytes(32, 17, TOO_WIDE, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_xnor_workspace_bytes(32, 17, 65, &bytes) == LIAM_OK && bytes == (2 + 1 * (2 + 2)) * 2 * 1024);
    CHECK(liam_xnor_workspace_bytes(31, 17, 65, &bytes) == LIAM_OK && bytes == 0);
    CHECK(liam_xnor_workspace_bytes(SIZE_MAX, SIZE_MAX, 64 * 127, &bytes) == LIAM_OK && bytes < (size_t)1 << 20);
    CHECK(liam_xnor_workspace_bytes(SIZE_MAX, SIZE_MAX, 1, &bytes) == LIAM_OK && bytes < (size_t)1 << 20);
    CHECK(liam_xnor_workspace_bytes(SIZE_MAX, SIZE_MAX, 64 * 127 + 1, &bytes) == LIAM_OK && bytes == 0);
    CHECK(liam_xnor_dot(words, 32, 1, words, 1, 64, ints, 1, words + 1, 4 * 2 * 1024) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_xnor_dot(words, 32, 1, words, 1, 64, ints, 1, words, 4 * 2 * 1024 - 1) == LIAM_ERR_MEMORY);
    CHECK(liam_xnor_threshold(words, 1, 1, words, 1, 64, NULL, words + 32, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_xnor_threshold(words, 1, 1, words, 65, 64, ints, words + 32, 1, NULL, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_xnor_scale(words, 1, 1, words, 1, 64, NULL, floats, floats + 32, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_xnor_scale(words, 1, 1, words, 1, 64, floats, NULL, floats + 32, 1, NULL, 0) == LIAM_ERR_NULL);
}

/* A network of 2 features, 3 input bits, one hidden layer of 2 and 2 classes. */
static liam_layer_spec layer;
static const int32_t sources[] = {0, 1, 1};
static const float limits[] = {0.0f, -0.5f, 0.5f};
static const int32_t thresholds[] = {-4, 4};
static const float parameters[] = {1.0f, -1.0f, 0x1p64f, -0x1p64f};
static liam_float_layer_spec float_layer;

static liam_network_spec sound(void) {
    layer = (liam_layer_spec){words, 1, thresholds, 2};
    float_layer = (liam_float_layer_spec){parameters, 2, parameters, 2};
    return (liam_network_spec){2, 3, sources, limits, 1, &layer, words, 1, parameters, parameters, 2, NULL, NULL, NULL};
}

static int prepare(const liam_network_spec *spec) {
    static _Alignas(LIAM_ALIGNMENT) uint8_t memory[16384];
    return liam_network_prepare(spec, (liam_network *)(void *)memory, sizeof memory);
}

#define BROKEN(change, status)             \
    do {                                   \
        liam_network_spec s = sound();     \
        change;                            \
        CHECK(prepare(&s) == (status));    \
    } while (0)

static void network_specs(void) {
    static const int32_t outside[] = {0, 2, 1}, negative[] = {0, -1, 1}, above[] = {0, 5}, below[] = {-5, 0};
    static const float nan_limits[] = {0.0f, NAN, 0.0f}, infinite[] = {1.0f, INFINITY};
    static const float table[] = {0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
    static const float nan_table[] = {0.0f, 1.0f, 2.0f, 3.0f, 4.0f, NAN};
    BROKEN((void)0, LIAM_OK);
    BROKEN(s.features = 0, LIAM_ERR_SIZE);
    BROKEN(s.features = (size_t)INT32_MAX + 1, LIAM_ERR_SIZE);
    BROKEN(s.input_bits = 0, LIAM_ERR_SIZE);
    BROKEN(s.input_bits = TOO_WIDE, LIAM_ERR_SIZE);
    BROKEN(s.classes = 0, LIAM_ERR_SIZE);
    BROKEN(s.hidden_layers = LIAM_MAX_HIDDEN_LAYERS + 1, LIAM_ERR_SIZE);
    BROKEN(s.layers = NULL, LIAM_ERR_NULL);
    BROKEN(s.source = NULL, LIAM_ERR_NULL);
    BROKEN(s.thresholds = NULL, LIAM_ERR_NULL);
    BROKEN(s.head_weights = NULL, LIAM_ERR_NULL);
    BROKEN(s.scale = NULL, LIAM_ERR_NULL);
    BROKEN(s.bias = NULL, LIAM_ERR_NULL);
    BROKEN(s.head_stride = 0, LIAM_ERR_STRIDE);
    BROKEN(s.head_stride = SIZE_MAX / 2, LIAM_ERR_OVERFLOW);
    BROKEN(layer.outputs = 0, LIAM_ERR_SIZE);
    BROKEN(layer.weights_stride = 0, LIAM_ERR_STRIDE);
    BROKEN(layer.weights = NULL, LIAM_ERR_NULL);
    BROKEN(layer.thresholds = NULL, LIAM_ERR_NULL);
    BROKEN(layer.thresholds = above, LIAM_ERR_VALUE);
    BROKEN(layer.thresholds = below, LIAM_ERR_VALUE);
    BROKEN(s.source = outside, LIAM_ERR_VALUE);
    BROKEN(s.source = negative, LIAM_ERR_VALUE);
    BROKEN(s.thresholds = nan_limits, LIAM_ERR_VALUE);
    BROKEN(s.scale = infinite, LIAM_ERR_VALUE);
    BROKEN(s.bias = infinite, LIAM_ERR_VALUE);
    BROKEN((s.table = table, s.scale = s.bias = NULL), LIAM_OK);
    BROKEN(s.table = nan_table, LIAM_ERR_VALUE);
    BROKEN((s.table = table, s.classes = LIAM_MAX_NBITS, s.head_stride = SIZE_MAX / 2), LIAM_ERR_OVERFLOW);
    static const float huge[] = {1.0f, 0.0f, 0x1.000002p64f, 0.0f}, nan_weights[] = {0.0f, 0.0f, 0.0f, NAN};
    BROKEN(s.input = &float_layer, LIAM_OK);
    BROKEN((s.input = &float_layer, float_layer.weights = float_layer.bias = huge), LIAM_OK);
    BROKEN((s.input = &float_layer, float_layer.outputs = 1), LIAM_ERR_VALUE); /* a source is outside */
    BROKEN((s.input = &float_layer, float_layer.outputs = 0), LIAM_ERR_SIZE);
    BROKEN((s.input = &float_layer, float_layer.outputs = (size_t)INT32_MAX + 1), LIAM_ERR_SIZE);
    BROKEN((s.input = &float_layer, float_layer.weights_stride = 1), LIAM_ERR_STRIDE);
    BROKEN((s.input = &float_layer, float_layer.weights_stride = SIZE_MAX / 2), LIAM_ERR_OVERFLOW);
    BROKEN((s.input = &float_layer, float_layer.weights = NULL), LIAM_ERR_NULL);
    BROKEN((s.input = &float_layer, float_layer.bias = NULL), LIAM_ERR_NULL);
    BROKEN((s.input = &float_layer, float_layer.bias = infinite), LIAM_ERR_VALUE);
    BROKEN((s.input = &float_layer, float_layer.weights = nan_weights), LIAM_ERR_VALUE);
    BROKEN((s.head = &float_layer, s.head_weights = NULL, s.scale = s.bias = NULL), LIAM_OK);
    BROKEN((s.head = &float_layer, s.table = table), LIAM_OK);
    BROKEN((s.head = &float_layer, float_layer.outputs = 3), LIAM_ERR_SIZE);
    BROKEN((s.head = &float_layer, float_layer.weights_stride = 1), LIAM_ERR_STRIDE);
    BROKEN((s.head = &float_layer, float_layer.weights = NULL), LIAM_ERR_NULL);
    BROKEN((s.head = &float_layer, float_layer.bias = NULL), LIAM_ERR_NULL);
    BROKEN((s.head = &float_layer, float_layer.weights = huge), LIAM_ERR_VALUE);
    BROKEN((s.head = &float_layer, float_layer.bias = huge + 2), LIAM_ERR_VALUE);
    BROKEN((s.head = &float_layer, float_layer.weights = nan_weights), LIAM_ERR_VALUE);
    size_t bytes;
    liam_network_spec s = sound();
    CHECK(liam_network_bytes(NULL, &bytes) == LIAM_ERR_NULL);
    CHECK(liam_network_bytes(&s, NULL) == LIAM_ERR_NULL);
    CHECK(liam_network_prepare(&s, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_network_prepare(&s, (liam_network *)(void *)(words + 1), SIZE_MAX) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_network_prepare(&s, (liam_network *)(void *)words, sizeof words) == LIAM_ERR_MEMORY);
}

static void network_runs(void) {
    static _Alignas(LIAM_ALIGNMENT) uint8_t memory[16384];
    static _Alignas(LIAM_ALIGNMENT) uint8_t scratch[16384];
    liam_network *net = (liam_network *)(void *)memory;
    const liam_network_spec s = sound();
    int64_t label[2];
    size_t needed;
    CHECK(liam_network_scratch_bytes(NULL, &needed) == LIAM_ERR_NULL);
    memset(memory, 0, sizeof memory);
    CHECK(liam_network_scratch_bytes(net, &needed) == LIAM_ERR_VALUE);
    CHECK(liam_network_run(net, floats, 1, label, floats + 8, scratch, sizeof scratch) == LIAM_ERR_VALUE);
    CHECK(liam_network_prepare(&s, net, sizeof memory) == LIAM_OK);
    CHECK(liam_network_scratch_bytes(net, NULL) == LIAM_ERR_NULL);
    CHECK(liam_network_scratch_bytes(net, &needed) == LIAM_OK && needed <= sizeof scratch);
    CHECK(liam_network_run(NULL, floats, 1, label, floats + 8, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_network_run(net, NULL, 0, NULL, NULL, NULL, 0) == LIAM_OK);
    CHECK(liam_network_run(net, NULL, 1, label, floats + 8, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_network_run(net, floats, 1, NULL, floats + 8, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_network_run(net, floats, 1, label, NULL, scratch, needed) == LIAM_ERR_NULL);
    CHECK(liam_network_run(net, floats, 1, label, floats + 8, NULL, needed) == LIAM_ERR_NULL);
    CHECK(liam_network_run(net, floats, 1, label, floats + 8, scratch + 8, needed) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_network_run(net, floats, 1, label, floats + 8, scratch, needed - 1) == LIAM_ERR_MEMORY);
    CHECK(liam_network_run(net, floats, HUGE_ROWS, label, floats + 8, scratch, needed) == LIAM_ERR_OVERFLOW);
    CHECK(liam_network_run(net, floats, 2, label, floats + 8, scratch, needed) == LIAM_OK);
}

void test_errors(void) {
    bits();
    packing();
    products();
    network_specs();
    network_runs();
}

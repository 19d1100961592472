/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test that packs, encodes and runs the products of layers.
 */
#include "self_test.h"
#include "sizes.h"

#define ROWS 11
#define BITS 203
#define WORDS ((BITS + 63) / 64)
#define COLUMNS 83
#define PANEL_ROWS ((COLUMNS + LIAM_PANEL - 1) / LIAM_PANEL * LIAM_PANEL)

typedef struct work {
    _Alignas(LIAM_ALIGNMENT) uint64_t panels[PANEL_ROWS * WORDS];
    _Alignas(LIAM_ALIGNMENT) int32_t source[WORDS * 64];
    _Alignas(LIAM_ALIGNMENT) float limits[WORDS * 64];
    int32_t run[WORDS * 4];
    float x[ROWS * BITS];
    double x64[BITS];
    uint64_t bits[ROWS * WORDS];
    uint64_t weights[COLUMNS * WORDS];
    int32_t thresholds[COLUMNS];
    float scale[COLUMNS];
    float bias[COLUMNS];
    union {
        int32_t dot[ROWS * COLUMNS];
        float score[ROWS * COLUMNS];
        uint64_t words[ROWS * WORDS];
        int8_t i8[BITS];
        uint8_t u8[BITS];
        float f32[BITS];
    } out;
} work;

static void fill(work *w) {
    uint64_t state = 0x4c49414d; /* "LIAM" */
    for (size_t i = 0; i < ROWS * BITS; i++) w->x[i] = next_float(&state);
    for (size_t j = 0; j < BITS; j++) w->x64[j] = (double)w->x[j] * 1.000000001;
    for (size_t i = 0; i < COLUMNS * WORDS; i++) w->weights[i] = next_random(&state); /* excess bits too */
    for (size_t j = 0; j < COLUMNS; j++) {
        w->thresholds[j] = (int32_t)(next_random(&state) % 21) - 10;
        w->scale[j] = next_float(&state);
        w->bias[j] = next_float(&state);
    }
    for (size_t j = 0; j < WORDS * 64; j++) {
        const int scattered = j / 16 % 2 == 1;
        w->source[j] = (int32_t)(scattered ? next_random(&state) % BITS : j);
        w->limits[j] = next_float(&state);
        if (j % 16 == 0) w->run[j / 16] = scattered ? -1 : w->source[j];
        if (w->source[j] >= BITS) { /* the last group runs past the features */
            w->source[j] = 0;
            w->run[j / 16] = -1;
        }
    }
}

uint64_t liam_self_test_layers(const kernels *table, uint64_t d) {
    work w;
    memset(&w, 0, sizeof w);
    fill(&w);

    table->pack->f64(w.x64, 1, BITS, BITS, w.x + BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->pack->f32(w.x, 1, BITS, BITS, w.x + BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->pack->to_i8(w.bits, 1, BITS, WORDS, w.out.i8, BITS);
    d = digest_of(d, w.out.i8, BITS, 1);
    table->pack->i8(w.out.i8, 1, BITS, BITS, NULL, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->pack->to_bool(w.bits, 1, BITS, WORDS, w.out.u8, BITS);
    d = digest_of(d, w.out.u8, BITS, 1);
    table->pack->boolean(w.out.u8, 1, BITS, BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->pack->to_f32(w.bits, 1, BITS, WORDS, w.out.f32, BITS);
    d = digest_of(d, w.out.f32, BITS, sizeof(float));

    const encoder e = {BITS, WORDS, w.source, w.limits, w.run};
    table->encode(&e, w.x, ROWS, w.bits, WORDS);
    d = digest_of(d, w.bits, ROWS * WORDS, sizeof *w.bits);
    table->pack->f32(w.x, ROWS, BITS, BITS, NULL, w.bits, WORDS);
    d = digest_of(d, w.bits, ROWS * WORDS, sizeof *w.bits);

    if (liam_xnor_prepare(w.weights, COLUMNS, BITS, WORDS, w.panels, sizeof w.panels) != LIAM_OK) {
        return d;
    }
    xnor_job job = {.a = w.bits, .m = ROWS, .a_stride = WORDS, .panels = w.panels, .n = COLUMNS, .nbits = BITS,
                    .thresholds = w.thresholds, .scale = w.scale, .bias = w.bias, .out = &w.out,
                    .out_stride = COLUMNS};
    table->xnor->dot(&job);
    d = digest_of(d, w.out.dot, ROWS * COLUMNS, sizeof(int32_t));
    table->xnor->scale(&job);
    d = digest_of(d, w.out.score, ROWS * COLUMNS, sizeof(float));
    job.out_stride = words_of(COLUMNS);
    table->xnor->threshold(&job);
    d = digest_of(d, w.out.words, ROWS * words_of(COLUMNS), sizeof(uint64_t));
    return d;
}

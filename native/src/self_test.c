/* SPDX-License-Identifier: Apache-2.0
 *
 * The start-up self-test: every kernel of a level on one small fixed input, digested and compared with what the scalar
 * level computed when this file was written. It catches a miscompiled or misdetected level before it serves anything.
 */
#include <string.h>

#include "kernels.h"
#include "network.h"
#include "sizes.h"

#define GOLDEN UINT64_C(0xf3bdb04240bf8b73)

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

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A float in [-1, 1) with 24 significant bits. */
static float next_float(uint64_t *state) { return (float)(next_random(state) >> 40) * 0x1p-23f - 1.0f; }

/* FNV-1a over `count` values, each as `size` little-endian bytes. */
static uint64_t digest_of(uint64_t digest, const void *values, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        const char *at = (const char *)values + i * size;
        uint8_t u8;
        uint32_t u32;
        switch (size) {
        case 1: memcpy(&u8, at, 1); value = u8; break;
        case 4: memcpy(&u32, at, 4); value = u32; break;
        default: memcpy(&value, at, 8); break;
        }
        for (size_t k = 0; k < size; k++) {
            digest = (digest ^ (value >> (8 * k) & 0xff)) * UINT64_C(0x100000001b3);
        }
    }
    return digest;
}

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

int liam_self_test_on(const kernels *table, uint64_t *digest) {
    work w;
    uint64_t d = UINT64_C(0xcbf29ce484222325);
    memset(&w, 0, sizeof w);
    fill(&w);

    table->pack_f64(w.x64, 1, BITS, BITS, w.x + BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->pack_f32(w.x, 1, BITS, BITS, w.x + BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->unpack_i8(w.bits, 1, BITS, WORDS, w.out.i8, BITS);
    d = digest_of(d, w.out.i8, BITS, 1);
    table->pack_i8(w.out.i8, 1, BITS, BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->unpack_bool(w.bits, 1, BITS, WORDS, w.out.u8, BITS);
    d = digest_of(d, w.out.u8, BITS, 1);
    table->pack_bool(w.out.u8, 1, BITS, BITS, w.bits, WORDS);
    d = digest_of(d, w.bits, WORDS, sizeof *w.bits);
    table->unpack_f32(w.bits, 1, BITS, WORDS, w.out.f32, BITS);
    d = digest_of(d, w.out.f32, BITS, sizeof(float));

    const encoder e = {BITS, WORDS, w.source, w.limits, w.run};
    table->encode(&e, w.x, ROWS, w.bits, WORDS);
    d = digest_of(d, w.bits, ROWS * WORDS, sizeof *w.bits);
    table->pack_f32(w.x, ROWS, BITS, BITS, NULL, w.bits, WORDS);
    d = digest_of(d, w.bits, ROWS * WORDS, sizeof *w.bits);

    if (liam_xnor_prepare(w.weights, COLUMNS, BITS, WORDS, w.panels, sizeof w.panels) != LIAM_OK) {
        return LIAM_ERR_SELF_TEST;
    }
    xnor_job job = {.a = w.bits, .m = ROWS, .a_stride = WORDS, .panels = w.panels, .n = COLUMNS, .nbits = BITS,
                    .thresholds = w.thresholds, .scale = w.scale, .bias = w.bias, .out = &w.out,
                    .out_stride = COLUMNS};
    table->xnor_dot(&job);
    d = digest_of(d, w.out.dot, ROWS * COLUMNS, sizeof(int32_t));
    table->xnor_scale(&job);
    d = digest_of(d, w.out.score, ROWS * COLUMNS, sizeof(float));
    job.out_stride = words_of(COLUMNS);
    table->xnor_threshold(&job);
    d = digest_of(d, w.out.words, ROWS * words_of(COLUMNS), sizeof(uint64_t));

    *digest = d;
    return d == GOLDEN ? LIAM_OK : LIAM_ERR_SELF_TEST;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test that transforms rows, puts them in sequency order and takes a rotation's other steps.
 */
#include "self_test.h"

#define LONG_ROW 4096  /* a pass in registers and a whole one over columns */
#define SHORT_ROWS 515 /* of four elements: whole vectors and a rest */
#define ODD 203

typedef union work {
    float f32[LONG_ROW];
    double f64[LONG_ROW / 2];
    int32_t i32[LONG_ROW];
} work;

uint64_t liam_self_test_hadamard(const kernels *table, uint64_t d) {
    uint64_t state = 0x48616461; /* "Hada" */
    uint64_t signs[(ODD + 63) / 64];
    work w, ordered;

    for (size_t j = 0; j < LONG_ROW; j++) w.f32[j] = next_float(&state);
    table->hadamard->f32(w.f32, 1, LONG_ROW, LONG_ROW, w.f32, LONG_ROW);
    d = digest_of(d, w.f32, LONG_ROW, sizeof(float));
    table->hadamard->order_4(w.f32, LONG_ROW, ordered.f32);
    d = digest_of(d, ordered.f32, LONG_ROW, sizeof(float));
    table->hadamard->f32(w.f32, SHORT_ROWS, 4, 4, w.f32, 4);
    d = digest_of(d, w.f32, 4 * SHORT_ROWS, sizeof(float));

    for (size_t k = 0; k < sizeof signs / sizeof *signs; k++) signs[k] = next_random(&state);
    table->hadamard->flip(w.f32, signs, ODD, w.f32);
    table->hadamard->scale(w.f32, ODD, 0.0625f);
    table->hadamard->mix(w.f32, w.f32 + (ODD - ODD / 2), ODD / 2, 0.7f);
    d = digest_of(d, w.f32, ODD, sizeof(float));

    for (size_t j = 0; j < LONG_ROW / 2; j++) w.f64[j] = (double)next_float(&state) * 1.000000001;
    table->hadamard->f64(w.f64, 1, LONG_ROW / 2, LONG_ROW / 2, w.f64, LONG_ROW / 2);
    table->hadamard->order_8(w.f64, LONG_ROW / 2, ordered.f64);
    d = digest_of(d, ordered.f64, LONG_ROW / 2, sizeof(double));

    for (size_t j = 0; j < LONG_ROW; j++) w.i32[j] = (int32_t)next_random(&state); /* sums wrap */
    table->hadamard->i32(w.i32, 2, LONG_ROW / 2, LONG_ROW / 2, w.i32, LONG_ROW / 2);
    return digest_of(d, w.i32, LONG_ROW, sizeof(int32_t));
}

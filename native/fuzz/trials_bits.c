/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of operations on bits.
 */
#include "liam_bits.h"
#include "liam_trial.h"

#define BITWISE(name)                                                                                               \
    static void bits_##name(trial *t) {                                                                             \
        const size_t rows = trial_count(t), nbits = trial_nbits(t);                                                 \
        operand *a = trial_bits(t, IN, rows, nbits), *b = trial_bits(t, IN, rows, nbits);                           \
        operand *out = trial_bits(t, OUT, rows, nbits);                                                             \
        trial_in_place(t, out, a);                                                                                  \
        if (trial_ready(t)) {                                                                                       \
            trial_done(t, liam_bits_##name(a->at, a->stride, b->at, b->stride, rows, nbits, out->at, out->stride)); \
        }                                                                                                           \
    }

BITWISE(and)
BITWISE(or)
BITWISE(xor)
BITWISE(xnor)

static void bits_not(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    operand *a = trial_bits(t, IN, rows, nbits), *out = trial_bits(t, OUT, rows, nbits);
    trial_in_place(t, out, a);
    if (trial_ready(t)) trial_done(t, liam_bits_not(a->at, a->stride, rows, nbits, out->at, out->stride));
}

static void bits_popcount(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    operand *bits = trial_bits(t, IN, rows, nbits), *out = trial_dense(t, OUT, INTS, rows, 1);
    if (trial_ready(t)) trial_done(t, liam_bits_popcount(bits->at, rows, nbits, bits->stride, out->at));
}

static void bits_parity(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    operand *bits = trial_bits(t, IN, rows, nbits), *out = trial_dense(t, OUT, BYTES, rows, 1);
    if (trial_ready(t)) trial_done(t, liam_bits_parity(bits->at, rows, nbits, bits->stride, out->at));
}

static void bits_rotate(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    const int64_t shift = (int64_t)(trial_chance(t, 2) ? trial_count(t) : trial_draw(t));
    operand *bits = trial_bits(t, IN, rows, nbits), *out = trial_bits(t, OUT, rows, nbits);
    if (trial_ready(t)) {
        trial_done(t, liam_bits_rotate(bits->at, rows, nbits, bits->stride, shift, out->at, out->stride));
    }
}

static void bits_kronecker(trial *t) {
    const size_t a_rows = trial_count(t), a_nbits = trial_nbits(t), b_rows = trial_count(t), b_nbits = trial_nbits(t);
    const wide rows = (wide)a_rows * b_rows, nbits = (wide)a_nbits * b_nbits;
    operand *a = trial_bits(t, IN, a_rows, a_nbits), *b = trial_bits(t, IN, b_rows, b_nbits);
    operand *out = trial_bits(t, OUT, rows, nbits);
    trial_rule(t, nbits <= LIAM_MAX_NBITS, LIAM_ERR_SIZE);
    if (trial_ready(t)) {
        trial_done(t, liam_bits_kronecker(a->at, a_rows, a_nbits, a->stride, b->at, b_rows, b_nbits, b->stride, out->at,
                                          out->stride));
    }
}

const trial_subject trials_bits[] = {
    TRIAL(bits_and),    TRIAL(bits_or),     TRIAL(bits_xor),       TRIAL(bits_xnor), TRIAL(bits_not), TRIAL(bits_popcount),
    TRIAL(bits_parity), TRIAL(bits_rotate), TRIAL(bits_kronecker), {0},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of packing and unpacking.
 */
#include "liam_trial.h"

#define PACK(name, element, threshold)                                                                              \
    static void name(trial *t) {                                                                                    \
        const size_t rows = trial_count(t), nbits = trial_nbits(t);                                                 \
        operand *x = trial_matrix(t, IN, element, rows, nbits), *out = trial_bits(t, OUT, rows, nbits);             \
        operand *limits = trial_optional(trial_vector(t, IN, threshold, nbits));                                    \
        if (trial_ready(t)) {                                                                                       \
            trial_done(t, liam_##name(x->at, rows, nbits, x->stride, limits->at, out->at, out->stride));            \
        }                                                                                                           \
    }

#define UNPACK(name, element)                                                                                       \
    static void name(trial *t) {                                                                                    \
        const size_t rows = trial_count(t), nbits = trial_nbits(t);                                                 \
        operand *bits = trial_bits(t, IN, rows, nbits), *out = trial_matrix(t, OUT, element, rows, nbits);          \
        if (trial_ready(t)) {                                                                                       \
            trial_done(t, liam_##name(bits->at, rows, nbits, bits->stride, out->at, out->stride));                  \
        }                                                                                                           \
    }

PACK(pack_f32, ANY_FLOATS, FLOATS)
PACK(pack_f64, ANY_DOUBLES, FLOATS)
PACK(pack_i8, BYTES, BYTES)
UNPACK(unpack_i8, BYTES)
UNPACK(unpack_f32, FLOATS)
UNPACK(unpack_bool, BYTES)

static void pack_bool(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    operand *x = trial_matrix(t, IN, BYTES, rows, nbits), *out = trial_bits(t, OUT, rows, nbits);
    if (trial_ready(t)) trial_done(t, liam_pack_bool(x->at, rows, nbits, x->stride, out->at, out->stride));
}

/* Zero, one, or now and then no order at all. */
static int draw_order(trial *t) {
    const int order = trial_chance(t, 20) ? (int)trial_draw(t) : (int)(trial_draw(t) % 2);
    trial_rule(t, order == 0 || order == 1, LIAM_ERR_VALUE);
    return order;
}

static void from_bytes(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    const int order = draw_order(t);
    operand *bytes = trial_matrix(t, IN, BYTES, rows, ((wide)nbits + 7) / 8), *out = trial_bits(t, OUT, rows, nbits);
    if (trial_ready(t)) {
        trial_done(t, liam_from_bytes(bytes->at, rows, nbits, bytes->stride, order, out->at, out->stride));
    }
}

static void to_bytes(trial *t) {
    const size_t rows = trial_count(t), nbits = trial_nbits(t);
    const int order = draw_order(t);
    operand *bits = trial_bits(t, IN, rows, nbits), *out = trial_matrix(t, OUT, BYTES, rows, ((wide)nbits + 7) / 8);
    if (trial_ready(t)) {
        trial_done(t, liam_to_bytes(bits->at, rows, nbits, bits->stride, order, out->at, out->stride));
    }
}

const trial_subject trials_pack[] = {
    TRIAL(pack_f32),    TRIAL(pack_f64),   TRIAL(pack_i8),  TRIAL(pack_bool), TRIAL(unpack_i8), TRIAL(unpack_f32),
    TRIAL(unpack_bool), TRIAL(from_bytes), TRIAL(to_bytes), {0},
};

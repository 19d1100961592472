/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of Walsh-Hadamard transforms and rotations.
 */
#include "liam_hadamard.h"
#include "liam_trial.h"

/* The length of a transform, a power of two or no length at all. */
static size_t draw_power(trial *t) {
    const size_t n = trial_chance(t, 10) ? trial_count(t) : (size_t)1 << trial_draw(t) % (trial_chance(t, 10) ? 64 : 13);
    trial_rule(t, n != 0 && (n & (n - 1)) == 0 && n <= LIAM_MAX_HADAMARD, LIAM_ERR_SIZE);
    return n;
}

#define TRANSFORM(name, element)                                                                                    \
    static void name(trial *t) {                                                                                    \
        const size_t rows = trial_count(t), n = draw_power(t);                                                      \
        operand *x = trial_matrix(t, IN, element, rows, n), *out = trial_matrix(t, OUT, element, rows, n);          \
        trial_in_place(t, out, x);                                                                                  \
        if (trial_ready(t)) trial_done(t, liam_##name(x->at, rows, n, x->stride, out->at, out->stride));            \
    }

#define SEQUENCY(name, element, element_bytes)                                                                      \
    static void name(trial *t) {                                                                                    \
        const size_t rows = trial_count(t), n = draw_power(t);                                                      \
        size_t needed = 0;                                                                                          \
        const int status = liam_sequency_workspace_bytes(n, element_bytes, &needed);                                \
        operand *x = trial_matrix(t, IN, element, rows, n), *out = trial_matrix(t, OUT, element, rows, n);          \
        operand *workspace = trial_block(t, SCRATCH, status, needed);                                               \
        trial_in_place(t, out, x);                                                                                  \
        if (trial_ready(t)) {                                                                                       \
            trial_done(t, liam_##name(x->at, rows, n, x->stride, out->at, out->stride, workspace->at,               \
                                      workspace->bytes));                                                           \
        }                                                                                                           \
    }

TRANSFORM(hadamard_f32, FLOATS)
TRANSFORM(hadamard_f64, DOUBLES)
TRANSFORM(hadamard_i32, INTS)
SEQUENCY(sequency_f32, FLOATS, 4)
SEQUENCY(sequency_f64, DOUBLES, 8)
SEQUENCY(sequency_i32, INTS, 4)

static void sequency_workspace_bytes(trial *t) {
    const size_t n = draw_power(t), element_bytes = trial_count(t);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    trial_rule(t, element_bytes == 4 || element_bytes == 8, LIAM_ERR_SIZE);
    if (trial_ready(t)) trial_done(t, liam_sequency_workspace_bytes(n, element_bytes, bytes->at));
}

static size_t draw_length(trial *t) {
    const size_t n = trial_chance(t, 3) ? trial_nbits(t) : trial_count(t);
    trial_rule(t, n != 0 && n <= LIAM_MAX_HADAMARD, LIAM_ERR_SIZE);
    return n;
}

static void rotation_bytes(trial *t) {
    const size_t n = draw_length(t);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    if (trial_ready(t)) trial_done(t, liam_rotation_bytes(n, bytes->at));
}

static void rotation_prepare(trial *t) {
    const size_t n = draw_length(t);
    size_t needed = 0;
    const int status = liam_rotation_bytes(n, &needed);
    operand *signs = trial_block(t, OUT, status, needed);
    signs->is_misaligned = 0; /* words, which may be anywhere */
    if (trial_ready(t)) trial_done(t, liam_rotation_prepare(n, trial_draw(t), signs->at, signs->bytes));
}

static wide sign_rows(size_t n) { return LIAM_ROTATION_ROUNDS * (n & (n - 1) ? 2 : 1); }

#define ROTATION(name)                                                                                              \
    static void name(trial *t) {                                                                                    \
        const size_t rows = trial_count(t), n = draw_length(t);                                                     \
        operand *signs = trial_vector(t, IN, WORDS, sign_rows(n) * (((wide)n + 63) / 64));                          \
        operand *x = trial_matrix(t, IN, FLOATS, rows, n), *out = trial_matrix(t, OUT, FLOATS, rows, n);            \
        trial_in_place(t, out, x);                                                                                  \
        if (trial_ready(t)) {                                                                                       \
            trial_done(t, liam_##name(signs->at, x->at, rows, n, x->stride, out->at, out->stride));                 \
        }                                                                                                           \
    }

ROTATION(rotation_apply)
ROTATION(rotation_inverse)

const trial_subject trials_hadamard[] = {
    TRIAL(hadamard_f32),   TRIAL(hadamard_f64),     TRIAL(hadamard_i32),     TRIAL(sequency_f32),
    TRIAL(sequency_f64),   TRIAL(sequency_i32),     TRIAL(rotation_bytes),   TRIAL(sequency_workspace_bytes),
    TRIAL(rotation_apply), TRIAL(rotation_inverse), TRIAL(rotation_prepare), {0},
};

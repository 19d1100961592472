/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of the products of layers.
 */
#include "liam_trial.h"

static void xnor_prepared_bytes(trial *t) {
    const size_t n = trial_count(t), nbits = trial_nbits(t);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    trial_fits(t, (wide)n + 15);
    trial_fits(t, ((wide)n + 15) / 16 * 16 * (((wide)nbits + 63) / 64) * 8);
    if (trial_ready(t)) trial_done(t, liam_xnor_prepared_bytes(n, nbits, bytes->at));
}

static void xnor_workspace_bytes(trial *t) {
    const size_t m = trial_count(t), n = trial_count(t), nbits = trial_nbits(t);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    if (trial_ready(t)) trial_done(t, liam_xnor_workspace_bytes(m, n, nbits, bytes->at));
}

static void xnor_prepare(trial *t) {
    const size_t n = trial_count(t), nbits = trial_nbits(t);
    size_t needed = 0;
    const int status = liam_xnor_prepared_bytes(n, nbits, &needed);
    operand *weights = trial_bits(t, IN, n, nbits), *prepared = trial_block(t, OUT, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_xnor_prepare(weights->at, n, nbits, weights->stride, prepared->at, prepared->bytes));
    }
}

/* What the three products share. */
typedef struct product {
    size_t m, n, nbits;
    operand *a, *prepared, *workspace;
} product;

static product draw_product(trial *t) {
    product p = {.m = trial_count(t), .n = trial_count(t), .nbits = trial_nbits(t)};
    size_t needed = 0;
    const int status = liam_xnor_workspace_bytes(p.m, p.n, p.nbits, &needed);
    p.a = trial_bits(t, IN, p.m, p.nbits);
    p.prepared = trial_prepared(t, p.n, p.nbits);
    p.workspace = trial_optional(trial_block(t, SCRATCH, status, needed));
    return p;
}

static void xnor_dot(trial *t) {
    const product p = draw_product(t);
    operand *out = trial_matrix(t, OUT, INTS, p.m, p.n);
    if (trial_ready(t)) {
        trial_done(t, liam_xnor_dot(p.a->at, p.m, p.a->stride, p.prepared->at, p.n, p.nbits, out->at, out->stride,
                                    p.workspace->at, p.workspace->bytes));
    }
}

static void xnor_threshold(trial *t) {
    const product p = draw_product(t);
    operand *thresholds = trial_vector(t, IN, INTS, p.n), *out = trial_bits(t, OUT, p.m, p.n);
    if (trial_ready(t)) {
        trial_done(t, liam_xnor_threshold(p.a->at, p.m, p.a->stride, p.prepared->at, p.n, p.nbits, thresholds->at,
                                          out->at, out->stride, p.workspace->at, p.workspace->bytes));
    }
}

static void xnor_scale(trial *t) {
    const product p = draw_product(t);
    operand *scale = trial_vector(t, IN, FLOATS, p.n), *bias = trial_vector(t, IN, FLOATS, p.n);
    operand *out = trial_matrix(t, OUT, FLOATS, p.m, p.n);
    if (trial_ready(t)) {
        trial_done(t, liam_xnor_scale(p.a->at, p.m, p.a->stride, p.prepared->at, p.n, p.nbits, scale->at, bias->at,
                                      out->at, out->stride, p.workspace->at, p.workspace->bytes));
    }
}

const trial_subject trials_layers[] = {
    TRIAL(xnor_prepared_bytes), TRIAL(xnor_workspace_bytes), TRIAL(xnor_prepare), TRIAL(xnor_dot),
    TRIAL(xnor_threshold),      TRIAL(xnor_scale),           {0},
};

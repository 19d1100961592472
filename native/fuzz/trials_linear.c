/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of linear layers of floats.
 */
#include "liam_linear.h"
#include "liam_trial.h"

/* What a prepared layer of these sizes needs. */
static void rule_of_sizes(trial *t, size_t inputs, size_t outputs) {
    trial_fits(t, (wide)inputs + 1);
    trial_fits(t, (wide)outputs + 15);
    trial_fits(t, ((wide)inputs + 1) * (((wide)outputs + 15) / 16 * 16) * sizeof(float));
}

static void linear_prepared_bytes(trial *t) {
    const size_t inputs = trial_count(t), outputs = trial_count(t);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    rule_of_sizes(t, inputs, outputs);
    if (trial_ready(t)) trial_done(t, liam_linear_prepared_bytes(inputs, outputs, bytes->at));
}

static void linear_prepare(trial *t) {
    const size_t inputs = trial_count(t), outputs = trial_count(t);
    size_t needed = 0;
    const int status = liam_linear_prepared_bytes(inputs, outputs, &needed);
    operand *weights = trial_matrix(t, IN, ANY_FLOATS, inputs, outputs);
    operand *bias = trial_optional(trial_vector(t, IN, ANY_FLOATS, outputs));
    operand *prepared = trial_block(t, OUT, status, needed);
    trial_effort(t, (wide)inputs * (outputs / 16));
    if (trial_ready(t)) {
        trial_done(t, liam_linear_prepare(weights->at, inputs, outputs, weights->stride, bias->at, prepared->at,
                                          prepared->bytes));
    }
}

static void linear_run(trial *t) {
    const size_t rows = trial_count(t), inputs = trial_count(t), outputs = trial_count(t);
    operand *x = trial_matrix(t, IN, ANY_FLOATS, rows, inputs), *out = trial_matrix(t, OUT, FLOATS, rows, outputs);
    const wide floats = ((wide)inputs + 1) * (((wide)outputs + 15) / 16 * 16);
    operand *prepared = trial_aligned(t, trial_vector(t, IN, ANY_FLOATS, floats)); /* missing columns are not zero */
    rule_of_sizes(t, inputs, outputs);
    trial_effort(t, (wide)rows * inputs * outputs);
    if (trial_ready(t)) {
        trial_done(t, liam_linear_run(x->at, rows, inputs, x->stride, prepared->at, outputs, out->at, out->stride));
    }
}

const trial_subject trials_linear[] = {TRIAL(linear_prepared_bytes), TRIAL(linear_prepare), TRIAL(linear_run), {0}};

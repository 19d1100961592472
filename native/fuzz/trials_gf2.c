/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of linear algebra over GF(2).
 */
#include "liam_gf2.h"
#include "liam_trial.h"

/* Rows, which may become a width. */
static size_t draw_rows(trial *t) {
    const size_t m = trial_count(t);
    trial_rule(t, m <= LIAM_MAX_NBITS, LIAM_ERR_SIZE);
    return m;
}

/* Sizes of workspace: whatever they are, they are the same at every level. */
#define WORKSPACE(name, first, second, third)                                                                       \
    static void name(trial *t) {                                                                                    \
        const size_t a = first(t), b = second(t), c = third(t);                                                     \
        operand *bytes = trial_vector(t, OUT, LONGS, 1);                                                            \
        t->either |= 1u << LIAM_ERR_OVERFLOW;                                                                       \
        if (trial_ready(t)) trial_done(t, liam_##name(a, b, c, bytes->at));                                         \
    }

WORKSPACE(gf2_multiply_workspace_bytes, draw_rows, draw_rows, trial_nbits)
WORKSPACE(gf2_matvec_workspace_bytes, draw_rows, trial_nbits, draw_rows)
WORKSPACE(gf2_reduce_workspace_bytes, draw_rows, trial_nbits, trial_nbits)
WORKSPACE(gf2_solve_workspace_bytes, draw_rows, trial_nbits, trial_nbits)

static void gf2_null_space_workspace_bytes(trial *t) {
    const size_t m = draw_rows(t), nbits = trial_nbits(t);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    t->either |= 1u << LIAM_ERR_OVERFLOW;
    if (trial_ready(t)) trial_done(t, liam_gf2_null_space_workspace_bytes(m, nbits, bytes->at));
}

static void gf2_multiply(trial *t) {
    const size_t count = trial_count(t) % 5, m = draw_rows(t), k = draw_rows(t), n = trial_nbits(t);
    size_t needed = 0;
    const int status = liam_gf2_multiply_workspace_bytes(m, k, n, &needed);
    operand *a = trial_bits(t, IN, (wide)count * m, k), *b = trial_bits(t, IN, (wide)count * k, n);
    operand *out = trial_bits(t, OUT, (wide)count * m, n), *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_multiply(count, a->at, m, k, a->stride, b->at, n, b->stride, out->at, out->stride,
                                        workspace->at, workspace->bytes));
    }
}

static void gf2_matvec(trial *t) {
    const size_t m = draw_rows(t), nbits = trial_nbits(t), batch = draw_rows(t);
    size_t needed = 0;
    const int status = liam_gf2_matvec_workspace_bytes(m, nbits, batch, &needed);
    operand *a = trial_bits(t, IN, m, nbits), *x = trial_bits(t, IN, batch, nbits), *out = trial_bits(t, OUT, batch, m);
    operand *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_matvec(a->at, m, nbits, a->stride, x->at, batch, x->stride, out->at, out->stride,
                                      workspace->at, workspace->bytes));
    }
}

static void gf2_transpose(trial *t) {
    const size_t count = trial_count(t), m = draw_rows(t), nbits = trial_nbits(t);
    operand *a = trial_bits(t, IN, (wide)count * m, nbits), *out = trial_bits(t, OUT, (wide)count * nbits, m);
    if (trial_ready(t)) trial_done(t, liam_gf2_transpose(count, a->at, m, nbits, a->stride, out->at, out->stride));
}

static void gf2_row_reduce(trial *t) {
    const size_t m = draw_rows(t), nbits = trial_nbits(t);
    operand *transform = trial_optional(trial_bits(t, OUT, m, m));
    size_t needed = 0;
    const int status = liam_gf2_reduce_workspace_bytes(m, nbits, transform->is_null ? 0 : m, &needed);
    operand *a = trial_bits(t, IN, m, nbits), *out = trial_bits(t, OUT, m, nbits);
    operand *pivots = trial_vector(t, OUT, LONGS, m < nbits ? m : nbits), *rank = trial_vector(t, OUT, LONGS, 1);
    operand *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_row_reduce(a->at, m, nbits, a->stride, out->at, out->stride, transform->at,
                                          transform->stride, pivots->at, rank->at, workspace->at, workspace->bytes));
    }
}

static void gf2_rank(trial *t) {
    const size_t count = trial_count(t), m = draw_rows(t), nbits = trial_nbits(t);
    size_t needed = 0;
    const int status = liam_gf2_reduce_workspace_bytes(m, nbits, 0, &needed);
    operand *a = trial_bits(t, IN, (wide)count * m, nbits), *ranks = trial_dense(t, OUT, LONGS, count, 1);
    operand *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_rank(count, a->at, m, nbits, a->stride, ranks->at, workspace->at, workspace->bytes));
    }
}

static void gf2_inverse(trial *t) {
    const size_t count = trial_count(t) % 5, n = trial_nbits(t);
    size_t needed = 0;
    const int status = liam_gf2_reduce_workspace_bytes(n, n, n, &needed);
    operand *a = trial_bits(t, IN, (wide)count * n, n), *out = trial_bits(t, OUT, (wide)count * n, n);
    operand *ranks = trial_dense(t, OUT, LONGS, count, 1), *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_inverse(count, a->at, n, a->stride, out->at, out->stride, ranks->at, workspace->at,
                                       workspace->bytes));
    }
}

static void gf2_solve(trial *t) {
    const size_t m = draw_rows(t), nbits = trial_nbits(t), b_nbits = trial_nbits(t);
    size_t needed = 0;
    const int status = liam_gf2_solve_workspace_bytes(m, nbits, b_nbits, &needed);
    operand *a = trial_bits(t, IN, m, nbits), *b = trial_bits(t, IN, m, b_nbits), *x = trial_bits(t, OUT, nbits, b_nbits);
    operand *rank = trial_vector(t, OUT, LONGS, 1), *unsolved = trial_vector(t, OUT, LONGS, 1);
    operand *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_solve(a->at, m, nbits, a->stride, b->at, b_nbits, b->stride, x->at, x->stride, rank->at,
                                     unsolved->at, workspace->at, workspace->bytes));
    }
}

static void gf2_null_space(trial *t) {
    const size_t m = draw_rows(t), nbits = trial_nbits(t);
    size_t needed = 0;
    const int status = liam_gf2_null_space_workspace_bytes(m, nbits, &needed);
    operand *a = trial_bits(t, IN, m, nbits), *out = trial_bits(t, OUT, nbits, nbits);
    operand *dimension = trial_vector(t, OUT, LONGS, 1), *workspace = trial_block(t, SCRATCH, status, needed);
    if (trial_ready(t)) {
        trial_done(t, liam_gf2_null_space(a->at, m, nbits, a->stride, out->at, out->stride, dimension->at, workspace->at,
                                          workspace->bytes));
    }
}

const trial_subject trials_gf2[] = {
    TRIAL(gf2_multiply_workspace_bytes),
    TRIAL(gf2_matvec_workspace_bytes),
    TRIAL(gf2_reduce_workspace_bytes),
    TRIAL(gf2_solve_workspace_bytes),
    TRIAL(gf2_null_space_workspace_bytes),
    TRIAL(gf2_multiply),
    TRIAL(gf2_matvec),
    TRIAL(gf2_transpose),
    TRIAL(gf2_row_reduce),
    TRIAL(gf2_rank),
    TRIAL(gf2_inverse),
    TRIAL(gf2_solve),
    TRIAL(gf2_null_space),
    {0},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of an index.
 */
#include "liam_index.h"
#include "liam_trial.h"

/* An index over codes; its memory is there when the trial is ready. */
typedef struct plan {
    liam_index index;
    operand *prepared, *ids, *counts, *thresholds;
} plan;

static plan draw_plan(trial *t) {
    plan p = {.index = {.rows = trial_count(t), .nbits = trial_nbits(t)}};
    p.index.k = trial_count(t);
    p.index.metric = (int)(trial_draw(t) % 3);
    p.index.packed = (int)(trial_draw(t) % 2);
    return p;
}

static void index_scratch_bytes(trial *t) {
    const plan p = draw_plan(t);
    const size_t rows = trial_count(t);
    const wide floats = p.index.packed ? 0 : (wide)p.index.nbits * sizeof(float);
    const wide each = ((wide)p.index.nbits + 63) / 64 * 8 + floats + (wide)p.index.k * 8;
    trial_fits(t, each);
    trial_fits(t, each * rows);
    operand *bytes = trial_vector(t, OUT, LONGS, 1);
    if (trial_ready(t)) trial_done(t, liam_index_scratch_bytes(&p.index, rows, bytes->at));
}

static void index_run(trial *t) {
    plan p = draw_plan(t);
    liam_index *index = &p.index;
    const size_t rows = trial_count(t);
    trial_rule(t, index->k <= index->rows, LIAM_ERR_VALUE);
    trial_rule(t, index->rows <= LIAM_MAX_ROWS, LIAM_ERR_SIZE);
    trial_avoid(t, rows == 0 || index->k == 0); /* nothing is looked at then */
    p.prepared = trial_prepared(t, index->rows, index->nbits);
    p.ids = trial_vector(t, IN, LONGS, index->rows);
    p.counts = index->metric == LIAM_METRIC_JACCARD ? trial_vector(t, IN, INTS, index->rows) : NULL;
    p.thresholds = index->packed ? NULL : trial_optional(trial_vector(t, IN, FLOATS, index->nbits));
    const wide width = index->packed ? ((wide)index->nbits + 7) / 8 : (wide)index->nbits * sizeof(float);
    operand *x = trial_dense(t, IN, BYTES, rows, width);
    operand *ids = trial_dense(t, OUT, BYTES, rows, (wide)index->k * sizeof(int64_t));
    operand *distances = trial_dense(t, OUT, BYTES, rows, (wide)index->k * sizeof(int32_t));
    size_t needed = 0;
    const int status = liam_index_scratch_bytes(index, 1, &needed);
    operand *scratch = trial_block(t, SCRATCH, status, needed);
    trial_effort(t, (wide)rows * index->rows);
    if (!trial_ready(t)) return;
    index->prepared = p.prepared->at;
    index->ids = p.ids->at;
    index->row_popcounts = p.counts == NULL ? NULL : p.counts->at;
    index->thresholds = p.thresholds == NULL ? NULL : p.thresholds->at;
    trial_done(t, liam_index_run(index, x->at, rows, ids->at, distances->at, scratch->at, scratch->bytes));
}

const trial_subject trials_index[] = {TRIAL(index_scratch_bytes), TRIAL(index_run), {0}};

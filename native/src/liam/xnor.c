/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products: the checked edge over xnor_<level>.c, and the preparation of weights.
 *
 * Prepared weights are groups of LIAM_PANEL rows interleaved by word: word w of row 16 * g + r is
 * panels[(g * words + w) * 16 + r]. A vector then holds one word of several output columns, and each lane counts for
 * its own column, so that no product ends in a horizontal sum.
 */
#include <string.h>

#include "kernels.h"
#include "sizes.h"

int liam_xnor_prepared_bytes(size_t n, size_t nbits, size_t *bytes) {
    size_t rows, words;
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    if (!size_round_up(n, LIAM_PANEL, &rows) || !size_mul(rows, words_of(nbits), &words) ||
        !size_mul(words, sizeof(uint64_t), bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

int liam_xnor_prepare(const uint64_t *weights, size_t n, size_t nbits, size_t weights_stride, void *prepared,
                      size_t prepared_bytes) {
    size_t needed, span;
    const int status = liam_xnor_prepared_bytes(n, nbits, &needed);
    if (status != LIAM_OK) return status;
    const size_t words = words_of(nbits);
    if (weights_stride < words) return LIAM_ERR_STRIDE;
    if (!size_mul(n, weights_stride, &span) || !size_mul(span, sizeof *weights, &span)) return LIAM_ERR_OVERFLOW;
    if (needed == 0) return LIAM_OK;
    if (weights == NULL || prepared == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(prepared, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (prepared_bytes < needed) return LIAM_ERR_MEMORY;

    uint64_t *panels = prepared;
    memset(panels, 0, needed);
    for (size_t j = 0; j < n; j++) {
        const uint64_t *row = weights + j * weights_stride;
        uint64_t *lane = panels + j / LIAM_PANEL * words * LIAM_PANEL + j % LIAM_PANEL;
        for (size_t w = 0; w + 1 < words; w++) lane[w * LIAM_PANEL] = row[w];
        lane[(words - 1) * LIAM_PANEL] = row[words - 1] & tail_mask(nbits);
    }
    return LIAM_OK;
}

int liam_xnor_workspace_bytes(size_t m, size_t n, size_t nbits, size_t *bytes) {
    const size_t words = words_of(nbits);
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    *bytes = 0;
    if (m < TILE_PAIR_ROWS || n == 0 || words == 0 || words > TILE_MAX_WORDS) return LIAM_OK;
    const size_t panels = n / LIAM_PANEL + (n % LIAM_PANEL != 0);
    *bytes = tile_stretch_bytes(words) + tile_block_threes(panels, words) * tile_three_bytes(words);
    return LIAM_OK;
}

/* The checks that the three products share. */
static int check_job(const xnor_job *job, size_t workspace_bytes, size_t out_width, size_t out_element_bytes,
                     int has_parameters) {
    size_t bytes, room;
    const int status = liam_xnor_prepared_bytes(job->n, job->nbits, &bytes);
    if (status != LIAM_OK) return status;
    if (job->a_stride < words_of(job->nbits) || job->out_stride < out_width) return LIAM_ERR_STRIDE;
    if (!size_mul(job->m, job->a_stride, &bytes) || !size_mul(bytes, sizeof(uint64_t), &bytes) ||
        !size_mul(job->m, job->out_stride, &bytes) || !size_mul(bytes, out_element_bytes, &bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    if (job->m == 0 || job->n == 0) return LIAM_OK;
    if (job->out == NULL || !has_parameters) return LIAM_ERR_NULL;
    if (job->nbits == 0) return LIAM_OK; /* nothing to read */
    if (job->a == NULL || job->panels == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(job->panels, LIAM_ALIGNMENT) || !is_aligned(job->workspace, LIAM_ALIGNMENT)) {
        return LIAM_ERR_ALIGNMENT;
    }
    liam_xnor_workspace_bytes(job->m, job->n, job->nbits, &room);
    return job->workspace != NULL && workspace_bytes < room ? LIAM_ERR_MEMORY : LIAM_OK;
}

/* Checks a job and runs it. Rows without bits have nothing to read, so the kernels need not expect them. */
static int run(xnor_job job, size_t workspace_bytes, size_t out_width, size_t out_element_bytes, int has_parameters,
               xnor_fn *kernel, xnor_fn *scalar) {
    static const uint64_t nothing[LIAM_PANEL] = {0};
    const int status = check_job(&job, workspace_bytes, out_width, out_element_bytes, has_parameters);
    if (status != LIAM_OK || job.m == 0 || job.n == 0) return status;
    if (job.nbits == 0) {
        job.a = nothing;
        job.a_stride = 0;
        job.panels = nothing;
        kernel = scalar;
    }
    kernel(&job);
    return LIAM_OK;
}

int liam_xnor_dot(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n, size_t nbits,
                  int32_t *out, size_t out_stride, void *workspace, size_t workspace_bytes) {
    const xnor_job job = {.a = a, .m = m, .a_stride = a_stride, .panels = prepared, .n = n, .nbits = nbits,
                          .out = out, .out_stride = out_stride, .workspace = workspace};
    return run(job, workspace_bytes, n, sizeof *out, 1, liam_active()->xnor->dot, liam_xnor_scalar.dot);
}

int liam_xnor_threshold(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n, size_t nbits,
                        const int32_t *thresholds, uint64_t *out, size_t out_stride, void *workspace,
                        size_t workspace_bytes) {
    const xnor_job job = {.a = a, .m = m, .a_stride = a_stride, .panels = prepared, .n = n, .nbits = nbits,
                          .thresholds = thresholds, .out = out, .out_stride = out_stride, .workspace = workspace};
    return run(job, workspace_bytes, liam_words(n), sizeof *out, thresholds != NULL, liam_active()->xnor->threshold,
               liam_xnor_scalar.threshold);
}

int liam_xnor_scale(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n, size_t nbits,
                    const float *scale, const float *bias, float *out, size_t out_stride, void *workspace,
                    size_t workspace_bytes) {
    const xnor_job job = {.a = a, .m = m, .a_stride = a_stride, .panels = prepared, .n = n, .nbits = nbits,
                          .scale = scale, .bias = bias, .out = out, .out_stride = out_stride,
                          .workspace = workspace};
    return run(job, workspace_bytes, n, sizeof *out, scale != NULL && bias != NULL, liam_active()->xnor->scale,
               liam_xnor_scalar.scale);
}

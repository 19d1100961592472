/* SPDX-License-Identifier: Apache-2.0
 *
 * Float scores of a shortlist: the checked edge over rescore_<level>.c.
 */
#include "kernels.h"
#include "liam_search.h"
#include "sizes.h"

/* Whether a matrix of rows of `width` elements, `stride` apart, has a size. */
static int check_matrix(size_t rows, size_t width, size_t stride, size_t element) {
    size_t bytes;
    if (stride < width) return LIAM_ERR_STRIDE;
    if (!size_mul(rows, stride, &bytes) || !size_mul(bytes, element, &bytes)) return LIAM_ERR_OVERFLOW;
    return LIAM_OK;
}

/* The checks that both kinds of rows share, but for the rows themselves. */
static int check_lists(const rescore_job *job, size_t m, size_t stride, size_t positions_stride, size_t out_stride) {
    int status = check_matrix(m, job->width, stride, sizeof *job->query);
    if (status == LIAM_OK) status = check_matrix(m, job->c, positions_stride, sizeof *job->positions);
    if (status == LIAM_OK) status = check_matrix(m, job->c, out_stride, sizeof *job->out);
    if (status != LIAM_OK || m == 0 || job->c == 0) return status;
    const int has_all = job->positions != NULL && job->out != NULL && (job->query != NULL || job->width == 0);
    return has_all ? LIAM_OK : LIAM_ERR_NULL;
}

/* Checks the positions of n rows, which is the first that is read, and scores them. */
static int run_lists(rescore_job job, rescore_fn *kernel, size_t m, size_t stride, size_t n, size_t positions_stride,
                     size_t out_stride) {
    for (size_t i = 0; i < m; i++) {
        for (size_t s = 0; s < job.c; s++) {
            const int64_t position = job.positions[i * positions_stride + s];
            if (position < 0 || (uint64_t)position >= n) return LIAM_ERR_VALUE;
        }
    }
    for (size_t i = 0; i < m && job.c != 0; i++) {
        if (job.width == 0) {
            for (size_t s = 0; s < job.c; s++) job.out[s] = 0.0f;
        } else {
            kernel(&job);
            job.query += stride;
        }
        job.positions += positions_stride;
        job.out += out_stride;
    }
    return LIAM_OK;
}

int liam_search_rescore_bits(const float *queries, size_t m, size_t stride, const void *prepared, size_t n,
                             size_t nbits, const int64_t *positions, size_t c, size_t positions_stride, float *out,
                             size_t out_stride) {
    const rescore_job job = {.query = queries, .panels = prepared, .width = nbits, .positions = positions, .c = c,
                             .out = out};
    size_t bytes;
    int status = liam_xnor_prepared_bytes(n, nbits, &bytes);
    if (status == LIAM_OK) status = check_lists(&job, m, stride, positions_stride, out_stride);
    if (status != LIAM_OK) return status;
    if (m != 0 && c != 0 && nbits != 0) {
        if (prepared == NULL) return LIAM_ERR_NULL;
        if (!is_aligned(prepared, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    }
    return run_lists(job, liam_active()->rescore->bits, m, stride, n, positions_stride, out_stride);
}

int liam_search_rescore_f32(const float *queries, size_t m, size_t stride, const float *vectors, size_t n, size_t d,
                            size_t vectors_stride, const int64_t *positions, size_t c, size_t positions_stride,
                            float *out, size_t out_stride) {
    const rescore_job job = {.query = queries, .vectors = vectors, .vectors_stride = vectors_stride, .width = d,
                             .positions = positions, .c = c, .out = out};
    int status = check_matrix(n, d, vectors_stride, sizeof *vectors);
    if (status == LIAM_OK) status = check_lists(&job, m, stride, positions_stride, out_stride);
    if (status != LIAM_OK) return status;
    if (m != 0 && c != 0 && d != 0 && vectors == NULL) return LIAM_ERR_NULL;
    return run_lists(job, liam_active()->rescore->f32, m, stride, n, positions_stride, out_stride);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2), the checked edge: what one elimination answers: reduced row echelon form, rank and inverse. The identity or
 * the right side stands beside the matrix and undergoes the same row operations.
 */
#include "gf2_check.h"
#include "kernels.h"
#include "liam_gf2.h"

int liam_gf2_reduce_workspace_bytes(size_t m, size_t nbits, size_t beside, size_t *bytes) {
    gf2_elimination_space space;
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (m > LIAM_MAX_NBITS || nbits > LIAM_MAX_NBITS || beside > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    *bytes = 0;
    if (m == 0) return LIAM_OK;
    if (!gf2_elimination_space_of(m, nbits, beside, &space)) return LIAM_ERR_OVERFLOW;
    *bytes = space.bytes;
    return LIAM_OK;
}

int liam_gf2_row_reduce(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out, size_t out_stride,
                        uint64_t *transform, size_t transform_stride, int64_t *pivots, int64_t *rank, void *workspace,
                        size_t workspace_bytes) {
    const size_t beside = transform != NULL ? m : 0;
    size_t needed;
    int status = liam_gf2_reduce_workspace_bytes(m, nbits, beside, &needed);
    if (status == LIAM_OK) status = gf2_check_matrix(1, m, nbits, a_stride);
    if (status == LIAM_OK) status = gf2_check_matrix(1, m, nbits, out_stride);
    if (status == LIAM_OK && transform != NULL) status = gf2_check_matrix(1, m, m, transform_stride);
    if (status != LIAM_OK) return status;
    const int bits = m != 0 && nbits != 0;
    if (rank == NULL || (bits && (a == NULL || out == NULL || pivots == NULL))) return LIAM_ERR_NULL;
    status = gf2_check_workspace(workspace, workspace_bytes, needed);
    if (status != LIAM_OK) return status;

    const gf2_elimination job = {.m = m, .left = a, .left_bits = nbits, .left_stride = a_stride, .right_bits = beside,
                                 .left_out = out, .left_out_stride = out_stride, .right_out = transform,
                                 .right_out_stride = transform_stride, .pivots = pivots, .workspace = workspace};
    *rank = m == 0 ? 0 : (int64_t)liam_active()->gf2->eliminate(&job);
    return LIAM_OK;
}

int liam_gf2_rank(size_t count, const uint64_t *a, size_t m, size_t nbits, size_t a_stride, int64_t *ranks,
                  void *workspace, size_t workspace_bytes) {
    size_t needed;
    int status = liam_gf2_reduce_workspace_bytes(m, nbits, 0, &needed);
    if (status == LIAM_OK) status = gf2_check_matrix(count, m, nbits, a_stride);
    if (status != LIAM_OK) return status;
    if (count > PTRDIFF_MAX / sizeof *ranks) return LIAM_ERR_OVERFLOW;
    if (count == 0) return LIAM_OK;
    if (ranks == NULL || !gf2_present(a, m, nbits)) return LIAM_ERR_NULL;
    status = gf2_check_workspace(workspace, workspace_bytes, needed);
    if (status != LIAM_OK) return status;

    const gf2_kernels *gf2 = liam_active()->gf2;
    for (size_t s = 0; s < count; s++) {
        const gf2_elimination job = {.m = m, .left = a + s * m * a_stride, .left_bits = nbits,
                                     .left_stride = a_stride, .workspace = workspace};
        ranks[s] = m == 0 || nbits == 0 ? 0 : (int64_t)gf2->eliminate(&job);
    }
    return LIAM_OK;
}

int liam_gf2_inverse(size_t count, const uint64_t *a, size_t n, size_t a_stride, uint64_t *out, size_t out_stride,
                     int64_t *ranks, void *workspace, size_t workspace_bytes) {
    size_t needed;
    int status = liam_gf2_reduce_workspace_bytes(n, n, n, &needed);
    if (status == LIAM_OK) status = gf2_check_matrix(count, n, n, a_stride);
    if (status == LIAM_OK) status = gf2_check_matrix(count, n, n, out_stride);
    if (status != LIAM_OK) return status;
    if (count > PTRDIFF_MAX / sizeof *ranks) return LIAM_ERR_OVERFLOW;
    if (count == 0) return LIAM_OK;
    if (ranks == NULL || !gf2_present(a, n, n) || !gf2_present(out, n, n)) return LIAM_ERR_NULL;
    status = gf2_check_workspace(workspace, workspace_bytes, needed);
    if (status != LIAM_OK) return status;

    const gf2_kernels *gf2 = liam_active()->gf2;
    for (size_t s = 0; s < count; s++) {
        uint64_t *to = out + s * n * out_stride;
        const gf2_elimination job = {.m = n, .left = a + s * n * a_stride, .left_bits = n, .left_stride = a_stride,
                                     .right_bits = n, .right_out = to, .right_out_stride = out_stride,
                                     .workspace = workspace};
        ranks[s] = n == 0 ? 0 : (int64_t)gf2->eliminate(&job);
        if (ranks[s] < (int64_t)n) gf2_zero(to, n, n, out_stride);
    }
    return LIAM_OK;
}

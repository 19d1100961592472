/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2), the checked edge: linear systems and null spaces, both read off a reduced row echelon form.
 */
#include <string.h>

#include "gf2_check.h"
#include "kernels.h"
#include "liam_gf2.h"

/* A workspace: that of the elimination, then pivots, then rows. */
typedef struct solve_space {
    size_t pivots; /* offsets */
    size_t reduced;
    size_t transposed;
    size_t bytes;
} solve_space;

static int space_of(size_t m, size_t nbits, size_t beside, size_t reduced_bits, size_t transposed_rows,
                    solve_space *s) {
    gf2_elimination_space elimination;
    size_t words, transposed;
    if (m > LIAM_MAX_NBITS || nbits > LIAM_MAX_NBITS || beside > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    if (!gf2_elimination_space_of(m, nbits, beside, &elimination)) return LIAM_ERR_OVERFLOW;
    s->bytes = elimination.bytes;
    if (!space_add(&s->bytes, m < nbits ? m : nbits, sizeof(int64_t), &s->pivots) ||
        !size_mul(m, words_of(reduced_bits), &words) ||
        !space_add(&s->bytes, words, sizeof(uint64_t), &s->reduced) ||
        !size_mul(transposed_rows, words_of(m), &transposed) ||
        !space_add(&s->bytes, transposed, sizeof(uint64_t), &s->transposed)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

static uint64_t *words_at(void *workspace, size_t offset) { return (uint64_t *)(void *)((uint8_t *)workspace + offset); }

static int64_t *indices_at(void *workspace, size_t offset) { return (int64_t *)(void *)((uint8_t *)workspace + offset); }

int liam_gf2_solve_workspace_bytes(size_t m, size_t nbits, size_t b_nbits, size_t *bytes) {
    solve_space space;
    if (bytes == NULL) return LIAM_ERR_NULL;
    const int status = space_of(m, nbits, b_nbits, b_nbits, 0, &space);
    if (status == LIAM_OK) *bytes = space.bytes;
    return status;
}

/* The first column with a one among rows `first` to m, or nbits if there is none. */
static size_t first_column(const uint64_t *bits, size_t first, size_t m, size_t nbits) {
    const size_t words = words_of(nbits);
    for (size_t w = 0; w < words; w++) {
        uint64_t seen = 0;
        for (size_t i = first; i < m; i++) seen |= bits[i * words + w];
        for (size_t j = 0; j < 64 && seen != 0; j++) {
            if (seen >> j & 1) return w * 64 + j;
        }
    }
    return nbits;
}

int liam_gf2_solve(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *b, size_t b_nbits,
                   size_t b_stride, uint64_t *x, size_t x_stride, int64_t *rank, int64_t *unsolved, void *workspace,
                   size_t workspace_bytes) {
    solve_space space;
    int status = space_of(m, nbits, b_nbits, b_nbits, 0, &space);
    if (status == LIAM_OK) status = gf2_check_matrix(1, m, nbits, a_stride);
    if (status == LIAM_OK) status = gf2_check_matrix(1, m, b_nbits, b_stride);
    if (status == LIAM_OK) status = gf2_check_matrix(1, nbits, b_nbits, x_stride);
    if (status != LIAM_OK) return status;
    if (rank == NULL || unsolved == NULL || !gf2_present(a, m, nbits) || !gf2_present(b, m, b_nbits) ||
        !gf2_present(x, nbits, b_nbits)) {
        return LIAM_ERR_NULL;
    }
    status = gf2_check_workspace(workspace, workspace_bytes, space.bytes);
    if (status != LIAM_OK) return status;

    const size_t words = words_of(b_nbits);
    int64_t *pivots = indices_at(workspace, space.pivots);
    uint64_t *right = words_at(workspace, space.reduced);
    const gf2_elimination job = {.m = m, .left = a, .left_bits = nbits, .left_stride = a_stride, .right = b,
                                 .right_bits = b_nbits, .right_stride = b_stride, .right_out = right,
                                 .right_out_stride = words, .pivots = pivots, .workspace = workspace};
    const size_t found = m == 0 ? 0 : liam_active()->gf2->eliminate(&job);
    *rank = (int64_t)found;
    *unsolved = (int64_t)first_column(right, found, m, b_nbits);
    gf2_zero(x, nbits, b_nbits, x_stride);
    for (size_t i = 0; i < found && words != 0; i++) {
        memcpy(x + (size_t)pivots[i] * x_stride, right + i * words, words * sizeof *x);
    }
    return LIAM_OK;
}

int liam_gf2_null_space_workspace_bytes(size_t m, size_t nbits, size_t *bytes) {
    solve_space space;
    if (bytes == NULL) return LIAM_ERR_NULL;
    const int status = space_of(m, nbits, 0, nbits, nbits, &space);
    if (status == LIAM_OK) *bytes = space.bytes;
    return status;
}

/* Puts bit i of row, for each pivot i, at the pivot's column. */
static void scatter(const uint64_t *row, const int64_t *pivots, size_t rank, uint64_t *out) {
    for (size_t i = 0; i < rank;) {
        const size_t column = (size_t)pivots[i];
        /* 64 pivots in a row that fill a word are copied */
        if (i % 64 == 0 && column % 64 == 0 && rank - i >= 64 && (size_t)pivots[i + 63] == column + 63) {
            out[column / 64] |= row[i / 64];
            i += 64;
        } else {
            out[column / 64] |= (row[i / 64] >> (i % 64) & 1) << (column % 64);
            i++;
        }
    }
}

int liam_gf2_null_space(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out, size_t out_stride,
                        int64_t *dimension, void *workspace, size_t workspace_bytes) {
    solve_space space;
    int status = space_of(m, nbits, 0, nbits, nbits, &space);
    if (status == LIAM_OK) status = gf2_check_matrix(1, m, nbits, a_stride);
    if (status == LIAM_OK) status = gf2_check_matrix(1, nbits, nbits, out_stride);
    if (status != LIAM_OK) return status;
    if (dimension == NULL || !gf2_present(a, m, nbits) || !gf2_present(out, nbits, nbits)) return LIAM_ERR_NULL;
    status = gf2_check_workspace(workspace, workspace_bytes, space.bytes);
    if (status != LIAM_OK) return status;

    int64_t *pivots = indices_at(workspace, space.pivots);
    uint64_t *reduced = words_at(workspace, space.reduced);
    uint64_t *transposed = words_at(workspace, space.transposed);
    const gf2_kernels *gf2 = liam_active()->gf2;
    const gf2_elimination job = {.m = m, .left = a, .left_bits = nbits, .left_stride = a_stride, .left_out = reduced,
                                 .left_out_stride = words_of(nbits), .pivots = pivots, .workspace = workspace};
    const size_t rank = m == 0 || nbits == 0 ? 0 : gf2->eliminate(&job);
    const size_t words = words_of(rank);
    if (rank != 0) gf2->transpose(reduced, rank, nbits, words_of(nbits), transposed, words);
    gf2_zero(out, nbits, nbits, out_stride);
    size_t next = 0;
    for (size_t j = 0, pivot = 0; j < nbits; j++) {
        if (pivot < rank && (size_t)pivots[pivot] == j) {
            pivot++;
            continue;
        }
        uint64_t *row = out + next++ * out_stride;
        scatter(transposed + j * words, pivots, rank, row);
        row[j / 64] |= UINT64_C(1) << (j % 64);
    }
    *dimension = (int64_t)next;
    return LIAM_OK;
}

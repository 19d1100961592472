/* SPDX-License-Identifier: Apache-2.0
 *
 * LIAM: linear algebra over GF(2), the field of two elements, on bit-packed matrices. A sum is an exclusive or and a
 * product an and. The conventions are those of liam.h, and these:
 *
 * Matrices   A matrix of m rows and nbits columns is m bit rows. m and nbits are at most LIAM_MAX_NBITS, because
 *            either may become the other's width.
 * Stacks     A stack of `count` matrices is one matrix of count * m rows, matrix s being the rows from s * m on.
 *            Functions with a count do the same to each matrix of the stack.
 * Echelon    The reduced row echelon form of a matrix is unique: pivot columns ascend, a pivot is the only one in its
 *            column, rows without a pivot are zero and last.
 * Pivots     A pivot column is one that is no sum of columns before it. The rows that pivots come from are those that
 *            are no sum of rows before them, so transforms too are the same at every level.
 * Workspace  Most functions work in memory of the caller: as many bytes as the *_workspace_bytes function says,
 *            aligned to LIAM_ALIGNMENT, one per concurrent call, whatever the level. Its content means nothing before
 *            and after. It must not overlap other arguments.
 */
#ifndef LIAM_GF2_H
#define LIAM_GF2_H

#include "liam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Products ---------------------------------------------------------------------------------------------- */

/* Bytes for liam_gf2_multiply of m x k by k x n, whatever the count. Errors: NULL, SIZE, OVERFLOW. */
int liam_gf2_multiply_workspace_bytes(size_t m, size_t k, size_t n, size_t *bytes);

/* out = a b for each pair of a stack: a is m x k, b is k x n and out is m x n. With k = 0, out is zero.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW, ALIGNMENT, MEMORY. */
int liam_gf2_multiply(size_t count, const uint64_t *a, size_t m, size_t k, size_t a_stride, const uint64_t *b,
                      size_t n, size_t b_stride, uint64_t *out, size_t out_stride, void *workspace,
                      size_t workspace_bytes);

/* Bytes for liam_gf2_matvec of an m x nbits matrix and `batch` vectors. Errors: NULL, SIZE, OVERFLOW. */
int liam_gf2_matvec_workspace_bytes(size_t m, size_t nbits, size_t batch, size_t *bytes);

/* Row i of out, m bits wide, is a times row i of x: the syndromes of `batch` words x of nbits bits if a is a parity
 * check matrix. Errors: as liam_gf2_multiply. */
int liam_gf2_matvec(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x, size_t batch,
                    size_t x_stride, uint64_t *out, size_t out_stride, void *workspace, size_t workspace_bytes);

/* Out, nbits x m, is the transpose of a, m x nbits, for each matrix of a stack. Errors: NULL, SIZE, STRIDE,
 * OVERFLOW. */
int liam_gf2_transpose(size_t count, const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out,
                       size_t out_stride);

/* ---- Elimination ------------------------------------------------------------------------------------------- */

/* Bytes for eliminating an m x nbits matrix with `beside` columns beside it: beside is m for liam_gf2_row_reduce with
 * a transform and for liam_gf2_inverse, else 0. Errors: NULL, SIZE, OVERFLOW. */
int liam_gf2_reduce_workspace_bytes(size_t m, size_t nbits, size_t beside, size_t *bytes);

/* out, m x nbits, is the reduced row echelon form of a.
 *   transform  m x m and invertible, with transform a = out; or NULL
 *   pivots     the pivot columns, ascending: min(m, nbits) values, of which the first *rank are written
 *   rank       the number of pivots
 * Errors: as liam_gf2_multiply. */
int liam_gf2_row_reduce(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out, size_t out_stride,
                        uint64_t *transform, size_t transform_stride, int64_t *pivots, int64_t *rank, void *workspace,
                        size_t workspace_bytes);

/* ranks[s] is the rank of matrix s of a stack of m x nbits matrices. Errors: as liam_gf2_multiply. */
int liam_gf2_rank(size_t count, const uint64_t *a, size_t m, size_t nbits, size_t a_stride, int64_t *ranks,
                  void *workspace, size_t workspace_bytes);

/* Matrix s of out is the inverse of matrix s of a, n x n, if ranks[s] is n; else there is none and it is zero.
 * Errors: as liam_gf2_multiply. */
int liam_gf2_inverse(size_t count, const uint64_t *a, size_t n, size_t a_stride, uint64_t *out, size_t out_stride,
                     int64_t *ranks, void *workspace, size_t workspace_bytes);

/* Bytes for liam_gf2_solve. Errors: NULL, SIZE, OVERFLOW. */
int liam_gf2_solve_workspace_bytes(size_t m, size_t nbits, size_t b_nbits, size_t *bytes);

/* x, nbits x b_nbits, solves a x = b for a of m x nbits and b of m x b_nbits. Unknowns without a pivot are zero.
 *   rank       the rank of a; the solution is the only one if it is nbits
 *   unsolved   the first column of b that no x gives, or b_nbits if there is none; those columns of x mean nothing
 * Errors: as liam_gf2_multiply. */
int liam_gf2_solve(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *b, size_t b_nbits,
                   size_t b_stride, uint64_t *x, size_t x_stride, int64_t *rank, int64_t *unsolved, void *workspace,
                   size_t workspace_bytes);

/* Bytes for liam_gf2_null_space. Errors: NULL, SIZE, OVERFLOW. */
int liam_gf2_null_space_workspace_bytes(size_t m, size_t nbits, size_t *bytes);

/* The first *dimension = nbits - rank rows of out, of nbits rows of nbits bits, become a basis of the vectors x with
 * a x = 0: row t has a one in the t-th column without a pivot and zeros in the others; the other rows become zero.
 * Errors: as liam_gf2_multiply. */
int liam_gf2_null_space(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out, size_t out_stride,
                        int64_t *dimension, void *workspace, size_t workspace_bytes);

#ifdef __cplusplus
}
#endif

#endif

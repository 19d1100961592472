/* SPDX-License-Identifier: Apache-2.0
 *
 * The Walsh-Hadamard transform, and the random rotation made of it. The conventions are those of liam.h.
 *
 * Transform
 *   y[i] = sum over j of (-1)^popcount(i & j) * x[j], with n = 2^k elements in a row: the product with Sylvester's
 *   Hadamard matrix, unnormalised, so that twice is n times. Rows are stride elements apart, n at least.
 *
 *   Order     Natural (Hadamard) order is that of the formula. Sequency (Walsh) order sorts the rows of the matrix by
 *             their number of sign changes: output s is natural output bit_reverse(s ^ s >> 1), over k bits.
 *   Rounding  Floats are added in one documented order: stages of distance h = 1, 2, 4 .. n / 2, each of which
 *             replaces every pair (a, b) of elements i and i + h by (a + b, a - b), rounded to nearest even. The
 *             results are therefore the same bits everywhere, except for the sign and payload of a NaN, which are
 *             not promised. Subnormals and infinities are computed with as they are.
 *   Integers  Sums of int32_t wrap modulo 2^32. They are exact where n * max |x| stays below 2^31.
 *   In place  out may be x itself, with the same stride; otherwise they must not overlap.
 */
#ifndef LIAM_HADAMARD_H
#define LIAM_HADAMARD_H

#include "liam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The longest row of a transform or rotation. */
#define LIAM_MAX_HADAMARD 1073741824

/* Rounds of signs and transforms in a rotation. */
#define LIAM_ROTATION_ROUNDS 3

/* ---- Transform -------------------------------------------------------------------------------------------- */

/* Writes the transforms of rows of n elements, in natural order.
 * Errors: NULL, SIZE (n is no power of two, or above LIAM_MAX_HADAMARD), STRIDE, OVERFLOW. */
int liam_hadamard_f32(const float *x, size_t rows, size_t n, size_t x_stride, float *out, size_t out_stride);
int liam_hadamard_f64(const double *x, size_t rows, size_t n, size_t x_stride, double *out, size_t out_stride);
int liam_hadamard_i32(const int32_t *x, size_t rows, size_t n, size_t x_stride, int32_t *out, size_t out_stride);

/* Bytes of workspace for sequency order, whatever the number of rows: a row of elements of element_bytes (4 or 8).
 * Errors: NULL, SIZE (n as above, or another element_bytes), OVERFLOW. */
int liam_sequency_workspace_bytes(size_t n, size_t element_bytes, size_t *bytes);

/* Writes the transforms of rows of n elements, in sequency order. workspace: liam_sequency_workspace_bytes bytes,
 * aligned to LIAM_ALIGNMENT, one per concurrent call. Errors: as above, and ALIGNMENT, MEMORY. */
int liam_sequency_f32(const float *x, size_t rows, size_t n, size_t x_stride, float *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes);
int liam_sequency_f64(const double *x, size_t rows, size_t n, size_t x_stride, double *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes);
int liam_sequency_i32(const int32_t *x, size_t rows, size_t n, size_t x_stride, int32_t *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes);

/* ---- Random rotation -------------------------------------------------------------------------------------- */

/* An orthonormal map of n >= 1 floats that spreads every vector evenly over all elements, in O(n log n). With p the
 * greatest power of two up to n, each of LIAM_ROTATION_ROUNDS rounds
 *   1. multiplies every element by a sign, transforms the first p elements in natural order and multiplies these by
 *      1 / sqrt(p);
 *   2. if n > p: does the same with other signs and the last p elements, and then replaces every pair (a, b) of
 *      elements i and i + n - n / 2, for i < n / 2, by ((a + b) * sqrt(1/2), (a - b) * sqrt(1/2)).
 * Without signs between them, transforms that share most elements would undo each other; without the pairs, those that
 * share few would hardly mix. (The randomised Hadamard transform is that of Ailon and Chazelle 2006; that three rounds
 * do for a random rotation is in Andoni et al. 2015.)
 *
 * Every step is its own inverse but for rounding, and the inverse does them backwards. Each direction errs by at most
 * about LIAM_ROTATION_ROUNDS * (2 * log2(p) + 7) * 2^-24 of a row's Euclidean norm, as long as nothing overflows or
 * becomes subnormal. */

/* Bytes of a rotation's signs: a row of n bits for each time that all elements are multiplied by signs, which is
 * LIAM_ROTATION_ROUNDS times if n is a power of two, else twice as often.
 * Errors: NULL, SIZE (n is zero or above LIAM_MAX_HADAMARD), OVERFLOW. */
int liam_rotation_bytes(size_t n, size_t *bytes);

/* Writes the signs of rotation (n, seed), the same on every machine: bit 1 is +1, and the words of all rows are the
 * consecutive outputs of SplitMix64 (Steele, Lea, Flood 2014) from the state `seed`, excess bits zero.
 * Errors: as above, and MEMORY if signs_bytes is smaller than liam_rotation_bytes says. */
int liam_rotation_prepare(size_t n, uint64_t seed, uint64_t *signs, size_t signs_bytes);

/* Rotates rows of n floats, and rotates them back. out may be x itself, with the same stride.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW. */
int liam_rotation_apply(const uint64_t *signs, const float *x, size_t rows, size_t n, size_t x_stride, float *out,
                        size_t out_stride);
int liam_rotation_inverse(const uint64_t *signs, const float *x, size_t rows, size_t n, size_t x_stride, float *out,
                          size_t out_stride);

#ifdef __cplusplus
}
#endif

#endif

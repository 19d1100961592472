/* SPDX-License-Identifier: Apache-2.0
 *
 * LIAM: operations on the bits of packed rows themselves: and, or, xor, xnor, not; counts and parities; cyclic rotation;
 * the Kronecker product. The conventions are those of liam.h.
 *
 * Read as vectors over GF(2), xor is addition and and is the elementwise (Hadamard) product. Read as vectors of +1 and
 * -1, xnor is the elementwise product: the binding of hyperdimensional computing, whose permutation is rotation.
 *
 * Bits past nbits are ignored in a and b and zero in out, after not and xnor too.
 */
#ifndef LIAM_BITS_H
#define LIAM_BITS_H

#include "liam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Bitwise ---------------------------------------------------------------------------------------------- */

/* out[i] = a[i] op b[i], bit by bit, over rows of nbits bits. Here out may be a or b itself, with the same stride.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW. */
int liam_bits_and(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                  uint64_t *out, size_t out_stride);
int liam_bits_or(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                 uint64_t *out, size_t out_stride);
int liam_bits_xor(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                  uint64_t *out, size_t out_stride);
int liam_bits_xnor(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                   uint64_t *out, size_t out_stride);

/* out[i] = not a[i]. out may be a, and errors are, as above. */
int liam_bits_not(const uint64_t *a, size_t a_stride, size_t rows, size_t nbits, uint64_t *out, size_t out_stride);

/* ---- Counts ----------------------------------------------------------------------------------------------- */

/* out[i] = the number of ones in row i; rows values. Errors: NULL, SIZE, STRIDE, OVERFLOW. */
int liam_bits_popcount(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint32_t *out);

/* out[i] = 1 if row i has an odd number of ones, else 0; rows values. Errors: NULL, SIZE, STRIDE, OVERFLOW. */
int liam_bits_parity(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out);

/* ---- Movement --------------------------------------------------------------------------------------------- */

/* Bit (j + shift) mod nbits of out row i is bit j of row i, for any shift, as NumPy's roll moves elements.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW. */
int liam_bits_rotate(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int64_t shift, uint64_t *out,
                     size_t out_stride);

/* The Kronecker product, a_rows * b_rows rows of a_nbits * b_nbits bits: bit j * b_nbits + l of out row i * b_rows + k is
 * bit j of a's row i and bit l of b's row k.
 * Errors: NULL, STRIDE, OVERFLOW, and SIZE, also where a_nbits * b_nbits is above LIAM_MAX_NBITS. */
int liam_bits_kronecker(const uint64_t *a, size_t a_rows, size_t a_nbits, size_t a_stride, const uint64_t *b,
                        size_t b_rows, size_t b_nbits, size_t b_stride, uint64_t *out, size_t out_stride);

#ifdef __cplusplus
}
#endif

#endif

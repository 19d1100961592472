/* SPDX-License-Identifier: Apache-2.0
 *
 * Bitwise operations, counts and parities: the checked edge over bits_<level>.c.
 */
#include "liam_bits.h"

#include <string.h>

#include "kernels.h"
#include "rows.h"
#include "sizes.h"

/* Checks and runs an operation of two operands. */
static int run(bitwise_fn *kernel, const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows,
               size_t nbits, uint64_t *out, size_t out_stride) {
    bitwise_job job = {.a = a, .a_stride = a_stride, .b = b, .b_stride = b_stride, .rows = rows,
                       .words = words_of(nbits), .tail = tail_mask(nbits), .out = out, .out_stride = out_stride};
    int status = check_bit_rows(a, rows, nbits, a_stride);
    if (status == LIAM_OK) status = check_bit_rows(b, rows, nbits, b_stride);
    if (status == LIAM_OK) status = check_bit_rows(out, rows, nbits, out_stride);
    if (status != LIAM_OK || nbits == 0 || rows == 0) return status;
    if (nbits % 64 == 0 && a_stride == job.words && b_stride == job.words && out_stride == job.words) {
        job.words *= rows; /* rows without gaps or excess bits are one */
        job.rows = 1;
    }
    kernel(&job);
    return LIAM_OK;
}

int liam_bits_and(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                  uint64_t *out, size_t out_stride) {
    return run(liam_active()->bits->and_rows, a, a_stride, b, b_stride, rows, nbits, out, out_stride);
}

int liam_bits_or(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                 uint64_t *out, size_t out_stride) {
    return run(liam_active()->bits->or_rows, a, a_stride, b, b_stride, rows, nbits, out, out_stride);
}

int liam_bits_xor(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                  uint64_t *out, size_t out_stride) {
    return run(liam_active()->bits->xor_rows, a, a_stride, b, b_stride, rows, nbits, out, out_stride);
}

int liam_bits_xnor(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                   uint64_t *out, size_t out_stride) {
    return run(liam_active()->bits->xnor_rows, a, a_stride, b, b_stride, rows, nbits, out, out_stride);
}

int liam_bits_not(const uint64_t *a, size_t a_stride, size_t rows, size_t nbits, uint64_t *out, size_t out_stride) {
    return run(liam_active()->bits->not_rows, a, a_stride, a, a_stride, rows, nbits, out, out_stride);
}

/* The checks of a reduction of rows to one value each. */
static int check_reduction(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, const void *out,
                           size_t out_bytes) {
    const int status = check_bit_rows(bits, rows, nbits, stride);
    return status != LIAM_OK ? status : check_rows(out, rows, 1, 1, out_bytes);
}

int liam_bits_popcount(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint32_t *out) {
    const int status = check_reduction(bits, rows, nbits, stride, out, sizeof *out);
    if (status != LIAM_OK || rows == 0) return status;
    if (nbits == 0) {
        memset(out, 0, rows * sizeof *out);
    } else {
        liam_active()->bits->popcount(bits, rows, words_of(nbits), tail_mask(nbits), stride, out);
    }
    return LIAM_OK;
}

int liam_bits_parity(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out) {
    const int status = check_reduction(bits, rows, nbits, stride, out, sizeof *out);
    if (status != LIAM_OK || rows == 0) return status;
    if (nbits == 0) {
        memset(out, 0, rows);
    } else {
        liam_active()->bits->parity(bits, rows, words_of(nbits), tail_mask(nbits), stride, out);
    }
    return LIAM_OK;
}

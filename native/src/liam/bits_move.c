/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation and the Kronecker product: rows of bits put at any position of other rows. Whole words are moved, or go
 * through the funnel of the level in use; the few words where two pieces meet are put together here.
 */
#include <string.h>

#include "kernels.h"
#include "liam_bits.h"
#include "rows.h"
#include "sizes.h"

#define FEW_WORDS 4 /* that are moved sooner than the funnel is called */

typedef void funnel_fn(const uint64_t *from, size_t words, unsigned shift, uint64_t *out);

/* The low word of high:low >> shift, for a shift within [1, 63]. */
static uint64_t funnel_word(uint64_t low, uint64_t high, unsigned shift) { return low >> shift | high << (64 - shift); }

static void funnel_words(funnel_fn *funnel, const uint64_t *from, size_t words, unsigned shift, uint64_t *out) {
    if (words >= FEW_WORDS) {
        funnel(from, words, shift, out);
    } else {
        for (size_t k = 0; k < words; k++) out[k] = funnel_word(from[k], from[k + 1], shift);
    }
}

/* Writes `words` whole words of a row's bits from `position` on. */
static void take_words(funnel_fn *funnel, const uint64_t *row, size_t position, size_t words, uint64_t *out) {
    if (words == 0) return;
    if (position % 64 == 0) {
        memcpy(out, row + position / 64, words * sizeof *out);
    } else {
        funnel_words(funnel, row + position / 64, words, position % 64, out);
    }
}

/* The `count` bits of a row from `position` on, for a count within [1, 63]. */
static uint64_t take_bits(const uint64_t *row, size_t position, unsigned count) {
    const uint64_t *from = row + position / 64;
    const unsigned shift = position % 64;
    const uint64_t word = shift + count > 64 ? funnel_word(from[0], from[1], shift) : from[0] >> shift;
    return word & low_bits(count);
}

/* The shift lies within [0, nbits - 1]. Bits [0, shift) of the result were the row's last, the others its first. */
static void rotate_row(funnel_fn *funnel, const uint64_t *row, size_t nbits, size_t shift, uint64_t *out) {
    const size_t words = words_of(nbits);
    const unsigned part = shift % 64;
    size_t at = shift / 64;
    take_words(funnel, row, nbits - shift, at, out);
    if (part != 0) {
        out[at] = take_bits(row, nbits - part, part) | row[0] << part;
        at++;
    }
    take_words(funnel, row, (64 - part) % 64, words - at, out + at);
    out[words - 1] &= tail_mask(nbits);
}

int liam_bits_rotate(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int64_t shift, uint64_t *out,
                     size_t out_stride) {
    int status = check_bit_rows(bits, rows, nbits, stride);
    if (status == LIAM_OK) status = check_bit_rows(out, rows, nbits, out_stride);
    if (status != LIAM_OK || nbits == 0) return status;
    funnel_fn *const funnel = liam_active()->bits->funnel;
    const int64_t rest = shift % (int64_t)nbits;
    const size_t up = (size_t)(rest < 0 ? rest + (int64_t)nbits : rest);
    for (size_t i = 0; i < rows; i++) rotate_row(funnel, bits + i * stride, nbits, up, out + i * out_stride);
    return LIAM_OK;
}

/* Puts a row of at most 64 bits at each multiple of its width where a has a one. No branch depends on a. */
static void spread_word(const uint64_t *a, size_t a_nbits, uint64_t word, unsigned width, uint64_t *out) {
    for (size_t j = 0; j < a_nbits; j++) {
        const uint64_t piece = word & (0 - (a[j / 64] >> (j % 64) & 1));
        uint64_t *to = out + j * width / 64;
        const unsigned part = j * width % 64;
        to[0] |= piece << part;
        if (part + width > 64) to[1] |= piece >> (64 - part);
    }
}

/* Puts a row of more than 64 bits at `position` of a row that is zero from there on. */
static void put_row(funnel_fn *funnel, const uint64_t *row, size_t nbits, uint64_t *out, size_t position) {
    const size_t last = words_of(nbits) - 1;
    const uint64_t end = row[last] & tail_mask(nbits);
    const unsigned part = position % 64;
    uint64_t *to = out + position / 64;
    if (part == 0) {
        memcpy(to, row, last * sizeof *to);
        to[last] = end;
        return;
    }
    to[0] |= row[0] << part;
    funnel_words(funnel, row, last - 1, 64 - part, to + 1);
    to[last] = funnel_word(row[last - 1], end, 64 - part);
    if (part + (nbits - 1) % 64 >= 64) to[last + 1] = end >> (64 - part);
}

static void kronecker_row(funnel_fn *funnel, const uint64_t *a, size_t a_nbits, const uint64_t *b, size_t b_nbits,
                          uint64_t *out) {
    memset(out, 0, words_of(a_nbits * b_nbits) * sizeof *out);
    if (b_nbits <= 64) {
        spread_word(a, a_nbits, b[0] & tail_mask(b_nbits), (unsigned)b_nbits, out);
        return;
    }
    for (size_t j = 0; j < a_nbits; j++) {
        if (a[j / 64] >> (j % 64) & 1) put_row(funnel, b, b_nbits, out, j * b_nbits);
    }
}

int liam_bits_kronecker(const uint64_t *a, size_t a_rows, size_t a_nbits, size_t a_stride, const uint64_t *b,
                        size_t b_rows, size_t b_nbits, size_t b_stride, uint64_t *out, size_t out_stride) {
    size_t rows;
    int status = check_bit_rows(a, a_rows, a_nbits, a_stride);
    if (status == LIAM_OK) status = check_bit_rows(b, b_rows, b_nbits, b_stride);
    if (status != LIAM_OK) return status;
    if (a_nbits != 0 && b_nbits > LIAM_MAX_NBITS / a_nbits) return LIAM_ERR_SIZE;
    if (!size_mul(a_rows, b_rows, &rows)) return LIAM_ERR_OVERFLOW;
    status = check_bit_rows(out, rows, a_nbits * b_nbits, out_stride);
    if (status != LIAM_OK || a_nbits * b_nbits == 0) return status;
    funnel_fn *const funnel = liam_active()->bits->funnel;
    for (size_t i = 0; i < rows; i++) {
        const uint64_t *a_row = a + i / b_rows * a_stride;
        const uint64_t *b_row = b + i % b_rows * b_stride;
        kronecker_row(funnel, a_row, a_nbits, b_row, b_nbits, out + i * out_stride);
    }
    return LIAM_OK;
}

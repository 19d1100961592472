/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on bits, a word at a time: the reference that the other levels are compared with. Keep it obvious.
 */
#include "bits_kernels.h"
#include "popcount.h"

/* All rows, with `expression` for word w. */
#define BITWISE_ROWS(expression)                                                  \
    for (size_t i = 0; i < job->rows; i++) {                                      \
        const uint64_t *a = job->a + i * job->a_stride;                           \
        uint64_t *out = job->out + i * job->out_stride;                           \
        for (size_t w = 0; w < job->words; w++) out[w] = (expression);            \
        out[job->words - 1] &= job->tail;                                         \
    }

#define B_WORD job->b[i * job->b_stride + w]

static void and_rows(const bitwise_job *job) { BITWISE_ROWS(a[w] & B_WORD) }

static void or_rows(const bitwise_job *job) { BITWISE_ROWS(a[w] | B_WORD) }

static void xor_rows(const bitwise_job *job) { BITWISE_ROWS(a[w] ^ B_WORD) }

static void xnor_rows(const bitwise_job *job) { BITWISE_ROWS(~(a[w] ^ B_WORD)) }

static void not_rows(const bitwise_job *job) { BITWISE_ROWS(~a[w]) }

static void popcount(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint32_t *out) {
    for (size_t i = 0; i < rows; i++, bits += stride) {
        out[i] = popcount64(bits[words - 1] & tail);
        for (size_t w = 0; w + 1 < words; w++) out[i] += popcount64(bits[w]);
    }
}

static void parity(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint8_t *out) {
    for (size_t i = 0; i < rows; i++, bits += stride) {
        uint64_t sum = bits[words - 1] & tail;
        for (size_t w = 0; w + 1 < words; w++) sum ^= bits[w];
        out[i] = (uint8_t)(popcount64(sum) % 2);
    }
}

static void funnel(const uint64_t *from, size_t words, unsigned shift, uint64_t *out) {
    for (size_t k = 0; k < words; k++) out[k] = from[k] >> shift | from[k + 1] << (64 - shift);
}

const bits_kernels liam_bits_scalar = {
    .and_rows = and_rows,
    .or_rows = or_rows,
    .xor_rows = xor_rows,
    .xnor_rows = xnor_rows,
    .not_rows = not_rows,
    .popcount = popcount,
    .parity = parity,
    .funnel = funnel,
};

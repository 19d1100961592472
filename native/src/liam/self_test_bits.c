/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test for operations on bits.
 */
#include "self_test.h"
#include "sizes.h"

#define ROWS 11
#define BITS 1003
#define WORDS ((BITS + 63) / 64)
#define SHIFT 37

uint64_t liam_self_test_bits(const kernels *table, uint64_t d) {
    uint64_t a[ROWS * WORDS], b[ROWS * WORDS], out[ROWS * WORDS];
    uint32_t counts[ROWS];
    uint8_t parities[ROWS];
    uint64_t state = 0x4c49414d; /* "LIAM" */
    for (size_t i = 0; i < ROWS * WORDS; i++) {
        a[i] = next_random(&state); /* excess bits too */
        b[i] = next_random(&state);
    }
    bitwise_fn *const operations[] = {table->bits->and_rows, table->bits->or_rows, table->bits->xor_rows,
                                      table->bits->xnor_rows, table->bits->not_rows};
    const bitwise_job job = {.a = a, .a_stride = WORDS, .b = b, .b_stride = WORDS, .rows = ROWS, .words = WORDS,
                             .tail = tail_mask(BITS), .out = out, .out_stride = WORDS};
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        operations[i](&job);
        d = digest_of(d, out, ROWS * WORDS, sizeof *out);
    }
    table->bits->popcount(a, ROWS, WORDS, tail_mask(BITS), WORDS, counts);
    d = digest_of(d, counts, ROWS, sizeof *counts);
    table->bits->parity(a, ROWS, WORDS, tail_mask(BITS), WORDS, parities);
    d = digest_of(d, parities, ROWS, sizeof *parities);
    table->bits->funnel(a, ROWS * WORDS - 1, SHIFT, out);
    return digest_of(d, out, ROWS * WORDS - 1, sizeof *out);
}

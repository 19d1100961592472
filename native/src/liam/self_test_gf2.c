/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test that multiplies, transposes and eliminates over GF(2).
 */
#include "gf2_space.h"
#include "self_test.h"

#define ROWS 75
#define BITS 203
#define WORDS ((BITS + 63) / 64)
#define ROW_WORDS ((ROWS + 63) / 64)

typedef struct work {
    _Alignas(LIAM_ALIGNMENT) uint8_t space[40 * 1024];
    uint64_t a[BITS * WORDS];
    uint64_t b[BITS * WORDS];
    uint64_t out[BITS * WORDS];
    uint64_t transform[ROWS * ROW_WORDS];
    int64_t pivots[ROWS];
} work;

uint64_t liam_self_test_gf2(const kernels *table, uint64_t d) {
    gf2_product_space product;
    gf2_elimination_space elimination;
    work w;
    memset(&w, 0, sizeof w);
    uint64_t state = 0x474632; /* "GF2" */
    for (size_t i = 0; i < BITS * WORDS; i++) { /* excess bits too */
        w.a[i] = next_random(&state);
        w.b[i] = next_random(&state);
    }
    if (!gf2_product_space_of(ROWS, BITS, ROWS, &product) || product.bytes > sizeof w.space ||
        !gf2_elimination_space_of(ROWS, BITS, ROWS, &elimination) || elimination.bytes > sizeof w.space) {
        return d;
    }
    const gf2_kernels *gf2 = table->gf2;
    const gf2_product ab = {.a = w.a, .m = ROWS, .k = BITS, .a_stride = WORDS, .b = w.b, .n = ROWS, .b_stride = WORDS,
                            .out = w.out, .out_stride = ROW_WORDS, .workspace = w.space};
    gf2->multiply(&ab);
    d = digest_of(d, w.out, ROWS * ROW_WORDS, sizeof *w.out);
    gf2->apply(w.a, ROWS, BITS, WORDS, w.b, w.out);
    d = digest_of(d, w.out, ROW_WORDS, sizeof *w.out);
    gf2->transpose(w.a, ROWS, BITS, WORDS, w.out, ROW_WORDS);
    d = digest_of(d, w.out, BITS * ROW_WORDS, sizeof *w.out);

    for (size_t i = 0; i < WORDS; i++) w.a[40 * WORDS + i] = w.a[3 * WORDS + i] ^ w.a[11 * WORDS + i];
    for (size_t i = 0; i < ROWS; i++) w.a[i * WORDS + 1] = w.a[i * WORDS]; /* 64 columns without a pivot */
    const gf2_elimination reduce = {.m = ROWS, .left = w.a, .left_bits = BITS, .left_stride = WORDS,
                                    .right_bits = ROWS, .left_out = w.out, .left_out_stride = WORDS,
                                    .right_out = w.transform, .right_out_stride = ROW_WORDS, .pivots = w.pivots,
                                    .workspace = w.space};
    const size_t rank = gf2->eliminate(&reduce);
    d = digest_of(d, w.pivots, rank, sizeof *w.pivots);
    d = digest_of(d, w.out, ROWS * WORDS, sizeof *w.out);
    return digest_of(d, w.transform, ROWS * ROW_WORDS, sizeof *w.transform);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on bits against loops over single bits: every width from 0 to 1100 and some of up to 40 words, every
 * shift of some widths, poisoned excess bits, and memory that ends at an inaccessible page.
 */
#include "check.h"
#include "liam_bits.h"

#define MAX_ROWS 20
#define MAX_NBITS 1100

typedef struct memory {
    arena a, b, out, counts;
} memory;

/* Words that the rows of a matrix span; the last row has no gap behind it. */
static size_t span(size_t rows, size_t words, size_t stride) { return rows ? (rows - 1) * stride + words : 0; }

static uint64_t *take(arena where, size_t rows, size_t words, size_t stride) {
    return arena_take(where, span(rows, words, stride) * sizeof(uint64_t));
}

/* A matrix of random words, excess bits and gaps too. Some are all ones or zeros, which counters must bear. */
static uint64_t *take_random(arena where, size_t rows, size_t words, size_t stride) {
    uint64_t *bits = take(where, rows, words, stride);
    const size_t kind = random_below(6);
    for (size_t k = 0; k < span(rows, words, stride); k++) bits[k] = kind < 2 ? (uint64_t)0 - kind : random_u64();
    return bits;
}

/* Checks what must hold of any output: nothing before, between or past its rows was written. */
static void check_output(const uint64_t *out, size_t rows, size_t nbits, size_t stride) {
    const size_t words = liam_words(nbits);
    CHECK(front_intact(out));
    for (size_t i = 0; i < rows; i++) {
        CHECK(excess_is_zero(out + i * stride, nbits));
        if (i + 1 < rows) CHECK(all_canary(out + i * stride + words, (stride - words) * sizeof *out));
    }
}

typedef int operation(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                      uint64_t *out, size_t out_stride);

static int not_a(const uint64_t *a, size_t a_stride, const uint64_t *b, size_t b_stride, size_t rows, size_t nbits,
                 uint64_t *out, size_t out_stride) {
    (void)b, (void)b_stride;
    return liam_bits_not(a, a_stride, rows, nbits, out, out_stride);
}

static const struct {
    operation *run;
    uint8_t table[4]; /* of the bits of a and b, as 2 a + b */
} operations[] = {
    {liam_bits_and, {0, 0, 0, 1}},  {liam_bits_or, {0, 1, 1, 1}}, {liam_bits_xor, {0, 1, 1, 0}},
    {liam_bits_xnor, {1, 0, 0, 1}}, {not_a, {1, 1, 0, 0}},
};

static void bitwise(memory m, size_t rows, size_t nbits) {
    const size_t words = liam_words(nbits);
    const size_t a_stride = words + nbits % 2, b_stride = words + nbits % 3 % 2, out_stride = words + nbits % 5 % 2;
    for (size_t k = 0; k < sizeof operations / sizeof *operations; k++) {
        uint64_t *a = take_random(m.a, rows, words, a_stride);
        const uint64_t *b = take_random(m.b, rows, words, b_stride);
        uint64_t *out = take(m.out, rows, words, out_stride);
        CHECK(operations[k].run(a, a_stride, b, b_stride, rows, nbits, out, out_stride) == LIAM_OK);
        check_output(out, rows, nbits, out_stride);
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < nbits; j++) {
                const int pair = 2 * bit_of(a + i * a_stride, j) + bit_of(b + i * b_stride, j);
                CHECK(bit_of(out + i * out_stride, j) == operations[k].table[pair]);
            }
        }
        CHECK(operations[k].run(a, a_stride, b, b_stride, rows, nbits, a, a_stride) == LIAM_OK); /* in place */
        for (size_t i = 0; i < rows; i++) {
            CHECK(memcmp(a + i * a_stride, out + i * out_stride, words * sizeof *a) == 0);
        }
    }
}

static void counts(memory m, size_t rows, size_t nbits) {
    const size_t words = liam_words(nbits);
    const size_t stride = words + nbits % 2;
    const uint64_t *bits = take_random(m.a, rows, words, stride);
    uint32_t *count = arena_take(m.counts, rows * sizeof *count);
    CHECK(liam_bits_popcount(bits, rows, nbits, stride, count) == LIAM_OK);
    CHECK(front_intact(count));
    uint8_t *odd = arena_take(m.out, rows);
    CHECK(liam_bits_parity(bits, rows, nbits, stride, odd) == LIAM_OK);
    CHECK(front_intact(odd));
    for (size_t i = 0; i < rows; i++) {
        uint32_t want = 0;
        for (size_t j = 0; j < nbits; j++) want += (uint32_t)bit_of(bits + i * stride, j);
        CHECK(count[i] == want && odd[i] == want % 2);
    }
}

static void rotation(memory m, size_t rows, size_t nbits, int64_t shift) {
    const size_t words = liam_words(nbits);
    const size_t stride = words + nbits % 2, out_stride = words + nbits % 3;
    const uint64_t *bits = take_random(m.a, rows, words, stride);
    uint64_t *out = take(m.out, rows, words, out_stride);
    CHECK(liam_bits_rotate(bits, rows, nbits, stride, shift, out, out_stride) == LIAM_OK);
    check_output(out, rows, nbits, out_stride);
    const size_t up = nbits ? (size_t)((shift % (int64_t)nbits + (int64_t)nbits) % (int64_t)nbits) : 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < nbits; j++) {
            CHECK(bit_of(out + i * out_stride, (j + up) % nbits) == bit_of(bits + i * stride, j));
        }
    }
}

static void product(memory m, size_t a_rows, size_t a_nbits, size_t b_rows, size_t b_nbits) {
    const size_t a_words = liam_words(a_nbits), b_words = liam_words(b_nbits), nbits = a_nbits * b_nbits;
    const size_t a_stride = a_words + b_nbits % 2, b_stride = b_words + a_nbits % 2;
    const size_t stride = liam_words(nbits) + nbits % 3;
    const uint64_t *a = take_random(m.a, a_rows, a_words, a_stride);
    const uint64_t *b = take_random(m.b, b_rows, b_words, b_stride);
    uint64_t *out = take(m.out, a_rows * b_rows, liam_words(nbits), stride);
    CHECK(liam_bits_kronecker(a, a_rows, a_nbits, a_stride, b, b_rows, b_nbits, b_stride, out, stride) == LIAM_OK);
    check_output(out, a_rows * b_rows, nbits, stride);
    for (size_t i = 0; i < a_rows * b_rows; i++) {
        for (size_t j = 0; j < nbits; j++) {
            const int first = bit_of(a + i / b_rows * a_stride, j / b_nbits);
            CHECK(bit_of(out + i * stride, j) == (first & bit_of(b + i % b_rows * b_stride, j % b_nbits)));
        }
    }
}

void test_bits(void) {
    static memory m;
    if (m.a.end == NULL) m = (memory){arena_new(), arena_new(), arena_new(), arena_new()};
    for (size_t nbits = 0; nbits <= MAX_NBITS; nbits++) {
        test_case = nbits;
        bitwise(m, 3, nbits);
        counts(m, nbits % MAX_ROWS, nbits);
        rotation(m, 2, nbits, (int64_t)random_below(2 * nbits + 2));
        rotation(m, 2, nbits, (int64_t)random_u64());
        product(m, 2, random_below(9), 2, nbits);
        product(m, 2, nbits, 1, random_below(9));
    }
    for (size_t k = 0; k < LONG_WIDTHS; k++) {
        test_case = long_width(k);
        bitwise(m, 3, long_width(k));
        counts(m, k % MAX_ROWS, long_width(k));
        rotation(m, 2, long_width(k), (int64_t)random_below(2 * long_width(k)));
    }
    for (size_t nbits = 1; nbits <= 330; nbits += nbits < 140 ? 1 : 19) {
        for (size_t shift = 0; shift <= nbits; shift++) {
            test_case = nbits * 1000 + shift;
            rotation(m, 1, nbits, (int64_t)shift);
            rotation(m, 1, nbits, -(int64_t)shift);
        }
    }
    for (size_t a_nbits = 0; a_nbits <= 130; a_nbits += 13) {
        for (size_t b_nbits = 0; b_nbits <= 200; b_nbits++) {
            test_case = a_nbits * 1000 + b_nbits;
            product(m, 1, a_nbits, 1, b_nbits);
        }
    }
    for (test_case = 0; test_case < 60; test_case++) { /* long rows: byte counters are widened several times */
        counts(m, 1 + test_case % 10, 64 * (90 + 7 * test_case) + test_case);
    }
    for (size_t rows = 0; rows <= MAX_ROWS; rows++) {
        test_case = rows;
        bitwise(m, rows, 128); /* rows that are one */
        counts(m, rows, 128);
    }
}

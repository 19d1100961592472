/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2) against loops over bits: products, vectors, transposes and eliminations of many shapes, with poisoned excess
 * bits, strides, and memory that ends at an inaccessible page.
 */
#include "check.h"
#include "liam_gf2.h"

static struct {
    arena a, b, out, more, numbers, workspace;
} mem;

/* A matrix at the end of an arena. Excess bits and the words between rows are random or canaries. */
typedef struct matrix {
    uint64_t *bits;
    size_t rows, nbits, stride;
} matrix;

static size_t span(size_t rows, size_t nbits, size_t stride) { return rows ? (rows - 1) * stride + liam_words(nbits) : 0; }

static matrix take(arena where, size_t rows, size_t nbits, size_t extra) {
    matrix m = {NULL, rows, nbits, liam_words(nbits) + extra};
    m.bits = arena_take(where, span(rows, nbits, m.stride) * sizeof *m.bits);
    return m;
}

/* Random bits of one of several kinds. */
static matrix random_matrix(arena where, size_t rows, size_t nbits, size_t extra, size_t kind) {
    const matrix m = take(where, rows, nbits, extra);
    for (size_t k = 0; k < span(rows, nbits, m.stride); k++) {
        const uint64_t word = random_u64();
        m.bits[k] = kind == 1 ? 0 : kind == 2 ? word & random_u64() & random_u64() & random_u64() : kind == 3 ? UINT64_MAX : word;
    }
    for (size_t i = 2; kind == 4 && i < rows; i += 2) { /* half of the rows are sums of others */
        for (size_t w = 0; w < liam_words(nbits); w++) {
            m.bits[i * m.stride + w] = m.bits[(i / 2) * m.stride + w] ^ m.bits[(i - 1) * m.stride + w];
        }
    }
    for (size_t i = 0; kind == 5 && i < rows; i++) { /* the first words are zero */
        for (size_t w = 0; w + 1 < liam_words(nbits); w++) m.bits[i * m.stride + w] = 0;
    }
    return m;
}

static int get(matrix m, size_t i, size_t j) { return bit_of(m.bits + i * m.stride, j); }

/* Whether excess bits are zero and nothing but rows was written. */
static void check_written(matrix m) {
    CHECK(front_intact(m.bits));
    for (size_t i = 0; i < m.rows; i++) {
        const uint64_t *row = m.bits + i * m.stride;
        CHECK(excess_is_zero(row, m.nbits));
        if (i + 1 < m.rows) CHECK(all_canary(row + liam_words(m.nbits), (m.stride - liam_words(m.nbits)) * sizeof *row));
    }
}

/* Whether m = a b. */
static int is_product(matrix m, matrix a, matrix b) {
    const size_t words = liam_words(m.nbits);
    static uint64_t row[64];
    for (size_t i = 0; i < m.rows; i++) {
        memset(row, 0, sizeof row);
        for (size_t k = 0; k < a.nbits; k++) {
            for (size_t w = 0; w < words && get(a, i, k); w++) row[w] ^= b.bits[k * b.stride + w];
        }
        for (size_t j = 0; j < m.nbits; j++) {
            if (bit_of(row, j) != get(m, i, j)) return 0;
        }
    }
    return 1;
}

static void *workspace(size_t bytes) {
    uint8_t *at = arena_take(mem.workspace, (bytes + LIAM_ALIGNMENT - 1) / LIAM_ALIGNMENT * LIAM_ALIGNMENT);
    CHECK((uintptr_t)at % LIAM_ALIGNMENT == 0);
    return at;
}

static void product(size_t m, size_t k, size_t n) {
    const matrix a = random_matrix(mem.a, m, k, n % 2, m % 4 == 3 ? 2 : 0);
    const matrix b = random_matrix(mem.b, k, n, m % 2, 0);
    const matrix out = take(mem.out, m, n, k % 3);
    size_t bytes = SIZE_MAX;
    CHECK(liam_gf2_multiply_workspace_bytes(m, k, n, &bytes) == LIAM_OK);
    void *space = workspace(bytes);
    CHECK(liam_gf2_multiply(1, a.bits, m, k, a.stride, b.bits, n, b.stride, out.bits, out.stride, space, bytes) == LIAM_OK);
    CHECK(front_intact(space));
    check_written(out);
    CHECK(is_product(out, a, b));
}

static void vectors(size_t m, size_t nbits, size_t batch) {
    const matrix a = random_matrix(mem.a, m, nbits, batch % 2, 0);
    const matrix x = random_matrix(mem.b, batch, nbits, m % 2, 0);
    const matrix out = take(mem.out, batch, m, nbits % 3);
    size_t bytes = SIZE_MAX;
    CHECK(liam_gf2_matvec_workspace_bytes(m, nbits, batch, &bytes) == LIAM_OK);
    void *space = workspace(bytes);
    CHECK(liam_gf2_matvec(a.bits, m, nbits, a.stride, x.bits, batch, x.stride, out.bits, out.stride, space, bytes) == LIAM_OK);
    CHECK(front_intact(space));
    check_written(out);
    for (size_t v = 0; v < batch; v++) {
        for (size_t i = 0; i < m; i++) {
            int sum = 0;
            for (size_t w = 0; w < liam_words(nbits); w++) {
                const uint64_t valid = nbits - w * 64 < 64 ? (UINT64_C(1) << (nbits - w * 64)) - 1 : UINT64_MAX;
                sum ^= __builtin_parityll(a.bits[i * a.stride + w] & x.bits[v * x.stride + w] & valid);
            }
            CHECK(get(out, v, i) == sum);
        }
    }
}

static void transposed(size_t m, size_t nbits) {
    const matrix a = random_matrix(mem.a, m, nbits, m % 2, 0);
    const matrix out = take(mem.out, nbits, m, nbits % 3);
    CHECK(liam_gf2_transpose(1, a.bits, m, nbits, a.stride, out.bits, out.stride) == LIAM_OK);
    check_written(out);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < nbits; j++) CHECK(get(out, j, i) == get(a, i, j));
    }
}

/* The reduced form, its pivots and a transform: it has the form, and it is the product. */
static void reduced(size_t m, size_t nbits, size_t kind) {
    const size_t least = m < nbits ? m : nbits;
    const matrix a = random_matrix(mem.a, m, nbits, m % 2, kind);
    const matrix out = take(mem.out, m, nbits, nbits % 3);
    const matrix transform = take(mem.more, m, m, m % 2);
    int64_t *pivots = arena_take(mem.numbers, least * sizeof *pivots);
    int64_t rank = -1;
    size_t bytes = SIZE_MAX;
    CHECK(liam_gf2_reduce_workspace_bytes(m, nbits, m, &bytes) == LIAM_OK);
    void *space = workspace(bytes);
    CHECK(liam_gf2_row_reduce(a.bits, m, nbits, a.stride, out.bits, out.stride, transform.bits, transform.stride, pivots,
                              &rank, space, bytes) == LIAM_OK);
    CHECK(front_intact(space));
    CHECK(front_intact(pivots));
    check_written(out);
    check_written(transform);
    CHECK(rank >= 0 && rank <= (int64_t)least);
    for (size_t i = 0; i < m; i++) {
        size_t first = 0;
        while (first < nbits && !get(out, i, first)) first++;
        CHECK(first == (i < (size_t)rank ? (size_t)pivots[i] : nbits));
        if (i > 0 && i < (size_t)rank) CHECK(pivots[i] > pivots[i - 1]);
        for (size_t above = 0; above < i && first < nbits; above++) CHECK(!get(out, above, first));
    }
    CHECK(is_product(out, transform, a));

    int64_t again = -1; /* the transform is invertible, and the other two calls agree */
    if (nbits >= m) {
        CHECK(liam_gf2_rank(1, transform.bits, m, m, transform.stride, &again, space, bytes) == LIAM_OK);
        CHECK(again == (int64_t)m);
    }
    CHECK(liam_gf2_rank(1, a.bits, m, nbits, a.stride, &again, space, bytes) == LIAM_OK && again == rank);
    const matrix alone = take(mem.b, m, nbits, 0);
    CHECK(liam_gf2_row_reduce(a.bits, m, nbits, a.stride, alone.bits, alone.stride, NULL, 0, pivots, &again, space,
                              bytes) == LIAM_OK);
    CHECK(again == rank);
    for (size_t i = 0; i < m; i++) {
        CHECK(nbits == 0 || memcmp(alone.bits + i * alone.stride, out.bits + i * out.stride, alone.stride * 8) == 0);
    }
}

static void null_space(size_t m, size_t nbits, size_t kind) {
    const matrix a = random_matrix(mem.a, m, nbits, m % 2, kind);
    matrix out = take(mem.out, nbits, nbits, nbits % 2);
    int64_t dimension = -1, rank = -1;
    size_t bytes = SIZE_MAX;
    CHECK(liam_gf2_null_space_workspace_bytes(m, nbits, &bytes) == LIAM_OK);
    void *space = workspace(bytes);
    CHECK(liam_gf2_rank(1, a.bits, m, nbits, a.stride, &rank, space, bytes) == LIAM_OK);
    CHECK(liam_gf2_null_space(a.bits, m, nbits, a.stride, out.bits, out.stride, &dimension, space, bytes) == LIAM_OK);
    CHECK(front_intact(space));
    check_written(out);
    CHECK(dimension + rank == (int64_t)nbits);
    for (size_t t = 0; t < nbits; t++) {
        int some = 0;
        for (size_t w = 0; w < liam_words(nbits); w++) some |= out.bits[t * out.stride + w] != 0;
        CHECK(some == (t < (size_t)dimension));
        for (size_t i = 0; i < m; i++) {
            int sum = 0;
            for (size_t w = 0; w < liam_words(nbits); w++) {
                sum ^= __builtin_parityll(a.bits[i * a.stride + w] & out.bits[t * out.stride + w]);
            }
            CHECK(sum == 0);
        }
    }
    CHECK(liam_gf2_rank(1, out.bits, nbits, nbits, out.stride, &rank, mem.workspace.end - ARENA_BYTES, ARENA_BYTES) == LIAM_OK);
    CHECK(rank == dimension);
}

/* a x = b where b is a times something, and where it is not. */
static void solved(size_t m, size_t nbits, size_t b_nbits, size_t kind) {
    const matrix a = random_matrix(mem.a, m, nbits, m % 2, kind);
    const matrix some = random_matrix(mem.b, nbits, b_nbits, 0, 0);
    const matrix b = take(mem.out, m, b_nbits, 1);
    const matrix x = take(mem.more, nbits, b_nbits, nbits % 2);
    size_t bytes = SIZE_MAX;
    CHECK(liam_gf2_multiply_workspace_bytes(m, nbits, b_nbits, &bytes) == LIAM_OK);
    CHECK(liam_gf2_multiply(1, a.bits, m, nbits, a.stride, some.bits, b_nbits, some.stride, b.bits, b.stride,
                            workspace(bytes), bytes) == LIAM_OK);
    for (size_t i = 0; i < m && b_nbits % 64; i++) b.bits[i * b.stride + b_nbits / 64] |= UINT64_MAX << b_nbits % 64;
    CHECK(liam_gf2_solve_workspace_bytes(m, nbits, b_nbits, &bytes) == LIAM_OK);
    void *space = workspace(bytes);
    int64_t rank = -1, unsolved = -1, again = -1;
    CHECK(liam_gf2_solve(a.bits, m, nbits, a.stride, b.bits, b_nbits, b.stride, x.bits, x.stride, &rank, &unsolved, space,
                         bytes) == LIAM_OK);
    CHECK(front_intact(space));
    check_written(x);
    CHECK(unsolved == (int64_t)b_nbits);
    CHECK(is_product((matrix){b.bits, m, b_nbits, b.stride}, a, x));
    CHECK(liam_gf2_rank(1, a.bits, m, nbits, a.stride, &again, space, bytes) == LIAM_OK && again == rank);
    if (rank == (int64_t)m || b_nbits < 2) return;
    /* some unit vector is outside the column space; it goes into the last column */
    for (size_t i = 0; i < m; i++) {
        for (size_t k = 0; k < m; k++) b.bits[k * b.stride + (b_nbits - 1) / 64] &= ~(UINT64_C(1) << (b_nbits - 1) % 64);
        b.bits[i * b.stride + (b_nbits - 1) / 64] |= UINT64_C(1) << (b_nbits - 1) % 64;
        CHECK(liam_gf2_solve(a.bits, m, nbits, a.stride, b.bits, b_nbits, b.stride, x.bits, x.stride, &rank, &unsolved,
                             space, bytes) == LIAM_OK);
        CHECK(unsolved == (int64_t)b_nbits || unsolved == (int64_t)b_nbits - 1);
        if (unsolved != (int64_t)b_nbits) return;
    }
    CHECK(0);
}

static void inverted(size_t n) {
    const matrix a = random_matrix(mem.a, n, n, n % 2, 0);
    const matrix out = take(mem.out, n, n, n % 3);
    size_t bytes = SIZE_MAX;
    CHECK(liam_gf2_reduce_workspace_bytes(n, n, n, &bytes) == LIAM_OK);
    void *space = workspace(bytes);
    int64_t rank = -1, expected = -1;
    CHECK(liam_gf2_rank(1, a.bits, n, n, a.stride, &expected, space, bytes) == LIAM_OK);
    CHECK(liam_gf2_inverse(1, a.bits, n, a.stride, out.bits, out.stride, &rank, space, bytes) == LIAM_OK);
    check_written(out);
    CHECK(rank == expected);
    const matrix one = take(mem.b, n, n, 0);
    memset(one.bits, 0, span(n, n, one.stride) * sizeof *one.bits);
    for (size_t i = 0; i < n && rank == (int64_t)n; i++) one.bits[i * one.stride + i / 64] |= UINT64_C(1) << i % 64;
    CHECK(is_product(one, rank == (int64_t)n ? a : out, out));
}

/* Every matrix of a stack is treated as if it were alone. */
static void stacks(size_t count, size_t n) {
    const size_t words = liam_words(n);
    const matrix a = random_matrix(mem.a, count * n, n, 1, 0), b = random_matrix(mem.b, count * n, n, 0, 0);
    const matrix out = take(mem.out, count * n, n, 2), one = take(mem.more, n, n, 0);
    int64_t *ranks = arena_take(mem.numbers, count * sizeof *ranks);
    size_t bytes, more;
    CHECK(liam_gf2_reduce_workspace_bytes(n, n, n, &bytes) == LIAM_OK);
    CHECK(liam_gf2_multiply_workspace_bytes(n, n, n, &more) == LIAM_OK);
    if (bytes < more) bytes = more;
    void *space = workspace(bytes);
    for (int operation = 0; operation < 3; operation++) {
        int64_t rank = -1;
        for (size_t s = 0; s <= count; s++) { /* first all of them, then each alone */
            const size_t row = s == 0 ? 0 : (s - 1) * n, many = s == 0 ? count : 1;
            const uint64_t *x = a.bits + row * a.stride, *y = b.bits + row * b.stride;
            const matrix to = s == 0 ? out : one;
            if (operation == 0) {
                CHECK(liam_gf2_multiply(many, x, n, n, a.stride, y, n, b.stride, to.bits, to.stride, space, bytes) == LIAM_OK);
            } else if (operation == 1) {
                CHECK(liam_gf2_transpose(many, x, n, n, a.stride, to.bits, to.stride) == LIAM_OK);
            } else {
                CHECK(liam_gf2_inverse(many, x, n, a.stride, to.bits, to.stride, s == 0 ? ranks : &rank, space, bytes) == LIAM_OK);
                if (s > 0) CHECK(ranks[s - 1] == rank);
            }
            for (size_t i = 0; s > 0 && i < n; i++) {
                CHECK(memcmp(out.bits + (row + i) * out.stride, one.bits + i * one.stride, words * 8) == 0);
            }
        }
        check_written(out);
    }
    int64_t kept[16];
    CHECK(count <= 16 && liam_gf2_rank(count, a.bits, n, n, a.stride, kept, space, bytes) == LIAM_OK);
    CHECK(memcmp(kept, ranks, count * sizeof *kept) == 0);
}

void test_gf2(void) {
    if (mem.a.end == NULL) {
        mem.a = arena_new(), mem.b = arena_new(), mem.out = arena_new();
        mem.more = arena_new(), mem.numbers = arena_new(), mem.workspace = arena_new();
    }
    static const size_t sizes[] = {1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 127, 128, 129, 200, 513};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (size_t n = 0; n <= 1100; n++) {
        test_case = n;
        product(1 + n % 11, sizes[n % SIZES] % 140, n);
        product(n % 3 == 0 ? 1 : 9, n, 1 + n % 70);
        if (n % 7 == 0) product(n, 1 + n % 130, 1 + n % 150);
        vectors(1 + n % 20, n, n % 20);
        if (n % 5 == 0) vectors(n, 1 + n % 70, 1 + n % 18);
        transposed(1 + n % 70, n);
        if (n % 5 == 0) transposed(n, 1 + n % 70);
        if (n % 3 == 0) reduced(1 + n % 67, n, n % 6);
        if (n % 11 == 0) null_space(1 + n % 67, n % 520, n % 6);
        if (n % 3 == 0) solved(n % 150, 1 + n % 131, 1 + n % 90, n % 6);
        if (n <= 140) inverted(n);
    }
    for (size_t k = 0; k < LONG_WIDTHS; k++) {
        test_case = long_width(k);
        product(1 + k % 11, sizes[k % SIZES] % 140, long_width(k));
        product(9, long_width(k), 1 + k % 70);
        vectors(1 + k % 20, long_width(k), k % 20);
        transposed(1 + k % 70, long_width(k));
        reduced(1 + k % 67, long_width(k), k % 6);
    }
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < SIZES; j++) {
            test_case = i * 1000 + j;
            reduced(sizes[i], sizes[j], (i + j) % 6);
            transposed(sizes[i], sizes[j]);
            product(sizes[i], sizes[(i + j) % SIZES], sizes[j]);
            if (sizes[j] < 300) null_space(sizes[i], sizes[j], (i + j) % 6);
        }
    }
    test_case = 0;
    product(600, 1100, 150); /* more than one pass over the sums, and more than one group of strips */
    product(1100, 130, 2200); /* more than one group of rows, and of columns */
    transposed(1100, 600);
    vectors(300, 1100, 40);
    reduced(500, 1000, 0);
    for (test_case = 0; test_case < 12; test_case++) stacks(test_case + 1, sizes[test_case]);
}

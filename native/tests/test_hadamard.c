/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms against the definition, and to the bit against the documented order of sums: every length
 * from 2^0 to 2^14 and 2^20, every misalignment, gaps between rows, in place, and memory that ends at an inaccessible
 * page.
 */
#include <math.h>

#include "check.h"
#include "liam_hadamard.h"

typedef struct memory {
    arena in, out, want;
} memory;

static memory mem;
static _Alignas(LIAM_ALIGNMENT) uint8_t workspace[1 << 17];

/* Subnormals, infinities, zeros of both signs and ordinary numbers; no NaN, but infinities make some. */
static float tricky_float(void) {
    static const float values[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-140f, 0x1p-126f, 1e38f, INFINITY};
    const size_t pick = random_below(2000);
    return pick < sizeof values / sizeof *values ? values[pick] : random_float() * (pick % 9 ? 1.0f : 0x1p-130f);
}

static double tricky_double(void) {
    const float x = tricky_float();
    return isfinite(x) ? (double)x * 1.0000000001 : (double)x;
}

/* The same bits, or both NaN. */
static int same(const void *a, const void *b, size_t bytes) {
    if (memcmp(a, b, bytes) == 0) return 1;
    if (bytes == sizeof(float)) return isnan(*(const float *)a) && isnan(*(const float *)b);
    return isnan(*(const double *)a) && isnan(*(const double *)b);
}

/* The natural place of sequency output s: the bits of the Gray code s ^ s >> 1, reversed. */
static size_t natural_of(size_t s, size_t n) {
    size_t place = 0;
    for (size_t gray = s ^ s >> 1, mask = 1; mask < n; mask *= 2, gray /= 2) place = place * 2 + gray % 2;
    return place;
}

/* One type: rows of n with gaps, out of place and in place, and in sequency order. The sums of `want` are those that
 * the header documents; `sum` is the type they are computed in. */
#define TRANSFORM_CASE(name, type, sum, make_value, transform, sequency)                                          \
    static void name(size_t n, size_t rows, size_t x_gap, size_t out_gap) {                                       \
        const size_t x_stride = n + x_gap, out_stride = n + out_gap;                                              \
        const size_t x_span = (rows - 1) * x_stride + n, out_span = (rows - 1) * out_stride + n;                  \
        type *x = arena_take(mem.in, x_span * sizeof *x);                                                         \
        type *want = arena_take(mem.want, rows * n * sizeof *want);                                               \
        for (size_t r = 0; r < rows; r++) {                                                                       \
            type *row = want + r * n;                                                                             \
            for (size_t i = 0; i < n; i++) row[i] = x[r * x_stride + i] = (make_value);                           \
            for (size_t h = 1; h < n; h *= 2) {                                                                   \
                for (size_t i = 0; i < n; i += i % (2 * h) == h - 1 ? h + 1 : 1) {                                \
                    const sum a = (sum)row[i], b = (sum)row[i + h];                                               \
                    row[i] = (type)(a + b);                                                                       \
                    row[i + h] = (type)(a - b);                                                                   \
                }                                                                                                 \
            }                                                                                                     \
        }                                                                                                         \
        for (int order = 0; order < 2; order++) { /* natural, then sequency */                                    \
            type *out = arena_take(mem.out, out_span * sizeof *out);                                              \
            CHECK(order ? sequency(x, rows, n, x_stride, out, out_stride, workspace, n * sizeof *x) == LIAM_OK    \
                        : transform(x, rows, n, x_stride, out, out_stride) == LIAM_OK);                           \
            CHECK(front_intact(out));                                                                             \
            for (size_t r = 0; r < rows; r++) {                                                                   \
                const type *row = out + r * out_stride;                                                           \
                for (size_t i = 0; i < n; i++) {                                                                  \
                    CHECK(same(&row[i], &want[r * n + (order ? natural_of(i, n) : i)], sizeof *row));             \
                }                                                                                                 \
                if (r + 1 < rows) CHECK(all_canary(row + n, out_gap * sizeof *row));                              \
            }                                                                                                     \
        }                                                                                                         \
        CHECK(transform(x, rows, n, x_stride, x, x_stride) == LIAM_OK);                                           \
        CHECK(front_intact(x));                                                                                   \
        for (size_t r = 0; r < rows; r++) {                                                                       \
            const type *row = x + r * x_stride;                                                                   \
            for (size_t i = 0; i < n; i++) CHECK(same(&row[i], &want[r * n + i], sizeof *row));                   \
            if (r + 1 < rows) CHECK(all_canary(row + n, x_gap * sizeof *row));                                    \
        }                                                                                                         \
    }

TRANSFORM_CASE(floats, float, float, tricky_float(), liam_hadamard_f32, liam_sequency_f32)
TRANSFORM_CASE(doubles, double, double, tricky_double(), liam_hadamard_f64, liam_sequency_f64)
TRANSFORM_CASE(integers, int32_t, uint32_t, (int32_t)random_u64(), liam_hadamard_i32, liam_sequency_i32)

static void all_types(size_t n, size_t rows, size_t x_gap, size_t out_gap) {
    floats(n, rows, x_gap, out_gap);
    doubles(n, rows, x_gap, out_gap);
    integers(n, rows, x_gap, out_gap);
}

/* The columns of the matrix, from unit vectors: the signs of the definition, and sign changes in sequency order. */
static void definition(size_t n) {
    static int32_t unit[512], natural[512], sequency[512], row[512 * 512];
    for (size_t j = 0; j < n; j++) {
        memset(unit, 0, sizeof unit);
        unit[j] = 1;
        CHECK(liam_hadamard_i32(unit, 1, n, n, natural, n) == LIAM_OK);
        CHECK(liam_sequency_i32(unit, 1, n, n, sequency, n, workspace, sizeof workspace) == LIAM_OK);
        for (size_t i = 0; i < n; i++) {
            CHECK(natural[i] == (__builtin_popcountll(i & j) % 2 ? -1 : 1));
            row[i * n + j] = sequency[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t changes = 0;
        for (size_t j = 1; j < n; j++) changes += row[i * n + j] != row[i * n + j - 1];
        CHECK(changes == i);
    }
}

/* A row beyond every cache but the last: what two transforms of it give. */
static void long_row(void) {
    const size_t n = (size_t)1 << 20;
    int32_t *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    float *f = malloc(n * sizeof *f);
    if (x == NULL || y == NULL || f == NULL) exit(2);
    for (size_t i = 0; i < n; i++) f[i] = (float)(x[i] = (int32_t)random_below(2048) - 1024);
    CHECK(liam_hadamard_i32(x, 1, n, n, y, n) == LIAM_OK);
    CHECK(liam_hadamard_f32(f, 1, n, n, f, n) == LIAM_OK);
    int32_t first = 0, last = 0;
    for (size_t i = 0; i < n; i++) {
        first += x[i];
        last += __builtin_popcountll(i) % 2 ? -x[i] : x[i];
    }
    CHECK(y[0] == first && y[n - 1] == last);
    CHECK(liam_hadamard_i32(y, 1, n, n, y, n) == LIAM_OK);
    for (size_t i = 0; i < n; i++) CHECK((uint32_t)y[i] == (uint32_t)x[i] << 20); /* n times, wrapped */
    CHECK(liam_hadamard_f32(f, 1, n, n, f, n) == LIAM_OK);
    for (size_t i = 0; i < n; i++) CHECK(fabsf(f[i] * 0x1p-20f - (float)x[i]) < 0.5f);
    free(x);
    free(y);
    free(f);
}

void test_hadamard(void) {
    if (mem.in.end == NULL) mem = (memory){arena_new(), arena_new(), arena_new()};
    for (size_t k = 0; k <= 14; k++) {
        test_case = k;
        const size_t n = (size_t)1 << k;
        all_types(n, 1, 0, 0);
        if (k <= 12) all_types(n, 3, k % 3, 0);
        if (k <= 9) definition(n);
    }
    for (size_t rows = 1; rows <= 40; rows++) {
        for (size_t n = 1; n <= 32; n *= 2) {
            test_case = 1000 * rows + n;
            all_types(n, rows, 0, 0);
            all_types(n, rows, 0, rows % 4);
        }
    }
    for (size_t gap = 0; gap <= 16; gap++) { /* the rows before the last are misaligned by their gaps */
        for (size_t n = 1; n <= 1024; n *= 4) {
            test_case = 100 * gap + n;
            all_types(n, 2, gap, 16 - gap);
        }
    }
    long_row();
}

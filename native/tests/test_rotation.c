/* SPDX-License-Identifier: Apache-2.0
 *
 * The random rotation: its signs, what it keeps, that it is undone, and the same bits at every level; and the error
 * codes of the whole family.
 */
#include <math.h>

#include "check.h"
#include "liam_hadamard.h"

#define MAX_WIDTH 1100

static arena signs_memory, in, out, back;

static double norm(const float *x, size_t n) {
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) sum += (double)x[j] * (double)x[j];
    return sqrt(sum);
}

static double distance(const float *x, const float *y, size_t n) {
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return sqrt(sum);
}

/* The header's bound for one direction, relative to the norm. */
static double bound(size_t n) { return LIAM_ROTATION_ROUNDS * (2.0 * floor(log2((double)n)) + 7.0) * 0x1p-24; }

static void rotations(size_t n, size_t rows) {
    const size_t words = liam_words(n), x_stride = n + n % 3, out_stride = n + n % 2;
    const size_t sign_rows = (n & (n - 1)) == 0 ? LIAM_ROTATION_ROUNDS : 2 * LIAM_ROTATION_ROUNDS;
    size_t bytes = 0;
    CHECK(liam_rotation_bytes(n, &bytes) == LIAM_OK && bytes == sign_rows * words * sizeof(uint64_t));
    uint64_t *signs = arena_take(signs_memory, bytes);
    CHECK(liam_rotation_prepare(n, n * 77, signs, bytes) == LIAM_OK);
    CHECK(front_intact(signs));
    for (size_t k = 0; k < sign_rows; k++) {
        CHECK(excess_is_zero(signs + k * words, n));
        if (n % 64) signs[k * words + words - 1] |= UINT64_MAX << (n % 64); /* poison */
    }

    float *x = arena_take(in, ((rows - 1) * x_stride + n) * sizeof *x);
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < n; j++) x[r * x_stride + j] = r ? random_float() : (float)(j == n / 3);
    }
    float *y = arena_take(out, ((rows - 1) * out_stride + n) * sizeof *y);
    CHECK(liam_rotation_apply(signs, x, rows, n, x_stride, y, out_stride) == LIAM_OK);
    CHECK(front_intact(y));
    const int level = liam_level();
    CHECK(liam_set_level(LIAM_SCALAR) == LIAM_OK);
    float *z = arena_take(back, rows * n * sizeof *z);
    CHECK(liam_rotation_apply(signs, x, rows, n, x_stride, z, n) == LIAM_OK);
    CHECK(liam_set_level(level) == LIAM_OK);
    for (size_t r = 0; r < rows; r++) {
        CHECK(memcmp(z + r * n, y + r * out_stride, n * sizeof *z) == 0);
        CHECK(fabs(norm(y + r * out_stride, n) / norm(x + r * x_stride, n) - 1.0) <= bound(n));
        if (r + 1 < rows) CHECK(all_canary(y + r * out_stride + n, (out_stride - n) * sizeof *y));
    }

    CHECK(liam_rotation_inverse(signs, y, rows, n, out_stride, z, n) == LIAM_OK);
    CHECK(front_intact(z));
    for (size_t r = 0; r < rows; r++) {
        CHECK(distance(z + r * n, x + r * x_stride, n) <= 2.0 * bound(n) * norm(x + r * x_stride, n));
    }
    CHECK(liam_rotation_apply(signs, x, rows, n, x_stride, x, x_stride) == LIAM_OK); /* in place */
    for (size_t r = 0; r < rows; r++) CHECK(memcmp(x + r * x_stride, y + r * out_stride, n * sizeof *x) == 0);
    CHECK(liam_rotation_inverse(signs, x, rows, n, x_stride, x, x_stride) == LIAM_OK);
    for (size_t r = 0; r < rows; r++) CHECK(memcmp(x + r * x_stride, z + r * n, n * sizeof *x) == 0);
}

/* The first words are SplitMix64's for the seed 1234567, which its authors' code prints. */
static void known_signs(void) {
    uint64_t signs[LIAM_ROTATION_ROUNDS];
    CHECK(liam_rotation_prepare(64, 1234567, signs, sizeof signs) == LIAM_OK);
    CHECK(signs[0] == UINT64_C(6457827717110365317));
    CHECK(signs[1] == UINT64_C(3203168211198807973));
    CHECK(signs[2] == UINT64_C(9817491932198370423));
}

#define TOO_LONG ((size_t)LIAM_MAX_HADAMARD * 2)
#define HUGE_ROWS (SIZE_MAX / 4)

static void transform_errors(void) {
    static _Alignas(LIAM_ALIGNMENT) char workspace[128];
    static float x[8], y[8];
    static double d[8];
    static int32_t i[8];
    size_t bytes;
    CHECK(liam_hadamard_f32(NULL, 1, 8, 8, y, 8) == LIAM_ERR_NULL);
    CHECK(liam_hadamard_f32(x, 1, 8, 8, NULL, 8) == LIAM_ERR_NULL);
    CHECK(liam_hadamard_f32(NULL, 0, 8, 8, NULL, 8) == LIAM_OK);
    CHECK(liam_hadamard_f32(x, 1, 0, 8, y, 8) == LIAM_ERR_SIZE);
    CHECK(liam_hadamard_f32(x, 1, 12, 12, y, 12) == LIAM_ERR_SIZE);
    CHECK(liam_hadamard_f32(x, 1, TOO_LONG, TOO_LONG, y, TOO_LONG) == LIAM_ERR_SIZE);
    CHECK(liam_hadamard_f32(x, 1, 8, 7, y, 8) == LIAM_ERR_STRIDE);
    CHECK(liam_hadamard_f32(x, 1, 8, 8, y, 7) == LIAM_ERR_STRIDE);
    CHECK(liam_hadamard_f32(x, HUGE_ROWS, 8, 8, y, 8) == LIAM_ERR_OVERFLOW);
    CHECK(liam_hadamard_f64(d, 1, 3, 3, d, 3) == LIAM_ERR_SIZE);
    CHECK(liam_hadamard_f64(d, HUGE_ROWS / 4, 1, 1, d, SIZE_MAX) == LIAM_ERR_OVERFLOW);
    CHECK(liam_hadamard_i32(i, 1, 8, 8, NULL, 8) == LIAM_ERR_NULL);

    CHECK(liam_sequency_workspace_bytes(8, 4, NULL) == LIAM_ERR_NULL);
    CHECK(liam_sequency_workspace_bytes(9, 4, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_sequency_workspace_bytes(8, 2, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_sequency_workspace_bytes(8, 8, &bytes) == LIAM_OK && bytes == 64);
    CHECK(liam_sequency_f32(x, 1, 6, 8, y, 8, workspace, 32) == LIAM_ERR_SIZE);
    CHECK(liam_sequency_f32(x, 1, 8, 7, y, 8, workspace, 32) == LIAM_ERR_STRIDE);
    CHECK(liam_sequency_f32(x, 1, 8, 8, y, 8, NULL, 32) == LIAM_ERR_NULL);
    CHECK(liam_sequency_f32(x, 1, 8, 8, y, 8, workspace + 4, 32) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_sequency_f32(x, 1, 8, 8, y, 8, workspace, 31) == LIAM_ERR_MEMORY);
    CHECK(liam_sequency_f32(NULL, 0, 8, 8, NULL, 8, NULL, 0) == LIAM_OK);
    CHECK(liam_sequency_f64(d, 1, 8, 8, NULL, 8, workspace, 64) == LIAM_ERR_NULL);
    CHECK(liam_sequency_i32(i, HUGE_ROWS, 8, 8, i, 8, workspace, 32) == LIAM_ERR_OVERFLOW);
}

static void rotation_errors(void) {
    static float x[8], y[8];
    uint64_t signs[LIAM_ROTATION_ROUNDS];
    size_t bytes;
    CHECK(liam_rotation_bytes(1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_rotation_bytes(0, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_rotation_bytes(TOO_LONG, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_rotation_prepare(0, 1, signs, sizeof signs) == LIAM_ERR_SIZE);
    CHECK(liam_rotation_prepare(8, 1, NULL, sizeof signs) == LIAM_ERR_NULL);
    CHECK(liam_rotation_prepare(8, 1, signs, sizeof signs - 1) == LIAM_ERR_MEMORY);
    CHECK(liam_rotation_prepare(8, 1, signs, sizeof signs) == LIAM_OK);
    CHECK(liam_rotation_apply(NULL, x, 1, 8, 8, y, 8) == LIAM_ERR_NULL);
    CHECK(liam_rotation_apply(signs, NULL, 1, 8, 8, y, 8) == LIAM_ERR_NULL);
    CHECK(liam_rotation_apply(signs, x, 1, 8, 8, NULL, 8) == LIAM_ERR_NULL);
    CHECK(liam_rotation_apply(signs, x, 1, 0, 8, y, 8) == LIAM_ERR_SIZE);
    CHECK(liam_rotation_apply(signs, x, 1, 8, 7, y, 8) == LIAM_ERR_STRIDE);
    CHECK(liam_rotation_apply(signs, x, HUGE_ROWS, 8, 8, y, 8) == LIAM_ERR_OVERFLOW);
    CHECK(liam_rotation_apply(NULL, NULL, 0, 8, 8, NULL, 8) == LIAM_OK);
    CHECK(liam_rotation_inverse(NULL, x, 1, 8, 8, y, 8) == LIAM_ERR_NULL);
    CHECK(liam_rotation_inverse(signs, x, 1, TOO_LONG, TOO_LONG, y, TOO_LONG) == LIAM_ERR_SIZE);
    CHECK(liam_rotation_inverse(signs, x, 1, 8, 8, y, 7) == LIAM_ERR_STRIDE);
    CHECK(liam_rotation_inverse(signs, x, HUGE_ROWS, 8, 8, y, 8) == LIAM_ERR_OVERFLOW);
}

void test_rotation(void) {
    if (in.end == NULL) {
        signs_memory = arena_new();
        in = arena_new();
        out = arena_new();
        back = arena_new();
    }
    for (size_t n = 1; n <= MAX_WIDTH; n++) {
        test_case = n;
        rotations(n, 2 + n % 3 / 2);
    }
    test_case = 0;
    rotations(5000, 4);
    known_signs();
    transform_errors();
    rotation_errors();
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error code of GF(2), from arguments that would touch memory wrongly if they were believed.
 */
#include "check.h"
#include "liam_gf2.h"

static _Alignas(LIAM_ALIGNMENT) uint8_t space[1 << 16];
static uint64_t a[8], b[8], out[8];
static int64_t numbers[8];

#define HUGE_COUNT (SIZE_MAX / 4)
#define TOO_MANY ((size_t)LIAM_MAX_NBITS + 1)
#define WIDEST ((size_t)LIAM_MAX_NBITS)

static void products(void) {
    size_t bytes;
    CHECK(liam_gf2_multiply_workspace_bytes(1, 1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_gf2_multiply_workspace_bytes(TOO_MANY, 1, 1, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_multiply_workspace_bytes(1, TOO_MANY, 1, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_multiply_workspace_bytes(1, 1, TOO_MANY, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_multiply_workspace_bytes(0, 5, 5, &bytes) == LIAM_OK && bytes == 0);
    CHECK(liam_gf2_multiply_workspace_bytes(9, 9, 9, &bytes) == LIAM_OK && bytes <= sizeof space);
    CHECK(liam_gf2_multiply(1, a, 8, 9, 0, b, 9, 1, out, 1, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_multiply(1, a, 8, 9, 1, b, 65, 1, out, 2, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_multiply(1, a, 8, 9, 1, b, 65, 2, out, 1, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_multiply(HUGE_COUNT, a, 8, 9, 1, b, 9, 1, out, 1, space, bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_gf2_multiply(1, a, 8, 9, 1, b, 9, SIZE_MAX / 8, out, 1, space, bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_gf2_multiply(1, NULL, 8, 8, 1, b, 8, 1, out, 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_multiply(1, a, 8, 8, 1, NULL, 8, 1, out, 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_multiply(1, a, 8, 8, 1, b, 8, 1, NULL, 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_multiply(1, a, 8, 8, 1, b, 8, 1, out, 1, NULL, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_multiply(1, a, 8, 8, 1, b, 8, 1, out, 1, space + 8, bytes) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_gf2_multiply(1, a, 8, 8, 1, b, 8, 1, out, 1, space, 64) == LIAM_ERR_MEMORY);
    CHECK(liam_gf2_multiply(0, NULL, 8, 8, 1, NULL, 8, 1, NULL, 1, NULL, 0) == LIAM_OK);
    out[0] = 5;
    CHECK(liam_gf2_multiply(1, NULL, 2, 0, 0, NULL, 8, 1, out, 1, NULL, 0) == LIAM_OK && out[0] == 0);
}

static void vectors(void) {
    size_t bytes;
    CHECK(liam_gf2_matvec_workspace_bytes(1, 1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_gf2_matvec_workspace_bytes(1, 1, TOO_MANY, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_matvec_workspace_bytes(9, 9, 1, &bytes) == LIAM_OK && bytes == 0);
    CHECK(liam_gf2_matvec_workspace_bytes(9, 9, 64, &bytes) == LIAM_OK && bytes != 0);
    CHECK(liam_gf2_matvec(a, 8, 9, 0, b, 1, 1, out, 1, NULL, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_matvec(a, 8, 9, 1, b, 1, 0, out, 1, NULL, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_matvec(a, 8, 9, 1, b, 1, 1, out, 0, NULL, 0) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_matvec(NULL, 8, 9, 1, b, 1, 1, out, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_gf2_matvec(a, 8, 9, 1, NULL, 1, 1, out, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_gf2_matvec(a, 8, 9, 1, b, 1, 1, NULL, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_gf2_matvec(a, 8, 9, 1, b, 64, 1, out, 1, NULL, 0) == LIAM_ERR_NULL);
    CHECK(liam_gf2_matvec(NULL, 8, 9, 1, NULL, 0, 1, NULL, 1, NULL, 0) == LIAM_OK);
    CHECK(liam_gf2_transpose(1, a, 8, 65, 1, out, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_transpose(1, a, 65, 8, 1, out, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_transpose(1, a, TOO_MANY, 8, 1, out, TOO_MANY) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_transpose(HUGE_COUNT, a, 8, 8, 1, out, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_gf2_transpose(1, NULL, 8, 8, 1, out, 1) == LIAM_ERR_NULL);
    CHECK(liam_gf2_transpose(1, a, 8, 8, 1, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_gf2_transpose(1, NULL, 0, 8, 1, NULL, 0) == LIAM_OK);
}

static void eliminations(void) {
    size_t bytes, few;
    int64_t *n = numbers;
    CHECK(liam_gf2_reduce_workspace_bytes(1, 1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_gf2_reduce_workspace_bytes(1, 1, TOO_MANY, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_reduce_workspace_bytes(WIDEST, WIDEST, WIDEST, &bytes) == LIAM_OK);
    CHECK(liam_gf2_reduce_workspace_bytes(8, 9, 0, &few) == LIAM_OK);
    CHECK(liam_gf2_reduce_workspace_bytes(8, 9, 8, &bytes) == LIAM_OK && few < bytes && bytes <= sizeof space);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 0, out, 1, b, 1, n, n + 7, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, out, 0, b, 1, n, n + 7, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, out, 1, b, 0, n, n + 7, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_row_reduce(NULL, 8, 9, 1, out, 1, b, 1, n, n + 7, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, NULL, 1, b, 1, n, n + 7, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, out, 1, b, 1, NULL, n + 7, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, out, 1, b, 1, n, NULL, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, out, 1, b, 1, n, n + 7, space, few) == LIAM_ERR_MEMORY);
    CHECK(liam_gf2_row_reduce(a, 8, 9, 1, out, 1, NULL, 0, n, n + 7, space + 1, bytes) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_gf2_row_reduce(NULL, 0, 9, 1, NULL, 1, NULL, 0, NULL, n, NULL, 0) == LIAM_OK && n[0] == 0);

    CHECK(liam_gf2_rank(1, a, 8, 9, 0, n, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_rank(HUGE_COUNT, a, 8, 9, 1, n, space, bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_gf2_rank(HUGE_COUNT, a, 0, 0, 0, n, space, bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_gf2_rank(1, NULL, 8, 9, 1, n, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_rank(1, a, 8, 9, 1, NULL, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_rank(2, NULL, 0, 9, 1, n, NULL, 0) == LIAM_OK && n[0] == 0 && n[1] == 0);

    CHECK(liam_gf2_inverse(1, a, 8, 0, out, 1, n, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_inverse(1, a, 8, 1, out, 0, n, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_inverse(1, a, TOO_MANY, TOO_MANY, out, TOO_MANY, n, space, bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_inverse(1, NULL, 8, 1, out, 1, n, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_inverse(1, a, 8, 1, NULL, 1, n, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_inverse(1, a, 8, 1, out, 1, NULL, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_inverse(1, a, 8, 1, out, 1, n, space, few) == LIAM_ERR_MEMORY);
    CHECK(liam_gf2_inverse(1, NULL, 0, 0, NULL, 0, n, NULL, 0) == LIAM_OK && n[0] == 0);
}

static void systems(void) {
    size_t bytes;
    int64_t *n = numbers;
    CHECK(liam_gf2_solve_workspace_bytes(1, 1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_gf2_solve_workspace_bytes(1, 1, TOO_MANY, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_solve_workspace_bytes(8, 8, 8, &bytes) == LIAM_OK && bytes <= sizeof space);
    CHECK(liam_gf2_solve(a, 8, 8, 0, b, 8, 1, out, 1, n, n + 1, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, 0, out, 1, n, n + 1, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, 1, out, 0, n, n + 1, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_solve(NULL, 8, 8, 1, b, 8, 1, out, 1, n, n + 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_solve(a, 8, 8, 1, NULL, 8, 1, out, 1, n, n + 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, 1, NULL, 1, n, n + 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, 1, out, 1, NULL, n + 1, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, 1, out, 1, n, NULL, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, 1, out, 1, n, n + 1, space, bytes - 1) == LIAM_ERR_MEMORY);
    CHECK(liam_gf2_solve(a, 8, 8, 1, b, 8, SIZE_MAX / 8, out, 1, n, n + 1, space, bytes) == LIAM_ERR_OVERFLOW);

    CHECK(liam_gf2_null_space_workspace_bytes(1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_gf2_null_space_workspace_bytes(TOO_MANY, 1, &bytes) == LIAM_ERR_SIZE);
    CHECK(liam_gf2_null_space_workspace_bytes(8, 8, &bytes) == LIAM_OK && bytes <= sizeof space);
    CHECK(liam_gf2_null_space(a, 8, 8, 0, out, 1, n, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_null_space(a, 8, 8, 1, out, 0, n, space, bytes) == LIAM_ERR_STRIDE);
    CHECK(liam_gf2_null_space(NULL, 8, 8, 1, out, 1, n, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_null_space(a, 8, 8, 1, NULL, 1, n, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_null_space(a, 8, 8, 1, out, 1, NULL, space, bytes) == LIAM_ERR_NULL);
    CHECK(liam_gf2_null_space(a, 8, 8, 1, out, 1, n, space + 32, bytes) == LIAM_ERR_ALIGNMENT);
}

void test_gf2_errors(void) {
    products();
    vectors();
    eliminations();
    systems();
}

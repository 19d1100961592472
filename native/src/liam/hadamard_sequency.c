/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms in sequency order: a natural transform in the workspace, copied out in order.
 *
 * Natural output i belongs to place s with i = bit_reverse(s ^ s >> 1), so s = inverse_gray(bit_reverse(i)). Both ways
 * are linear over GF(2): the place of i ^ j is place(i) ^ place(j).
 */
#include <string.h>

#include "hadamard_rows.h"
#include "kernels.h"

#define SIDE 16

/* The place in sequency order of natural output i, of n = 2^k. */
static size_t place_of(size_t i, size_t n) {
    size_t place = 0, bit = 0;
    for (size_t mask = 1; mask < n; mask *= 2, i /= 2) { /* the lowest bit of i is the highest of the Gray code */
        bit ^= i & 1;
        place = place * 2 + bit;
    }
    return place;
}

/* Copies a natural row of at least SIDE * SIDE elements in sequency order, by tiles of SIDE x SIDE: the elements whose
 * numbers i differ in their four highest and four lowest bits. Their places differ in the four lowest bits (and no
 * other) for the one, and in the four highest for the other, where all lower bits may be complemented too. So a tile is
 * SIDE runs of consecutive elements in both orders, and every cache line is touched once. */
LIAM_INLINE void reorder_tiles(const char *natural, size_t n, char *out, size_t element_bytes) {
    char tile[SIDE * SIDE * 8];
    size_t from[SIDE], run[SIDE]; /* the high bits for each of the lowest places; the place of each of the low bits */
    for (size_t a = 0; a < SIDE; a++) from[place_of(a * (n / SIDE), n)] = a;
    for (size_t b = 0; b < SIDE; b++) run[b] = place_of(b, n);
    for (size_t middle = 0; middle < n / SIDE; middle += SIDE) {
        const size_t place = place_of(middle, n);
        for (size_t a = 0; a < SIDE; a++) {
            memcpy(tile + a * SIDE * element_bytes, natural + (a * (n / SIDE) + middle) * element_bytes,
                   SIDE * element_bytes);
        }
        for (size_t b = 0; b < SIDE; b++) {
            const size_t at = place ^ run[b];
            char *to = out + at / SIDE * SIDE * element_bytes;
            for (size_t j = 0; j < SIDE; j++) {
                memcpy(to + j * element_bytes, tile + (from[j ^ at % SIDE] * SIDE + b) * element_bytes, element_bytes);
            }
        }
    }
}

LIAM_INLINE void reorder(const char *natural, size_t n, char *out, size_t element_bytes) {
    if (n >= SIDE * SIDE) {
        reorder_tiles(natural, n, out, element_bytes);
    } else {
        for (size_t i = 0; i < n; i++) {
            memcpy(out + place_of(i, n) * element_bytes, natural + i * element_bytes, element_bytes);
        }
    }
}

int liam_sequency_workspace_bytes(size_t n, size_t element_bytes, size_t *bytes) {
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (!is_power_of_two(n) || n > LIAM_MAX_HADAMARD || (element_bytes != 4 && element_bytes != 8)) return LIAM_ERR_SIZE;
    return size_mul(n, element_bytes, bytes) ? LIAM_OK : LIAM_ERR_OVERFLOW;
}

static int check(const void *x, size_t rows, size_t n, size_t x_stride, const void *out, size_t out_stride,
                 const void *workspace, size_t workspace_bytes, size_t element_bytes) {
    size_t needed;
    int status = liam_sequency_workspace_bytes(n, element_bytes, &needed);
    if (status == LIAM_OK) status = check_hadamard_rows(x, rows, n, x_stride, out, out_stride, element_bytes);
    if (status != LIAM_OK || rows == 0) return status;
    if (workspace == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(workspace, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    return workspace_bytes < needed ? LIAM_ERR_MEMORY : LIAM_OK;
}

int liam_sequency_f32(const float *x, size_t rows, size_t n, size_t x_stride, float *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes) {
    const int status = check(x, rows, n, x_stride, out, out_stride, workspace, workspace_bytes, sizeof *x);
    if (status != LIAM_OK) return status;
    const hadamard_kernels *level = liam_active()->hadamard;
    for (size_t i = 0; i < rows; i++) {
        level->f32(x + i * x_stride, 1, n, n, workspace, n);
        reorder(workspace, n, (char *)(out + i * out_stride), sizeof *x);
    }
    return LIAM_OK;
}

int liam_sequency_f64(const double *x, size_t rows, size_t n, size_t x_stride, double *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes) {
    const int status = check(x, rows, n, x_stride, out, out_stride, workspace, workspace_bytes, sizeof *x);
    if (status != LIAM_OK) return status;
    const hadamard_kernels *level = liam_active()->hadamard;
    for (size_t i = 0; i < rows; i++) {
        level->f64(x + i * x_stride, 1, n, n, workspace, n);
        reorder(workspace, n, (char *)(out + i * out_stride), sizeof *x);
    }
    return LIAM_OK;
}

int liam_sequency_i32(const int32_t *x, size_t rows, size_t n, size_t x_stride, int32_t *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes) {
    const int status = check(x, rows, n, x_stride, out, out_stride, workspace, workspace_bytes, sizeof *x);
    if (status != LIAM_OK) return status;
    const hadamard_kernels *level = liam_active()->hadamard;
    for (size_t i = 0; i < rows; i++) {
        level->i32(x + i * x_stride, 1, n, n, workspace, n);
        reorder(workspace, n, (char *)(out + i * out_stride), sizeof *x);
    }
    return LIAM_OK;
}

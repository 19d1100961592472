/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms in natural order: the checked edge over hadamard_<level>.c.
 */
#include "hadamard_rows.h"
#include "kernels.h"

static int check(const void *x, size_t rows, size_t n, size_t x_stride, const void *out, size_t out_stride,
                 size_t element_bytes) {
    if (!is_power_of_two(n)) return LIAM_ERR_SIZE;
    return check_hadamard_rows(x, rows, n, x_stride, out, out_stride, element_bytes);
}

int liam_hadamard_f32(const float *x, size_t rows, size_t n, size_t x_stride, float *out, size_t out_stride) {
    const int status = check(x, rows, n, x_stride, out, out_stride, sizeof *x);
    if (status == LIAM_OK) liam_active()->hadamard->f32(x, rows, n, x_stride, out, out_stride);
    return status;
}

int liam_hadamard_f64(const double *x, size_t rows, size_t n, size_t x_stride, double *out, size_t out_stride) {
    const int status = check(x, rows, n, x_stride, out, out_stride, sizeof *x);
    if (status == LIAM_OK) liam_active()->hadamard->f64(x, rows, n, x_stride, out, out_stride);
    return status;
}

int liam_hadamard_i32(const int32_t *x, size_t rows, size_t n, size_t x_stride, int32_t *out, size_t out_stride) {
    const int status = check(x, rows, n, x_stride, out, out_stride, sizeof *x);
    if (status == LIAM_OK) liam_active()->hadamard->i32(x, rows, n, x_stride, out, out_stride);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms in sequency order: a natural transform in the workspace, copied out in order.
 */
#include <string.h>

#include "hadamard_rows.h"
#include "hadamard_sequency.h"
#include "kernels.h"

/* Whose order rows are put in, and where the elements of short ones are: out[s] = natural[from[s]]. */
typedef struct ordering {
    const hadamard_kernels *level;
    size_t n;
    uint8_t from[SEQUENCY_TILE / 2];
} ordering;

static ordering ordering_of(size_t n) {
    ordering order = {.level = liam_active()->hadamard, .n = n};
    for (size_t i = 0; i < n && n < SEQUENCY_TILE; i++) order.from[sequency_place(i, n)] = (uint8_t)i;
    return order;
}

LIAM_INLINE void put_in_order(const ordering *order, const char *natural, char *out, size_t element_bytes) {
    if (order->n >= SEQUENCY_TILE) {
        (element_bytes == 4 ? order->level->order_4 : order->level->order_8)(natural, order->n, out);
    } else {
        for (size_t s = 0; s < order->n; s++) {
            memcpy(out + s * element_bytes, natural + order->from[s] * element_bytes, element_bytes);
        }
    }
}

int liam_sequency_workspace_bytes(size_t n, size_t element_bytes, size_t *bytes) {
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (!is_power_of_two(n) || n > LIAM_MAX_HADAMARD) return LIAM_ERR_SIZE;
    if (element_bytes != 4 && element_bytes != 8) return LIAM_ERR_SIZE;
    return size_mul(n, element_bytes, bytes) ? LIAM_OK : LIAM_ERR_OVERFLOW;
}

/* Transforms a row, in natural order. */
typedef void natural_fn(const ordering *order, const void *x, void *out);

static void natural_f32(const ordering *order, const void *x, void *out) {
    order->level->f32(x, 1, order->n, order->n, out, order->n);
}

static void natural_f64(const ordering *order, const void *x, void *out) {
    order->level->f64(x, 1, order->n, order->n, out, order->n);
}

static void natural_i32(const ordering *order, const void *x, void *out) {
    order->level->i32(x, 1, order->n, order->n, out, order->n);
}

LIAM_INLINE int transform(const void *x, size_t rows, size_t n, size_t x_stride, void *out, size_t out_stride,
                          void *workspace, size_t workspace_bytes, size_t element_bytes, natural_fn *natural) {
    size_t needed;
    int status = liam_sequency_workspace_bytes(n, element_bytes, &needed);
    if (status == LIAM_OK) status = check_hadamard_rows(x, rows, n, x_stride, out, out_stride, element_bytes);
    if (status != LIAM_OK || rows == 0) return status;
    if (workspace == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(workspace, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (workspace_bytes < needed) return LIAM_ERR_MEMORY;

    const ordering order = ordering_of(n);
    for (size_t i = 0; i < rows; i++) {
        natural(&order, (const char *)x + i * x_stride * element_bytes, workspace);
        put_in_order(&order, workspace, (char *)out + i * out_stride * element_bytes, element_bytes);
    }
    return LIAM_OK;
}

int liam_sequency_f32(const float *x, size_t rows, size_t n, size_t x_stride, float *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes) {
    return transform(x, rows, n, x_stride, out, out_stride, workspace, workspace_bytes, sizeof *x, natural_f32);
}

int liam_sequency_f64(const double *x, size_t rows, size_t n, size_t x_stride, double *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes) {
    return transform(x, rows, n, x_stride, out, out_stride, workspace, workspace_bytes, sizeof *x, natural_f64);
}

int liam_sequency_i32(const int32_t *x, size_t rows, size_t n, size_t x_stride, int32_t *out, size_t out_stride,
                      void *workspace, size_t workspace_bytes) {
    return transform(x, rows, n, x_stride, out, out_stride, workspace, workspace_bytes, sizeof *x, natural_i32);
}

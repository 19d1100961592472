/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2), the checked edge: products, matrix-vector products and transposes.
 */
#include "gf2_check.h"
#include "kernels.h"
#include "liam_gf2.h"

/* From so many vectors on, transposing the matrix once and one product beat reading the matrix for every vector. */
#define BATCH_AS_PRODUCT 16

int liam_gf2_multiply_workspace_bytes(size_t m, size_t k, size_t n, size_t *bytes) {
    gf2_product_space space;
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (m > LIAM_MAX_NBITS || k > LIAM_MAX_NBITS || n > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    *bytes = 0;
    if (m == 0 || k == 0 || n == 0) return LIAM_OK;
    if (!gf2_product_space_of(m, k, n, &space)) return LIAM_ERR_OVERFLOW;
    *bytes = space.bytes;
    return LIAM_OK;
}

/* The first error among two statuses. */
static int first_of(int a, int b) { return a != LIAM_OK ? a : b; }

int liam_gf2_multiply(size_t count, const uint64_t *a, size_t m, size_t k, size_t a_stride, const uint64_t *b,
                      size_t n, size_t b_stride, uint64_t *out, size_t out_stride, void *workspace,
                      size_t workspace_bytes) {
    size_t needed;
    int status = liam_gf2_multiply_workspace_bytes(m, k, n, &needed);
    status = first_of(status, gf2_check_matrix(count, m, k, a_stride));
    status = first_of(status, gf2_check_matrix(count, k, n, b_stride));
    status = first_of(status, gf2_check_matrix(count, m, n, out_stride));
    if (status != LIAM_OK) return status;
    if (count == 0 || m == 0 || n == 0) return LIAM_OK;
    if (out == NULL || !gf2_present(a, m, k) || !gf2_present(b, k, n)) return LIAM_ERR_NULL;
    status = gf2_check_workspace(workspace, workspace_bytes, needed);
    if (status != LIAM_OK) return status;

    if (k == 0) {
        gf2_zero(out, count * m, n, out_stride);
        return LIAM_OK;
    }
    const gf2_kernels *gf2 = liam_active()->gf2;
    for (size_t s = 0; s < count; s++) {
        const gf2_product job = {.a = a + s * m * a_stride, .m = m, .k = k, .a_stride = a_stride,
                                 .b = b + s * k * b_stride, .n = n, .b_stride = b_stride,
                                 .out = out + s * m * out_stride, .out_stride = out_stride, .workspace = workspace};
        gf2->multiply(&job);
    }
    return LIAM_OK;
}

/* Where the transpose lies in the workspace of a matrix-vector product, behind that of the product. */
static int matvec_space(size_t m, size_t nbits, size_t batch, size_t *transpose, size_t *bytes) {
    const int status = liam_gf2_multiply_workspace_bytes(batch, nbits, m, bytes);
    *transpose = 0;
    if (status != LIAM_OK) return status;
    if (batch < BATCH_AS_PRODUCT) {
        *bytes = 0;
        return LIAM_OK;
    }
    size_t words;
    if (!size_mul(nbits, words_of(m), &words) || !space_add(bytes, words, sizeof(uint64_t), transpose)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

int liam_gf2_matvec_workspace_bytes(size_t m, size_t nbits, size_t batch, size_t *bytes) {
    size_t transpose;
    return bytes == NULL ? LIAM_ERR_NULL : matvec_space(m, nbits, batch, &transpose, bytes);
}

int liam_gf2_matvec(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x, size_t batch,
                    size_t x_stride, uint64_t *out, size_t out_stride, void *workspace, size_t workspace_bytes) {
    size_t needed, at;
    int status = matvec_space(m, nbits, batch, &at, &needed);
    status = first_of(status, gf2_check_matrix(1, m, nbits, a_stride));
    status = first_of(status, gf2_check_matrix(1, batch, nbits, x_stride));
    status = first_of(status, gf2_check_matrix(1, batch, m, out_stride));
    if (status != LIAM_OK) return status;
    if (batch == 0 || m == 0) return LIAM_OK;
    if (out == NULL || !gf2_present(a, m, nbits) || !gf2_present(x, batch, nbits)) return LIAM_ERR_NULL;
    status = gf2_check_workspace(workspace, workspace_bytes, needed);
    if (status != LIAM_OK) return status;

    const gf2_kernels *gf2 = liam_active()->gf2;
    if (nbits == 0) {
        gf2_zero(out, batch, m, out_stride);
    } else if (batch < BATCH_AS_PRODUCT) {
        for (size_t i = 0; i < batch; i++) {
            gf2->apply(a, m, nbits, a_stride, x + i * x_stride, out + i * out_stride);
        }
    } else {
        uint64_t *transposed = (uint64_t *)(void *)((uint8_t *)workspace + at);
        gf2->transpose(a, m, nbits, a_stride, transposed, words_of(m));
        const gf2_product job = {.a = x, .m = batch, .k = nbits, .a_stride = x_stride, .b = transposed, .n = m,
                                 .b_stride = words_of(m), .out = out, .out_stride = out_stride,
                                 .workspace = workspace};
        gf2->multiply(&job);
    }
    return LIAM_OK;
}

int liam_gf2_transpose(size_t count, const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out,
                       size_t out_stride) {
    const int status =
        first_of(gf2_check_matrix(count, m, nbits, a_stride), gf2_check_matrix(count, nbits, m, out_stride));
    if (status != LIAM_OK) return status;
    if (count == 0 || m == 0 || nbits == 0) return LIAM_OK;
    if (a == NULL || out == NULL) return LIAM_ERR_NULL;
    const gf2_kernels *gf2 = liam_active()->gf2;
    for (size_t s = 0; s < count; s++) {
        gf2->transpose(a + s * m * a_stride, m, nbits, a_stride, out + s * nbits * out_stride, out_stride);
    }
    return LIAM_OK;
}

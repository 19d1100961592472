/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layers with AVX2: a vector is eight outputs, half a panel.
 *
 * Both shapes of tile share one body, and keep up to 12 sums in registers: 3 rows x 1 half reads a vector of weights once
 * for three rows; what is left of the rows takes 1 x 2.
 */
#include "linear_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define HALF 8
#define TILE_ROWS 3
#define MAX_HALVES 2
#define MAX_SUMS 12

LIAM_AVX2_BEGIN

/* Adds the terms of input k to the sums that are its turn, the turn-th ones. */
LIAM_INLINE void add_terms(__m256 *sum, const char *const *row, const float *const *weights, size_t k, unsigned turn,
                           unsigned rows, unsigned halves) {
    __m256 w[MAX_HALVES];
    LIAM_UNROLL
    for (unsigned c = 0; c < halves; c++) w[c] = _mm256_load_ps(weights[c] + k * LINEAR_PANEL);
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        const __m256 x = _mm256_set1_ps(linear_at(row[r], k));
        LIAM_UNROLL
        for (unsigned c = 0; c < halves; c++) {
            __m256 *s = &sum[(r * halves + c) * LINEAR_SUMS + turn];
            *s = _mm256_add_ps(*s, _mm256_mul_ps(x, w[c]));
        }
    }
}

/* One result of each lane from its four sums; j is the first lane's column. */
LIAM_INLINE void store(const linear_job *job, size_t i, size_t j, const __m256 *sum, __m256 bias) {
    const __m256 y = _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])), bias);
    const __m256 one_nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
    const __m256 result = _mm256_blendv_ps(y, one_nan, _mm256_cmp_ps(y, y, _CMP_UNORD_Q));
    const size_t left = job->outputs - j;
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    float *to = (float *)(void *)linear_result(job, i, j);
    if (left >= HALF) {
        _mm256_storeu_ps(to, result);
    } else {
        _mm256_maskstore_ps(to, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left), lane), result);
    }
}

/* Rows i to i + rows, half panels h to h + halves. rows and halves are constants where this is inlined. */
LIAM_INLINE void tile(const linear_job *job, size_t i, size_t h, unsigned rows, unsigned halves) {
    const char *row[TILE_ROWS];
    const float *bias[MAX_HALVES], *weights[MAX_HALVES];
    __m256 sum[MAX_SUMS];
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) row[r] = linear_row(job, i + r);
    LIAM_UNROLL
    for (unsigned c = 0; c < halves; c++) {
        bias[c] = job->panels + (h + c) / 2 * linear_panel_floats(job->inputs) + (h + c) % 2 * HALF;
        weights[c] = bias[c] + LINEAR_PANEL;
    }
    LIAM_UNROLL
    for (unsigned s = 0; s < rows * halves * LINEAR_SUMS; s++) sum[s] = _mm256_setzero_ps();

    size_t k = 0;
    for (; k + LINEAR_SUMS <= job->inputs; k += LINEAR_SUMS) {
        LIAM_UNROLL
        for (unsigned l = 0; l < LINEAR_SUMS; l++) add_terms(sum, row, weights, k + l, l, rows, halves);
    }
    LIAM_UNROLL
    for (unsigned l = 0; l < LINEAR_SUMS - 1; l++) {
        if (k + l < job->inputs) add_terms(sum, row, weights, k + l, l, rows, halves);
    }
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        LIAM_UNROLL
        for (unsigned c = 0; c < halves; c++) {
            store(job, i + r, (h + c) * HALF, sum + (r * halves + c) * LINEAR_SUMS, _mm256_load_ps(bias[c]));
        }
    }
}

void liam_linear_avx2(const linear_job *job) {
    const size_t halves = (job->outputs + HALF - 1) / HALF;
    const size_t batched = job->rows / TILE_ROWS * TILE_ROWS, block = linear_block_rows(job, TILE_ROWS);
    for (size_t first = 0; first < batched; first += block) {
        const size_t last = batched - first < block ? batched : first + block;
        for (size_t h = 0; h < halves; h++) {
            for (size_t i = first; i < last; i += TILE_ROWS) tile(job, i, h, TILE_ROWS, 1);
        }
    }
    for (size_t i = batched; i < job->rows; i++) {
        size_t h = 0;
        for (; h + MAX_HALVES <= halves; h += MAX_HALVES) tile(job, i, h, 1, MAX_HALVES);
        if (h < halves) tile(job, i, h, 1, 1);
    }
}

LIAM_TARGET_END
#endif

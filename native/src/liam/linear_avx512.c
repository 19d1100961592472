/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layers with AVX-512: a vector is a panel's sixteen outputs.
 *
 * All shapes of tile share one body, and keep up to 24 sums in registers: 6 rows x 1 panel reads a vector of weights once
 * for six rows; what is left of the rows takes more panels at once, 3 x 2, 2 x 3 and 1 x 4.
 */
#include "linear_kernels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define TILE_ROWS 6
#define MAX_ROWS TILE_ROWS
#define MAX_PANELS 4
#define MAX_SUMS 24

LIAM_AVX512_BEGIN

/* Adds the terms of input k to the sums that are its turn, the turn-th ones. */
LIAM_INLINE void add_terms(__m512 *sum, const char *const *row, const float *const *weights, size_t k, unsigned turn,
                           unsigned rows, unsigned panels) {
    __m512 w[MAX_PANELS];
    LIAM_UNROLL
    for (unsigned c = 0; c < panels; c++) w[c] = _mm512_load_ps(weights[c] + k * LINEAR_PANEL);
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        const __m512 x = _mm512_set1_ps(linear_at(row[r], k));
        LIAM_UNROLL
        for (unsigned c = 0; c < panels; c++) {
            __m512 *s = &sum[(r * panels + c) * LINEAR_SUMS + turn];
            *s = _mm512_add_ps(*s, _mm512_mul_ps(x, w[c]));
        }
    }
}

/* One result of each lane from its four sums. */
LIAM_INLINE void store(const linear_job *job, size_t i, size_t p, const __m512 *sum, __m512 bias) {
    const __m512 y = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])), bias);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(y, y, _CMP_UNORD_Q);
    const __m512 one_nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
    const size_t j = p * LINEAR_PANEL;
    _mm512_mask_storeu_ps(linear_result(job, i, j), (__mmask16)low_bits(job->outputs - j),
                          _mm512_mask_mov_ps(y, is_nan, one_nan));
}

/* Rows i to i + rows, panels p to p + panels. rows and panels are constants where this is inlined. */
LIAM_INLINE void tile(const linear_job *job, size_t i, size_t p, unsigned rows, unsigned panels) {
    const char *row[MAX_ROWS];
    const float *bias[MAX_PANELS], *weights[MAX_PANELS];
    __m512 sum[MAX_SUMS];
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) row[r] = linear_row(job, i + r);
    LIAM_UNROLL
    for (unsigned c = 0; c < panels; c++) {
        bias[c] = job->panels + (p + c) * linear_panel_floats(job->inputs);
        weights[c] = bias[c] + LINEAR_PANEL;
    }
    LIAM_UNROLL
    for (unsigned s = 0; s < rows * panels * LINEAR_SUMS; s++) sum[s] = _mm512_setzero_ps();

    size_t k = 0;
    for (; k + LINEAR_SUMS <= job->inputs; k += LINEAR_SUMS) {
        LIAM_UNROLL
        for (unsigned l = 0; l < LINEAR_SUMS; l++) add_terms(sum, row, weights, k + l, l, rows, panels);
    }
    LIAM_UNROLL
    for (unsigned l = 0; l < LINEAR_SUMS - 1; l++) {
        if (k + l < job->inputs) add_terms(sum, row, weights, k + l, l, rows, panels);
    }
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        LIAM_UNROLL
        for (unsigned c = 0; c < panels; c++) {
            store(job, i + r, p + c, sum + (r * panels + c) * LINEAR_SUMS, _mm512_load_ps(bias[c]));
        }
    }
}

/* All columns of `rows` rows, `panels` panels at a time. Both are constants where this is inlined. */
LIAM_INLINE void strip(const linear_job *job, size_t i, unsigned rows, unsigned panels) {
    const size_t count = (job->outputs + LINEAR_PANEL - 1) / LINEAR_PANEL;
    size_t p = 0;
    for (; p + panels <= count; p += panels) tile(job, i, p, rows, panels);
    for (; p < count; p++) tile(job, i, p, rows, 1);
}

void liam_linear_avx512(const linear_job *job) {
    const size_t panels = (job->outputs + LINEAR_PANEL - 1) / LINEAR_PANEL;
    const size_t batched = job->rows / TILE_ROWS * TILE_ROWS, block = linear_block_rows(job, TILE_ROWS);
    for (size_t first = 0; first < batched; first += block) {
        const size_t last = batched - first < block ? batched : first + block;
        for (size_t p = 0; p < panels; p++) {
            for (size_t i = first; i < last; i += TILE_ROWS) tile(job, i, p, TILE_ROWS, 1);
        }
    }
    size_t i = batched;
    if (job->rows - i >= 3) {
        strip(job, i, 3, 2);
        i += 3;
    }
    if (job->rows - i >= 2) {
        strip(job, i, 2, 3);
        i += 2;
    }
    if (job->rows - i >= 1) strip(job, i, 1, 4);
}

LIAM_TARGET_END
#endif

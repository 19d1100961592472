/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products with AVX-512 VPOPCNTDQ.
 *
 * All shapes of tile share one body. 8 rows x 1 panel reuses weights from registers for batches; fewer rows take more
 * panels at once, which reuses the broadcast words and keeps as many counters in flight: 4 x 2, 2 x 4 and 1 x 4.
 */
#include "tile_avx512.h"
#include "xnor_finish_avx512.h"

#if LIAM_X86

/* Activations that a pass over all panels may keep in the second-level cache. */
#define BLOCK_BYTES (256 * 1024)

/* Panels that stay in the first-level cache while a block of rows passes: enough of them that a row's results are
 * written some cache lines at a time. */
#define GROUP_BYTES (16 * 1024)

LIAM_AVX512_BEGIN

/* Sixteen inner products from two vectors of popcounts. */
LIAM_INLINE __m512i dots(__m512i low, __m512i high, __m512i nbits) {
    return _mm512_sub_epi32(nbits, _mm512_slli_epi32(narrow_counts(low, high), 1));
}

/* Rows i to i + rows, panels p to p + panels. rows and panels are constants where this is inlined. */
LIAM_INLINE void tile(const xnor_job *job, epilogue kind, size_t i, size_t p, unsigned rows, unsigned panels) {
    const uint64_t *panel = job->panels + p * words_of(job->nbits) * LIAM_PANEL;
    const __m512i nbits = _mm512_set1_epi32((int)job->nbits);

    __m512i count[MAX_COUNTERS];
    LIAM_UNROLL
    for (unsigned k = 0; k < rows * panels * 2; k++) count[k] = _mm512_setzero_si512();
    count_tile(job->a + i * job->a_stride, job->a_stride, panel, job->nbits, rows, panels, count);
    LIAM_UNROLL
    for (unsigned r = 0; r < rows; r++) {
        LIAM_UNROLL
        for (unsigned c = 0; c < panels; c++) {
            const __m512i *pair = count + (r * panels + c) * 2;
            finish(job, kind, i + r, p + c, dots(pair[0], pair[1], nbits));
        }
    }
}

/* All columns of `rows` rows, `panels` panels at a time. Both are constants where this is inlined. */
LIAM_INLINE void strip(const xnor_job *job, epilogue kind, size_t i, unsigned rows, unsigned panels) {
    const size_t count = (job->n + LIAM_PANEL - 1) / LIAM_PANEL;
    size_t p = 0;
    for (; p + panels <= count; p += panels) tile(job, kind, i, p, rows, panels);
    for (; p < count; p++) tile(job, kind, i, p, rows, 1);
}

LIAM_INLINE void product(const xnor_job *job, epilogue kind) {
    const size_t words = words_of(job->nbits);
    const size_t panels = (job->n + LIAM_PANEL - 1) / LIAM_PANEL;
    const size_t batched = job->m / TILE_ROWS * TILE_ROWS;
    size_t block = BLOCK_BYTES / (words * sizeof(uint64_t)) / TILE_ROWS * TILE_ROWS;
    if (block == 0) block = TILE_ROWS;
    size_t group = GROUP_BYTES / (words * LIAM_PANEL * sizeof(uint64_t));
    if (group == 0) group = 1;

    if (kind == TO_BITS) clear_last_words(job);
    for (size_t first = 0; first < batched; first += block) {
        const size_t last = batched - first < block ? batched : first + block;
        for (size_t p = 0; p < panels; p += group) {
            const size_t end = panels - p < group ? panels : p + group;
            for (size_t i = first; i < last; i += TILE_ROWS) {
                for (size_t q = p; q < end; q++) tile(job, kind, i, q, TILE_ROWS, 1);
            }
        }
    }
    size_t i = batched;
    if (job->m - i >= 4) {
        strip(job, kind, i, 4, 2);
        i += 4;
    }
    if (job->m - i >= 2) {
        strip(job, kind, i, 2, 4);
        i += 2;
    }
    if (job->m - i >= 1) strip(job, kind, i, 1, 4);
}

static void to_dot(const xnor_job *job) { product(job, TO_DOT); }

static void to_threshold(const xnor_job *job) { product(job, TO_BITS); }

static void to_scale(const xnor_job *job) { product(job, TO_SCORE); }

LIAM_TARGET_END

const xnor_kernels liam_xnor_avx512 = {.dot = to_dot, .threshold = to_threshold, .scale = to_scale};
#endif

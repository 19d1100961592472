/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on bits with AVX-512 VPOPCNTDQ. Rows end in a masked vector, which touches no memory past them. Counts and
 * parities of eight rows are reduced together: sums across the lanes of one vector would cost more than they sum.
 */
#include "bits_kernels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define LANES 8

typedef enum operation { AND, OR, XOR, XNOR, NOT } operation;

LIAM_AVX512_BEGIN

LIAM_INLINE __mmask8 lanes8(size_t left) { return (__mmask8)(left >= LANES ? 0xff : (1u << left) - 1); }

/* How a row of words ends: where its last vector begins, and the lanes and bits of it. */
typedef struct row_end {
    size_t begin;
    __mmask8 lanes;
    __m512i valid;
} row_end;

LIAM_INLINE row_end end_of(size_t words, uint64_t tail) {
    const size_t begin = (words - 1) / LANES * LANES;
    const __mmask8 last = (__mmask8)(1u << (words - 1 - begin));
    const __m512i valid = _mm512_mask_set1_epi64(_mm512_set1_epi64(-1), last, (long long)tail);
    return (row_end){begin, lanes8(words - begin), valid};
}

LIAM_INLINE __m512i apply(operation op, __m512i a, __m512i b) {
    switch (op) {
    case AND: return _mm512_and_si512(a, b);
    case OR: return _mm512_or_si512(a, b);
    case XOR: return _mm512_xor_si512(a, b);
    case XNOR: return _mm512_ternarylogic_epi64(a, b, b, 0xc3);
    default: return _mm512_ternarylogic_epi64(a, a, a, 0x0f);
    }
}

LIAM_INLINE void bitwise(const bitwise_job *job, operation op) {
    const row_end end = end_of(job->words, job->tail);
    const __m512i zero = _mm512_setzero_si512();
    for (size_t i = 0; i < job->rows; i++) {
        const uint64_t *a = job->a + i * job->a_stride;
        const uint64_t *b = op == NOT ? NULL : job->b + i * job->b_stride;
        uint64_t *out = job->out + i * job->out_stride;
        for (size_t w = 0; w < end.begin; w += LANES) {
            const __m512i second = op == NOT ? zero : _mm512_loadu_si512(b + w);
            _mm512_storeu_si512(out + w, apply(op, _mm512_loadu_si512(a + w), second));
        }
        const __m512i first = _mm512_maskz_loadu_epi64(end.lanes, a + end.begin);
        const __m512i second = op == NOT ? zero : _mm512_maskz_loadu_epi64(end.lanes, b + end.begin);
        const __m512i last = _mm512_and_si512(apply(op, first, second), end.valid);
        _mm512_mask_storeu_epi64(out + end.begin, end.lanes, last);
    }
}

static void and_rows(const bitwise_job *job) { bitwise(job, AND); }

static void or_rows(const bitwise_job *job) { bitwise(job, OR); }

static void xor_rows(const bitwise_job *job) { bitwise(job, XOR); }

static void xnor_rows(const bitwise_job *job) { bitwise(job, XNOR); }

static void not_rows(const bitwise_job *job) { bitwise(job, NOT); }

typedef enum reduction { COUNT, PARITY } reduction;

LIAM_INLINE __m512i join(reduction kind, __m512i a, __m512i b) {
    return kind == COUNT ? _mm512_add_epi64(a, b) : _mm512_xor_si512(a, b);
}

/* Lane r of the result joins the eight lanes of row[r]. */
LIAM_INLINE __m512i across(reduction kind, const __m512i *row) {
    __m512i pair[4], quad[2];
    LIAM_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        const __m512i even = _mm512_unpacklo_epi64(row[2 * k], row[2 * k + 1]);
        const __m512i odd = _mm512_unpackhi_epi64(row[2 * k], row[2 * k + 1]);
        pair[k] = join(kind, even, odd);
    }
    LIAM_UNROLL
    for (unsigned k = 0; k < 2; k++) {
        const __m512i even = _mm512_shuffle_i64x2(pair[2 * k], pair[2 * k + 1], 0x88);
        const __m512i odd = _mm512_shuffle_i64x2(pair[2 * k], pair[2 * k + 1], 0xdd);
        quad[k] = join(kind, even, odd);
    }
    return join(kind, _mm512_shuffle_i64x2(quad[0], quad[1], 0x88), _mm512_shuffle_i64x2(quad[0], quad[1], 0xdd));
}

LIAM_INLINE __m512i row_sum(reduction kind, const uint64_t *bits, const row_end *end) {
    __m512i sum = _mm512_and_si512(_mm512_maskz_loadu_epi64(end->lanes, bits + end->begin), end->valid);
    if (kind == COUNT) sum = _mm512_popcnt_epi64(sum);
    for (size_t w = 0; w < end->begin; w += LANES) {
        const __m512i v = _mm512_loadu_si512(bits + w);
        sum = join(kind, sum, kind == COUNT ? _mm512_popcnt_epi64(v) : v);
    }
    return sum;
}

/* The counts of up to eight rows; for PARITY, words whose ones are odd in number where the rows' are. */
LIAM_INLINE __m512i row_sums(reduction kind, const uint64_t *bits, size_t rows, size_t stride, const row_end *end) {
    __m512i sum[LANES];
    LIAM_UNROLL
    for (unsigned r = 0; r < LANES; r++) {
        sum[r] = r < rows ? row_sum(kind, bits + r * stride, end) : _mm512_setzero_si512();
    }
    return across(kind, sum);
}

static void popcount(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint32_t *out) {
    const row_end end = end_of(words, tail);
    for (size_t i = 0; i < rows; i += LANES) {
        const __m512i sums = row_sums(COUNT, bits + i * stride, rows - i, stride, &end);
        _mm512_mask_cvtepi64_storeu_epi32(out + i, lanes8(rows - i), sums);
    }
}

static void parity(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint8_t *out) {
    const row_end end = end_of(words, tail);
    const __m512i one = _mm512_set1_epi64(1);
    for (size_t i = 0; i < rows; i += LANES) {
        const __m512i sums = row_sums(PARITY, bits + i * stride, rows - i, stride, &end);
        const __m512i odd = _mm512_and_si512(_mm512_popcnt_epi64(sums), one);
        _mm512_mask_cvtepi64_storeu_epi8(out + i, lanes8(rows - i), odd);
    }
}

static void funnel(const uint64_t *from, size_t words, unsigned shift, uint64_t *out) {
    const __m128i right = _mm_cvtsi32_si128((int)shift);
    const __m128i left = _mm_cvtsi32_si128((int)(64 - shift));
    size_t k = 0;
    for (; k + LANES <= words; k += LANES) {
        const __m512i low = _mm512_srl_epi64(_mm512_loadu_si512(from + k), right);
        const __m512i high = _mm512_sll_epi64(_mm512_loadu_si512(from + k + 1), left);
        _mm512_storeu_si512(out + k, _mm512_or_si512(low, high));
    }
    const __mmask8 lanes = lanes8(words - k);
    const __m512i low = _mm512_srl_epi64(_mm512_maskz_loadu_epi64(lanes, from + k), right);
    const __m512i high = _mm512_sll_epi64(_mm512_maskz_loadu_epi64(lanes, from + k + 1), left);
    _mm512_mask_storeu_epi64(out + k, lanes, _mm512_or_si512(low, high));
}

LIAM_TARGET_END

const bits_kernels liam_bits_avx512 = {
    .and_rows = and_rows,
    .or_rows = or_rows,
    .xor_rows = xor_rows,
    .xnor_rows = xnor_rows,
    .not_rows = not_rows,
    .popcount = popcount,
    .parity = parity,
    .funnel = funnel,
};
#endif

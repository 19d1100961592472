/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on bits with AVX2. Ones are counted by two table look-ups per byte (Mula, Kurz, Lemire, Computer Journal
 * 61(1), 2018; their carry-save adders won less than a tenth here), and counts and parities of four rows are reduced
 * together.
 */
#include "bits_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define LANES 4
#define STEP (4 * LANES) /* words that are counted without asking whether the row ends */
#define STEPS_PER_SUM 7  /* 7 * 4 * 8 bits still fit a byte */

typedef enum operation { AND, OR, XOR, XNOR, NOT } operation;

LIAM_AVX2_BEGIN

LIAM_INLINE __m256i load(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
LIAM_INLINE void store(uint64_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }

/* All ones in the lanes that exist when `left` words remain. */
LIAM_INLINE __m256i lanes4(size_t left) {
    const long long count = left < LANES ? (long long)left : LANES;
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
}

LIAM_INLINE __m256i apply(operation op, __m256i a, __m256i b) {
    const __m256i ones = _mm256_set1_epi64x(-1);
    switch (op) {
    case AND: return _mm256_and_si256(a, b);
    case OR: return _mm256_or_si256(a, b);
    case XOR: return _mm256_xor_si256(a, b);
    case XNOR: return _mm256_xor_si256(_mm256_xor_si256(a, b), ones);
    default: return _mm256_xor_si256(a, ones);
    }
}

LIAM_INLINE uint64_t apply_word(operation op, uint64_t a, uint64_t b) {
    switch (op) {
    case AND: return a & b;
    case OR: return a | b;
    case XOR: return a ^ b;
    case XNOR: return ~(a ^ b);
    default: return ~a;
    }
}

LIAM_INLINE void bitwise(const bitwise_job *job, operation op) {
    const __m256i zero = _mm256_setzero_si256();
    for (size_t i = 0; i < job->rows; i++) {
        const uint64_t *a = job->a + i * job->a_stride;
        const uint64_t *b = op == NOT ? NULL : job->b + i * job->b_stride;
        uint64_t *out = job->out + i * job->out_stride;
        size_t w = 0;
        for (; w + LANES <= job->words; w += LANES) {
            store(out + w, apply(op, load(a + w), op == NOT ? zero : load(b + w)));
        }
        for (; w < job->words; w++) out[w] = apply_word(op, a[w], op == NOT ? 0 : b[w]);
        out[job->words - 1] &= job->tail;
    }
}

static void and_rows(const bitwise_job *job) { bitwise(job, AND); }

static void or_rows(const bitwise_job *job) { bitwise(job, OR); }

static void xor_rows(const bitwise_job *job) { bitwise(job, XOR); }

static void xnor_rows(const bitwise_job *job) { bitwise(job, XNOR); }

static void not_rows(const bitwise_job *job) { bitwise(job, NOT); }

typedef enum reduction { COUNT, PARITY } reduction;

LIAM_INLINE __m256i popcount_bytes(__m256i v) {
    const __m256i of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                               0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(v, nibble));
    const __m256i high = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
    return _mm256_add_epi8(low, high);
}

LIAM_INLINE __m256i popcount_words(__m256i bytes) { return _mm256_sad_epu8(bytes, _mm256_setzero_si256()); }

LIAM_INLINE __m256i join(reduction kind, __m256i a, __m256i b) {
    return kind == COUNT ? _mm256_add_epi64(a, b) : _mm256_xor_si256(a, b);
}

/* Lane r of the result joins the four lanes of row[r]. */
LIAM_INLINE __m256i across(reduction kind, const __m256i *row) {
    const __m256i first = join(kind, _mm256_unpacklo_epi64(row[0], row[1]), _mm256_unpackhi_epi64(row[0], row[1]));
    const __m256i second = join(kind, _mm256_unpacklo_epi64(row[2], row[3]), _mm256_unpackhi_epi64(row[2], row[3]));
    return join(kind, _mm256_permute2x128_si256(first, second, 0x20),
                _mm256_permute2x128_si256(first, second, 0x31));
}

/* The last one to four words of a row, the excess bits zero. */
LIAM_INLINE __m256i row_end(const uint64_t *bits, size_t words, uint64_t tail) {
    const size_t begin = (words - 1) / LANES * LANES;
    const __m256i exists = lanes4(words - begin);
    const __m256i before = lanes4(words - 1 - begin);
    const __m256i valid = _mm256_or_si256(before, _mm256_set1_epi64x((long long)tail));
    return _mm256_and_si256(_mm256_maskload_epi64((const long long *)(bits + begin), exists), valid);
}

LIAM_INLINE __m256i row_count(const uint64_t *bits, size_t words, uint64_t tail) {
    const size_t whole = (words - 1) / LANES * LANES;
    __m256i total = popcount_words(popcount_bytes(row_end(bits, words, tail)));
    size_t w = 0;
    while (whole - w >= STEP) {
        const size_t end = whole - w > STEPS_PER_SUM * STEP ? w + STEPS_PER_SUM * STEP : whole;
        __m256i sum = _mm256_setzero_si256();
        for (; end - w >= STEP; w += STEP) {
            LIAM_UNROLL
            for (unsigned k = 0; k < STEP; k += LANES) sum = _mm256_add_epi8(sum, popcount_bytes(load(bits + w + k)));
        }
        total = _mm256_add_epi64(total, popcount_words(sum));
    }
    for (; w < whole; w += LANES) total = _mm256_add_epi64(total, popcount_words(popcount_bytes(load(bits + w))));
    return total;
}

LIAM_INLINE __m256i row_parity(const uint64_t *bits, size_t words, uint64_t tail) {
    const size_t whole = (words - 1) / LANES * LANES;
    __m256i sum = row_end(bits, words, tail);
    for (size_t w = 0; w < whole; w += LANES) sum = _mm256_xor_si256(sum, load(bits + w));
    return sum;
}

/* The counts of up to four rows; for PARITY, words whose ones are odd in number where the rows' are. */
LIAM_INLINE void row_sums(reduction kind, const uint64_t *bits, size_t rows, size_t words, uint64_t tail,
                          size_t stride, uint64_t *sums) {
    __m256i sum[LANES];
    LIAM_UNROLL
    for (unsigned r = 0; r < LANES; r++) {
        sum[r] = _mm256_setzero_si256();
        if (r < rows && kind == COUNT) sum[r] = row_count(bits + r * stride, words, tail);
        if (r < rows && kind == PARITY) sum[r] = row_parity(bits + r * stride, words, tail);
    }
    const __m256i joined = across(kind, sum);
    store(sums, kind == COUNT ? joined : popcount_words(popcount_bytes(joined)));
}

static void popcount(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint32_t *out) {
    for (size_t i = 0; i < rows; i += LANES) {
        uint64_t sums[LANES];
        row_sums(COUNT, bits + i * stride, rows - i, words, tail, stride, sums);
        for (size_t r = 0; r < LANES && r < rows - i; r++) out[i + r] = (uint32_t)sums[r];
    }
}

static void parity(const uint64_t *bits, size_t rows, size_t words, uint64_t tail, size_t stride, uint8_t *out) {
    for (size_t i = 0; i < rows; i += LANES) {
        uint64_t sums[LANES];
        row_sums(PARITY, bits + i * stride, rows - i, words, tail, stride, sums);
        for (size_t r = 0; r < LANES && r < rows - i; r++) out[i + r] = sums[r] % 2;
    }
}

static void funnel(const uint64_t *from, size_t words, unsigned shift, uint64_t *out) {
    const __m128i right = _mm_cvtsi32_si128((int)shift);
    const __m128i left = _mm_cvtsi32_si128((int)(64 - shift));
    size_t k = 0;
    for (; k + LANES <= words; k += LANES) {
        const __m256i low = _mm256_srl_epi64(load(from + k), right);
        store(out + k, _mm256_or_si256(low, _mm256_sll_epi64(load(from + k + 1), left)));
    }
    for (; k < words; k++) out[k] = from[k] >> shift | from[k + 1] << (64 - shift);
}

LIAM_TARGET_END

const bits_kernels liam_bits_avx2 = {
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms with AVX-512: blocks of 16 vectors in registers.
 *
 * Within a vector, an element becomes its partner plus itself, or its partner minus itself where it is the second of
 * its pair. For floats that is one fused multiply-add with 1 or -1: the product is exact, so the sum is rounded once.
 * Additions and permutations share two ports, and only loads are free beside them. The first stage of 32-bit elements
 * therefore loads twice, with the first and the second elements of the pairs doubled, and permutes nothing. The two
 * loads differ in type because compilers would otherwise make them one, and permute.
 */
#include "hadamard_kernels.h"
#include "hadamard_sequency.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

#define RADIX 16

/* The lanes that are the second of a pair at distance h. */
#define SECOND_1 0xaaaa
#define SECOND_2 0xcccc
#define SECOND_4 0xf0f0
#define SECOND_8 0xff00

LIAM_AVX512_BEGIN

LIAM_INLINE __m512 firsts(const void *p) { return _mm512_moveldup_ps(_mm512_loadu_ps(p)); }

LIAM_INLINE __m512 seconds(const void *p) { return _mm512_movehdup_ps(_mm512_castpd_ps(_mm512_loadu_pd(p))); }

LIAM_INLINE __m512 pair_f32(__m512 v, __m512 partner, __mmask16 second) {
    const __m512 sign = _mm512_mask_blend_ps(second, _mm512_set1_ps(1.0f), _mm512_set1_ps(-1.0f));
    return _mm512_fmadd_ps(v, sign, partner);
}

LIAM_INLINE __m512 within_f32(const float *p, size_t n) {
    if (n == 1) return _mm512_loadu_ps(p);
    __m512 v = pair_f32(seconds(p), firsts(p), SECOND_1);
    if (n > 2) v = pair_f32(v, _mm512_permute_ps(v, 0x4e), SECOND_2);
    if (n > 4) v = pair_f32(v, _mm512_shuffle_f32x4(v, v, 0xb1), SECOND_4);
    if (n > 8) v = pair_f32(v, _mm512_shuffle_f32x4(v, v, 0x4e), SECOND_8);
    return v;
}

#define NAME(x) x##_f32
#define ELEMENT float
#define VECTOR __m512
#define LANES 16
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define ADD _mm512_add_ps
#define SUB _mm512_sub_ps
#define WITHIN within_f32
#define SCALAR liam_hadamard_scalar.f32
#include "hadamard_passes.h"

LIAM_INLINE __m512d pair_f64(__m512d v, __m512d partner, __mmask8 second) {
    const __m512d sign = _mm512_mask_blend_pd(second, _mm512_set1_pd(1.0), _mm512_set1_pd(-1.0));
    return _mm512_fmadd_pd(v, sign, partner);
}

LIAM_INLINE __m512d within_f64(const double *p, size_t n) {
    __m512d v = _mm512_loadu_pd(p);
    if (n > 1) v = pair_f64(v, _mm512_permute_pd(v, 0x55), (__mmask8)SECOND_1);
    if (n > 2) v = pair_f64(v, _mm512_permutex_pd(v, 0x4e), (__mmask8)SECOND_2);
    if (n > 4) v = pair_f64(v, _mm512_shuffle_f64x2(v, v, 0x4e), (__mmask8)SECOND_4);
    return v;
}

#define NAME(x) x##_f64
#define ELEMENT double
#define VECTOR __m512d
#define LANES 8
#define LOAD _mm512_loadu_pd
#define STORE _mm512_storeu_pd
#define ADD _mm512_add_pd
#define SUB _mm512_sub_pd
#define WITHIN within_f64
#define SCALAR liam_hadamard_scalar.f64
#include "hadamard_passes.h"

LIAM_INLINE __m512i pair_i32(__m512i v, __m512i partner, __mmask16 second) {
    return _mm512_mask_sub_epi32(_mm512_add_epi32(partner, v), second, partner, v);
}

LIAM_INLINE __m512i within_i32(const int32_t *p, size_t n) {
    if (n == 1) return _mm512_loadu_si512(p);
    __m512i v = pair_i32(_mm512_castps_si512(seconds(p)), _mm512_castps_si512(firsts(p)), SECOND_1);
    if (n > 2) v = pair_i32(v, _mm512_shuffle_epi32(v, _MM_PERM_BADC), SECOND_2);
    if (n > 4) v = pair_i32(v, _mm512_shuffle_i32x4(v, v, 0xb1), SECOND_4);
    if (n > 8) v = pair_i32(v, _mm512_shuffle_i32x4(v, v, 0x4e), SECOND_8);
    return v;
}

#define NAME(x) x##_i32
#define ELEMENT int32_t
#define VECTOR __m512i
#define LANES 16
#define LOAD _mm512_loadu_si512
#define STORE _mm512_storeu_si512
#define ADD _mm512_add_epi32
#define SUB _mm512_sub_epi32
#define WITHIN within_i32
#define SCALAR liam_hadamard_scalar.i32
#include "hadamard_passes.h"

/* Columns 0 to 15 of 16 rows of 16. Interleaving pairs of rows, and pairs of pairs, makes every 128-bit lane a piece of
 * a column; the lanes of every fourth vector then are columns. */
LIAM_INLINE void transpose(__m512i *v) {
    __m512i u[16];
    LIAM_UNROLL
    for (unsigned i = 0; i < 16; i += 2) {
        u[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        u[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(u[i], u[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(u[i], u[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(u[i + 1], u[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(u[i + 1], u[i + 3]);
    }
    LIAM_UNROLL
    for (unsigned i = 0; i < 4; i++) {
        const __m512i even_low = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
        const __m512i even_high = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
        const __m512i odd_low = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
        const __m512i odd_high = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
        v[i] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
        v[i + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
        v[i + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
    }
}

static void order_4(const void *natural, size_t n, void *out) {
    const __m512i backwards = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t runs[16];
    for (size_t b = 0; b < 16; b++) runs[b] = sequency_place(b, n);
    for (size_t middle = 0; middle < n / 16; middle += 16) {
        const size_t place = sequency_place(middle, n);
        __m512i v[16];
        LIAM_UNROLL
        for (unsigned a = 0; a < 16; a++) {
            v[a] = _mm512_loadu_si512((const int32_t *)natural + sequency_rows[a] * (n / 16) + middle);
        }
        transpose(v);
        LIAM_UNROLL
        for (unsigned b = 0; b < 16; b++) {
            const size_t first = place ^ runs[b];
            const __mmask16 complemented = (__mmask16)(0 - first % 2);
            v[b] = _mm512_mask_permutexvar_epi32(v[b], complemented, backwards, v[b]);
            _mm512_storeu_si512((int32_t *)out + first / 16 * 16, v[b]);
        }
    }
}

/* The lanes of elements j to j + 16 that a row of n has. */
LIAM_INLINE __mmask16 lanes_of(size_t n, size_t j) { return (__mmask16)low_bits(n - j); }

static void flip(const float *x, const uint64_t *signs, size_t n, float *out) {
    for (size_t j = 0; j < n; j += 16) {
        const __mmask16 lanes = lanes_of(n, j);
        const __mmask16 negative = (__mmask16)~(signs[j / 64] >> (j % 64));
        const __m512i v = _mm512_maskz_loadu_epi32(lanes, x + j);
        const __m512i sign = _mm512_set1_epi32(INT32_MIN);
        _mm512_mask_storeu_epi32(out + j, lanes, _mm512_mask_xor_epi32(v, negative, v, sign));
    }
}

static void scale(float *x, size_t n, float factor) {
    for (size_t j = 0; j < n; j += 16) {
        const __mmask16 lanes = lanes_of(n, j);
        const __m512 v = _mm512_maskz_loadu_ps(lanes, x + j);
        _mm512_mask_storeu_ps(x + j, lanes, _mm512_mul_ps(v, _mm512_set1_ps(factor)));
    }
}

static void mix(float *low, float *high, size_t half, float factor) {
    for (size_t j = 0; j < half; j += 16) {
        const __mmask16 lanes = lanes_of(half, j);
        const __m512 a = _mm512_maskz_loadu_ps(lanes, low + j), b = _mm512_maskz_loadu_ps(lanes, high + j);
        _mm512_mask_storeu_ps(low + j, lanes, _mm512_mul_ps(_mm512_add_ps(a, b), _mm512_set1_ps(factor)));
        _mm512_mask_storeu_ps(high + j, lanes, _mm512_mul_ps(_mm512_sub_ps(a, b), _mm512_set1_ps(factor)));
    }
}

LIAM_TARGET_END

const hadamard_kernels liam_hadamard_avx512 = {
    .f32 = transform_f32,
    .f64 = transform_f64,
    .i32 = transform_i32,
    .order_4 = order_4,
    .order_8 = liam_hadamard_order_8,
    .flip = flip,
    .scale = scale,
    .mix = mix,
};
#endif

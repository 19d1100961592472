/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms with AVX2: blocks of 8 vectors in registers. Within a vector, an element becomes its
 * partner plus itself, negated where it is the second of its pair. The first stage loads instead of permuting, as with
 * AVX-512.
 */
#include "hadamard_kernels.h"

#if LIAM_X86
#include <immintrin.h>

#define RADIX 8

LIAM_AVX2_BEGIN

LIAM_INLINE __m256 firsts(const void *p) { return _mm256_moveldup_ps(_mm256_loadu_ps(p)); }

LIAM_INLINE __m256 seconds(const void *p) { return _mm256_movehdup_ps(_mm256_castpd_ps(_mm256_loadu_pd(p))); }

LIAM_INLINE __m256 within_f32(const float *p, size_t n) {
    const __m256 second_1 = _mm256_setr_ps(0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f);
    const __m256 second_2 = _mm256_setr_ps(0.0f, 0.0f, -0.0f, -0.0f, 0.0f, 0.0f, -0.0f, -0.0f);
    const __m256 second_4 = _mm256_setr_ps(0.0f, 0.0f, 0.0f, 0.0f, -0.0f, -0.0f, -0.0f, -0.0f);
    if (n == 1) return _mm256_loadu_ps(p);
    __m256 v = _mm256_add_ps(firsts(p), _mm256_xor_ps(seconds(p), second_1));
    if (n > 2) v = _mm256_add_ps(_mm256_permute_ps(v, 0x4e), _mm256_xor_ps(v, second_2));
    if (n > 4) v = _mm256_add_ps(_mm256_permute2f128_ps(v, v, 1), _mm256_xor_ps(v, second_4));
    return v;
}

#define NAME(x) x##_f32
#define ELEMENT float
#define VECTOR __m256
#define LANES 8
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define ADD _mm256_add_ps
#define SUB _mm256_sub_ps
#define WITHIN within_f32
#define SCALAR liam_hadamard_scalar.f32
#include "hadamard_passes.h"

LIAM_INLINE __m256d within_f64(const double *p, size_t n) {
    const __m256d second_1 = _mm256_setr_pd(0.0, -0.0, 0.0, -0.0);
    const __m256d second_2 = _mm256_setr_pd(0.0, 0.0, -0.0, -0.0);
    __m256d v = _mm256_loadu_pd(p);
    if (n > 1) v = _mm256_add_pd(_mm256_permute_pd(v, 0x5), _mm256_xor_pd(v, second_1));
    if (n > 2) v = _mm256_add_pd(_mm256_permute2f128_pd(v, v, 1), _mm256_xor_pd(v, second_2));
    return v;
}

#define NAME(x) x##_f64
#define ELEMENT double
#define VECTOR __m256d
#define LANES 4
#define LOAD _mm256_loadu_pd
#define STORE _mm256_storeu_pd
#define ADD _mm256_add_pd
#define SUB _mm256_sub_pd
#define WITHIN within_f64
#define SCALAR liam_hadamard_scalar.f64
#include "hadamard_passes.h"

/* The partner plus or minus the element; `second` has a bit for each lane. */
#define PAIR_I32(v, partner, second) \
    _mm256_blend_epi32(_mm256_add_epi32(partner, v), _mm256_sub_epi32(partner, v), second)

LIAM_INLINE __m256i load_i32(const int32_t *x) { return _mm256_loadu_si256((const __m256i *)(const void *)x); }

LIAM_INLINE void store_i32(int32_t *x, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)x, v); }

LIAM_INLINE __m256i within_i32(const int32_t *p, size_t n) {
    if (n == 1) return load_i32(p);
    __m256i v = PAIR_I32(_mm256_castps_si256(seconds(p)), _mm256_castps_si256(firsts(p)), 0xaa);
    if (n > 2) v = PAIR_I32(v, _mm256_shuffle_epi32(v, 0x4e), 0xcc);
    if (n > 4) v = PAIR_I32(v, _mm256_permute2x128_si256(v, v, 1), 0xf0);
    return v;
}

#define NAME(x) x##_i32
#define ELEMENT int32_t
#define VECTOR __m256i
#define LANES 8
#define LOAD load_i32
#define STORE store_i32
#define ADD _mm256_add_epi32
#define SUB _mm256_sub_epi32
#define WITHIN within_i32
#define SCALAR liam_hadamard_scalar.i32
#include "hadamard_passes.h"

/* The sign bit in every lane whose bit, of the lowest eight, is 0. */
LIAM_INLINE __m256 negative_lanes(uint64_t bits) {
    const __m256i lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i chosen = _mm256_and_si256(_mm256_set1_epi32((int)(bits & 0xff)), lane_bits);
    const __m256i negative = _mm256_cmpeq_epi32(chosen, _mm256_setzero_si256());
    return _mm256_castsi256_ps(_mm256_slli_epi32(negative, 31));
}

static void flip(const float *x, const uint64_t *signs, size_t n, float *out) {
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        const __m256 negative = negative_lanes(signs[j / 64] >> (j % 64));
        _mm256_storeu_ps(out + j, _mm256_xor_ps(_mm256_loadu_ps(x + j), negative));
    }
    if (j < n) { /* the last elements, by the scalar level */
        const uint64_t rest = signs[j / 64] >> (j % 64);
        liam_hadamard_scalar.flip(x + j, &rest, n - j, out + j);
    }
}

static void scale(float *x, size_t n, float factor) {
    size_t j = 0;
    for (; j + 8 <= n; j += 8) _mm256_storeu_ps(x + j, _mm256_mul_ps(_mm256_loadu_ps(x + j), _mm256_set1_ps(factor)));
    liam_hadamard_scalar.scale(x + j, n - j, factor);
}

static void mix(float *low, float *high, size_t half, float factor) {
    size_t j = 0;
    for (; j + 8 <= half; j += 8) {
        const __m256 a = _mm256_loadu_ps(low + j), b = _mm256_loadu_ps(high + j);
        _mm256_storeu_ps(low + j, _mm256_mul_ps(_mm256_add_ps(a, b), _mm256_set1_ps(factor)));
        _mm256_storeu_ps(high + j, _mm256_mul_ps(_mm256_sub_ps(a, b), _mm256_set1_ps(factor)));
    }
    liam_hadamard_scalar.mix(low + j, high + j, half - j, factor);
}

LIAM_TARGET_END

const hadamard_kernels liam_hadamard_avx2 = {
    .f32 = transform_f32,
    .f64 = transform_f64,
    .i32 = transform_i32,
    .order_4 = liam_hadamard_order_4,
    .order_8 = liam_hadamard_order_8,
    .flip = flip,
    .scale = scale,
    .mix = mix,
};
#endif

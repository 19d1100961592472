/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing with AVX2: a movemask per vector. The last, partial word of a row comes from masked loads, or, for bytes, which
 * have none, from a copy.
 */
#include <string.h>

#include "pack_kernels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX2_BEGIN

LIAM_INLINE void prefetch(const void *p) { _mm_prefetch((const char *)p + PREFETCH_BYTES, _MM_HINT_T0); }

LIAM_INLINE uint64_t f32_word(const float *x, const float *t, int far) {
    const __m256 zero = _mm256_setzero_ps();
    uint64_t word = 0;
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k++) {
        if (far && k % 2 == 0) prefetch(x + 8 * k);
        const __m256 limit = t == NULL ? zero : _mm256_loadu_ps(t + 8 * k);
        const __m256 ge = _mm256_cmp_ps(_mm256_loadu_ps(x + 8 * k), limit, _CMP_GE_OQ);
        word |= (uint64_t)(uint32_t)_mm256_movemask_ps(ge) << (8 * k);
    }
    return word;
}

/* All ones in the lanes that exist when `left` values remain. */
LIAM_INLINE __m256i lanes8(size_t left) {
    const int count = left < 8 ? (int)left : 8;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

LIAM_INLINE uint64_t f32_tail(const float *x, const float *t, size_t count) {
    uint64_t word = 0;
    for (size_t k = 0; k < count; k += 8) {
        const __m256i lanes = lanes8(count - k);
        const __m256 limit = t == NULL ? _mm256_setzero_ps() : _mm256_maskload_ps(t + k, lanes);
        const __m256 ge = _mm256_cmp_ps(_mm256_maskload_ps(x + k, lanes), limit, _CMP_GE_OQ);
        word |= (uint64_t)(uint32_t)_mm256_movemask_ps(ge) << k;
    }
    return word & low_bits(count);
}

LIAM_INLINE uint64_t f64_word(const double *x, const float *t, int far) {
    const __m256d zero = _mm256_setzero_pd();
    uint64_t word = 0;
    LIAM_UNROLL
    for (unsigned k = 0; k < 16; k++) {
        if (far && k % 2 == 0) prefetch(x + 4 * k);
        const __m256d limit = t == NULL ? zero : _mm256_cvtps_pd(_mm_loadu_ps(t + 4 * k));
        const __m256d ge = _mm256_cmp_pd(_mm256_loadu_pd(x + 4 * k), limit, _CMP_GE_OQ);
        word |= (uint64_t)(uint32_t)_mm256_movemask_pd(ge) << (4 * k);
    }
    return word;
}

LIAM_INLINE uint64_t f64_tail(const double *x, const float *t, size_t count) {
    uint64_t word = 0;
    for (size_t k = 0; k < count; k += 4) {
        const __m128i half = _mm256_castsi256_si128(lanes8(count - k));
        const __m256i lanes = _mm256_cvtepi32_epi64(half);
        const __m256d limit = t == NULL ? _mm256_setzero_pd() : _mm256_cvtps_pd(_mm_maskload_ps(t + k, half));
        const __m256d ge = _mm256_cmp_pd(_mm256_maskload_pd(x + k, lanes), limit, _CMP_GE_OQ);
        word |= (uint64_t)(uint32_t)_mm256_movemask_pd(ge) << k;
    }
    return word & low_bits(count);
}

LIAM_INLINE void f32_words(const float *x, const float *thresholds, size_t words, int far, uint64_t *out) {
    if (thresholds == NULL) {
        for (size_t w = 0; w < words; w++) out[w] = f32_word(x + 64 * w, NULL, far);
    } else {
        for (size_t w = 0; w < words; w++) out[w] = f32_word(x + 64 * w, thresholds + 64 * w, far);
    }
}

static void pack_f32(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                     size_t out_stride) {
    const size_t full = nbits / 64;
    const int far = rows * nbits * sizeof *x > NEAR_BYTES;
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        if (far) {
            f32_words(x, thresholds, full, 1, out);
        } else {
            f32_words(x, thresholds, full, 0, out);
        }
        if (nbits % 64) {
            out[full] = f32_tail(x + 64 * full, thresholds == NULL ? NULL : thresholds + 64 * full, nbits % 64);
        }
    }
}

LIAM_INLINE void f64_words(const double *x, const float *thresholds, size_t words, int far, uint64_t *out) {
    if (thresholds == NULL) {
        for (size_t w = 0; w < words; w++) out[w] = f64_word(x + 64 * w, NULL, far);
    } else {
        for (size_t w = 0; w < words; w++) out[w] = f64_word(x + 64 * w, thresholds + 64 * w, far);
    }
}

static void pack_f64(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                     uint64_t *out, size_t out_stride) {
    const size_t full = nbits / 64;
    const int far = rows * nbits * sizeof *x > NEAR_BYTES;
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        if (far) {
            f64_words(x, thresholds, full, 1, out);
        } else {
            f64_words(x, thresholds, full, 0, out);
        }
        if (nbits % 64) {
            out[full] = f64_tail(x + 64 * full, thresholds == NULL ? NULL : thresholds + 64 * full, nbits % 64);
        }
    }
}

/* The sign bits of 64 bytes. */
LIAM_INLINE uint64_t signs64(__m256i low, __m256i high) {
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

LIAM_INLINE uint64_t i8_word(const int8_t *x, const int8_t *t) {
    const __m256i low = _mm256_loadu_si256((const __m256i *)x);
    const __m256i high = _mm256_loadu_si256((const __m256i *)(x + 32));
    if (t == NULL) return ~signs64(low, high);
    const __m256i low_limit = _mm256_loadu_si256((const __m256i *)t);
    const __m256i high_limit = _mm256_loadu_si256((const __m256i *)(t + 32));
    return ~signs64(_mm256_cmpgt_epi8(low_limit, low), _mm256_cmpgt_epi8(high_limit, high));
}

static void pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, const int8_t *thresholds, uint64_t *out,
                    size_t out_stride) {
    const size_t full = nbits / 64;
    const size_t rest = nbits % 64;
    int8_t last[64] = {0}, last_thresholds[64] = {0};
    if (thresholds != NULL) memcpy(last_thresholds, thresholds + 64 * full, rest);
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        if (thresholds == NULL) {
            for (size_t w = 0; w < full; w++) out[w] = i8_word(x + 64 * w, NULL);
        } else {
            for (size_t w = 0; w < full; w++) out[w] = i8_word(x + 64 * w, thresholds + 64 * w);
        }
        if (rest) {
            memcpy(last, x + 64 * full, rest);
            out[full] = i8_word(last, last_thresholds) & low_bits(rest);
        }
    }
}

LIAM_INLINE uint64_t bool_word(const uint8_t *x) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i low = _mm256_loadu_si256((const __m256i *)x);
    const __m256i high = _mm256_loadu_si256((const __m256i *)(x + 32));
    return ~signs64(_mm256_cmpeq_epi8(low, zero), _mm256_cmpeq_epi8(high, zero));
}

static void pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride) {
    const size_t full = nbits / 64;
    const size_t rest = nbits % 64;
    uint8_t last[64] = {0};
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        for (size_t w = 0; w < full; w++) out[w] = bool_word(x + 64 * w);
        if (rest) {
            memcpy(last, x + 64 * full, rest);
            out[full] = bool_word(last);
        }
    }
}

/* 32 bits as 32 bytes of 0 or -1. */
LIAM_INLINE __m256i spread32(uint32_t bits) {
    const __m256i byte_of_lane = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit_of_lane = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte_of_lane);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit_of_lane), bit_of_lane);
}

static void unpack_i8(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int8_t *out, size_t out_stride) {
    const __m256i one = _mm256_set1_epi8(1);
    const __m256i two = _mm256_set1_epi8(2);
    for (size_t i = 0; i < rows; i++, bits += stride, out += out_stride) {
        size_t j = 0;
        for (; j + 32 <= nbits; j += 32) {
            const __m256i set = spread32((uint32_t)(bits[j / 64] >> (j % 64)));
            _mm256_storeu_si256((__m256i *)(out + j), _mm256_sub_epi8(_mm256_and_si256(set, two), one));
        }
        for (; j < nbits; j++) out[j] = bits[j / 64] >> (j % 64) & 1 ? 1 : -1;
    }
}

static void unpack_bool(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out,
                        size_t out_stride) {
    const __m256i one = _mm256_set1_epi8(1);
    for (size_t i = 0; i < rows; i++, bits += stride, out += out_stride) {
        size_t j = 0;
        for (; j + 32 <= nbits; j += 32) {
            const __m256i set = spread32((uint32_t)(bits[j / 64] >> (j % 64)));
            _mm256_storeu_si256((__m256i *)(out + j), _mm256_and_si256(set, one));
        }
        for (; j < nbits; j++) out[j] = bits[j / 64] >> (j % 64) & 1;
    }
}

static void unpack_f32(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, float *out, size_t out_stride) {
    const __m256i bit_of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256 one = _mm256_set1_ps(1.0f);
    const __m256 minus_one = _mm256_set1_ps(-1.0f);
    for (size_t i = 0; i < rows; i++, bits += stride, out += out_stride) {
        size_t j = 0;
        for (; j + 8 <= nbits; j += 8) {
            const __m256i byte = _mm256_set1_epi32((int)(bits[j / 64] >> (j % 64) & 0xff));
            const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(byte, bit_of_lane), bit_of_lane);
            _mm256_storeu_ps(out + j, _mm256_blendv_ps(minus_one, one, _mm256_castsi256_ps(set)));
        }
        for (; j < nbits; j++) out[j] = bits[j / 64] >> (j % 64) & 1 ? 1.0f : -1.0f;
    }
}

static int any_nan(const float *values, size_t count) {
    __m256 found = _mm256_setzero_ps();
    size_t j = 0;
    for (; j + 16 <= count; j += 16) { /* a pair is unordered if either is NaN */
        const __m256 first = _mm256_loadu_ps(values + j);
        found = _mm256_or_ps(found, _mm256_cmp_ps(first, _mm256_loadu_ps(values + j + 8), _CMP_UNORD_Q));
    }
    int rest = 0;
    for (; j < count; j++) rest |= values[j] != values[j];
    return rest | (_mm256_movemask_ps(found) != 0);
}

LIAM_TARGET_END

const pack_kernels liam_pack_avx2 = {
    .f32 = pack_f32,
    .f64 = pack_f64,
    .i8 = pack_i8,
    .boolean = pack_bool,
    .to_i8 = unpack_i8,
    .to_f32 = unpack_f32,
    .to_bool = unpack_bool,
    .any_nan = any_nan,
};
#endif

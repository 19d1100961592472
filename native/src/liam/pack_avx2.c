/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing with AVX2: a movemask per vector. Whole words are vectors; the last, partial word of a row is made bit by
 * bit, which needs no masked access.
 */
#include "pack_kernels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX2_BEGIN

LIAM_INLINE uint64_t f32_word(const float *x, const float *t) {
    const __m256 zero = _mm256_setzero_ps();
    uint64_t word = 0;
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k++) {
        const __m256 limit = t == NULL ? zero : _mm256_loadu_ps(t + 8 * k);
        const __m256 ge = _mm256_cmp_ps(_mm256_loadu_ps(x + 8 * k), limit, _CMP_GE_OQ);
        word |= (uint64_t)(uint32_t)_mm256_movemask_ps(ge) << (8 * k);
    }
    return word;
}

LIAM_INLINE uint64_t f64_word(const double *x, const float *t) {
    const __m256d zero = _mm256_setzero_pd();
    uint64_t word = 0;
    LIAM_UNROLL
    for (unsigned k = 0; k < 16; k++) {
        const __m256d limit = t == NULL ? zero : _mm256_cvtps_pd(_mm_loadu_ps(t + 4 * k));
        const __m256d ge = _mm256_cmp_pd(_mm256_loadu_pd(x + 4 * k), limit, _CMP_GE_OQ);
        word |= (uint64_t)(uint32_t)_mm256_movemask_pd(ge) << (4 * k);
    }
    return word;
}

static void pack_f32(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                     size_t out_stride) {
    const size_t full = nbits / 64;
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        if (thresholds == NULL) {
            for (size_t w = 0; w < full; w++) out[w] = f32_word(x + 64 * w, NULL);
        } else {
            for (size_t w = 0; w < full; w++) out[w] = f32_word(x + 64 * w, thresholds + 64 * w);
        }
        if (nbits % 64) out[full] = 0;
        for (size_t j = 64 * full; j < nbits; j++) {
            out[full] |= (uint64_t)(x[j] >= (thresholds == NULL ? 0.0f : thresholds[j])) << (j % 64);
        }
    }
}

static void pack_f64(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                     uint64_t *out, size_t out_stride) {
    const size_t full = nbits / 64;
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        if (thresholds == NULL) {
            for (size_t w = 0; w < full; w++) out[w] = f64_word(x + 64 * w, NULL);
        } else {
            for (size_t w = 0; w < full; w++) out[w] = f64_word(x + 64 * w, thresholds + 64 * w);
        }
        if (nbits % 64) out[full] = 0;
        for (size_t j = 64 * full; j < nbits; j++) {
            out[full] |= (uint64_t)(x[j] >= (thresholds == NULL ? 0.0 : (double)thresholds[j])) << (j % 64);
        }
    }
}

/* The sign bits of 64 bytes. */
LIAM_INLINE uint64_t signs64(__m256i low, __m256i high) {
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

static void pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride) {
    const size_t full = nbits / 64;
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        for (size_t w = 0; w < full; w++) {
            const __m256i low = _mm256_loadu_si256((const __m256i *)(x + 64 * w));
            const __m256i high = _mm256_loadu_si256((const __m256i *)(x + 64 * w + 32));
            out[w] = ~signs64(low, high);
        }
        if (nbits % 64) out[full] = 0;
        for (size_t j = 64 * full; j < nbits; j++) out[full] |= (uint64_t)(x[j] >= 0) << (j % 64);
    }
}

static void pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride) {
    const size_t full = nbits / 64;
    const __m256i zero = _mm256_setzero_si256();
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        for (size_t w = 0; w < full; w++) {
            const __m256i low = _mm256_loadu_si256((const __m256i *)(x + 64 * w));
            const __m256i high = _mm256_loadu_si256((const __m256i *)(x + 64 * w + 32));
            out[w] = ~signs64(_mm256_cmpeq_epi8(low, zero), _mm256_cmpeq_epi8(high, zero));
        }
        if (nbits % 64) out[full] = 0;
        for (size_t j = 64 * full; j < nbits; j++) out[full] |= (uint64_t)(x[j] != 0) << (j % 64);
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

LIAM_TARGET_END

const pack_kernels liam_pack_avx2 = {
    .f32 = pack_f32,
    .f64 = pack_f64,
    .i8 = pack_i8,
    .boolean = pack_bool,
    .to_i8 = unpack_i8,
    .to_f32 = unpack_f32,
    .to_bool = unpack_bool,
};
#endif

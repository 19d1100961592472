/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing with AVX-512: a compare yields mask bits in the order that words want, so 64 values become a word without
 * any shuffle. Masked loads and stores end a row; they do not touch memory past it.
 */
#include "pack_kernels.h"
#include "sizes.h"

#if LIAM_X86
#include <immintrin.h>

LIAM_AVX512_BEGIN

LIAM_INLINE void prefetch(const void *p) { _mm_prefetch((const char *)p + PREFETCH_BYTES, _MM_HINT_T0); }

/* Lanes of a 16-, 8- or 64-lane vector that exist when `left` values remain. */
LIAM_INLINE __mmask16 lanes16(size_t left) { return (__mmask16)(left >= 16 ? 0xffff : (1u << left) - 1); }
LIAM_INLINE __mmask8 lanes8(size_t left) { return (__mmask8)(left >= 8 ? 0xff : (1u << left) - 1); }

/* Masks are joined in pairs before they leave the mask registers, which is faster than moving each. */
LIAM_INLINE uint64_t f32_word(const float *x, const float *t, int far) {
    const __m512 zero = _mm512_setzero_ps();
    __mmask16 part[4];
    LIAM_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        if (far) prefetch(x + 16 * k);
        const __m512 limit = t == NULL ? zero : _mm512_loadu_ps(t + 16 * k);
        part[k] = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + 16 * k), limit, _CMP_GE_OQ);
    }
    const uint64_t low = _mm512_kunpackw(part[1], part[0]);
    return low | (uint64_t)_mm512_kunpackw(part[3], part[2]) << 32;
}

LIAM_INLINE uint64_t f32_tail(const float *x, const float *t, size_t count) {
    uint64_t word = 0;
    for (size_t k = 0; k < count; k += 16) {
        const __mmask16 lanes = lanes16(count - k);
        const __m512 v = _mm512_maskz_loadu_ps(lanes, x + k);
        const __m512 limit = t == NULL ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, t + k);
        word |= (uint64_t)_mm512_mask_cmp_ps_mask(lanes, v, limit, _CMP_GE_OQ) << k;
    }
    return word;
}

LIAM_INLINE uint64_t f64_word(const double *x, const float *t, int far) {
    const __m512d zero = _mm512_setzero_pd();
    uint64_t word = 0;
    LIAM_UNROLL
    for (unsigned k = 0; k < 8; k++) {
        if (far) prefetch(x + 8 * k);
        const __m512d v = _mm512_loadu_pd(x + 8 * k);
        const __m512d limit = t == NULL ? zero : _mm512_cvtps_pd(_mm256_loadu_ps(t + 8 * k));
        word |= (uint64_t)_mm512_cmp_pd_mask(v, limit, _CMP_GE_OQ) << (8 * k);
    }
    return word;
}

LIAM_INLINE uint64_t f64_tail(const double *x, const float *t, size_t count) {
    uint64_t word = 0;
    for (size_t k = 0; k < count; k += 8) {
        const __mmask8 lanes = lanes8(count - k);
        const __m512d v = _mm512_maskz_loadu_pd(lanes, x + k);
        const __m512d limit =
            t == NULL ? _mm512_setzero_pd() : _mm512_cvtps_pd(_mm256_maskz_loadu_ps(lanes, t + k));
        word |= (uint64_t)_mm512_mask_cmp_pd_mask(lanes, v, limit, _CMP_GE_OQ) << k;
    }
    return word;
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

static void pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, const int8_t *thresholds, uint64_t *out,
                    size_t out_stride) {
    const __m512i zero = _mm512_setzero_si512();
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        for (size_t j = 0; j < nbits; j += 64) {
            const __mmask64 lanes = low_bits(nbits - j);
            const __m512i limit = thresholds == NULL ? zero : _mm512_maskz_loadu_epi8(lanes, thresholds + j);
            out[j / 64] = _mm512_mask_cmpge_epi8_mask(lanes, _mm512_maskz_loadu_epi8(lanes, x + j), limit);
        }
    }
}

static void pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride) {
    for (size_t i = 0; i < rows; i++, x += x_stride, out += out_stride) {
        for (size_t j = 0; j < nbits; j += 64) {
            const __m512i v = _mm512_maskz_loadu_epi8(low_bits(nbits - j), x + j);
            out[j / 64] = _mm512_test_epi8_mask(v, v);
        }
    }
}

/* Rows of bytes: `one` where the bit is 1, else `zero`. */
LIAM_INLINE void unpack_bytes(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, void *out,
                              size_t out_stride, __m512i one, __m512i zero) {
    for (size_t i = 0; i < rows; i++, bits += stride) {
        uint8_t *row = (uint8_t *)out + i * out_stride;
        for (size_t j = 0; j < nbits; j += 64) {
            const __m512i v = _mm512_mask_blend_epi8(bits[j / 64], zero, one);
            _mm512_mask_storeu_epi8(row + j, low_bits(nbits - j), v);
        }
    }
}

static void unpack_i8(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, int8_t *out, size_t out_stride) {
    unpack_bytes(bits, rows, nbits, stride, out, out_stride, _mm512_set1_epi8(1), _mm512_set1_epi8(-1));
}

static void unpack_bool(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, uint8_t *out,
                        size_t out_stride) {
    unpack_bytes(bits, rows, nbits, stride, out, out_stride, _mm512_set1_epi8(1), _mm512_setzero_si512());
}

static void unpack_f32(const uint64_t *bits, size_t rows, size_t nbits, size_t stride, float *out, size_t out_stride) {
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 minus_one = _mm512_set1_ps(-1.0f);
    for (size_t i = 0; i < rows; i++, bits += stride, out += out_stride) {
        for (size_t j = 0; j < nbits; j += 16) {
            const __mmask16 ones = (__mmask16)(bits[j / 64] >> (j % 64));
            _mm512_mask_storeu_ps(out + j, lanes16(nbits - j), _mm512_mask_blend_ps(ones, minus_one, one));
        }
    }
}

static int any_nan(const float *values, size_t count) {
    unsigned found = 0;
    size_t j = 0;
    for (; j + 32 <= count; j += 32) { /* a pair is unordered if either is NaN */
        found |= _mm512_cmp_ps_mask(_mm512_loadu_ps(values + j), _mm512_loadu_ps(values + j + 16), _CMP_UNORD_Q);
    }
    for (; j < count; j += 16) {
        const __m512 v = _mm512_maskz_loadu_ps(lanes16(count - j), values + j);
        found |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    }
    return found != 0;
}

LIAM_TARGET_END

const pack_kernels liam_pack_avx512 = {
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

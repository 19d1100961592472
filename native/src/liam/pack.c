/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing and unpacking: the checked edge over pack_<level>.c, and conversion from and to bytes in either bit order.
 */
#include "kernels.h"
#include "rows.h"
#include "sizes.h"

static int check_pack(const void *x, size_t rows, size_t nbits, size_t x_stride, size_t x_bytes, const void *bits,
                      size_t bits_stride) {
    if (nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    const int status = check_rows(x, rows, nbits, x_stride, x_bytes);
    return status != LIAM_OK ? status : check_rows(bits, rows, words_of(nbits), bits_stride, sizeof(uint64_t));
}

/* Whether thresholds may be compared with: NULL, or no NaN among them. */
static int check_thresholds(const float *thresholds, size_t nbits) {
    return thresholds != NULL && liam_active()->pack->any_nan(thresholds, nbits) ? LIAM_ERR_VALUE : LIAM_OK;
}

size_t liam_words(size_t nbits) { return nbits / 64 + (nbits % 64 != 0); }

int liam_pack_f32(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                  size_t out_stride) {
    int status = check_pack(x, rows, nbits, x_stride, sizeof *x, out, out_stride);
    if (status == LIAM_OK) status = check_thresholds(thresholds, nbits);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->f32(x, rows, nbits, x_stride, thresholds, out, out_stride);
    return status;
}

int liam_pack_f64(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds, uint64_t *out,
                  size_t out_stride) {
    int status = check_pack(x, rows, nbits, x_stride, sizeof *x, out, out_stride);
    if (status == LIAM_OK) status = check_thresholds(thresholds, nbits);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->f64(x, rows, nbits, x_stride, thresholds, out, out_stride);
    return status;
}

int liam_pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, const int8_t *thresholds, uint64_t *out,
                 size_t out_stride) {
    const int status = check_pack(x, rows, nbits, x_stride, sizeof *x, out, out_stride);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->i8(x, rows, nbits, x_stride, thresholds, out, out_stride);
    return status;
}

int liam_pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out, size_t out_stride) {
    const int status = check_pack(x, rows, nbits, x_stride, sizeof *x, out, out_stride);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->boolean(x, rows, nbits, x_stride, out, out_stride);
    return status;
}

int liam_unpack_i8(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, int8_t *out,
                   size_t out_stride) {
    const int status = check_pack(out, rows, nbits, out_stride, sizeof *out, bits, bits_stride);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->to_i8(bits, rows, nbits, bits_stride, out, out_stride);
    return status;
}

int liam_unpack_f32(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, float *out,
                    size_t out_stride) {
    const int status = check_pack(out, rows, nbits, out_stride, sizeof *out, bits, bits_stride);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->to_f32(bits, rows, nbits, bits_stride, out, out_stride);
    return status;
}

int liam_unpack_bool(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, uint8_t *out,
                     size_t out_stride) {
    const int status = check_pack(out, rows, nbits, out_stride, sizeof *out, bits, bits_stride);
    if (status == LIAM_OK && nbits != 0) liam_active()->pack->to_bool(bits, rows, nbits, bits_stride, out, out_stride);
    return status;
}

/* Reverses the bits of every byte. */
static uint64_t reverse_in_bytes(uint64_t v) {
    v = (v >> 1 & UINT64_C(0x5555555555555555)) | (v & UINT64_C(0x5555555555555555)) << 1;
    v = (v >> 2 & UINT64_C(0x3333333333333333)) | (v & UINT64_C(0x3333333333333333)) << 2;
    return (v >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (v & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
}

/* Up to eight bytes as the low end of a word, on machines of any byte order. */
static uint64_t load_bytes(const uint8_t *p, size_t count) {
    uint64_t word = 0;
    for (size_t i = 0; i < count; i++) word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static void store_bytes(uint8_t *p, size_t count, uint64_t word) {
    for (size_t i = 0; i < count; i++) p[i] = (uint8_t)(word >> (8 * i));
}

static int check_bytes(const void *bytes, size_t rows, size_t nbits, size_t bytes_stride, int big_endian,
                       const void *bits, size_t bits_stride) {
    if (nbits > LIAM_MAX_NBITS) return LIAM_ERR_SIZE;
    if (big_endian != 0 && big_endian != 1) return LIAM_ERR_VALUE;
    const int status = check_rows(bytes, rows, (nbits + 7) / 8, bytes_stride, 1);
    return status != LIAM_OK ? status : check_rows(bits, rows, words_of(nbits), bits_stride, sizeof(uint64_t));
}

int liam_from_bytes(const uint8_t *bytes, size_t rows, size_t nbits, size_t bytes_stride, int big_endian,
                    uint64_t *out, size_t out_stride) {
    const int status = check_bytes(bytes, rows, nbits, bytes_stride, big_endian, out, out_stride);
    if (status != LIAM_OK || nbits == 0) return status;
    const size_t width = (nbits + 7) / 8;
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *from = bytes + i * bytes_stride;
        uint64_t *to = out + i * out_stride;
        for (size_t at = 0; at < width; at += 8) {
            uint64_t word = width - at >= 8 ? load_bytes(from + at, 8) : load_bytes(from + at, width - at);
            if (big_endian) word = reverse_in_bytes(word);
            to[at / 8] = word & low_bits(nbits - at * 8);
        }
    }
    return LIAM_OK;
}

int liam_to_bytes(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, int big_endian, uint8_t *out,
                  size_t out_stride) {
    const int status = check_bytes(out, rows, nbits, out_stride, big_endian, bits, bits_stride);
    if (status != LIAM_OK || nbits == 0) return status;
    const size_t width = (nbits + 7) / 8;
    for (size_t i = 0; i < rows; i++) {
        const uint64_t *from = bits + i * bits_stride;
        uint8_t *to = out + i * out_stride;
        for (size_t at = 0; at < width; at += 8) {
            uint64_t word = from[at / 8] & low_bits(nbits - at * 8);
            if (big_endian) word = reverse_in_bytes(word);
            if (width - at >= 8) {
                store_bytes(to + at, 8, word);
            } else {
                store_bytes(to + at, width - at, word);
            }
        }
    }
    return LIAM_OK;
}

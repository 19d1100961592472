/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic on sizes that cannot wrap, and the bit masks of a row's last word.
 */
#ifndef LIAM_SIZES_H
#define LIAM_SIZES_H

#include <stddef.h>
#include <stdint.h>

/* *out = a * b, or 0 if that is more than the address space can hold. */
static inline int size_mul(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > (size_t)PTRDIFF_MAX / b) return 0;
    *out = a * b;
    return 1;
}

/* *out = a + b, or 0 if that is more than the address space can hold. */
static inline int size_add(size_t a, size_t b, size_t *out) {
    if (a > (size_t)PTRDIFF_MAX || b > (size_t)PTRDIFF_MAX - a) return 0;
    *out = a + b;
    return 1;
}

/* *out = a rounded up to a multiple of unit, or 0 on overflow. */
static inline int size_round_up(size_t a, size_t unit, size_t *out) {
    size_t padded;
    if (!size_add(a, unit - 1, &padded)) return 0;
    *out = padded / unit * unit;
    return 1;
}

/* Words of a row; nbits is at most LIAM_MAX_NBITS. */
static inline size_t words_of(size_t nbits) { return (nbits + 63) / 64; }

/* The valid bits of a row's last word. */
static inline uint64_t tail_mask(size_t nbits) { return nbits % 64 ? (UINT64_C(1) << (nbits % 64)) - 1 : UINT64_MAX; }

/* The count lowest bits; count is at most 64. */
static inline uint64_t low_bits(size_t count) { return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1; }

static inline int is_aligned(const void *p, size_t alignment) { return (uintptr_t)p % alignment == 0; }

#endif

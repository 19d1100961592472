/* SPDX-License-Identifier: Apache-2.0
 *
 * The start-up self-test: the kernels of a level on small fixed inputs, digested and compared with what the scalar level
 * computed when the numbers were written. It catches a miscompiled or misdetected level before it serves anything.
 */
#ifndef LIAM_SELF_TEST_H
#define LIAM_SELF_TEST_H

#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "split_mix.h"

/* Digests what a family's kernels compute, beginning with the digest that goes in. A family whose checked edge fails
 * returns what it was given. */
typedef uint64_t self_test_fn(const kernels *table, uint64_t digest);

self_test_fn liam_self_test_bits, liam_self_test_layers, liam_self_test_batch, liam_self_test_linear,
    liam_self_test_hadamard, liam_self_test_search, liam_self_test_gf2;

/* Runs all of it: liam_self_test on a table. */
int liam_self_test_on(const kernels *table, uint64_t *digest);

/* A float in [-1, 1) with 24 significant bits. */
static inline float next_float(uint64_t *state) { return (float)(next_random(state) >> 40) * 0x1p-23f - 1.0f; }

/* FNV-1a over `count` values, each as `size` little-endian bytes. */
static inline uint64_t digest_of(uint64_t digest, const void *values, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        const char *at = (const char *)values + i * size;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        switch (size) {
        case 1: memcpy(&u8, at, 1); value = u8; break;
        case 2: memcpy(&u16, at, 2); value = u16; break;
        case 4: memcpy(&u32, at, 4); value = u32; break;
        default: memcpy(&value, at, 8); break;
        }
        for (size_t k = 0; k < size; k++) {
            digest = (digest ^ (value >> (8 * k) & 0xff)) * UINT64_C(0x100000001b3);
        }
    }
    return digest;
}

#endif

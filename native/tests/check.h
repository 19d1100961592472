/* SPDX-License-Identifier: Apache-2.0
 *
 * A test harness in one page: CHECK, deterministic random numbers, and memory that faults one byte past its end.
 */
#ifndef LIAM_TEST_CHECK_H
#define LIAM_TEST_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "liam.h"

/* Where a test is, for the message of a failed check. */
extern const char *test_name;
extern size_t test_case;

#define CHECK(condition)                                                                                       \
    do {                                                                                                       \
        if (!(condition)) {                                                                                    \
            fprintf(stderr, "%s:%d: %s, level %s, case %zu: %s\n", __FILE__, __LINE__, test_name,              \
                    liam_level_name(liam_level()), test_case, #condition);                                     \
            exit(1);                                                                                           \
        }                                                                                                      \
    } while (0)

#define ARENA_BYTES ((size_t)1 << 20)
#define PAGE_BYTES ((size_t)1 << 16) /* a multiple of every usual page size */
#define CANARY 0xa5

/* A stretch of memory with an inaccessible page behind it. */
typedef struct arena {
    uint8_t *end;
} arena;

static inline arena arena_new(void) {
    uint8_t *start = mmap(NULL, ARENA_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + ARENA_BYTES, PAGE_BYTES, PROT_NONE) != 0) exit(2);
    return (arena){start + ARENA_BYTES};
}

/* The arena's last `bytes` bytes, with the canary in them and in the 64 before them. */
static inline void *arena_take(arena a, size_t bytes) {
    if (bytes + 64 > ARENA_BYTES) exit(2);
    memset(a.end - bytes - 64, CANARY, bytes + 64);
    return a.end - bytes;
}

/* Whether the bytes before p still hold the canary. */
static inline int front_intact(const void *p) {
    for (size_t i = 1; i <= 64; i++) {
        if (((const uint8_t *)p)[-(ptrdiff_t)i] != CANARY) return 0;
    }
    return 1;
}

static inline int all_canary(const void *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (((const uint8_t *)p)[i] != CANARY) return 0;
    }
    return 1;
}

static inline uint64_t random_u64(void) { /* xorshift64* (Vigna 2016) */
    static uint64_t state = 88172645463325252u;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static inline size_t random_below(size_t limit) { return (size_t)(random_u64() % limit); }

static inline float random_float(void) { return (float)(int32_t)random_u64() * 0x1p-31f; }

static inline int bit_of(const uint64_t *row, size_t j) { return (int)(row[j / 64] >> (j % 64) & 1); }

/* The widths from 1100 bits to 40 words that have one bit in their last word, or all: the k-th of LONG_WIDTHS. */
#define LONG_WIDTHS 46
static inline size_t long_width(size_t k) { return 64 * (18 + k / 2) - (k % 2 ? 0 : 63); }

/* Whether the bits past nbits in a row's last word are zero. */
static inline int excess_is_zero(const uint64_t *row, size_t nbits) {
    return nbits % 64 == 0 || row[nbits / 64] >> (nbits % 64) == 0;
}

void test_dispatch(void);
void test_bits(void);
void test_pack(void);
void test_xnor(void);
void test_linear(void);
void test_gf2(void);
void test_gf2_errors(void);
void test_network(void);
void test_hadamard(void);
void test_rotation(void);
void test_search(void);
void test_rescore(void);
void test_index(void);
void test_search_errors(void);
void test_errors(void);
void test_trials(void);
void test_oip(void);
void test_hpack_examples(void);
void test_hpack_huffman(void);
void test_hpack_blocks(void);
void test_hpack_table(void);
void test_front(void);
void test_front_calls(void);
void test_front_limits(void);
void test_front_windows(void);
void test_front_workers(void);
void test_caller(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (FIPS 180-4), with the processor's SHA instructions where it has them. Receipts hash every request.
 */
#include "oip.h"

#include <stdatomic.h>
#include <string.h>

#include "target.h"

#define BLOCK 64

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static void compress_portable(uint32_t state[8], const uint8_t *data, size_t blocks) {
    for (; blocks > 0; blocks--, data += BLOCK) {
        uint32_t w[64];
        for (unsigned i = 0; i < 16; i++) {
            const uint8_t *p = data + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (unsigned i = 16; i < 64; i++) {
            const uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            const uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (unsigned i = 0; i < 64; i++) {
            const uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
            const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + constants[i] + w[i];
            const uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
            const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g;
            g = f;
            f = e;
            e = d + t1;
            d = c;
            c = b;
            b = a;
            a = t1 + t2;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

#if LIAM_X86
#include <cpuid.h>
#include <immintrin.h>

static int detect(void) {
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
    const uint32_t ssse3 = UINT32_C(1) << 9, sse41 = UINT32_C(1) << 19;
    if (!(ecx & ssse3) || !(ecx & sse41)) return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
    return (int)(ebx >> 29 & 1);
}

LIAM_TARGET_BEGIN("sha,sse4.1,ssse3")

/* The instructions keep the state as the words (A, B, E, F) and (C, D, G, H), highest first. */
static void compress_native(uint32_t state[8], const uint8_t *data, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);        /* CDAB */
    const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b); /* EFGH */
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; blocks > 0; blocks--, data += BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        LIAM_UNROLL
        for (unsigned i = 0; i < 16; i++) {
            if (i < 4) {
                w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
            } else { /* four words of the schedule from the sixteen before them */
                const __m128i middle = _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4);
                const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), middle);
                w[i % 4] = _mm_sha256msg2_epu32(sum, w[(i + 3) % 4]);
            }
            __m128i k = _mm_add_epi32(w[i % 4], _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            k = _mm_shuffle_epi32(k, 0x0e);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, k);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

LIAM_TARGET_END
#else
static int detect(void) { return 0; }
#define compress_native compress_portable
#endif

/* 0 unknown, 1 portable, 2 the processor's; racing threads store the same value. */
static _Atomic int chosen = 0;

int oip_sha256_native(void) {
    int way = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (way == 0) {
        way = detect() ? 2 : 1;
        atomic_store_explicit(&chosen, way, memory_order_relaxed);
    }
    return way == 2;
}

void oip_sha256_portable(int portable) {
    atomic_store_explicit(&chosen, portable ? 1 : 0, memory_order_relaxed);
}

static void compress(uint32_t state[8], const uint8_t *data, size_t blocks) {
    if (oip_sha256_native()) {
        compress_native(state, data, blocks);
    } else {
        compress_portable(state, data, blocks);
    }
}

void oip_sha256_init(oip_sha256 *hash) {
    static const uint32_t initial[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(hash->state, initial, sizeof initial);
    hash->hashed = 0;
}

void oip_sha256_update(oip_sha256 *hash, const uint8_t *data, size_t size) {
    const size_t held = (size_t)(hash->hashed % BLOCK);
    if (size == 0) return;
    hash->hashed += size;
    if (held != 0) {
        const size_t part = size < BLOCK - held ? size : BLOCK - held;
        memcpy(hash->block + held, data, part);
        if (held + part < BLOCK) return;
        compress(hash->state, hash->block, 1);
        data += part;
        size -= part;
    }
    compress(hash->state, data, size / BLOCK);
    if (size % BLOCK != 0) memcpy(hash->block, data + size / BLOCK * BLOCK, size % BLOCK);
}

void oip_sha256_final(oip_sha256 *hash, uint8_t *digest) {
    uint8_t end[2 * BLOCK] = {0};
    const size_t held = (size_t)(hash->hashed % BLOCK);
    const size_t size = held < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    memcpy(end, hash->block, held);
    end[held] = 0x80;
    for (unsigned i = 0; i < 8; i++) end[size - 1 - i] = (uint8_t)(hash->hashed * 8 >> 8 * i);
    compress(hash->state, end, size / BLOCK);
    for (unsigned i = 0; i < 32; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> 8 * (3 - i % 4));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Prediction ids: 40 bytes that say what answered and when, and a keyed BLAKE2s-64 (RFC 7693) over the node's name and
 * them. Key and name are hashed once; an id costs one or two compressions.
 */
#include "oip.h"

#include <string.h>

#define BLOCK 64
#define CHECKSUM 8
#define BODY (OIP_ID_BYTES - CHECKSUM)
#define PREFIX "nm1."

static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static inline uint32_t load_le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store_be(uint8_t *p, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) p[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

#define MIX(a, b, c, d, x, y)         \
    do {                              \
        a += b + (x);                 \
        d = rotate(d ^ a, 16);        \
        c += d;                       \
        b = rotate(b ^ c, 12);        \
        a += b + (y);                 \
        d = rotate(d ^ a, 8);         \
        c += d;                       \
        b = rotate(b ^ c, 7);         \
    } while (0)

/* RFC 7693 section 3.2; hashed counts the bytes up to and with this block. */
static void compress(uint32_t state[8], const uint8_t *block, uint64_t hashed, int last) {
    uint32_t m[16];
    for (unsigned i = 0; i < 16; i++) m[i] = load_le(block + 4 * i);
    uint32_t v0 = state[0], v1 = state[1], v2 = state[2], v3 = state[3];
    uint32_t v4 = state[4], v5 = state[5], v6 = state[6], v7 = state[7];
    uint32_t v8 = initial[0], v9 = initial[1], v10 = initial[2], v11 = initial[3];
    uint32_t v12 = initial[4] ^ (uint32_t)hashed, v13 = initial[5] ^ (uint32_t)(hashed >> 32);
    uint32_t v14 = last ? ~initial[6] : initial[6], v15 = initial[7];
    for (unsigned round = 0; round < 10; round++) {
        const uint8_t *s = sigma[round];
        MIX(v0, v4, v8, v12, m[s[0]], m[s[1]]);
        MIX(v1, v5, v9, v13, m[s[2]], m[s[3]]);
        MIX(v2, v6, v10, v14, m[s[4]], m[s[5]]);
        MIX(v3, v7, v11, v15, m[s[6]], m[s[7]]);
        MIX(v0, v5, v10, v15, m[s[8]], m[s[9]]);
        MIX(v1, v6, v11, v12, m[s[10]], m[s[11]]);
        MIX(v2, v7, v8, v13, m[s[12]], m[s[13]]);
        MIX(v3, v4, v9, v14, m[s[14]], m[s[15]]);
    }
    state[0] ^= v0 ^ v8;
    state[1] ^= v1 ^ v9;
    state[2] ^= v2 ^ v10;
    state[3] ^= v3 ^ v11;
    state[4] ^= v4 ^ v12;
    state[5] ^= v5 ^ v13;
    state[6] ^= v6 ^ v14;
    state[7] ^= v7 ^ v15;
}

int oip_issuer_init(oip_issuer *issuer, const uint8_t *key, size_t key_size, const uint8_t *node, size_t node_size,
                    uint64_t epoch_ms, uint64_t started_ns, uint64_t *sequence) {
    if (key_size != OIP_KEY_BYTES || node_size == 0 || node_size > OIP_NODE_BYTES) return 0;
    uint8_t block[BLOCK] = {0};
    uint8_t head[BLOCK + BLOCK];
    *issuer = (oip_issuer){.sequence = sequence, .started_ns = started_ns, .epoch_ms = epoch_ms};
    memcpy(issuer->state, initial, sizeof initial);
    issuer->state[0] ^= UINT32_C(0x01010000) ^ (uint32_t)OIP_KEY_BYTES << 8 ^ CHECKSUM;
    memcpy(block, key, key_size);
    compress(issuer->state, block, BLOCK, 0);
    issuer->hashed = BLOCK;

    size_t size = strlen(PREFIX);
    memcpy(head, PREFIX, size);
    memcpy(head + size, node, node_size);
    size += node_size;
    head[size++] = '.';
    /* The body follows, so that no block of the head is the last one. */
    size_t done = 0;
    if (size >= BLOCK) {
        issuer->hashed += BLOCK;
        compress(issuer->state, head, issuer->hashed, 0);
        done = BLOCK;
    }
    issuer->rest_size = size - done;
    memcpy(issuer->rest, head + done, issuer->rest_size);
    return 1;
}

/* Numbers order nothing but themselves, so that the cheapest order is enough. */
uint64_t oip_next(uint64_t *sequence) { return __atomic_add_fetch(sequence, 1, __ATOMIC_RELAXED); }

void oip_issue(const oip_issuer *issuer, const uint8_t *subject, uint64_t now_ns, uint8_t *id) {
    const uint64_t number = oip_next(issuer->sequence);
    store_be(id, issuer->epoch_ms, 6);
    store_be(id + 6, (now_ns - issuer->started_ns) / 1000000, 5);
    store_be(id + 11, number, 6);
    memcpy(id + 17, subject, OIP_SUBJECT_BYTES);

    uint32_t state[8];
    uint8_t data[2 * BLOCK] = {0};
    size_t size = issuer->rest_size;
    uint64_t hashed = issuer->hashed;
    const uint8_t *block = data;
    memcpy(state, issuer->state, sizeof state);
    memcpy(data, issuer->rest, sizeof issuer->rest);
    memcpy(data + size, id, BODY);
    size += BODY;
    if (size > BLOCK) {
        hashed += BLOCK;
        compress(state, block, hashed, 0);
        block += BLOCK;
        size -= BLOCK;
    }
    compress(state, block, hashed + size, 1);
    for (unsigned i = 0; i < CHECKSUM; i++) id[BODY + i] = (uint8_t)(state[i / 4] >> 8 * (i % 4));
}

void oip_id_text(const uint8_t *id, uint8_t *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (unsigned i = 0; i < OIP_ID_BYTES; i += 3, text += 4) {
        const uint32_t three = (uint32_t)id[i] << 16 | (uint32_t)id[i + 1] << 8 | id[i + 2];
        text[0] = (uint8_t)digits[three >> 18];
        text[1] = (uint8_t)digits[three >> 12 & 63];
        text[2] = (uint8_t)digits[three >> 6 & 63];
        text[3] = (uint8_t)digits[three & 63];
    }
}

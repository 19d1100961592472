/* SPDX-License-Identifier: Apache-2.0
 *
 * Huffman's code in HPACK: every symbol, strings of them, and every padding.
 */
#include "hpack_check.h"

/* RFC 7541 appendix B: each symbol's code, in its lowest bits, and how many they are. */
static const struct {
    uint32_t code;
    unsigned bits;
} codes[257] = {
    {0x1ff8, 13}, {0x7fffd8, 23}, {0xfffffe2, 28}, {0xfffffe3, 28}, {0xfffffe4, 28}, {0xfffffe5, 28}, {0xfffffe6, 28},
    {0xfffffe7, 28}, {0xfffffe8, 28}, {0xffffea, 24}, {0x3ffffffc, 30}, {0xfffffe9, 28}, {0xfffffea, 28},
    {0x3ffffffd, 30}, {0xfffffeb, 28}, {0xfffffec, 28}, {0xfffffed, 28}, {0xfffffee, 28}, {0xfffffef, 28},
    {0xffffff0, 28}, {0xffffff1, 28}, {0xffffff2, 28}, {0x3ffffffe, 30}, {0xffffff3, 28}, {0xffffff4, 28},
    {0xffffff5, 28}, {0xffffff6, 28}, {0xffffff7, 28}, {0xffffff8, 28}, {0xffffff9, 28}, {0xffffffa, 28},
    {0xffffffb, 28}, {0x14, 6}, {0x3f8, 10}, {0x3f9, 10}, {0xffa, 12}, {0x1ff9, 13}, {0x15, 6}, {0xf8, 8},
    {0x7fa, 11}, {0x3fa, 10}, {0x3fb, 10}, {0xf9, 8}, {0x7fb, 11}, {0xfa, 8}, {0x16, 6}, {0x17, 6}, {0x18, 6},
    {0x0, 5}, {0x1, 5}, {0x2, 5}, {0x19, 6}, {0x1a, 6}, {0x1b, 6}, {0x1c, 6}, {0x1d, 6}, {0x1e, 6}, {0x1f, 6},
    {0x5c, 7}, {0xfb, 8}, {0x7ffc, 15}, {0x20, 6}, {0xffb, 12}, {0x3fc, 10}, {0x1ffa, 13}, {0x21, 6}, {0x5d, 7},
    {0x5e, 7}, {0x5f, 7}, {0x60, 7}, {0x61, 7}, {0x62, 7}, {0x63, 7}, {0x64, 7}, {0x65, 7}, {0x66, 7}, {0x67, 7},
    {0x68, 7}, {0x69, 7}, {0x6a, 7}, {0x6b, 7}, {0x6c, 7}, {0x6d, 7}, {0x6e, 7}, {0x6f, 7}, {0x70, 7}, {0x71, 7},
    {0x72, 7}, {0xfc, 8}, {0x73, 7}, {0xfd, 8}, {0x1ffb, 13}, {0x7fff0, 19}, {0x1ffc, 13}, {0x3ffc, 14}, {0x22, 6},
    {0x7ffd, 15}, {0x3, 5}, {0x23, 6}, {0x4, 5}, {0x24, 6}, {0x5, 5}, {0x25, 6}, {0x26, 6}, {0x27, 6}, {0x6, 5},
    {0x74, 7}, {0x75, 7}, {0x28, 6}, {0x29, 6}, {0x2a, 6}, {0x7, 5}, {0x2b, 6}, {0x76, 7}, {0x2c, 6}, {0x8, 5},
    {0x9, 5}, {0x2d, 6}, {0x77, 7}, {0x78, 7}, {0x79, 7}, {0x7a, 7}, {0x7b, 7}, {0x7ffe, 15}, {0x7fc, 11},
    {0x3ffd, 14}, {0x1ffd, 13}, {0xffffffc, 28}, {0xfffe6, 20}, {0x3fffd2, 22}, {0xfffe7, 20}, {0xfffe8, 20},
    {0x3fffd3, 22}, {0x3fffd4, 22}, {0x3fffd5, 22}, {0x7fffd9, 23}, {0x3fffd6, 22}, {0x7fffda, 23}, {0x7fffdb, 23},
    {0x7fffdc, 23}, {0x7fffdd, 23}, {0x7fffde, 23}, {0xffffeb, 24}, {0x7fffdf, 23}, {0xffffec, 24}, {0xffffed, 24},
    {0x3fffd7, 22}, {0x7fffe0, 23}, {0xffffee, 24}, {0x7fffe1, 23}, {0x7fffe2, 23}, {0x7fffe3, 23}, {0x7fffe4, 23},
    {0x1fffdc, 21}, {0x3fffd8, 22}, {0x7fffe5, 23}, {0x3fffd9, 22}, {0x7fffe6, 23}, {0x7fffe7, 23}, {0xffffef, 24},
    {0x3fffda, 22}, {0x1fffdd, 21}, {0xfffe9, 20}, {0x3fffdb, 22}, {0x3fffdc, 22}, {0x7fffe8, 23}, {0x7fffe9, 23},
    {0x1fffde, 21}, {0x7fffea, 23}, {0x3fffdd, 22}, {0x3fffde, 22}, {0xfffff0, 24}, {0x1fffdf, 21}, {0x3fffdf, 22},
    {0x7fffeb, 23}, {0x7fffec, 23}, {0x1fffe0, 21}, {0x1fffe1, 21}, {0x3fffe0, 22}, {0x1fffe2, 21}, {0x7fffed, 23},
    {0x3fffe1, 22}, {0x7fffee, 23}, {0x7fffef, 23}, {0xfffea, 20}, {0x3fffe2, 22}, {0x3fffe3, 22}, {0x3fffe4, 22},
    {0x7ffff0, 23}, {0x3fffe5, 22}, {0x3fffe6, 22}, {0x7ffff1, 23}, {0x3ffffe0, 26}, {0x3ffffe1, 26}, {0xfffeb, 20},
    {0x7fff1, 19}, {0x3fffe7, 22}, {0x7ffff2, 23}, {0x3fffe8, 22}, {0x1ffffec, 25}, {0x3ffffe2, 26}, {0x3ffffe3, 26},
    {0x3ffffe4, 26}, {0x7ffffde, 27}, {0x7ffffdf, 27}, {0x3ffffe5, 26}, {0xfffff1, 24}, {0x1ffffed, 25},
    {0x7fff2, 19}, {0x1fffe3, 21}, {0x3ffffe6, 26}, {0x7ffffe0, 27}, {0x7ffffe1, 27}, {0x3ffffe7, 26},
    {0x7ffffe2, 27}, {0xfffff2, 24}, {0x1fffe4, 21}, {0x1fffe5, 21}, {0x3ffffe8, 26}, {0x3ffffe9, 26},
    {0xffffffd, 28}, {0x7ffffe3, 27}, {0x7ffffe4, 27}, {0x7ffffe5, 27}, {0xfffec, 20}, {0xfffff3, 24}, {0xfffed, 20},
    {0x1fffe6, 21}, {0x3fffe9, 22}, {0x1fffe7, 21}, {0x1fffe8, 21}, {0x7ffff3, 23}, {0x3fffea, 22}, {0x3fffeb, 22},
    {0x1ffffee, 25}, {0x1ffffef, 25}, {0xfffff4, 24}, {0xfffff5, 24}, {0x3ffffea, 26}, {0x7ffff4, 23},
    {0x3ffffeb, 26}, {0x7ffffe6, 27}, {0x3ffffec, 26}, {0x3ffffed, 26}, {0x7ffffe7, 27}, {0x7ffffe8, 27},
    {0x7ffffe9, 27}, {0x7ffffea, 27}, {0x7ffffeb, 27}, {0xffffffe, 28}, {0x7ffffec, 27}, {0x7ffffed, 27},
    {0x7ffffee, 27}, {0x7ffffef, 27}, {0x7fffff0, 27}, {0x3ffffee, 26}, {0x3fffffff, 30},
};

/* Writes codes one after the other, and ones up to the byte's end and for so many bytes more. */
static size_t put_codes(const uint16_t *symbols, size_t count, size_t more, uint8_t *out) {
    uint64_t bits = 0;
    unsigned waiting = 0;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        bits = bits << codes[symbols[i]].bits | codes[symbols[i]].code;
        for (waiting += codes[symbols[i]].bits; waiting >= 8; waiting -= 8) out[size++] = (uint8_t)(bits >> (waiting - 8));
    }
    if (waiting > 0) out[size++] = (uint8_t)(bits << (8 - waiting) | 0xff >> waiting);
    while (more-- > 0) out[size++] = 0xff;
    return size;
}

/* Decodes a coded string as the value of a field: what came out, or NULL. */
static const char *uncode(const uint8_t *coded, size_t size, heard *h) {
    hpack_table t = fresh(4096);
    uint8_t block[600] = {0x00, 0x01, 'n', (uint8_t)(0x80 | size)};
    size_t at = 4;
    if (size >= 0x7f) {
        block[3] = 0xff;
        block[at++] = (uint8_t)((size - 0x7f) & 0x7f) | 0x80;
        block[at++] = (uint8_t)((size - 0x7f) >> 7);
    }
    memcpy(block + at, coded, size);
    return decode(&t, block, at + size, h) ? h->text + 2 : NULL;
}

static void test_symbols(void) {
    heard h;
    uint8_t coded[64];
    for (test_case = 0; test_case < 256; test_case++) {
        const uint16_t twice[2] = {(uint16_t)test_case, (uint16_t)test_case};
        for (size_t count = 1; count <= 2; count++) {
            const char *text = uncode(coded, put_codes(twice, count, 0, coded), &h);
            CHECK(text != NULL && h.size == 3 + count);
            for (size_t i = 0; i < count; i++) CHECK((uint8_t)text[i] == test_case);
        }
        CHECK(uncode(coded, put_codes(twice, 2, 1, coded), &h) == NULL); /* padding of a byte */
        const uint16_t ended[2] = {(uint16_t)test_case, 256};
        CHECK(uncode(coded, put_codes(ended, 2, 0, coded), &h) == NULL);
    }
    for (test_case = 0; test_case < 2000; test_case++) {
        uint16_t symbols[40];
        uint8_t long_coded[256];
        const size_t count = random_below(40);
        for (size_t i = 0; i < count; i++) symbols[i] = (uint16_t)random_below(256);
        const char *text = uncode(long_coded, put_codes(symbols, count, 0, long_coded), &h);
        CHECK(text != NULL && h.size == 3 + count);
        for (size_t i = 0; i < count; i++) CHECK((uint8_t)text[i] == symbols[i]);
    }
}

static void test_padding(void) { /* every two bytes: as a reader of single bits takes them */
    heard h;
    for (test_case = 0; test_case < 65536; test_case++) {
        const uint8_t coded[2] = {(uint8_t)(test_case >> 8), (uint8_t)test_case};
        char expected[8];
        size_t count = 0;
        uint32_t bits = 0;
        unsigned size = 0;
        for (int bit = 15; bit >= 0; bit--) {
            bits = bits << 1 | (test_case >> bit & 1);
            size++;
            for (unsigned symbol = 0; symbol < 256; symbol++) {
                if (codes[symbol].bits != size || codes[symbol].code != bits) continue;
                expected[count++] = (char)symbol;
                bits = size = 0;
                break;
            }
        }
        const int valid = size < 8 && bits == (1u << size) - 1;
        const char *text = uncode(coded, 2, &h);
        CHECK((text != NULL) == valid);
        CHECK(text == NULL || (h.size == 3 + count && memcmp(text, expected, count) == 0));
    }
}

void test_hpack_huffman(void) {
    hpack_init();
    test_symbols();
    test_padding();
}

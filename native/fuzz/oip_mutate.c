/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeds and mutations for compilers without a fuzzer, and for a run that is always the same.
 */
#include <string.h>

#include "oip_target.h"

#define SEED(text) {text, sizeof(text) - 1}
#define ONE_ROW "\x2a\x0d\x0a\x01x\x12\x04""FP32\x1a\x02\x01\x04"
#define SIXTEEN "\x3a\x10" "abcdefghijklmnop"
#define ELEVEN /* rows: more than are run apart */                                                        \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const struct oip_seed oip_seeds[] = {
    SEED("\x0a\x01m" ONE_ROW SIXTEEN),
    SEED("\x0a\x01m\x12\x01""1\x1a\x04\xf0\x9f\x98\x80" ONE_ROW "\x32\x08\x0a\x06scores\x32\x07\x0a\x05label" SIXTEEN),
    SEED("\x0a\x01m\x22\x0c\x0a\x03key\x12\x05\x1a\x03val\x22\x08\x0a\x02no\x12\x02\x10\x05" ONE_ROW SIXTEEN),
    SEED("\x0a\x03two\x2a\x0b\x0a\x01""a\x12\x04""BOOL\x18\x03\x2a\x0a\x0a\x01""b\x12\x05INT64"
         "\x3a\x03\x01\x00\x01\x3a\x08" "abcdefgh"),
    SEED("\x0a\x01m\x2a\x0e\x0a\x01x\x12\x04""FP32\x1a\x03\x02\x84\x00" SIXTEEN),
    SEED("\x0a\x01l" ONE_ROW SIXTEEN),
    SEED("\x0a\x01i" ONE_ROW SIXTEEN),
    SEED("\x0a\x01l\x2a\x0d\x0a\x01x\x12\x04""FP32\x1a\x02\x0b\x04\x3a\xb0\x01" ELEVEN),
    SEED(""),
};
const size_t oip_seed_count = sizeof oip_seeds / sizeof *oip_seeds;

static uint64_t next(uint64_t *state) { /* xorshift64* (Vigna 2016) */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

size_t oip_mutate(uint8_t *data, size_t size, size_t room, uint64_t *state) {
    static const uint8_t telling[] = {0x00, 0x01, 0x04, 0x0a, 0x12, 0x1a, 0x2a, 0x3a, 0x7f, 0x80, 0xc0, 0xed, 0xff};
    for (uint64_t changes = 1 + next(state) % 3; changes > 0; changes--) {
        const size_t at = size == 0 ? 0 : (size_t)(next(state) % size);
        const size_t count = 1 + (size_t)(next(state) % 16);
        switch (next(state) % 5) {
            case 0:
                if (size != 0) data[at] = (uint8_t)next(state);
                break;
            case 1:
                if (size != 0) data[at] = telling[next(state) % sizeof telling];
                break;
            case 2: /* cut out */
                if (count <= size - at) {
                    memmove(data + at, data + at + count, size - at - count);
                    size -= count;
                }
                break;
            case 3: /* repeat */
                if (count <= size - at && count <= room - size) {
                    memmove(data + at + count, data + at, size - at);
                    size += count;
                }
                break;
            default:
                if (size != 0) data[at] = (uint8_t)(data[at] + 1);
        }
    }
    return size;
}

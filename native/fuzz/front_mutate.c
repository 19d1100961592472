/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs to begin with and mutations that know what frames, fields and messages are.
 */
#include <string.h>

#include "front_rig.h"
#include "front_target.h"
#include "oip_target.h"

#define LARGEST 400 /* frame that is written here */
#define FRAMES 256

static uint64_t next(uint64_t *state) { /* xorshift64* (Vigna 2016) */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static size_t below(uint64_t *state, size_t limit) { return (size_t)(next(state) >> 11) % limit; }

static uint8_t *put_number(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) *at++ = (uint8_t)(value >> 8 * (3 - i));
    return at;
}

static uint32_t any_stream(uint64_t *state) { return (uint32_t)(below(state, 20) ? 2 * below(state, 8) + 1 : below(state, 6)); }

/* ---- Frames ------------------------------------------------------------------------------------------------ */

static uint8_t *put_fields(uint8_t *at, uint64_t *state) {
    static const char *const extra[][2] = {
        {"grpc-timeout", "1S"}, {"grpc-encoding", "gzip"}, {"x", "y"}, {"key-bin", "AAA"}, {"content-length", "11"},
        {"content-length", "0"}, {"te", "gzip"}, {":path", "/"}, {"connection", "close"}, {"Upper", "case"},
        {"content-type", "text/plain"}, {"grpc-timeout", "12"},
    };
    static const char coded[] = "\x20\x3f\xe1\x1f\x40\x01""a\x82\xff\xc7\x00\x82\xff\xc7\x01""b\x7e\x01""c\xbe";
    if (below(state, 8) == 0) *at++ = (uint8_t)(0x20 | below(state, 32)); /* the table's size */
    at = rig_put_request(at, (int)below(state, 4));
    for (size_t i = below(state, 3); i > 0 && below(state, 3) == 0; i--) {
        const char *const *one = extra[below(state, sizeof extra / sizeof *extra)];
        at = rig_put_text(at, one[0], one[1]);
    }
    if (below(state, 6) == 0) { /* a field that enters the table, and one by an index */
        memcpy(at, "\x40\x01n\x02vw\xbe", 7);
        at += 7;
    }
    if (below(state, 16) == 0) {
        const size_t size = 1 + below(state, sizeof coded - 1);
        memcpy(at, coded + below(state, sizeof coded - size), size);
        at += size;
    }
    return at;
}

static uint8_t *put_message(uint8_t *at, uint64_t *state) {
    static const size_t sizes[] = {0, 0, 1, 6, 40, 200, 301};
    const size_t said = below(state, 24) ? sizes[below(state, 7)] : (size_t)next(state);
    const size_t size = said > 200 ? below(state, 200) : said;
    *at++ = (uint8_t)(below(state, 16) ? 0 : below(state, 3));
    at = put_number(at, (uint32_t)said);
    memset(at, 'm', size);
    return at + size;
}

/* A message that the codec understands. */
static uint8_t *put_inference(uint8_t *at, size_t number) {
    const struct oip_seed *seed = &oip_seeds[number % oip_seed_count];
    *at++ = 0;
    at = put_number(at, (uint32_t)seed->size);
    memcpy(at, seed->bytes, seed->size);
    return at + seed->size;
}

static uint8_t *put_setting(uint8_t *at, uint64_t *state) {
    static const uint32_t values[] = {0, 1, 5, 100, 16384, 65535, 1 << 20, 0x7fffffff, 0x80000000};
    *at++ = 0;
    *at++ = (uint8_t)(below(state, 3) ? 4 : 1 + below(state, 8));
    return put_number(at, values[below(state, 9)]);
}

/* Writes a frame of a kind that means something, mostly; returns its end. */
static uint8_t *put_any(uint8_t *at, uint64_t *state) {
    static const uint32_t windows[] = {0, 1, 4, 9, 100, 65535, 0x7fffffff};
    uint8_t payload[LARGEST], *end = payload;
    uint8_t type = (uint8_t)below(state, 10), flags = 0;
    uint32_t id = any_stream(state);
    switch (below(state, 16)) {
        case 0: case 1: case 2:
            type = FRAME_HEADERS;
            flags = (uint8_t)((below(state, 4) ? FLAG_END_HEADERS : 0) | (below(state, 4) ? 0 : FLAG_END_STREAM));
            end = put_fields(end, state);
            break;
        case 3: case 4: case 5:
            type = FRAME_DATA;
            flags = (uint8_t)below(state, 2);
            for (size_t count = below(state, 3); count > 0 && end - payload < 100; count--) {
                end = below(state, 3) ? put_message(end, state) : put_inference(end, below(state, 6));
            }
            break;
        case 6:
            type = FRAME_WINDOW_UPDATE;
            if (below(state, 3) == 0) id = 0;
            end = put_number(end, windows[below(state, 7)]);
            break;
        case 7:
            type = FRAME_SETTINGS;
            id = 0;
            for (size_t count = below(state, 3); count > 0; count--) end = put_setting(end, state);
            break;
        case 8:
            type = FRAME_RST_STREAM;
            end = put_number(end, 8);
            break;
        case 9: case 10: case 11: case 12:
            type = SCRIPT_OWNER;
            for (size_t count = 1 + below(state, 8); count > 0; count--) {
                *end++ = (uint8_t)(below(state, 3) ? 7 : below(state, 8));
                *end++ = (uint8_t)below(state, 8);
                *end++ = (uint8_t)next(state);
            }
            break;
        case 13:
            type = (uint8_t)(SCRIPT_DRAIN + below(state, 3));
            flags = (uint8_t)below(state, 2);
            *end++ = (uint8_t)(type == SCRIPT_CUT ? 0 : next(state));
            *end++ = (uint8_t)next(state);
            break;
        case 14:
            type = FRAME_CONTINUATION;
            flags = FLAG_END_HEADERS;
            if (below(state, 2)) end = put_fields(end, state);
            break;
        default:
            for (size_t count = below(state, 10); count > 0; count--) *end++ = (uint8_t)next(state);
    }
    return rig_put_frame(at, type, flags, id, payload, (size_t)(end - payload));
}

/* ---- Inputs ------------------------------------------------------------------------------------------------ */

const size_t front_seed_count = 16;

/* A call in each of many ways: by method, by how it ends, in or without a script. */
size_t front_seed(size_t number, uint8_t *data) {
    static const uint8_t steps[] = {7, 0, 0, 7, 0, 0, 7, 0, 0, 2, 0, 90, 4, 0, 99, 3, 0, 1};
    const int kind = (int)(number % 4);
    uint8_t block[RIG_BLOCK], message[LARGEST], *at = data, *end = message;
    uint64_t state = number + 1;
    *at++ = (uint8_t)(number >= 12 ? 4 : 0);
    const size_t size = (size_t)(rig_put_request(block, kind) - block);
    at = rig_put_frame(at, FRAME_HEADERS, FLAG_END_HEADERS, 1, block, size);
    end = number < 12 ? put_message(end, &state) : put_inference(end, number);
    at = rig_put_frame(at, FRAME_DATA, number % 2 ? FLAG_END_STREAM : 0, 1, message, (size_t)(end - message));
    at = rig_put_frame(at, FRAME_HEADERS, FLAG_END_HEADERS, 3, block, size);
    at = rig_put_frame(at, FRAME_DATA, FLAG_END_STREAM, 3, (const uint8_t *)"\0\0\0\0\2ab", 7);
    if (number >= 8) at = rig_put_frame(at, SCRIPT_OWNER, 0, 0, steps, sizeof steps);
    if (number % 2 == 0) at = rig_put_frame(at, FRAME_DATA, FLAG_END_STREAM, 1, NULL, 0);
    return (size_t)(at - data);
}

/* Finds where frames begin; returns how many, and their end as one more. */
static size_t find_frames(const uint8_t *data, size_t size, size_t starts[FRAMES + 1]) {
    size_t at = 1, count = 0;
    while (at + FRAME_HEAD <= size && count < FRAMES) {
        starts[count++] = at;
        const size_t length = FRAME_HEAD + ((size_t)data[at] << 16 | (size_t)data[at + 1] << 8 | data[at + 2]);
        at = length < size - at ? at + length : size;
    }
    starts[count] = at;
    return count;
}

static size_t put_in(uint8_t *data, size_t size, size_t at, const uint8_t *frame, size_t bytes) {
    if (size + bytes > FRONT_ROOM_BYTES) return size;
    memmove(data + at + bytes, data + at, size - at);
    memcpy(data + at, frame, bytes);
    return size + bytes;
}

static size_t cut_out(uint8_t *data, size_t size, size_t from, size_t to) {
    memmove(data + from, data + to, size - to);
    return size - (to - from);
}

/* Divides a frame of fields, or pads it, or has it begin with a priority. */
static size_t reshape(uint8_t *data, size_t size, size_t at, size_t end, uint64_t *state) {
    uint8_t made[2 * FRAME_HEAD + LARGEST + 300], *to = made;
    const size_t bytes = end - at - FRAME_HEAD;
    if (end < at + FRAME_HEAD || bytes > LARGEST) return size;
    const uint8_t *payload = data + at + FRAME_HEAD, type = data[at + 3], flags = data[at + 4];
    const uint32_t id = data[at + 8];
    if (type == FRAME_HEADERS && below(state, 2)) {
        const size_t first = below(state, bytes + 1);
        to = rig_put_frame(to, type, flags & ~FLAG_END_HEADERS, id, payload, first);
        to = rig_put_frame(to, FRAME_CONTINUATION, FLAG_END_HEADERS, id, payload + first, bytes - first);
    } else {
        uint8_t padded[LARGEST + 300] = {0};
        const size_t padding = below(state, 256);
        padded[0] = (uint8_t)padding;
        memcpy(padded + 1, payload, bytes);
        to = rig_put_frame(to, type, flags | FLAG_PADDED, id, padded, 1 + bytes + padding);
    }
    size = cut_out(data, size, at, end);
    return put_in(data, size, at, made, (size_t)(to - made));
}

static size_t change(uint8_t *data, size_t size, uint64_t *state) {
    static const uint8_t flags[] = {0x01, 0x04, 0x08, 0x20, 0x05, 0x25};
    size_t starts[FRAMES + 1];
    uint8_t made[FRAME_HEAD + LARGEST];
    const size_t count = find_frames(data, size, starts);
    if (count == 0) return put_in(data, size, size, made, (size_t)(put_any(made, state) - made));
    const size_t which = below(state, count), at = starts[which], end = starts[which + 1];
    switch (below(state, 14)) {
        case 0: case 1: case 2: case 3: case 4:
            return put_in(data, size, starts[below(state, count + 1)], made, (size_t)(put_any(made, state) - made));
        case 5: return cut_out(data, size, at, end);
        case 6: /* the frame once more, elsewhere */
            if (end - at > sizeof made) return size;
            memcpy(made, data + at, end - at);
            return put_in(data, size, starts[below(state, count + 1)], made, end - at);
        case 7: return reshape(data, size, at, end, state);
        case 8: data[at + 4] ^= flags[below(state, sizeof flags)]; break;
        case 9: data[at + 8] = (uint8_t)any_stream(state); break;
        case 10: data[at + 3] = (uint8_t)below(state, 11); break;
        case 11: data[at + below(state, 3)] = (uint8_t)next(state); break;
        case 12: data[0] = (uint8_t)next(state); break;
        default: data[at + below(state, end - at)] = (uint8_t)next(state);
    }
    return size;
}

size_t front_mutate(uint8_t *data, size_t size, uint64_t *state) {
    for (size_t changes = 1 + below(state, 6); changes > 0; changes--) size = change(data, size, state);
    return size;
}

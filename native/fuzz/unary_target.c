/* SPDX-License-Identifier: Apache-2.0
 *
 * A caller whose peer says anything: whatever comes, each call ends once or is cancelled, and nothing is held when all is
 * over.
 */
#include "unary_target.h"

#include <stdio.h>
#include <stdlib.h>

#include "unary_core.h"

#define CALLS 6
#define HEAD 2 /* bytes of an input that are not the peer's */

#define REQUIRE(condition)                                                  \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

static const unary_limits limits = {1000, 4000, CALLS};
static const uint8_t fields[] = "\5\0\0\0\1\0\0\0:path/";

static uint64_t next(uint64_t *state) { /* xorshift64* (Vigna 2016) */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static size_t below(uint64_t *state, size_t limit) { return (size_t)(next(state) >> 11) % limit; }

/* ---- The peer's bytes ---------------------------------------------------------------------------------------- */

static uint8_t *put_frame_to(uint8_t *at, uint8_t type, uint8_t flags, uint32_t id, const void *data, size_t size) {
    at[0] = 0;
    at[1] = (uint8_t)(size >> 8);
    at[2] = (uint8_t)size;
    at[3] = type;
    at[4] = flags;
    put32(at + 5, id);
    if (size) memcpy(at + FRAME_HEAD, data, size);
    return at + FRAME_HEAD + size;
}

static uint8_t *put_any(uint8_t *at, uint64_t *state) {
    static const char *const blocks[] = {"\x88", "\x88\x40\x01""a\x01""b\xbe", "\x00\x0bgrpc-status\x01" "0",
                                         "\x88\x00\x0bgrpc-status\x02" "14", "\x48\x03" "404", "\x08\x03" "100",
                                         "\x20\x3f\x11", "\xff\xff"};
    static const char *const settings[] = {"", "\0\3\0\0\0\1", "\0\4\0\0\0\0", "\0\4\0\0\1\0", "\0\5\0\0\x40\0", "\0\5\0\0\0\1"};
    static const size_t sizes[] = {0, 6, 6, 6, 6, 6};
    uint8_t data[64] = {0};
    const uint32_t id = (uint32_t)(below(state, 24) ? 2 * below(state, CALLS) + 1 : below(state, 30));
    const uint8_t ends = below(state, 3) ? 0 : FLAG_END_STREAM;
    size_t size = below(state, 20), which;
    switch (below(state, 12)) {
        case 0:
            which = below(state, 6);
            return put_frame_to(at, FRAME_SETTINGS, 0, 0, settings[which], sizes[which]);
        case 1: return put_frame_to(at, FRAME_WINDOW_UPDATE, 0, below(state, 2) ? id : 0, "\0\0\0\x40", 4);
        case 2: put32(data, (uint32_t)below(state, 14)); return put_frame_to(at, FRAME_RST_STREAM, 0, id, data, 4);
        case 3: return put_frame_to(at, FRAME_PING, (uint8_t)below(state, 2), 0, data, 8);
        case 4:
            put32(data, (uint32_t)below(state, 2 * CALLS));
            return put_frame_to(at, below(state, 6) ? FRAME_PING : FRAME_GOAWAY, 0, 0, data, 8);
        case 5: return put_frame_to(at, (uint8_t)below(state, 12), (uint8_t)next(state), id, data, size);
        case 6: case 7: case 8: { /* a whole answer */
            at = put_frame_to(at, FRAME_HEADERS, FLAG_END_HEADERS, id, "\x88", 1);
            data[4] = (uint8_t)size;
            at = put_frame_to(at, FRAME_DATA, 0, id, data, GRPC_PREFIX + size);
            return put_frame_to(at, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, id, blocks[2], 15);
        }
        case 9:
            data[4] = (uint8_t)below(state, 30);
            return put_frame_to(at, FRAME_DATA, ends, id, data, GRPC_PREFIX + size);
        default: {
            const char *block = blocks[below(state, 8)];
            const uint8_t whole = below(state, 6) ? FLAG_END_HEADERS : 0;
            at = put_frame_to(at, FRAME_HEADERS, whole | ends, id, block, strlen(block));
            return whole ? at : put_frame_to(at, FRAME_CONTINUATION, FLAG_END_HEADERS, id, "", 0);
        }
    }
}

size_t unary_script(uint8_t *data, uint64_t *state) {
    uint8_t *at = data;
    *at++ = (uint8_t)next(state);
    *at++ = (uint8_t)next(state);
    if (below(state, 32)) at = put_frame_to(at, FRAME_SETTINGS, 0, 0, "", 0);
    for (size_t i = below(state, 20); i > 0 && at < data + UNARY_ROOM_BYTES - 200; i--) at = put_any(at, state);
    for (size_t i = below(state, 12) ? 0 : 1 + below(state, 3); i > 0; i--) {
        data[HEAD + below(state, (size_t)(at - data) - 1)] = (uint8_t)next(state);
    }
    return (size_t)(at - data);
}

/* ---- What must hold ------------------------------------------------------------------------------------------ */

typedef struct trial {
    unary *u;
    uint64_t calls[CALLS];
    int begun, ended, cancelled, answered;
} trial;

static void take(trial *t) {
    unary_end end;
    while (unary_next(t->u, &end)) {
        size_t i = 0;
        while (i < CALLS && t->calls[i] != end.call) i++;
        REQUIRE(i < CALLS);
        t->calls[i] = 0; /* once */
        t->ended++;
        t->answered += end.status == GRPC_OK;
        REQUIRE(end.status != GRPC_OK || (end.message_bytes <= limits.message_bytes && end.why == NULL));
        for (size_t at = 0; at < end.message_bytes; at++) REQUIRE(end.message[at] <= 0xff);
    }
    REQUIRE((int)unary_under_way(t->u) == t->begun - t->ended - t->cancelled);
    REQUIRE(unary_state(t->u) != UNARY_LOST || unary_under_way(t->u) == 0);
    REQUIRE(t->u->held <= limits.held_bytes + 16384);
    REQUIRE(t->u->open <= t->u->under_way);
}

static void begin(trial *t, size_t which) {
    static const uint8_t message[300] = {1};
    const uint64_t call = unary_call(t->u, fields, sizeof fields - 1, message, which % 2 ? sizeof message : which);
    if (call == 0) return;
    REQUIRE(call % 2 == 1);
    t->calls[which] = call;
    t->begun++;
}

int unary_target(const uint8_t *data, size_t size) {
    if (size < HEAD) return 0;
    const size_t cut = data[0] % 32, half = data[1] % 2;
    const size_t step = cut ? cut : size;
    trial t = {.u = unary_new(&limits)};
    REQUIRE(t.u != NULL);
    size_t count = half ? CALLS / 2 : CALLS;
    for (size_t i = 0; i < count; i++) begin(&t, i);
    const uint8_t *out;
    for (size_t at = HEAD, here, turn = 0; at < size; at += here, turn++) {
        here = size - at < step ? size - at : step;
        unary_feed(t.u, data + at, here);
        if (data[1] & 2) take(&t);
        if (data[1] & 4) unary_sent(t.u, unary_output(t.u, &out));
        if (turn == data[1] >> 4 && data[1] & 8) {
            const uint64_t gone = t.calls[turn % CALLS];
            if (gone && unary_cancel(t.u, gone)) {
                t.cancelled++;
            } else if (gone) { /* its end waited, and is gone with it */
                t.ended++;
            }
            t.calls[turn % CALLS] = 0;
        }
        if (turn == 2 && half) {
            for (size_t i = count; i < CALLS; i++) begin(&t, i);
        }
    }
    REQUIRE(!unary_cancel(t.u, 0) && !unary_cancel(t.u, 4711) && !unary_cancel(t.u, UINT64_MAX));
    take(&t);
    unary_sent(t.u, unary_output(t.u, &out));
    unary_lose(t.u, "over");
    take(&t);
    unary_end end;
    REQUIRE(!unary_next(t.u, &end) && t.u->calls == 0 && t.u->held == 0 && t.u->open == 0 && t.u->sending.first == NULL);
    REQUIRE(unary_call(t.u, fields, sizeof fields - 1, NULL, 0) == 0);
    unary_free(t.u);
    return t.answered;
}

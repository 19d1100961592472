/* SPDX-License-Identifier: Apache-2.0
 *
 * One input of the fuzzer: what a caller sends, what the socket takes and what the owner of calls does, in one script.
 * The checks are those of the rig; besides, what is fed in pieces must come to what is fed as a whole.
 */
#include "front_target.h"

#include <string.h>

#include "front_rig.h"
#include "front_worker.h"
#include "oip_target.h"

#define OPTION_RAW 0x01   /* no preface is sent first */
#define OPTION_SMALL 0x02 /* little may be held, and pieces hold more */
#define OPTION_CODEC 0x04
#define OPTION_REFUSES 0x08
#define CALLS 8 /* that the owner has in mind */
#define TAKEN_OUTPUT 16384

typedef struct script {
    rig *rig;
    size_t cut;
    uint64_t calls[CALLS];
    size_t taken;
} script;

static const front_limits small_limits = {.message_bytes = 300, .held_bytes = 4000, .streams = 4, .greeting_ms = 1,
                                          .waiting = 1};

static size_t number(const uint8_t *data, size_t size) { return size < 2 ? size : (size_t)data[0] << 8 | data[1]; }

static void take(script *s) {
    front_event event;
    if (!rig_take(s->rig, &event) || event.kind != FRONT_CALL) return;
    s->calls[s->taken++ % CALLS] = event.call;
}

static worker_scratch worker;

/* One step of the owner, or of a worker; whatever is said of calls that are gone changes nothing. */
static void act(script *s, uint8_t step, uint8_t which, size_t size) {
    static const uint8_t fields[] = "\x0b\0\0\0\1\0\0\0grpc-status0";
    static const uint8_t bytes[0xff * 257] = {0};
    front *f = s->rig->front;
    const uint64_t call = s->calls[which % CALLS];
    switch (step % 8) {
        case 0: (void)(front_answer(f, call, bytes, size) && (rig_finished(s->rig, call), 1)); break;
        case 1: front_begin(f, call, fields, sizeof fields - 1); break;
        case 2: front_send(f, call, bytes, size * 257); break;
        case 3: (void)(front_finish(f, call, fields, sizeof fields - 1) && (rig_finished(s->rig, call), 1)); break;
        case 4: front_read(f, call, size * 257); break;
        case 5:
            if (size == 0) connection_farewell(s->rig->c);
            break;
        case 6: worker_step(f, &worker); break;
        default: take(s);
    }
    rig_check(s->rig);
}

static void feed(script *s, const uint8_t *data, size_t size) {
    const size_t piece = s->cut == 0 ? size : s->cut;
    for (size_t at = 0; at < size; at += piece) {
        if (buffer_size(&s->rig->c->output) >= OUTPUT_BYTES) rig_drain(s->rig, TAKEN_OUTPUT); /* the front waits, too */
        rig_feed(s->rig, data + at, size - at < piece ? size - at : piece);
    }
}

static void feed_data(script *s, uint32_t id, uint8_t flags, size_t size) {
    uint8_t *bytes = calloc(1, FRAME_HEAD + size);
    REQUIRE(bytes != NULL);
    rig_put_frame(bytes, FRAME_DATA, flags & FLAG_END_STREAM, id, NULL, 0);
    bytes[0] = (uint8_t)(size >> 16);
    bytes[1] = (uint8_t)(size >> 8);
    bytes[2] = (uint8_t)size;
    const size_t cut = s->cut;
    if (cut > 0 && cut < 1000) s->cut = 1000;
    feed(s, bytes, FRAME_HEAD + size);
    s->cut = cut;
    free(bytes);
}

/* Obeys a frame that is the script's, or sends it. */
static void perform(script *s, const uint8_t *frame, size_t size) {
    const uint8_t *payload = frame + FRAME_HEAD;
    const size_t bytes = size - FRAME_HEAD;
    const uint32_t id = (uint32_t)frame[5] << 24 | (uint32_t)frame[6] << 16 | (uint32_t)frame[7] << 8 | frame[8];
    switch (frame[3]) {
        case SCRIPT_OWNER:
            for (size_t i = 0; i + 3 <= bytes; i += 3) act(s, payload[i], payload[i + 1], payload[i + 2]);
            break;
        case SCRIPT_DRAIN: rig_drain(s->rig, number(payload, bytes)); break;
        case SCRIPT_DATA: feed_data(s, id, frame[4], 64 * number(payload, bytes)); break;
        case SCRIPT_CUT: s->cut = number(payload, bytes); break;
        default: feed(s, frame, size);
    }
}

/* Runs a script; returns how many calls were handed over. */
static size_t run(const uint8_t *data, size_t size, uint8_t options, size_t cut, uint64_t *digest) {
    static uint8_t answer[1 << 16];
    front_limits limits = rig_limits;
    limits.waiting = 2;
    script s = {.rig = rig_new(options & OPTION_SMALL ? &small_limits : &limits), .cut = cut};
    rig_frame f;
    oip_server codec;
    if (options & OPTION_CODEC) {
        const oip_table *table = oip_target_server(&codec, answer, sizeof answer);
        front_serve(s.rig->front, &codec, table);
    }
    if (options & OPTION_REFUSES) front_refuse(s.rig->front, (const uint8_t *)"\1\0\0\0\1\0\0\0ab", 10);
    if (!(options & OPTION_RAW)) rig_greet(s.rig);
    while (size >= FRAME_HEAD) {
        const size_t length = FRAME_HEAD + ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]);
        const size_t here = length < size ? length : size;
        perform(&s, data, here);
        data += here;
        size -= here;
    }
    if (size > 0) feed(&s, data, size);
    while (rig_next(s.rig, &f)) continue;
    rig_close(s.rig);
    const size_t calls = s.rig->call_count;
    *digest = s.rig->digest;
    rig_free(s.rig);
    return calls;
}

int front_target(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const uint8_t options = data[0];
    int scripted = options & (OPTION_SMALL | OPTION_CODEC); /* the codec's ids are never twice the same */
    for (size_t i = 1; i < size; i++) scripted |= data[i] >= SCRIPT_OWNER;
    uint64_t whole, pieces;
    const size_t calls = run(data + 1, size - 1, options, 0, &whole);
    if (!scripted) {
        for (size_t cut = 1; cut < 8; cut += 3) {
            REQUIRE(run(data + 1, size - 1, options, cut, &pieces) == calls);
            REQUIRE(whole == pieces);
        }
    }
    return (int)calls;
}

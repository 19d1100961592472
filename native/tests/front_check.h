/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the front say to a rig and expect of it. What the rig checks at every step is not said again.
 */
#ifndef FRONT_CHECK_H
#define FRONT_CHECK_H

#include "../fuzz/front_rig.h"
#include "check.h"

#define ROOM ((size_t)1 << 21)

static const uint8_t ok_fields[] = "\x0b\0\0\0\1\0\0\0grpc-status0";
#define OK_FIELDS ok_fields, sizeof ok_fields - 1

static uint8_t bytes[ROOM]; /* zeros, mostly */

static inline rig *greeted(const front_limits *limits) {
    rig *r = rig_new(limits);
    rig_frame f;
    rig_greet(r);
    CHECK(rig_next(r, &f) && f.type == FRAME_SETTINGS && f.size == 24);
    CHECK(rig_next(r, &f) && f.type == FRAME_WINDOW_UPDATE && f.id == 0);
    CHECK(rig_next(r, &f) && f.type == FRAME_SETTINGS && f.flags == FLAG_ACK);
    CHECK(!rig_next(r, &f));
    return r;
}

static inline void update_window(rig *r, uint32_t id, uint32_t more) {
    const uint8_t data[4] = {(uint8_t)(more >> 24), (uint8_t)(more >> 16), (uint8_t)(more >> 8), (uint8_t)more};
    rig_frame_in(r, FRAME_WINDOW_UPDATE, 0, id, data, sizeof data);
}

static inline void set(rig *r, uint8_t name, uint32_t value) {
    const uint8_t data[6] = {0, name, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    rig_frame f;
    rig_frame_in(r, FRAME_SETTINGS, 0, 0, data, sizeof data);
    CHECK(rig_next(r, &f) && f.type == FRAME_SETTINGS && f.flags == FLAG_ACK);
}

static inline void reset(rig *r, uint32_t id) { rig_frame_in(r, FRAME_RST_STREAM, 0, id, bytes, 4); }

/* Takes the next event, which is of that kind; returns the call. */
static inline uint64_t told(rig *r, uint32_t kind) {
    front_event event;
    CHECK(rig_take(r, &event));
    CHECK(event.kind == kind);
    return event.call;
}

/* Takes a call, or a message, that has these bytes. */
static inline uint64_t told_data(rig *r, uint32_t kind, const char *data) {
    front_event event;
    CHECK(rig_take(r, &event) && event.kind == kind);
    CHECK(event.data_bytes == strlen(data) && (event.data_bytes == 0 || memcmp(event.data, data, strlen(data)) == 0));
    return event.call;
}

static inline void told_nothing(rig *r) {
    front_event event;
    CHECK(!rig_take(r, &event));
}

static inline void answer(rig *r, uint64_t call, const void *message, size_t size) {
    CHECK(front_answer(r->front, call, message, size));
    rig_finished(r, call);
    CHECK(!front_answer(r->front, call, message, size) && !front_finish(r->front, call, OK_FIELDS));
    CHECK(!front_send(r->front, call, message, size) && !front_begin(r->front, call, OK_FIELDS));
    CHECK(!front_read(r->front, call, size));
}

static inline int contains(const rig_frame *f, const char *text) {
    for (size_t i = 0; i + strlen(text) <= f->size; i++) {
        if (memcmp(f->data + i, text, strlen(text)) == 0) return 1;
    }
    return 0;
}

/* The whole answer to a call comes next: headers, this message, status OK. */
static inline void gets(rig *r, uint32_t id, const char *message) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == FLAG_END_HEADERS);
    CHECK(rig_next(r, &f) && f.type == FRAME_DATA && f.id == id && f.size == GRPC_PREFIX + strlen(message));
    CHECK(memcmp(f.data + GRPC_PREFIX, message, strlen(message)) == 0 && f.data[4] == strlen(message));
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == (FLAG_END_HEADERS | FLAG_END_STREAM));
    CHECK(contains(&f, "grpc-status\x01" "0"));
}

/* A call is refused: headers alone that say this. */
static inline void refused(rig *r, uint32_t id, const char *status) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == (FLAG_END_HEADERS | FLAG_END_STREAM));
    CHECK(contains(&f, status));
}

static inline void was_reset(rig *r, uint32_t id, uint8_t code) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_RST_STREAM && f.id == id && f.data[3] == code);
}

static inline void failed(rig *r, uint8_t code) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_GOAWAY && f.data[7] == code);
    CHECK(r->c->closing && r->c->open == 0);
}

static inline void is_served(rig *r, uint32_t id) {
    rig_request(r, id, RIG_UNARY, 0);
    rig_message(r, id, "still", 1);
    answer(r, told_data(r, FRONT_CALL, "still"), "here", 4);
    gets(r, id, "here");
}

/* Ends a rig whose connection went on well. */
static inline void done(rig *r) {
    rig_frame f;
    CHECK(!rig_next(r, &f) && !r->c->closing && !r->c->broken && r->c->open == 0);
    told_nothing(r);
    CHECK(r->core->held == 0 && r->core->running == 0);
    rig_free(r);
}

#endif

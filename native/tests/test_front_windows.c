/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows, large answers and blocks of fields of the front.
 */
#include "front_check.h"

/* ---- Windows ----------------------------------------------------------------------------------------------- */

static void test_closed_window(void) { /* of a stream: an answer comes byte by byte */
    rig *r = greeted(&rig_limits);
    rig_frame f;
    set(r, 4, 0);
    rig_request(r, 1, RIG_UNARY, 0);
    rig_message(r, 1, "x", 1);
    answer(r, told(r, FRONT_CALL), "slow", 4);
    CHECK(r->core->running == 1 && r->core->held > 0);
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && !(f.flags & FLAG_END_STREAM) && !rig_next(r, &f));
    for (size_t i = 0; i < 9; i++) {
        CHECK(r->core->running == 1);
        update_window(r, 1, 1);
        CHECK(rig_next(r, &f) && f.type == FRAME_DATA && f.size == 1 && f.data[0] == (uint8_t)"\0\0\0\0\4slow"[i]);
    }
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.flags & FLAG_END_STREAM);
    rig_request(r, 3, RIG_STREAM, 1); /* nothing to send but trailers */
    const uint64_t call = told(r, FRONT_CALL);
    told(r, FRONT_END);
    CHECK(front_finish(r->front, call, OK_FIELDS));
    rig_finished(r, call);
    refused(r, 3, "grpc-status\x01" "0");
    done(r);
}

static void test_moving_window(void) { /* SETTINGS_INITIAL_WINDOW_SIZE while data waits, into the negative and back */
    rig *r = greeted(&rig_limits);
    rig_frame f;
    size_t got = 0;
    set(r, 4, 100);
    rig_request(r, 1, RIG_UNARY, 0);
    rig_message(r, 1, "x", 1);
    answer(r, told(r, FRONT_CALL), bytes, 295);
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS);
    CHECK(rig_next(r, &f) && f.type == FRAME_DATA && f.size == 100 && !rig_next(r, &f));
    set(r, 4, 0); /* the window is -100 */
    update_window(r, 1, 100);
    CHECK(!rig_next(r, &f));
    update_window(r, 1, 1);
    CHECK(rig_next(r, &f) && f.size == 1 && !rig_next(r, &f));
    set(r, 4, 99);
    for (got = 101; rig_next(r, &f); got += f.size) CHECK(f.type == FRAME_DATA);
    CHECK(got == 200);
    set(r, 4, 1000);
    CHECK(rig_next(r, &f) && f.size == 100 && rig_next(r, &f) && f.flags & FLAG_END_STREAM);
    done(r);
    r = greeted(&rig_limits); /* beyond the limit */
    rig_request(r, 1, RIG_STREAM, 0);
    told(r, FRONT_CALL);
    update_window(r, 1, 0x7fffffff - DEFAULT_WINDOW);
    rig_frame_in(r, FRAME_SETTINGS, 0, 0, (const uint8_t *)"\0\4\0\1\0\0", 6);
    failed(r, H2_FLOW_CONTROL_ERROR);
    told(r, FRONT_GONE);
    rig_free(r);
}

/* The connection's window is shared out in turn, and no stream waits for one whose own window is closed. */
static void test_shared_window(void) {
    rig *r = greeted(&rig_limits);
    rig_frame f;
    size_t got[3] = {0};
    rig_request(r, 7, RIG_UNARY, 0); /* takes the window */
    rig_message(r, 7, "x", 1);
    answer(r, told(r, FRONT_CALL), bytes, DEFAULT_WINDOW - GRPC_PREFIX);
    while (rig_next(r, &f)) continue;
    for (uint32_t id = 9; id < 15; id += 2) {
        rig_request(r, id, RIG_UNARY, 0);
        rig_message(r, id, "x", 1);
        answer(r, told(r, FRONT_CALL), bytes, 50000 - GRPC_PREFIX);
        CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && !rig_next(r, &f));
    }
    update_window(r, 0, 3 * DEFAULT_FRAME);
    while (rig_next(r, &f)) got[(f.id - 9) / 2] += f.size;
    for (size_t i = 0; i < 3; i++) CHECK(got[i] == DEFAULT_FRAME);
    reset(r, 11);
    update_window(r, 0, 1 << 20);
    while (rig_next(r, &f)) got[(f.id - 9) / 2] += f.type == FRAME_DATA ? f.size : 0;
    CHECK(got[0] == 50000 && got[1] == DEFAULT_FRAME && got[2] == 50000);
    done(r);
}

static void test_wrong_windows(void) {
    rig *r = greeted(&rig_limits);
    rig_request(r, 1, RIG_STREAM, 0);
    told(r, FRONT_CALL);
    update_window(r, 1, 0);
    was_reset(r, 1, H2_PROTOCOL_ERROR);
    told(r, FRONT_GONE);
    rig_request(r, 3, RIG_STREAM, 0);
    told(r, FRONT_CALL);
    update_window(r, 3, 0x7fffffff);
    was_reset(r, 3, H2_FLOW_CONTROL_ERROR);
    told(r, FRONT_GONE);
    update_window(r, 3, 1); /* of one that is over */
    is_served(r, 5);
    update_window(r, 0, 0x7fffffff);
    failed(r, H2_FLOW_CONTROL_ERROR);
    rig_free(r);
    r = greeted(&rig_limits);
    update_window(r, 0, 0);
    failed(r, H2_PROTOCOL_ERROR);
    rig_free(r);
}

static void test_room(void) { /* the owner is told to wait, and then that there is room */
    rig *r = greeted(&rig_limits);
    rig_frame f;
    rig_request(r, 1, RIG_STREAM, 0);
    const uint64_t call = told(r, FRONT_CALL);
    size_t sends = 0;
    while (front_send(r->front, call, bytes, 10000) == 1) sends++;
    CHECK(sends * 10000 > DEFAULT_WINDOW + PENDING_BYTES - 20000 && sends * 10000 < DEFAULT_WINDOW + PENDING_BYTES);
    while (rig_next(r, &f)) continue;
    told_nothing(r);
    update_window(r, 1, PENDING_BYTES);
    update_window(r, 0, PENDING_BYTES / 2 - 1);
    while (rig_next(r, &f)) continue;
    told_nothing(r);
    update_window(r, 0, 20000);
    while (rig_next(r, &f)) continue;
    told(r, FRONT_ROOM);
    told_nothing(r);
    reset(r, 1);
    told(r, FRONT_GONE);
    done(r);
}

static void test_full_socket(void) { /* nothing is sent beyond what the output takes, and nothing is lost */
    rig *r = greeted(&rig_limits);
    rig_frame f;
    set(r, 4, 0x7fffffff);
    update_window(r, 0, 0x7fffffff - DEFAULT_WINDOW);
    rig_request(r, 1, RIG_STREAM, 0);
    const uint64_t call = told(r, FRONT_CALL);
    size_t sent = 0;
    while (front_send(r->front, call, bytes, 10000) == 1) sent += GRPC_PREFIX + 10000;
    sent += GRPC_PREFIX + 10000;
    CHECK(buffer_size(&r->c->output) < OUTPUT_BYTES + DEFAULT_FRAME + FRAME_HEAD);
    CHECK(front_finish(r->front, call, OK_FIELDS));
    rig_finished(r, call);
    for (size_t piece = 1; buffer_size(&r->c->output) > 0; piece = piece % 30000 + 997) rig_drain(r, piece);
    while (rig_read(r, &f)) continue;
    CHECK(r->data_bytes == sent && f.flags & FLAG_END_STREAM);
    reset(r, 1);
    done(r); /* who has said the last word is not told of room */
}

static void test_large_frames(void) { /* frames as large as the caller takes; fields that need CONTINUATION */
    rig *r = greeted(&rig_limits);
    rig_frame f;
    static uint8_t fields[8 + 1 + 40000] = {1, 0, 0, 0, 0x40, 0x9c, 0, 0, 'n'};
    rig_request(r, 1, RIG_STREAM, 1);
    const uint64_t call = told(r, FRONT_CALL);
    told(r, FRONT_END);
    CHECK(front_begin(r->front, call, fields, sizeof fields));
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.size == DEFAULT_FRAME && f.flags == 0);
    CHECK(rig_next(r, &f) && f.type == FRAME_CONTINUATION && f.size == DEFAULT_FRAME && f.flags == 0);
    CHECK(rig_next(r, &f) && f.type == FRAME_CONTINUATION && f.flags == FLAG_END_HEADERS);
    set(r, 5, 20000);
    set(r, 4, 100000);
    CHECK(front_send(r->front, call, bytes, 60000) == 1);
    CHECK(rig_next(r, &f) && f.size == 20000 && rig_next(r, &f) && rig_next(r, &f) && f.size == 20000);
    CHECK(rig_next(r, &f) && f.size == 5);
    CHECK(front_finish(r->front, call, fields, sizeof fields));
    rig_finished(r, call);
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.flags == FLAG_END_STREAM && f.size == 20000);
    CHECK(rig_next(r, &f) && f.type == FRAME_CONTINUATION && f.flags == 0 && rig_next(r, &f) && f.flags == FLAG_END_HEADERS);
    done(r);
}

/* ---- Blocks of fields -------------------------------------------------------------------------------------- */

static void test_continuation(void) { /* a block cut at every place, in two and in many frames, and padded */
    rig *r = greeted(&rig_limits);
    uint8_t block[RIG_BLOCK], padded[RIG_BLOCK];
    const size_t size = (size_t)(rig_put_request(block, RIG_UNARY) - block);
    uint32_t id = 1;
    for (size_t cut = 0; cut <= size; cut++, id += 2) {
        rig_frame_in(r, FRAME_HEADERS, 0, id, block, cut);
        rig_frame_in(r, FRAME_CONTINUATION, FLAG_END_HEADERS, id, block + cut, size - cut);
        rig_message(r, id, "cut", 1);
        answer(r, told_data(r, FRONT_CALL, "cut"), "", 0);
        gets(r, id, "");
    }
    for (size_t padding = 0; padding < 256; padding += 51, id += 2) {
        memset(padded, 0, sizeof padded);
        padded[0] = (uint8_t)padding;
        padded[5] = 200; /* weight */
        memcpy(padded + 6, block, size);
        rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY, id, padded, 6 + size + padding);
        rig_message(r, id, "padded", 1);
        answer(r, told_data(r, FRONT_CALL, "padded"), "", 0);
        gets(r, id, "");
    }
    rig_frame_in(r, FRAME_HEADERS, 0, id, NULL, 0); /* nothing at all is a block without what a request needs */
    rig_frame_in(r, FRAME_CONTINUATION, FLAG_END_HEADERS, id, NULL, 0);
    was_reset(r, id, H2_PROTOCOL_ERROR);
    done(r);
}

static void test_continuation_flood(void) {
    rig *r = greeted(&rig_limits);
    rig_frame_in(r, FRAME_HEADERS, 0, 1, NULL, 0);
    for (size_t i = 0; i < MAX_CONTINUATIONS; i++) rig_frame_in(r, FRAME_CONTINUATION, 0, 1, NULL, 0);
    CHECK(!r->c->closing);
    rig_frame_in(r, FRAME_CONTINUATION, 0, 1, NULL, 0);
    failed(r, H2_ENHANCE_YOUR_CALM);
    rig_free(r);
    r = greeted(&rig_limits);
    rig_frame_in(r, FRAME_HEADERS, 0, 1, bytes, 20000);
    rig_frame_in(r, FRAME_CONTINUATION, 0, 1, bytes, 20000);
    failed(r, H2_ENHANCE_YOUR_CALM);
    rig_free(r);
}

static void test_large_metadata(void) { /* as much as is advertised is taken; more is refused, and the table is right */
    rig *r = greeted(&rig_limits);
    static uint8_t block[40000];
    static char value[FIELDS_BYTES];
    for (uint32_t id = 1; id < 5; id += 2) {
        memset(value, 'v', sizeof value);
        value[FIELDS_BYTES - (id == 1 ? 315 : 314)] = 0; /* the others count as much */
        uint8_t *at = rig_put_text(rig_put_request(block, RIG_UNARY), "large", value);
        memcpy(at, "\x40\x01" "a\x01" "b", 5); /* enters the table although the call is refused */
        rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, id, block, (size_t)(at + 5 - block));
        rig_message(r, id, "x", 1);
        if (id == 1) {
            answer(r, told(r, FRONT_CALL), "y", 1);
            gets(r, 1, "y");
        }
    }
    refused(r, 3, "grpc-status\x01" "8");
    CHECK(r->c->fields.count == 2);
    done(r);
}

void test_front_windows(void) {
    test_closed_window();
    test_moving_window();
    test_shared_window();
    test_wrong_windows();
    test_room();
    test_full_socket();
    test_large_frames();
    test_continuation();
    test_continuation_flood();
    test_large_metadata();
}

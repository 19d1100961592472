/* SPDX-License-Identifier: Apache-2.0
 *
 * What the front refuses, and how its connections end.
 */
#include "front_check.h"

/* ---- Frames that break the rules --------------------------------------------------------------------------- */

static void test_broken_rules(void) {
    static const struct {
        uint8_t type, flags, id;
        size_t size;
        const char *data;
        uint8_t code;
    } cases[] = {
        {FRAME_DATA, 0, 0, 1, "x", H2_PROTOCOL_ERROR},
        {FRAME_DATA, 0, 1, 1, "x", H2_PROTOCOL_ERROR},
        {FRAME_DATA, 0, 2, 1, "x", H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, 4, 0, 1, "\x82", H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, 4, 2, 1, "\x82", H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, 4, 1, 1, "\x80", H2_COMPRESSION_ERROR},
        {FRAME_HEADERS, 4 | FLAG_PADDED, 1, 2, "\x02\x82", H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, 4 | FLAG_PADDED, 1, 0, "", H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, 4 | FLAG_PRIORITY, 1, 4, "\0\0\0\0", H2_PROTOCOL_ERROR},
        {FRAME_HEADERS, 4 | FLAG_PRIORITY, 1, 6, "\0\0\0\1\1\x82", H2_PROTOCOL_ERROR},
        {FRAME_PRIORITY, 0, 0, 5, "\0\0\0\0\1", H2_PROTOCOL_ERROR},
        {FRAME_PRIORITY, 0, 3, 4, "\0\0\0\0", H2_FRAME_SIZE_ERROR},
        {FRAME_PRIORITY, 0, 3, 5, "\0\0\0\3\1", H2_PROTOCOL_ERROR},
        {FRAME_RST_STREAM, 0, 0, 4, "\0\0\0\0", H2_PROTOCOL_ERROR},
        {FRAME_RST_STREAM, 0, 1, 4, "\0\0\0\0", H2_PROTOCOL_ERROR},
        {FRAME_RST_STREAM, 0, 1, 3, "\0\0\0", H2_FRAME_SIZE_ERROR},
        {FRAME_SETTINGS, 0, 1, 0, "", H2_PROTOCOL_ERROR},
        {FRAME_SETTINGS, 0, 0, 5, "\0\1\0\0\0", H2_FRAME_SIZE_ERROR},
        {FRAME_SETTINGS, 1, 0, 6, "\0\1\0\0\0\0", H2_FRAME_SIZE_ERROR},
        {FRAME_SETTINGS, 0, 0, 6, "\0\2\0\0\0\2", H2_PROTOCOL_ERROR},
        {FRAME_SETTINGS, 0, 0, 6, "\0\4\x80\0\0\0", H2_FLOW_CONTROL_ERROR},
        {FRAME_SETTINGS, 0, 0, 6, "\0\5\0\0\x3f\xff", H2_PROTOCOL_ERROR},
        {FRAME_SETTINGS, 0, 0, 6, "\0\5\1\0\0\0", H2_PROTOCOL_ERROR},
        {FRAME_PUSH_PROMISE, 4, 1, 4, "\0\0\0\2", H2_PROTOCOL_ERROR},
        {FRAME_PING, 0, 1, 8, "12345678", H2_PROTOCOL_ERROR},
        {FRAME_PING, 0, 0, 7, "1234567", H2_FRAME_SIZE_ERROR},
        {FRAME_GOAWAY, 0, 1, 8, "\0\0\0\0\0\0\0\0", H2_PROTOCOL_ERROR},
        {FRAME_GOAWAY, 0, 0, 7, "\0\0\0\0\0\0\0", H2_FRAME_SIZE_ERROR},
        {FRAME_WINDOW_UPDATE, 0, 0, 3, "\0\0\1", H2_FRAME_SIZE_ERROR},
        {FRAME_WINDOW_UPDATE, 0, 1, 4, "\0\0\0\1", H2_PROTOCOL_ERROR},
        {FRAME_CONTINUATION, 4, 1, 1, "\x82", H2_PROTOCOL_ERROR},
    };
    for (test_case = 0; test_case < sizeof cases / sizeof *cases; test_case++) {
        rig *r = greeted(&rig_limits);
        rig_frame_in(r, cases[test_case].type, cases[test_case].flags, cases[test_case].id,
                     (const uint8_t *)cases[test_case].data, cases[test_case].size);
        failed(r, cases[test_case].code);
        rig_free(r);
    }
    for (uint8_t type = 0; type < 20; type++) { /* between HEADERS and CONTINUATION */
        rig *r = greeted(&rig_limits);
        test_case = type;
        rig_frame_in(r, FRAME_HEADERS, 0, 1, NULL, 0);
        rig_frame_in(r, type, 0, type == FRAME_CONTINUATION ? 3 : 1, bytes, 8);
        failed(r, H2_PROTOCOL_ERROR);
        rig_free(r);
    }
}

static void test_large_heads(void) { /* a frame beyond the limits is refused by its head alone */
    static const uint8_t heads[][FRAME_HEAD] = {
        {4, 0, 1, FRAME_DATA, 0, 0, 0, 0, 1}, {0, 0x80, 1, FRAME_HEADERS, 4, 0, 0, 0, 1}, {0, 0x80, 1, 99, 0, 0, 0, 0, 1},
    };
    for (size_t i = 0; i < 3; i++) {
        rig *r = greeted(&rig_limits);
        rig_feed(r, heads[i], FRAME_HEAD);
        failed(r, i == 0 ? H2_FRAME_SIZE_ERROR : H2_ENHANCE_YOUR_CALM);
        rig_free(r);
    }
}

static void test_greetings(void) {
    static const char *const wrong[] = {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", "\x16\x03\x01"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t piece = 1; piece < 30; piece++) {
            rig *r = rig_new(&rig_limits);
            rig_frame f;
            for (size_t at = 0; at < strlen(wrong[i]); at += piece) {
                const size_t left = strlen(wrong[i]) - at;
                rig_feed(r, (const uint8_t *)wrong[i] + at, left < piece ? left : piece);
            }
            CHECK(rig_next(r, &f) && rig_next(r, &f));
            failed(r, H2_PROTOCOL_ERROR);
            rig_free(r);
        }
    }
    rig *r = rig_new(&rig_limits);
    rig_frame f;
    rig_feed(r, (const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x08\6\0\0\0\0\0" "12345678", 41);
    CHECK(rig_next(r, &f) && rig_next(r, &f));
    failed(r, H2_PROTOCOL_ERROR); /* a ping before the settings */
    rig_free(r);
}

static void test_harmless_frames(void) {
    rig *r = greeted(&rig_limits);
    rig_frame f;
    rig_frame_in(r, FRAME_PRIORITY, 0, 9, (const uint8_t *)"\0\0\0\1\1", 5);
    rig_frame_in(r, 0x42, 0xff, 77, bytes, 1000);
    rig_frame_in(r, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
    rig_frame_in(r, FRAME_PING, FLAG_ACK, 0, bytes, 8);
    rig_frame_in(r, FRAME_GOAWAY, 0, 0, bytes, 20);
    set(r, 99, 12345);
    rig_frame_in(r, FRAME_PING, 0, 0, (const uint8_t *)"12345678", 8);
    CHECK(rig_next(r, &f) && f.type == FRAME_PING && f.flags == FLAG_ACK && memcmp(f.data, "12345678", 8) == 0);
    is_served(r, 1);
    done(r);
}

static void test_closed_streams(void) { /* frames for streams that are over */
    rig *r = greeted(&rig_limits);
    is_served(r, 5);
    rig_message(r, 5, "late", 0);
    was_reset(r, 5, H2_STREAM_CLOSED);
    reset(r, 5);
    rig_request(r, 7, RIG_UNARY, 0);
    rig_message(r, 7, "ended", 1);
    rig_message(r, 7, "more", 1); /* the call is under way */
    was_reset(r, 7, H2_STREAM_CLOSED);
    told_data(r, FRONT_CALL, "ended");
    told(r, FRONT_GONE);
    rig_request(r, 9, RIG_STREAM, 1);
    rig_request(r, 9, RIG_STREAM, 1); /* fields after the end */
    was_reset(r, 9, H2_STREAM_CLOSED);
    told(r, FRONT_CALL);
    told(r, FRONT_END);
    told(r, FRONT_GONE);
    rig_request(r, 11, RIG_STREAM, 0);
    rig_request(r, 11, RIG_STREAM, 0); /* trailers that end nothing */
    was_reset(r, 11, H2_PROTOCOL_ERROR);
    told(r, FRONT_CALL);
    told(r, FRONT_GONE);
    rig_request(r, 13, RIG_STREAM, 0);
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 13, (const uint8_t *)"\0\1x\1y", 5);
    const uint64_t call = told(r, FRONT_CALL);
    told(r, FRONT_END);
    CHECK(front_finish(r->front, call, OK_FIELDS));
    rig_finished(r, call);
    refused(r, 13, "grpc-status\x01" "0");
    is_served(r, 15);
    rig_request(r, 3, RIG_UNARY, 0); /* a lower one */
    failed(r, H2_STREAM_CLOSED);
    rig_free(r);
}

/* ---- Limits ------------------------------------------------------------------------------------------------ */

static void test_refused_streams(void) {
    const front_limits limits = {.message_bytes = 100, .held_bytes = 1000, .streams = 2, .greeting_ms = 1};
    rig *r = greeted(&limits);
    uint8_t block[RIG_BLOCK], *at = rig_put_request(block, RIG_STREAM);
    rig_request(r, 1, RIG_STREAM, 0);
    rig_request(r, 3, RIG_STREAM, 0);
    memcpy(at, "\x40\x01" "a\x01" "b", 5);
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, 5, block, (size_t)(at - block) + 5);
    was_reset(r, 5, H2_REFUSED_STREAM);
    CHECK(r->c->fields.count == 1); /* its block was read */
    rig_message(r, 5, "on its way", 1);
    was_reset(r, 5, H2_STREAM_CLOSED);
    told(r, FRONT_CALL);
    told(r, FRONT_CALL);
    told_nothing(r);
    reset(r, 1);
    reset(r, 3);
    told(r, FRONT_GONE);
    told(r, FRONT_GONE);
    is_served(r, 7);
    done(r);
}

static void test_held_bytes(void) {
    const front_limits limits = {.message_bytes = 3000, .held_bytes = 4096, .streams = 9, .greeting_ms = 1};
    rig *r = greeted(&limits);
    rig_frame f;
    for (uint32_t id = 1; id < 7; id += 2) { /* the parts of three messages */
        rig_request(r, id, RIG_UNARY, 0);
        rig_frame_in(r, FRAME_DATA, 0, id, (const uint8_t *)"\0\0\0\x0b\xb8", 5);
        rig_frame_in(r, FRAME_DATA, 0, id, bytes, 1500);
    }
    refused(r, 5, "grpc-status\x01" "8");
    reset(r, 1);
    reset(r, 3);
    reset(r, 5);
    CHECK(r->core->held == 0);
    rig_request(r, 7, RIG_STREAM, 0); /* messages that nobody takes */
    uint8_t message[1005] = {0, 0, 0, 3, 0xe8};
    for (size_t i = 0; i < 6; i++) rig_frame_in(r, FRAME_DATA, 0, 7, message, sizeof message);
    refused(r, 7, "grpc-status\x01" "8");
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 7, NULL, 0);
    told(r, FRONT_CALL);
    for (size_t i = 0; i < 3; i++) told(r, FRONT_MESSAGE);
    told(r, FRONT_GONE);
    told_nothing(r);
    CHECK(r->core->held == 0);
    is_served(r, 9);
    static const uint8_t large[GRPC_PREFIX + 2500] = {0, 0, 0, 9, 0xc4};
    for (uint32_t id = 13; id < 17; id += 2) { /* calls that nobody takes */
        rig_request(r, id, RIG_UNARY, 0);
        rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, id, large, sizeof large);
    }
    refused(r, 15, "grpc-status\x01" "8");
    answer(r, told(r, FRONT_CALL), "", 0);
    gets(r, 13, "");
    told_nothing(r);
    CHECK(r->core->held == 0);
    set(r, 4, 0); /* answers that nobody reads */
    rig_request(r, 17, RIG_STREAM, 0);
    const uint64_t call = told(r, FRONT_CALL);
    while (front_send(r->front, call, bytes, 1000)) continue;
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS);
    was_reset(r, 17, H2_ENHANCE_YOUR_CALM);
    CHECK(told(r, FRONT_GONE) == call);
    set(r, 4, DEFAULT_WINDOW);
    is_served(r, 19);
    done(r);
}

static void test_connection_bytes(void) { /* one connection may hold so much, and no more for what others hold not */
    const front_limits limits = {.message_bytes = 3000, .held_bytes = 1 << 20, .connection_bytes = 4096, .streams = 9};
    rig *r = greeted(&limits);
    for (uint32_t id = 1; id < 7; id += 2) {
        rig_request(r, id, RIG_UNARY, 0);
        rig_frame_in(r, FRAME_DATA, 0, id, (const uint8_t *)"\0\0\0\x0b\xb8", 5);
        rig_frame_in(r, FRAME_DATA, 0, id, bytes, 1500);
    }
    refused(r, 5, "grpc-status\x01" "8");
    CHECK(r->c->held > 0 && r->c->held <= 4096);
    for (uint32_t id = 1; id < 7; id += 2) reset(r, id);
    CHECK(r->c->held == 0);
    is_served(r, 7);
    done(r);
}

static void test_too_many_resets(void) {
    rig *r = greeted(&rig_limits);
    uint32_t id = 1;
    front_event event;
    r->c->resets_at_ns = INT64_MAX; /* no time passes that would allow more */
    for (; !r->c->closing && id < 40000; id += 2) {
        rig_request(r, id, RIG_STREAM, 0);
        reset(r, id);
        while (rig_take(r, &event)) continue;
    }
    CHECK(id > 8000 && id < 8010);
    failed(r, H2_ENHANCE_YOUR_CALM);
    rig_free(r);
}

/* ---- Ends -------------------------------------------------------------------------------------------------- */

static void test_farewell(void) { /* calls under way go on; new ones are not seen, but their fields are read */
    rig *r = greeted(&rig_limits);
    rig_frame f;
    rig_request(r, 1, RIG_UNARY, 0);
    connection_farewell(r->c);
    connection_farewell(r->c);
    CHECK(rig_next(r, &f) && f.type == FRAME_GOAWAY && f.data[3] == 1 && f.data[7] == 0);
    uint8_t block[RIG_BLOCK], *at = rig_put_request(block, RIG_STREAM);
    memcpy(at, "\x40\x01" "a\x01" "b", 5);
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, 3, block, (size_t)(at - block) + 5);
    CHECK(r->c->fields.count == 1);
    update_window(r, 3, 1);
    reset(r, 3);
    rig_message(r, 1, "on", 1);
    answer(r, told_data(r, FRONT_CALL, "on"), "and on", 6);
    gets(r, 1, "and on");
    done(r);
    r = greeted(&rig_limits);
    connection_farewell(r->c);
    CHECK(rig_next(r, &f) && f.type == FRAME_GOAWAY);
    rig_message(r, 2, "of no client", 0); /* is as wrong as before */
    failed(r, H2_PROTOCOL_ERROR);
    rig_free(r);
}

static void test_refusing(void) { /* calls that begin, and those that have begun but not arrived */
    rig *r = greeted(&rig_limits);
    rig_request(r, 1, RIG_UNARY, 0);
    rig_request(r, 3, RIG_STREAM, 0);
    const uint64_t call = told(r, FRONT_CALL);
    CHECK(front_refuse(r->front, (const uint8_t *)"\x0b\0\0\0\2\0\0\0grpc-status14", 21) == 0);
    CHECK(front_refuse(r->front, (const uint8_t *)"\x0b\0\0\0\2\0\0\0grpc-status14", 21) == 0);
    rig_message(r, 1, "x", 1);
    refused(r, 1, "grpc-status\x02" "14");
    rig_request(r, 5, RIG_STREAM, 1);
    refused(r, 5, "grpc-status\x02" "14");
    rig_message(r, 3, "goes on", 1);
    told_data(r, FRONT_MESSAGE, "goes on");
    told(r, FRONT_END);
    CHECK(r->idle == 0);
    answer(r, call, "well", 4);
    gets(r, 3, "well");
    told_nothing(r);
    CHECK(r->idle > 0); /* said when nothing is under way any more */
    done(r);
}

/* RST_STREAM and the connection's end after every byte of a call, answered or not by then. */
static void test_every_moment(void) {
    uint8_t script[RIG_BLOCK], block[RIG_BLOCK], *end = script;
    for (int kind = RIG_INFER; kind <= RIG_INFERS; kind++) {
        const size_t fields = (size_t)(rig_put_request(block, kind) - block);
        end = rig_put_frame(script, FRAME_HEADERS, FLAG_END_HEADERS, 1, block, fields);
        end = rig_put_frame(end, FRAME_DATA, 0, 1, (const uint8_t *)"\0\0\0\0\3a", 6);
        end = rig_put_frame(end, FRAME_DATA, FLAG_END_STREAM, 1, (const uint8_t *)"bc", 2);
        const size_t size = (size_t)(end - script);
        for (test_case = 0; test_case < 4 * (size + 1); test_case++) {
            const size_t at = test_case / 4, way = test_case % 4;
            rig *r = greeted(&rig_limits);
            rig_frame f;
            front_event event;
            uint64_t call = 0;
            if (way == 3) set(r, 4, 2);
            rig_feed(r, script, at);
            while (way != 0 && rig_take(r, &event)) call = event.call;
            if (way >= 2 && call != 0 && front_send(r->front, call, (const uint8_t *)"part", 4)) rig_check(r);
            if (way == 3 && call != 0 && front_finish(r->front, call, OK_FIELDS)) rig_finished(r, call);
            const int between = at == size || at == fields + FRAME_HEAD || at == fields + 2 * FRAME_HEAD + 6;
            if (between && at > 0) {
                reset(r, 1);
                CHECK(r->c->open == 0 && r->core->running == 0);
                while (rig_take(r, &event)) continue;
                while (rig_next(r, &f)) continue;
                set(r, 4, DEFAULT_WINDOW);
                is_served(r, 3);
            }
            while (rig_next(r, &f)) continue;
            rig_free(r);
        }
    }
}

void test_front_limits(void) {
    test_broken_rules();
    test_large_heads();
    test_greetings();
    test_harmless_frames();
    test_closed_streams();
    test_refused_streams();
    test_held_bytes();
    test_connection_bytes();
    test_too_many_resets();
    test_farewell();
    test_refusing();
    test_every_moment();
}

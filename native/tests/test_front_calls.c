/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls and streams of the front without sockets.
 */
#include "front_check.h"

/* ---- Calls ------------------------------------------------------------------------------------------------- */

static void test_unary(void) {
    rig *r = greeted(&rig_limits);
    rig_request(r, 1, RIG_UNARY, 0);
    told_nothing(r);
    rig_message(r, 1, "hello", 1);
    CHECK(r->core->running == 1);
    answer(r, told_data(r, FRONT_CALL, "hello"), "world", 5);
    gets(r, 1, "world");
    rig_request(r, 3, RIG_UNARY, 0);
    rig_message(r, 3, "end follows", 0);
    told_nothing(r);
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 3, NULL, 0);
    answer(r, told_data(r, FRONT_CALL, "end follows"), "", 0);
    gets(r, 3, "");
    done(r);
}

/* A message in DATA frames of every size, with the end in the last one or after it, with and without padding. */
static void test_divided_messages(void) {
    static const char *const messages[] = {"", "a", "a message"};
    rig *r = greeted(&rig_limits);
    uint32_t id = 1;
    for (test_case = 0; test_case < 3 * 16 * 4; test_case++, id += 2) {
        const char *message = messages[test_case % 3];
        const size_t piece = 1 + test_case / 3 % 16, form = test_case / 48;
        const size_t size = GRPC_PREFIX + strlen(message);
        uint8_t data[32] = {0};
        data[4] = (uint8_t)strlen(message);
        memcpy(data + GRPC_PREFIX, message, strlen(message));
        rig_request(r, id, RIG_UNARY, 0);
        for (size_t at = 0; at < size; at += piece) {
            const size_t here = size - at < piece ? size - at : piece;
            const uint8_t end = at + here == size && form % 2 ? FLAG_END_STREAM : 0;
            uint8_t padded[64] = {7};
            memcpy(padded + 1, data + at, here);
            if (form < 2) rig_frame_in(r, FRAME_DATA, end, id, data + at, here);
            else rig_frame_in(r, FRAME_DATA, end | FLAG_PADDED, id, padded, 1 + here + 7);
        }
        if (form % 2 == 0) rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, id, NULL, 0);
        answer(r, told_data(r, FRONT_CALL, message), message, strlen(message));
        gets(r, id, message);
    }
    done(r);
}

static void test_fields(void) {
    static const struct {
        const char *name, *value, *status; /* status: what the trailers say, or NULL for a reset */
    } cases[] = {
        {"grpc-timeout", "x", NULL},     {"grpc-timeout", "123456789S", NULL}, {"grpc-timeout", "1", NULL},
        {"grpc-timeout", "-1S", NULL},   {"te", "gzip", NULL},                 {"connection", "close", NULL},
        {"Name", "upper", NULL},         {":other", "x", NULL},                {":path", "/twice", NULL},
        {"transfer-encoding", "x", NULL}, {"", "x", NULL},                     {"a b", "x", NULL},
        {"x", "a\nb", NULL},             {"x", "a\rb", NULL},                  {"content-length", "1x", NULL},
        {"content-length", "1234567890123456789", NULL},
    };
    rig *r = greeted(&rig_limits);
    uint32_t id = 1;
    for (test_case = 0; test_case < sizeof cases / sizeof *cases; test_case++, id += 2) {
        uint8_t block[RIG_BLOCK];
        const uint8_t *end = rig_put_text(rig_put_request(block, RIG_STREAM), cases[test_case].name, cases[test_case].value);
        rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, id, block, (size_t)(end - block));
        was_reset(r, id, H2_PROTOCOL_ERROR);
        told_nothing(r);
    }
    is_served(r, id);
    done(r);
}

static void test_deadlines(void) {
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {{"1H", INT64_C(3600000000000)}, {"2M", INT64_C(120000000000)}, {"99999999S", INT64_C(99999999000000000)},
                 {"5m", 5000000}, {"7u", 7000}, {"0n", 0}, {"00000001S", 1000000000}, {"99999999H", INT64_MAX}};
    rig *r = greeted(&rig_limits);
    uint32_t id = 1;
    for (test_case = 0; test_case < sizeof cases / sizeof *cases; test_case++, id += 2) {
        uint8_t block[RIG_BLOCK];
        front_event event;
        const uint8_t *end = rig_put_text(rig_put_request(block, RIG_STREAM), "grpc-timeout", cases[test_case].text);
        const int64_t before = front_now();
        rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, id, block, (size_t)(end - block));
        CHECK(rig_take(r, &event) && event.kind == FRONT_CALL && event.fields_bytes == 0);
        if (cases[test_case].ns == INT64_MAX) CHECK(event.deadline_ns == INT64_MAX);
        else CHECK(event.deadline_ns >= before + cases[test_case].ns && event.deadline_ns <= front_now() + cases[test_case].ns);
        reset(r, id);
        told(r, FRONT_GONE);
    }
    done(r);
}

static void test_metadata(void) { /* as the header says: sizes, then texts; without what gRPC itself reads */
    rig *r = greeted(&rig_limits);
    uint8_t block[RIG_BLOCK], *at = rig_put_text(rig_put_request(block, RIG_UNARY), "secret", "of a call before");
    front_event event;
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1, block, (size_t)(at - block));
    refused(r, 1, "grpc-status\x02" "13"); /* whose memory is used again */
    at = rig_put_request(block, RIG_STREAM);
    at = rig_put_text(at, "key", "value");
    at = rig_put_text(at, "grpc-accept-encoding", "gzip");
    at = rig_put_text(at, "empty", "");
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, 3, block, (size_t)(at - block));
    CHECK(rig_take(r, &event) && event.deadline_ns == -1);
    CHECK(event.fields_bytes == 29 && memcmp(event.fields, "\3\0\0\0\5\0\0\0keyvalue\5\0\0\0\0\0\0\0empty", 29) == 0);
    reset(r, 3);
    told(r, FRONT_GONE);
    done(r);
}

static void test_wrong_calls(void) {
    rig *r = greeted(&rig_limits);
    uint8_t block[RIG_BLOCK], *at = block;
    rig_request(r, 1, RIG_UNARY, 1);
    refused(r, 1, "grpc-status\x02" "13");
    rig_request(r, 3, RIG_UNARY, 0); /* ends in the prefix */
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 3, bytes, 3);
    refused(r, 3, "grpc-status\x02" "13");
    rig_request(r, 5, RIG_UNARY, 0); /* ends in the message */
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 5, (const uint8_t *)"\0\0\0\0\5ab", 7);
    refused(r, 5, "grpc-status\x02" "13");
    rig_request(r, 7, RIG_UNARY, 0); /* two messages, in one frame and in two */
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 7, (const uint8_t *)"\0\0\0\0\1a\0\0\0\0\1b", 12);
    refused(r, 7, "grpc-status\x02" "13");
    rig_request(r, 9, RIG_UNARY, 0);
    rig_message(r, 9, "one", 0);
    rig_message(r, 9, "two", 1);
    refused(r, 9, "grpc-status\x02" "13");
    rig_request(r, 11, RIG_UNARY, 0); /* the first byte */
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 11, (const uint8_t *)"\2\0\0\0\1a", 6);
    refused(r, 11, "grpc-status\x02" "13");
    rig_request(r, 13, RIG_UNARY, 0); /* a byte too many */
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 13, (const uint8_t *)"\0\0\x40\0\1a", 6);
    refused(r, 13, "grpc-status\x01" "8");
    at = rig_put_text(at, ":method", "POST");
    at = rig_put_text(at, ":scheme", "http");
    at = rig_put_text(at, ":path", "/test.Service/Unknown");
    at = rig_put_text(at, "content-type", "application/grpc+proto");
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 15, block, (size_t)(at - block));
    refused(r, 15, "grpc-status\x02" "12");
    is_served(r, 17);
    done(r);
}

static void test_lengths(void) { /* content-length against what comes */
    rig *r = greeted(&rig_limits);
    static const char *const said[] = {"6", "5", "7", "0"};
    uint32_t id = 1;
    for (test_case = 0; test_case < 8; test_case++, id += 2) {
        uint8_t block[RIG_BLOCK];
        const uint8_t *end = rig_put_text(rig_put_request(block, RIG_UNARY), "content-length", said[test_case / 2]);
        rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, id, block, (size_t)(end - block));
        rig_message(r, id, "x", test_case % 2);
        if (test_case % 2 == 0) rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, id, NULL, 0);
        if (test_case / 2 > 0) {
            was_reset(r, id, H2_PROTOCOL_ERROR);
            if (test_case / 2 != 2 && test_case % 2 == 0) was_reset(r, id, H2_STREAM_CLOSED);
        } else {
            answer(r, told_data(r, FRONT_CALL, "x"), "y", 1);
            gets(r, id, "y");
        }
    }
    done(r);
}

/* What was refused while the caller sends: what still comes is thrown away, and too much of it is stopped. */
static void test_lingering(void) {
    rig *r = greeted(&rig_limits);
    for (uint32_t id = 1; id < 9; id += 2) {
        rig_request(r, id, RIG_UNARY, 0);
        rig_frame_in(r, FRAME_DATA, 0, id, (const uint8_t *)"\2\0\0\0\1a", 6);
        refused(r, id, "grpc-status\x02" "13");
    }
    CHECK(r->core->running == 0 && r->c->open == 4);
    rig_frame_in(r, FRAME_DATA, 0, 1, bytes, 1000);
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 1, bytes, 1000);
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 3, (const uint8_t *)"\x00\x01x\x01y", 5);
    reset(r, 5);
    rig_frame_in(r, FRAME_DATA, 0, 7, bytes, LINGER_BYTES);
    rig_frame_in(r, FRAME_DATA, 0, 7, bytes, 1);
    was_reset(r, 7, H2_NO_ERROR);
    /* The refusal falls within a frame whose rest comes later. */
    rig_request(r, 9, RIG_UNARY, 0);
    uint8_t frame[FRAME_HEAD + 20];
    rig_put_frame(frame, FRAME_DATA, FLAG_END_STREAM, 9, (const uint8_t *)"\2\0\0\0\1abcdefghijklmno", 20);
    for (size_t i = 0; i < sizeof frame; i++) rig_feed(r, frame + i, 1);
    refused(r, 9, "grpc-status\x02" "13");
    /* The owner's last word falls within a frame. */
    rig_request(r, 11, RIG_STREAM, 0);
    const uint64_t call = told(r, FRONT_CALL);
    rig_put_frame(frame, FRAME_DATA, 0, 11, (const uint8_t *)"\0\0\0\0\xff" "bcdefghijklmnop", 20);
    rig_feed(r, frame, 20);
    CHECK(front_finish(r->front, call, OK_FIELDS));
    rig_finished(r, call);
    rig_feed(r, frame + 20, sizeof frame - 20);
    rig_message(r, 11, "more", 1);
    refused(r, 11, "grpc-status\x01" "0");
    /* A refused caller goes on in one large frame, until it is stopped within it. */
    static uint8_t large[FRAME_HEAD + 3 * LINGER_BYTES];
    rig_request(r, 13, RIG_UNARY, 0);
    rig_put_frame(large, FRAME_DATA, 0, 13, (const uint8_t *)"\2\0\0\0\1", 5);
    large[0] = 3 * LINGER_BYTES >> 16;
    large[2] = 0;
    for (size_t at = 0; at < sizeof large; at += 10000) rig_feed(r, large + at, sizeof large - at < 10000 ? sizeof large - at : 10000);
    refused(r, 13, "grpc-status\x02" "13");
    was_reset(r, 13, H2_NO_ERROR);
    is_served(r, 15);
    done(r);
}

/* ---- Streams ----------------------------------------------------------------------------------------------- */

static void test_stream(void) {
    rig *r = greeted(&rig_limits);
    rig_frame f;
    rig_request(r, 1, RIG_STREAM, 0);
    const uint64_t call = told_data(r, FRONT_CALL, "");
    rig_message(r, 1, "one", 0);
    rig_message(r, 1, "", 0);
    rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 1, (const uint8_t *)"\0\0\0\0\1a\0\0\0\0\0\1\0\0\0\1b", 17);
    CHECK(told_data(r, FRONT_MESSAGE, "one") == call && told_data(r, FRONT_MESSAGE, "") == call);
    CHECK(told_data(r, FRONT_MESSAGE, "a") == call && told_data(r, FRONT_MESSAGE, "") == call);
    front_event event;
    CHECK(rig_take(r, &event) && event.kind == FRONT_MESSAGE && event.flags == FRONT_COMPRESSED && event.data_bytes == 1);
    CHECK(told(r, FRONT_END) == call);
    CHECK(front_begin(r->front, call, (const uint8_t *)"\1\0\0\0\1\0\0\0ab", 10));
    CHECK(!front_begin(r->front, call, (const uint8_t *)"\1\0\0\0\1\0\0\0ab", 10));
    CHECK(front_send(r->front, call, (const uint8_t *)"x", 1) == 1);
    CHECK(front_finish(r->front, call, OK_FIELDS));
    rig_finished(r, call);
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && contains(&f, "\x01" "a\x01" "b"));
    CHECK(rig_next(r, &f) && f.type == FRAME_DATA && f.size == 6);
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.flags & FLAG_END_STREAM);
    done(r);
}

/* Messages that nobody reads: the caller's window closes, and opens as they are read. */
static void test_unread(void) {
    rig *r = greeted(&rig_limits);
    rig_frame f;
    rig_request(r, 1, RIG_STREAM, 0);
    const uint64_t call = told(r, FRONT_CALL);
    static const uint8_t message[1024 + 5] = {0, 0, 0, 4, 0};
    int64_t window = STREAM_WINDOW;
    size_t count = 0;
    for (; window >= (int64_t)sizeof message; count++) {
        rig_frame_in(r, FRAME_DATA, 0, 1, message, sizeof message);
        window -= sizeof message;
        while (rig_next(r, &f)) {
            CHECK(f.type == FRAME_WINDOW_UPDATE);
            if (f.id == 1) window += (int64_t)f.data[1] << 16 | (int64_t)f.data[2] << 8 | f.data[3];
        }
    }
    CHECK(count * sizeof message <= STREAM_WINDOW + UNREAD_BYTES + sizeof message);
    rig_frame_in(r, FRAME_DATA, 0, 1, message, sizeof message); /* beyond the window */
    was_reset(r, 1, H2_FLOW_CONTROL_ERROR);
    front_event event;
    size_t messages = 0;
    while (rig_take(r, &event) && event.kind == FRONT_MESSAGE) messages++;
    CHECK(event.kind == FRONT_GONE && event.call == call);
    CHECK(messages < UNREAD_BYTES / (1024 + FRONT_MESSAGE_BYTES) + 2);

    rig_request(r, 3, RIG_STREAM, 0);
    const uint64_t other = told(r, FRONT_CALL);
    for (size_t i = 0; i < 8192; i++) { /* 8 MiB, each read before the next */
        rig_frame_in(r, FRAME_DATA, 0, 3, message, sizeof message);
        CHECK(told(r, FRONT_MESSAGE) == other && front_read(r->front, other, 1024 + FRONT_MESSAGE_BYTES));
        rig_check(r);
        while (rig_next(r, &f)) CHECK(f.type == FRAME_WINDOW_UPDATE);
    }
    reset(r, 3);
    told(r, FRONT_GONE);
    done(r);
}

/* Thousands of messages, the last one torn or not, come out in order and as a whole when they are read late. */
static void test_backlog(void) {
    static const size_t sizes[] = {0, 1, 3, 200};
    for (test_case = 0; test_case < 8; test_case++) {
        rig *r = greeted(&rig_limits);
        rig_frame f;
        front_event event;
        rig_request(r, 1, RIG_STREAM, 0);
        const uint64_t call = told(r, FRONT_CALL);
        const size_t size = sizes[test_case / 2], count = 100000 / (GRPC_PREFIX + size), torn = test_case % 2;
        uint8_t data[100 * (GRPC_PREFIX + 200)];
        for (size_t sent = 0; sent < count;) {
            size_t here = 0;
            for (; here < 100 && sent < count; here++, sent++) {
                uint8_t *at = data + here * (GRPC_PREFIX + size);
                memset(at, (int)(sent % 251), GRPC_PREFIX + size);
                memcpy(at, (const uint8_t[]){0, 0, 0, 0, (uint8_t)size}, GRPC_PREFIX);
            }
            rig_frame_in(r, FRAME_DATA, 0, 1, data, here * (GRPC_PREFIX + size));
        }
        rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, 1, bytes, torn ? 3 : 0);
        for (size_t i = 0; i < count; i++) {
            CHECK(rig_take(r, &event) && event.kind == FRONT_MESSAGE && event.data_bytes == size);
            for (size_t k = 0; k < size; k++) CHECK(event.data[k] == (uint8_t)(i % 251));
            CHECK(front_read(r->front, call, size + FRONT_MESSAGE_BYTES) || torn);
            rig_check(r);
        }
        if (torn) {
            CHECK(told(r, FRONT_GONE) == call && rig_next(r, &f) && f.flags & FLAG_END_STREAM && contains(&f, "13"));
        } else {
            CHECK(told(r, FRONT_END) == call && front_finish(r->front, call, OK_FIELDS));
            rig_finished(r, call);
            refused(r, 1, "grpc-status\x01" "0");
        }
        done(r);
    }
}

void test_front_calls(void) {
    test_unary();
    test_divided_messages();
    test_fields();
    test_deadlines();
    test_metadata();
    test_wrong_calls();
    test_lengths();
    test_lingering();
    test_stream();
    test_unread();
    test_backlog();
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections, streams and calls of the front without sockets. What the rig checks at every step is not said again here.
 */
#include "../fuzz/front_rig.h"
#include "../fuzz/front_target.h"
#include "../fuzz/oip_target.h"
#include "check.h"

#define SCRIPTS 4000
#define ROOM ((size_t)1 << 21)

static const uint8_t ok_fields[] = "\x0b\0\0\0\1\0\0\0grpc-status0";
#define OK_FIELDS ok_fields, sizeof ok_fields - 1

static uint8_t bytes[ROOM]; /* zeros, mostly */

static rig *greeted(const front_limits *limits) {
    rig *r = rig_new(limits);
    rig_frame f;
    rig_greet(r);
    CHECK(rig_next(r, &f) && f.type == FRAME_SETTINGS && f.size == 24);
    CHECK(rig_next(r, &f) && f.type == FRAME_WINDOW_UPDATE && f.id == 0);
    CHECK(rig_next(r, &f) && f.type == FRAME_SETTINGS && f.flags == FLAG_ACK);
    CHECK(!rig_next(r, &f));
    return r;
}

static void update_window(rig *r, uint32_t id, uint32_t more) {
    const uint8_t data[4] = {(uint8_t)(more >> 24), (uint8_t)(more >> 16), (uint8_t)(more >> 8), (uint8_t)more};
    rig_frame_in(r, FRAME_WINDOW_UPDATE, 0, id, data, sizeof data);
}

static void set(rig *r, uint8_t name, uint32_t value) {
    const uint8_t data[6] = {0, name, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    rig_frame f;
    rig_frame_in(r, FRAME_SETTINGS, 0, 0, data, sizeof data);
    CHECK(rig_next(r, &f) && f.type == FRAME_SETTINGS && f.flags == FLAG_ACK);
}

static void reset(rig *r, uint32_t id) { rig_frame_in(r, FRAME_RST_STREAM, 0, id, bytes, 4); }

/* Takes the next event, which is of that kind; returns the call. */
static uint64_t told(rig *r, uint32_t kind) {
    front_event event;
    CHECK(rig_take(r, &event));
    CHECK(event.kind == kind);
    return event.call;
}

/* Takes a call, or a message, that has these bytes. */
static uint64_t told_data(rig *r, uint32_t kind, const char *data) {
    front_event event;
    CHECK(rig_take(r, &event) && event.kind == kind);
    CHECK(event.data_bytes == strlen(data) && (event.data_bytes == 0 || memcmp(event.data, data, strlen(data)) == 0));
    return event.call;
}

static void told_nothing(rig *r) {
    front_event event;
    CHECK(!rig_take(r, &event));
}

static void answer(rig *r, uint64_t call, const void *message, size_t size) {
    CHECK(front_answer(r->front, call, message, size));
    rig_finished(r, call);
    CHECK(!front_answer(r->front, call, message, size) && !front_finish(r->front, call, OK_FIELDS));
    CHECK(!front_send(r->front, call, message, size) && !front_begin(r->front, call, OK_FIELDS));
    CHECK(!front_read(r->front, call, size));
}

static int contains(const rig_frame *f, const char *text) {
    for (size_t i = 0; i + strlen(text) <= f->size; i++) {
        if (memcmp(f->data + i, text, strlen(text)) == 0) return 1;
    }
    return 0;
}

/* The whole answer to a call comes next: headers, this message, status OK. */
static void gets(rig *r, uint32_t id, const char *message) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == FLAG_END_HEADERS);
    CHECK(rig_next(r, &f) && f.type == FRAME_DATA && f.id == id && f.size == GRPC_PREFIX + strlen(message));
    CHECK(memcmp(f.data + GRPC_PREFIX, message, strlen(message)) == 0 && f.data[4] == strlen(message));
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == (FLAG_END_HEADERS | FLAG_END_STREAM));
    CHECK(contains(&f, "grpc-status\x01" "0"));
}

/* A call is refused: headers alone that say this. */
static void refused(rig *r, uint32_t id, const char *status) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == (FLAG_END_HEADERS | FLAG_END_STREAM));
    CHECK(contains(&f, status));
}

static void was_reset(rig *r, uint32_t id, uint8_t code) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_RST_STREAM && f.id == id && f.data[3] == code);
}

static void failed(rig *r, uint8_t code) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_GOAWAY && f.data[7] == code);
    CHECK(r->c->closing && r->c->open == 0);
}

static void is_served(rig *r, uint32_t id) {
    rig_request(r, id, RIG_UNARY, 0);
    rig_message(r, id, "still", 1);
    answer(r, told_data(r, FRONT_CALL, "still"), "here", 4);
    gets(r, id, "here");
}

/* Ends a rig whose connection went on well. */
static void done(rig *r) {
    rig_frame f;
    CHECK(!rig_next(r, &f) && !r->c->closing && !r->c->broken && r->c->open == 0);
    told_nothing(r);
    CHECK(r->core->held == 0 && r->core->running == 0);
    rig_free(r);
}

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
    for (; !r->c->closing && id < 40000; id += 2) {
        rig_request(r, id, RIG_STREAM, 0);
        reset(r, id);
        while (rig_take(r, &event)) continue;
    }
    CHECK(id > 8000 && id < 40000);
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

/* ---- All together ------------------------------------------------------------------------------------------ */

static void test_codec(void) { /* plain inferences are answered without an event */
    static uint8_t written[4096];
    rig *r = greeted(&rig_limits);
    oip_server codec;
    front_serve(r->front, &codec, oip_target_server(&codec, written, sizeof written));
    uint32_t id = 1;
    size_t answered = 0;
    for (size_t i = 0; i < oip_seed_count; i++, id += 2) {
        uint8_t data[RIG_BLOCK] = {0};
        front_event event;
        rig_frame f;
        const size_t size = oip_seeds[i].size;
        data[4] = (uint8_t)size;
        memcpy(data + GRPC_PREFIX, oip_seeds[i].bytes, size);
        rig_request(r, id, RIG_INFER, 0);
        rig_frame_in(r, FRAME_DATA, i % 2 ? FLAG_END_STREAM : 0, id, data, GRPC_PREFIX + size);
        if (i % 2 == 0) rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, id, NULL, 0);
        if (rig_take(r, &event)) {
            CHECK(event.data_bytes == size && (size == 0 || memcmp(event.data, oip_seeds[i].bytes, size) == 0));
            CHECK((event.flags == FRONT_BEGUN) == (i == 3));
            answer(r, event.call, "", 0);
        } else {
            answered++;
        }
        while (rig_next(r, &f)) CHECK(f.id == id);
        CHECK(f.flags & FLAG_END_STREAM);
    }
    CHECK(answered >= 2);
    front_serve(r->front, NULL, NULL);
    done(r);
}

/* In a stream the codec answers until the owner has to, and again when he has answered what is his. */
static void test_codec_in_stream(void) {
    static uint8_t written[4096];
    rig *r = greeted(&rig_limits);
    rig_frame f;
    oip_server codec;
    uint8_t plain[RIG_BLOCK] = {0};
    const size_t size = oip_seeds[0].size;
    plain[4] = (uint8_t)size;
    memcpy(plain + GRPC_PREFIX, oip_seeds[0].bytes, size);
    front_serve(r->front, &codec, oip_target_server(&codec, written, sizeof written));
    rig_request(r, 1, RIG_INFERS, 0);
    const uint64_t call = told(r, FRONT_CALL);
    for (size_t i = 0; i < GRPC_PREFIX + size; i++) rig_frame_in(r, FRAME_DATA, 0, 1, plain + i, 1);
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && rig_next(r, &f) && f.type == FRAME_DATA);
    CHECK(f.data[GRPC_PREFIX] == 0x12 && contains(&f, "triton_final_response\x12\x02\x08\x01"));
    CHECK(f.size == GRPC_PREFIX + ((size_t)f.data[3] << 8 | f.data[4]) && !rig_next(r, &f));
    told_nothing(r);
    rig_message(r, 1, "not plain", 0);
    rig_frame_in(r, FRAME_DATA, 0, 1, plain, GRPC_PREFIX + size); /* would overtake */
    CHECK(!rig_next(r, &f));
    CHECK(told_data(r, FRONT_MESSAGE, "not plain") == call && told(r, FRONT_MESSAGE) == call);
    CHECK(front_send(r->front, call, (const uint8_t *)"1", 1) == 1);
    rig_frame_in(r, FRAME_DATA, 0, 1, plain, GRPC_PREFIX + size);
    CHECK(told(r, FRONT_MESSAGE) == call);
    CHECK(front_send(r->front, call, (const uint8_t *)"2", 1) == 1 && front_send(r->front, call, (const uint8_t *)"3", 1) == 1);
    for (uint8_t i = 1; i <= 3; i++) CHECK(rig_next(r, &f) && f.size == 6 && f.data[5] == '0' + i);
    plain[0] = 1; /* compressed: not for the codec */
    rig_frame_in(r, FRAME_DATA, 0, 1, plain, GRPC_PREFIX + size);
    CHECK(told(r, FRONT_MESSAGE) == call && front_send(r->front, call, (const uint8_t *)"4", 1) == 1 && rig_next(r, &f));
    plain[0] = 0;
    for (size_t sent = 0; sent <= DEFAULT_WINDOW + PENDING_BYTES; sent += 100) { /* the caller does not read */
        rig_frame_in(r, FRAME_DATA, 0, 1, plain, GRPC_PREFIX + size);
    }
    while (rig_next(r, &f)) continue;
    CHECK(stream_find(r->c, 1)->pending.end < PENDING_BYTES + 1000);
    told(r, FRONT_MESSAGE); /* waits for him */
    reset(r, 1);
    front_event event;
    while (rig_take(r, &event)) continue;
    CHECK(event.kind == FRONT_GONE);
    done(r);
}

/* Calls of every kind and wrong ones, among other frames, as they come out of a socket: at once, cut into two everywhere,
 * byte by byte, and in random pieces. */
static void test_pieces(void) {
    static uint8_t all[8192], block[RIG_BLOCK];
    static const uint8_t message[] = "\0\0\0\0\3abc";
    uint8_t *end = all;
    uint64_t digest = 0;
    size_t calls = 0;
    memcpy(end, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    end = rig_put_frame(end + 24, FRAME_SETTINGS, 0, 0, (const uint8_t *)"\0\4\0\0\0\2", 6);
    for (uint32_t id = 1; id < 25; id += 2) {
        const size_t size = (size_t)(rig_put_request(block, (int)(id / 2 % 4)) - block), cut = size / (id % 5 + 1);
        end = rig_put_frame(end, FRAME_HEADERS, 0, id, block, cut);
        end = rig_put_frame(end, FRAME_CONTINUATION, FLAG_END_HEADERS, id, block + cut, size - cut);
        if (id % 3 == 0) end = rig_put_frame(end, FRAME_DATA, FLAG_PADDED, id, (const uint8_t *)"\3\0\0\0\0\0pad", 9);
        end = rig_put_frame(end, FRAME_DATA, FLAG_END_STREAM, id, message, 8 - id % 4 / 3);
        end = rig_put_frame(end, FRAME_PING, 0, 0, message, 8);
        if (id % 5 == 0) end = rig_put_frame(end, FRAME_RST_STREAM, 0, id, message, 4);
        if (id % 7 == 0) end = rig_put_frame(end, FRAME_DATA, 0, id, message, 8);
    }
    const size_t size = (size_t)(end - all);
    for (test_case = 0; test_case < size + 100; test_case++) {
        rig *r = rig_new(&rig_limits);
        rig_frame f;
        for (size_t at = 0, here; at < size; at += here) {
            here = test_case < size ? (at == 0 && test_case > 0 ? test_case : size) : 1 + random_below(test_case - size + 1);
            if (here > size - at) here = size - at;
            rig_feed(r, all + at, here);
        }
        while (rig_next(r, &f)) continue;
        CHECK(test_case == 0 || r->digest == digest);
        digest = r->digest;
        rig_close(r);
        CHECK(test_case == 0 || r->call_count == calls);
        calls = r->call_count;
        CHECK(calls > 5 && !r->c->closing);
        rig_free(r);
    }
}

static void test_scripts(void) { /* the fuzzer's, always the same ones; every connection whole and in pieces */
    uint64_t state = 1;
    size_t calls = 0;
    static uint8_t data[FRONT_ROOM_BYTES];
    size_t size = 0;
    for (test_case = 0; test_case < SCRIPTS; test_case++) {
        if (test_case % 8 == 0) size = front_seed(test_case / 8 % front_seed_count, data);
        else size = front_mutate(data, size, &state);
        calls += (size_t)front_target(data, size);
    }
    CHECK(calls > SCRIPTS / 4);
}

void test_front(void) {
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
    test_codec();
    test_codec_in_stream();
    test_pieces();
    test_scripts();
}

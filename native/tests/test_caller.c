/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's side of connections: beside the front, whose client it can be, and against peers that say what they should
 * not.
 */
#include "../fuzz/unary_target.h"
#include "front_check.h"
#include "unary_core.h"

#define FIELD(name, value) "\x05\0\0\0\x01\0\0\0" name value
#define OK_BLOCK "\x00\x0bgrpc-status\x01" "0"

static const unary_limits plain = {(size_t)1 << 21, (size_t)1 << 23, 64};

/* Fields of a call to the rig's unary method. */
static size_t put_call(uint8_t *at) {
    static const char *const fields[][2] = {
        {":method", "POST"}, {":scheme", "http"}, {":path", "/test.Service/Unary"}, {":authority", "here"},
        {"te", "trailers"},  {"content-type", "application/grpc"}, {"key", "value"},
    };
    uint8_t *start = at;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const uint32_t sizes[2] = {(uint32_t)strlen(fields[i][0]), (uint32_t)strlen(fields[i][1])};
        memcpy(at, sizes, sizeof sizes);
        memcpy(at + 8, fields[i][0], sizes[0]);
        memcpy(at + 8 + sizes[0], fields[i][1], sizes[1]);
        at += 8 + sizes[0] + sizes[1];
    }
    return (size_t)(at - start);
}

static uint64_t call_with(unary *u, const void *message, size_t size) {
    uint8_t fields[512];
    return unary_call(u, fields, put_call(fields), message, size);
}

/* Takes the next frame that the caller sent. */
static int sent(unary *u, rig_frame *f) {
    static uint8_t kept[RECEIVED_FRAME + FRAME_HEAD];
    const uint8_t *at;
    const size_t size = unary_output(u, &at);
    if (size < FRAME_HEAD) return 0;
    f->size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
    CHECK(size >= FRAME_HEAD + f->size && f->size <= sizeof kept);
    f->type = at[3];
    f->flags = at[4];
    f->id = read32(at + 5);
    memcpy(kept, at + FRAME_HEAD, f->size);
    f->data = kept;
    unary_sent(u, FRAME_HEAD + f->size);
    return 1;
}

static void says(unary *u, uint8_t type, uint8_t flags, uint32_t id, const void *data, size_t size) {
    uint8_t one[1024];
    const uint8_t *end = rig_put_frame(one, type, flags, id, data, size);
    unary_feed(u, one, (size_t)(end - one));
}

static unary *new_caller(const unary_limits *limits) {
    unary *u = unary_new(limits);
    const uint8_t *at;
    rig_frame f;
    CHECK(u != NULL && unary_state(u) == UNARY_GREETING);
    CHECK(unary_output(u, &at) > 24 && memcmp(at, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24) == 0);
    unary_sent(u, 24);
    CHECK(sent(u, &f) && f.type == FRAME_SETTINGS && f.size == 24 && sent(u, &f) && f.type == FRAME_WINDOW_UPDATE);
    return u;
}

static unary *greeted_caller(const unary_limits *limits) {
    unary *u = new_caller(limits);
    rig_frame f;
    says(u, FRAME_SETTINGS, 0, 0, "", 0);
    CHECK(unary_state(u) == UNARY_OPEN && sent(u, &f) && f.type == FRAME_SETTINGS && f.flags == FLAG_ACK);
    return u;
}

/* The request of a small call goes out now. */
static void request_goes(unary *u, uint64_t id) {
    rig_frame f;
    CHECK(sent(u, &f) && f.type == FRAME_HEADERS && f.id == id && f.flags == FLAG_END_HEADERS);
    CHECK(sent(u, &f) && f.type == FRAME_DATA && f.id == id && f.flags == FLAG_END_STREAM && !sent(u, &f));
}

static uint64_t asked(unary *u) {
    const uint64_t id = call_with(u, "ask", 3);
    CHECK(id != 0);
    request_goes(u, id);
    return id;
}

static void ended(unary *u, uint64_t id, uint32_t status, uint32_t unseen) {
    unary_end end;
    CHECK(unary_next(u, &end) && end.call == id);
    CHECK(end.status == status && end.unseen == unseen);
    CHECK(!unary_next(u, &end));
}

static void ended_well(unary *u, uint64_t id, const char *message) {
    unary_end end;
    CHECK(unary_next(u, &end) && end.call == id && end.status == 0 && !end.unseen && end.why == NULL);
    CHECK(end.message_bytes == strlen(message) && memcmp(end.message, message, strlen(message)) == 0);
}

static void answers(unary *u, uint64_t id, const char *message) {
    uint8_t data[64] = {0};
    data[4] = (uint8_t)strlen(message);
    memcpy(data + GRPC_PREFIX, message, strlen(message));
    says(u, FRAME_HEADERS, FLAG_END_HEADERS, (uint32_t)id, "\x88", 1);
    says(u, FRAME_DATA, 0, (uint32_t)id, data, GRPC_PREFIX + strlen(message));
    says(u, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, (uint32_t)id, OK_BLOCK, sizeof OK_BLOCK - 1);
}

static void is_over(unary *u) {
    CHECK(unary_under_way(u) == 0 && u->open == 0 && u->sending.first == NULL && u->ends.first == NULL);
    unary_end end;
    CHECK(!unary_next(u, &end) && u->calls == 0 && u->held == 0);
    unary_free(u);
}

/* ---- Beside the front ---------------------------------------------------------------------------------------- */

/* Lets both sides read what the other one sent until nothing moves. */
static void talk(unary *u, rig *r) {
    for (int moved = 1; moved;) {
        const uint8_t *at;
        const size_t size = unary_output(u, &at);
        rig_frame f;
        moved = size > 0;
        if (moved) rig_feed(r, at, size);
        unary_sent(u, size);
        while (rig_next(r, &f)) {
            uint8_t *whole = malloc(FRAME_HEAD + f.size);
            CHECK(whole != NULL);
            rig_put_frame(whole, f.type, f.flags, f.id, f.data, f.size);
            unary_feed(u, whole, FRAME_HEAD + f.size);
            free(whole);
            moved = 1;
        }
    }
}

static void test_front_beside(void) { /* calls of all sizes at once, answered in another order */
    static const size_t sizes[] = {0, 1, 5, 70000, (size_t)1 << 20, ((size_t)1 << 20) + 1};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    unary *u = unary_new(&plain);
    rig *r = rig_new(&rig_limits);
    uint64_t ids[COUNT], calls[COUNT];
    for (size_t i = 0; i < COUNT; i++) CHECK((ids[i] = call_with(u, bytes, sizes[i])) != 0);
    talk(u, r);
    CHECK(unary_state(u) == UNARY_OPEN && unary_under_way(u) == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        front_event event;
        while (!rig_take(r, &event)) talk(u, r);
        CHECK(event.kind == FRONT_CALL);
        size_t which = 0;
        while (which < COUNT && (sizes[which] != event.data_bytes)) which++;
        CHECK(which < COUNT);
        calls[which] = event.call;
    }
    for (size_t i = COUNT; i-- > 0;) {
        CHECK(front_answer(r->front, calls[i], bytes, sizes[COUNT - 1 - i]));
        rig_finished(r, calls[i]);
        talk(u, r);
        unary_end end;
        CHECK(unary_next(u, &end) && end.call == ids[i] && end.status == 0);
        CHECK(end.message_bytes == sizes[COUNT - 1 - i]);
    }
    is_over(u);
    rig_close(r);
    rig_free(r);
}

static void test_front_refuses(void) { /* a status with its fields; a farewell that names what was not looked at */
    unary *u = unary_new(&plain);
    rig *r = rig_new(&rig_limits);
    talk(u, r);
    const uint64_t id = call_with(u, "x", 1);
    talk(u, r);
    const uint64_t call = told_data(r, FRONT_CALL, "x");
    static const uint8_t not_found[] = "\x0b\0\0\0\1\0\0\0grpc-status5\x0c\0\0\0\2\0\0\0grpc-messageno";
    CHECK(front_finish(r->front, call, not_found, sizeof not_found - 1));
    rig_finished(r, call);
    talk(u, r);
    unary_end end;
    CHECK(unary_next(u, &end) && end.call == id && end.status == 5 && end.why == NULL && end.message_bytes == 0);
    CHECK(end.fields_bytes > sizeof not_found - 1); /* with :status and content-type before them */
    CHECK(memcmp(end.fields + end.fields_bytes - (sizeof not_found - 1), not_found, sizeof not_found - 1) == 0);
    const uint64_t seen = call_with(u, "y", 1);
    talk(u, r);
    const uint64_t taken = told_data(r, FRONT_CALL, "y");
    connection_farewell(r->c);
    const uint64_t unseen = call_with(u, "z", 1);
    talk(u, r);
    CHECK(unary_state(u) == UNARY_LEAVING && call_with(u, "w", 1) == 0);
    ended(u, unseen, GRPC_UNAVAILABLE, 1);
    answer(r, taken, "yes", 3);
    talk(u, r);
    ended_well(u, seen, "yes");
    is_over(u);
    rig_close(r);
    rig_free(r);
}

/* ---- What a call may hear ------------------------------------------------------------------------------------ */

/* One answer, cut in two anywhere, and byte by byte. */
static void test_cuts(void) {
    static const uint8_t script[] =
        "\0\0\6\4\0\0\0\0\0" "\0\3\0\0\0\x64"
        "\0\0\1\1\4\0\0\0\1" "\x88"
        "\0\0\7\0\x8\0\0\0\1" "\1\0\0\0\0\7" "\0"
        "\0\0\4\0\0\0\0\0\1" "answ" "\0\0\x8\6\0\0\0\0\0" "12345678" "\0\0\5\0\x8\0\0\0\1" "\1" "er!" "\0"
        "\0\0\2\1\1\0\0\0\1" "\0\xb" "\0\0\7\x9\0\0\0\0\1" "grpc-st" "\0\0\6\x9\4\0\0\0\1" "atus\1" "0";
    const size_t size = sizeof script - 1;
    for (test_case = 0; test_case <= size; test_case++) {
        unary *u = unary_new(&plain);
        const uint64_t id = call_with(u, "q", 1);
        if (test_case < size) {
            unary_feed(u, script, test_case);
            CHECK(unary_under_way(u) == 1);
            unary_feed(u, script + test_case, size - test_case);
        } else {
            for (size_t i = 0; i < size; i++) unary_feed(u, script + i, 1);
        }
        CHECK(unary_heard(u) == size);
        ended_well(u, id, "answer!");
        is_over(u);
    }
}

/* Frames of stream 1 after which the call has ended so, and the connection is as it was. */
static void test_ends(void) {
#define HEADERS_OK "\0\0\1\1\4\0\0\0\1" "\x88"
#define ENDING "\0\0\x0f\1\5\0\0\0\1" OK_BLOCK
    static const struct {
        const char *frames;
        size_t size;
        uint32_t status, unseen;
    } cases[] = {
#define CASE(frames, status, unseen) {frames, sizeof frames - 1, status, unseen}
        CASE("\0\0\x11\1\5\0\0\0\1" "\x88\x00\x0bgrpc-status\x02" "14", GRPC_UNAVAILABLE, 0),
        CASE(HEADERS_OK "\0\0\x10\1\5\0\0\0\1" "\x00\x0bgrpc-status\x02" "16", GRPC_UNAUTHENTICATED, 0),
        CASE(HEADERS_OK ENDING, GRPC_INTERNAL, 0),                                       /* no message */
        CASE(HEADERS_OK "\0\0\5\0\0\0\0\0\1" "\1\0\0\0\0" ENDING, GRPC_INTERNAL, 0),     /* compressed */
        CASE(HEADERS_OK "\0\0\5\0\0\0\0\0\1" "\0\0\0\0\1" ENDING, GRPC_INTERNAL, 0),     /* half a message */
        CASE(HEADERS_OK "\0\0\xa\0\0\0\0\0\1" "\0\0\0\0\0\0\0\0\0\0" ENDING, GRPC_INTERNAL, 0), /* two of them */
        CASE(HEADERS_OK "\0\0\5\0\1\0\0\0\1" "\0\0\0\0\0", GRPC_UNKNOWN, 0),             /* no status */
        CASE(HEADERS_OK "\0\0\1\1\5\0\0\0\1" "\x88", GRPC_UNKNOWN, 0),
        CASE(HEADERS_OK "\0\0\x10\1\5\0\0\0\1" "\x00\x0bgrpc-status\x02" "no", GRPC_UNKNOWN, 0),
        CASE(HEADERS_OK HEADERS_OK, GRPC_INTERNAL, 0),                                   /* fields in the middle */
        CASE("\0\0\5\0\0\0\0\0\1" "\0\0\0\0\0", GRPC_INTERNAL, 0),                       /* no fields */
        CASE("\0\0\1\1\5\0\0\0\1" "\x8d", GRPC_UNIMPLEMENTED, 0),                        /* 404 */
        CASE("\0\0\5\1\4\0\0\0\1" "\x08\3" "503", GRPC_UNAVAILABLE, 0),
        CASE("\0\0\5\1\4\0\0\0\1" "\x08\3" "401", GRPC_UNAUTHENTICATED, 0),
        CASE("\0\0\5\1\4\0\0\0\1" "\x08\3" "403", GRPC_PERMISSION_DENIED, 0),
        CASE("\0\0\1\1\4\0\0\0\1" "\x8c", GRPC_INTERNAL, 0),                             /* 400 */
        CASE("\0\0\5\1\4\0\0\0\1" "\x08\3" "302", GRPC_UNKNOWN, 0),
        CASE("\0\0\0\1\4\0\0\0\1", GRPC_UNKNOWN, 0),                                     /* nothing */
        CASE("\0\0\4\3\0\0\0\0\1" "\0\0\0\7", GRPC_UNAVAILABLE, 1),
        CASE("\0\0\4\3\0\0\0\0\1" "\0\0\0\x8", GRPC_CANCELLED, 0),
        CASE("\0\0\4\3\0\0\0\0\1" "\0\0\0\xb", GRPC_RESOURCE_EXHAUSTED, 0),
        CASE("\0\0\4\3\0\0\0\0\1" "\0\0\0\xc", GRPC_PERMISSION_DENIED, 0),
        CASE("\0\0\4\3\0\0\0\0\1" "\0\0\0\0", GRPC_INTERNAL, 0),
        CASE(HEADERS_OK "\0\0\4\x8\0\0\0\0\1" "\0\0\0\0", GRPC_INTERNAL, 0),             /* a window by nothing */
#undef CASE
    };
    for (test_case = 0; test_case < sizeof cases / sizeof *cases; test_case++) {
        unary *u = greeted_caller(&plain);
        rig_frame f;
        CHECK(asked(u) == 1);
        unary_feed(u, (const uint8_t *)cases[test_case].frames, cases[test_case].size);
        ended(u, 1, cases[test_case].status, cases[test_case].unseen);
        while (sent(u, &f)) CHECK(f.type == FRAME_RST_STREAM && f.id == 1);
        unary_feed(u, (const uint8_t *)"\0\0\6\0\1\0\0\0\1" "\0\0\0\0\1x", 15); /* what is late is thrown away */
        const uint64_t id = asked(u);
        answers(u, id, "still");
        ended_well(u, id, "still");
        is_over(u);
    }
    unary *u = greeted_caller(&plain); /* what says that the answer comes later */
    CHECK(asked(u) == 1);
    says(u, FRAME_HEADERS, FLAG_END_HEADERS, 1, "\x08\3" "103", 5);
    answers(u, 1, "now");
    ended_well(u, 1, "now");
    is_over(u);
}

static void test_bounds(void) {
    static const unary_limits small = {10, 2000, 2};
    unary *u = greeted_caller(&small);
    rig_frame f;
    CHECK(asked(u) == 1);
    answers(u, 1, "ten bytes!");
    ended_well(u, 1, "ten bytes!");
    CHECK(asked(u) == 3);
    says(u, FRAME_HEADERS, FLAG_END_HEADERS, 3, "\x88", 1);
    says(u, FRAME_DATA, 0, 3, "\0\0\0\0\x0b" "eleven byte", 16);
    ended(u, 3, GRPC_RESOURCE_EXHAUSTED, 0);
    CHECK(sent(u, &f) && f.type == FRAME_RST_STREAM && f.id == 3 && f.data[3] == H2_CANCEL);
    CHECK(asked(u) == 5 && asked(u) == 7);
    CHECK(call_with(u, "more than two", 13) == 0 && !sent(u, &f));
    CHECK(unary_cancel(u, 5) && unary_cancel(u, 7));
    CHECK(call_with(u, bytes, 5000) == 0);                                    /* a request that finds no room */
    CHECK(unary_call(u, (const uint8_t *)"\5\0\0\0\1\0\0\0:pat", 12, NULL, 0) == 0); /* fields that are none */
    while (sent(u, &f)) CHECK(f.type == FRAME_RST_STREAM && (f.id == 5 || f.id == 7));
    is_over(u);
}

/* ---- Windows, and how many at a time -------------------------------------------------------------------------- */

static void test_windows_of_requests(void) {
    unary *u = greeted_caller(&plain);
    rig_frame f;
    says(u, FRAME_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    CHECK(sent(u, &f) && f.flags == FLAG_ACK);
    const uint64_t slow = call_with(u, "slow", 4), other = call_with(u, "other", 5);
    CHECK(sent(u, &f) && f.type == FRAME_HEADERS && sent(u, &f) && f.type == FRAME_HEADERS && !sent(u, &f));
    for (size_t i = 0; i < 9; i++) {
        says(u, FRAME_WINDOW_UPDATE, 0, (uint32_t)slow, "\0\0\0\1", 4);
        CHECK(sent(u, &f) && f.type == FRAME_DATA && f.id == slow && f.size == 1 && f.data[0] == (uint8_t)"\0\0\0\0\4slow"[i]);
        CHECK(f.flags == (i == 8 ? FLAG_END_STREAM : 0) && !sent(u, &f));
    }
    says(u, FRAME_SETTINGS, 0, 0, "\0\4\0\0\0\x64", 6); /* opens the other one's as well */
    CHECK(sent(u, &f) && f.type == FRAME_SETTINGS);
    CHECK(sent(u, &f) && f.type == FRAME_DATA && f.id == other && f.size == 10 && f.flags == FLAG_END_STREAM);
    const uint64_t large = call_with(u, bytes, 100000); /* more than the connection's window, and than a frame */
    says(u, FRAME_WINDOW_UPDATE, 0, (uint32_t)large, "\0\2\0\0", 4);
    size_t got = 0;
    CHECK(sent(u, &f) && f.type == FRAME_HEADERS);
    for (; sent(u, &f); got += f.size) CHECK(f.id == large && f.size <= DEFAULT_FRAME);
    CHECK(got == DEFAULT_WINDOW - 9 - 10);
    answers(u, large, "early"); /* the rest is of no use */
    ended_well(u, large, "early");
    CHECK(sent(u, &f) && f.type == FRAME_RST_STREAM && f.id == large && f.data[3] == H2_NO_ERROR);
    says(u, FRAME_WINDOW_UPDATE, 0, 0, "\0\2\0\0", 4);
    CHECK(!sent(u, &f));
    answers(u, slow, "a");
    ended_well(u, slow, "a");
    answers(u, other, "b");
    ended_well(u, other, "b");
    is_over(u);
}

static void test_windows_of_answers(void) { /* an answer of gigabytes would come: what was read is given back */
    unary *u = greeted_caller(&plain);
    rig_frame f;
    u->credit = (size_t)MAX_WINDOW / 2 - 20;
    CHECK(asked(u) == 1);
    answers(u, 1, "0123456789");
    CHECK(!sent(u, &f));
    ended_well(u, 1, "0123456789");
    CHECK(asked(u) == 3);
    answers(u, 3, "0123456789");
    CHECK(sent(u, &f) && f.type == FRAME_WINDOW_UPDATE && f.id == 0);
    ended_well(u, 3, "0123456789");
    CHECK(asked(u) == 5);
    u->receive_window = 3;
    says(u, FRAME_DATA, 0, 5, "four", 4);
    ended(u, 5, GRPC_UNAVAILABLE, 0);
    CHECK(unary_state(u) == UNARY_LOST);
    is_over(u);
}

static void test_turns(void) { /* a peer that permits one call at a time gets one at a time, in their order */
    unary *u = new_caller(&plain);
    rig_frame f;
    uint64_t ids[4];
    for (size_t i = 0; i < 4; i++) ids[i] = call_with(u, "one", 3);
    CHECK(!sent(u, &f) && unary_under_way(u) == 4); /* nothing before the peer has spoken */
    says(u, FRAME_SETTINGS, 0, 0, "\0\3\0\0\0\1", 6);
    CHECK(sent(u, &f) && f.type == FRAME_SETTINGS);
    request_goes(u, ids[0]);
    CHECK(unary_cancel(u, ids[1]) && !sent(u, &f)); /* of which the peer never hears */
    answers(u, ids[0], "first");
    request_goes(u, ids[2]);
    ended_well(u, ids[0], "first");
    CHECK(unary_cancel(u, ids[2]));
    CHECK(sent(u, &f) && f.type == FRAME_RST_STREAM && f.id == ids[2]);
    request_goes(u, ids[3]);
    answers(u, ids[3], "last");
    ended_well(u, ids[3], "last");
    says(u, FRAME_SETTINGS, 0, 0, "\0\3\0\0\0\0", 6);
    CHECK(sent(u, &f));
    const uint64_t waits = call_with(u, "none", 4);
    CHECK(!sent(u, &f));
    unary_lose(u, "the line is gone");
    ended(u, waits, GRPC_UNAVAILABLE, 1); /* nothing of it was sent */
    is_over(u);
}

/* ---- Cancelling, losing --------------------------------------------------------------------------------------- */

static void test_cancelled(void) {
    unary *u = greeted_caller(&plain);
    rig_frame f;
    unary_end end;
    CHECK(asked(u) == 1);
    CHECK(unary_cancel(u, 1) && !unary_cancel(u, 1) && !unary_cancel(u, 0) && !unary_cancel(u, UINT64_MAX));
    CHECK(sent(u, &f) && f.type == FRAME_RST_STREAM && f.id == 1 && f.data[3] == H2_CANCEL);
    answers(u, 1, "late");
    CHECK(!unary_next(u, &end) && !sent(u, &f));
    CHECK(asked(u) == 3);
    answers(u, 3, "unread");
    CHECK(!unary_cancel(u, 3) && !unary_next(u, &end)); /* it had ended, and its end is gone */
    CHECK(asked(u) == 5);
    answers(u, 5, "read");
    CHECK(unary_next(u, &end) && !unary_cancel(u, 5) && end.message[0] == 'r'); /* what was taken stays until the next one */
    CHECK(!unary_next(u, &end));
    is_over(u);
}

static void test_lost(void) {
    unary *u = greeted_caller(&plain);
    unary_end end;
    rig_frame f;
    CHECK(asked(u) == 1 && asked(u) == 3);
    answers(u, 1, "in time");
    says(u, FRAME_HEADERS, FLAG_END_HEADERS, 3, "\x88", 1);
    unary_lose(u, "the line is gone");
    CHECK(unary_state(u) == UNARY_LOST && call_with(u, "x", 1) == 0 && unary_under_way(u) == 0);
    ended_well(u, 1, "in time");
    CHECK(unary_next(u, &end) && end.call == 3 && end.status == GRPC_UNAVAILABLE && !end.unseen);
    CHECK(strcmp(end.why, "the line is gone") == 0 && !sent(u, &f));
    unary_feed(u, bytes, 100);
    unary_ping(u);
    is_over(u);
}

/* Frames after which the connection is over; the caller says why, where it can, and the call may have run. */
static void test_broken_peers(void) {
    static const struct {
        const char *frames;
        size_t size;
    } cases[] = {
#define CASE(frames) {frames, sizeof frames - 1}
        CASE("HTTP/1.1 400 Bad Request\r\n"),
        CASE("\0\0\1\1\4\0\0\0\2" "\x88"),
        CASE("\0\0\1\1\4\0\0\0\5" "\x88"), /* nobody opened it */
        CASE("\0\0\0\0\0\0\0\0\0"),
        CASE("\0\0\1\1\4\0\0\0\1" "\xff"),
        CASE("\0\0\1\1\xc\0\0\0\1" "\1"),
        CASE("\0\0\1\1\x24\0\0\0\1" "\1"),
        CASE("\0\0\0\1\0\0\0\0\1" "\0\0\0\0\0\0\0\0\1"),
        CASE("\0\0\0\x9\4\0\0\0\1"),
        CASE("\0\0\5\4\0\0\0\0\0" "\0\0\0\0\0"),
        CASE("\0\0\6\4\0\0\0\0\1" "\0\1\0\0\0\0"),
        CASE("\0\0\6\4\1\0\0\0\0" "\0\1\0\0\0\0"),
        CASE("\0\0\6\4\0\0\0\0\0" "\0\4\x80\0\0\0"),
        CASE("\0\0\6\4\0\0\0\0\0" "\0\5\0\0\0\1"),
        CASE("\0\0\3\3\0\0\0\0\1" "\0\0\0"),
        CASE("\0\0\4\3\0\0\0\0\2" "\0\0\0\0"),
        CASE("\0\0\4\5\4\0\0\0\1" "\0\0\0\2"),
        CASE("\0\0\7\6\0\0\0\0\0" "1234567"),
        CASE("\0\0\x8\6\0\0\0\0\1" "12345678"),
        CASE("\0\0\7\7\0\0\0\0\0" "1234567"),
        CASE("\0\0\4\x8\0\0\0\0\0" "\0\0\0\0"),
        CASE("\0\0\4\x8\0\0\0\0\0" "\x7f\xff\xff\xff"),
        CASE("\0\0\3\x8\0\0\0\0\1" "\0\0\0"),
        CASE("\0\0\4\x8\0\0\0\0\x63" "\0\0\0\1"),
        CASE("\4\0\1\0\0\0\0\0\1"), /* frames beyond what we said we take */
        CASE("\1\0\0\1\4\0\0\0\1"),
#undef CASE
    };
    for (test_case = 0; test_case < sizeof cases / sizeof *cases; test_case++) {
        unary *u = greeted_caller(&plain);
        rig_frame f;
        CHECK(asked(u) == 1);
        unary_feed(u, (const uint8_t *)cases[test_case].frames, cases[test_case].size);
        CHECK(unary_state(u) == UNARY_LOST && sent(u, &f) && f.type == FRAME_GOAWAY && !sent(u, &f));
        ended(u, 1, GRPC_UNAVAILABLE, 0);
        is_over(u);
    }
    unary *u = new_caller(&plain); /* one that does not begin with settings */
    says(u, FRAME_PING, 0, 0, "12345678", 8);
    CHECK(unary_state(u) == UNARY_LOST);
    unary_free(u);
    u = greeted_caller(&plain); /* one that asks and does not read */
    for (size_t i = 0; i < 200000 && unary_state(u) != UNARY_LOST; i++) says(u, FRAME_PING, 0, 0, "12345678", 8);
    CHECK(unary_state(u) == UNARY_LOST);
    unary_free(u);
    u = greeted_caller(&plain); /* fields without end */
    CHECK(asked(u) == 1);
    says(u, FRAME_HEADERS, 0, 1, "", 0);
    for (size_t i = 0; i < MAX_CONTINUATIONS; i++) says(u, FRAME_CONTINUATION, 0, 1, "", 0);
    CHECK(unary_state(u) == UNARY_OPEN);
    says(u, FRAME_CONTINUATION, 0, 1, "", 0);
    ended(u, 1, GRPC_UNAVAILABLE, 0);
    is_over(u);
}

static void test_large_fields(void) { /* a call's own end, and not the connection's */
    unary *u = greeted_caller(&plain);
    uint8_t block[900];
    rig_frame f;
    CHECK(asked(u) == 1);
    memset(block, 'a', sizeof block);
    memcpy(block, "\x88\x00\x01x\x7f\x80\x06", 7); /* a value of 895 bytes */
    block[5] = (uint8_t)(0x80 | ((sizeof block - 7 - 127) & 0x7f));
    block[6] = (uint8_t)((sizeof block - 7 - 127) >> 7);
    says(u, FRAME_HEADERS, 0, 1, block, sizeof block);
    for (size_t i = 0; i < 20; i++) says(u, FRAME_CONTINUATION, i == 19 ? FLAG_END_HEADERS : 0, 1, block + 1, sizeof block - 1);
    ended(u, 1, GRPC_RESOURCE_EXHAUSTED, 0);
    CHECK(sent(u, &f) && f.type == FRAME_RST_STREAM && unary_state(u) == UNARY_OPEN);
    is_over(u);
}

static void test_any_peer(void) {
    uint64_t state = 1;
    int answered = 0;
    for (test_case = 0; test_case < 20000; test_case++) {
        uint8_t data[UNARY_ROOM_BYTES];
        answered += unary_target(data, unary_script(data, &state));
    }
    CHECK(answered > 10000); /* else the scripts say nothing */
}

void test_caller(void) {
    test_front_beside();
    test_front_refuses();
    test_cuts();
    test_ends();
    test_bounds();
    test_windows_of_requests();
    test_windows_of_answers();
    test_turns();
    test_cancelled();
    test_lost();
    test_broken_peers();
    test_large_fields();
    test_any_peer();
}

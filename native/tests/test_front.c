/* SPDX-License-Identifier: Apache-2.0
 *
 * The front with the codec, in pieces, and in the fuzzer's scripts.
 */
#include "../fuzz/front_target.h"
#include "../fuzz/oip_target.h"
#include "front_check.h"

#define SCRIPTS 4000

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
            CHECK((event.flags == FRONT_BEGUN) == (i == 3 || i == 5 || i == 7));
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
    test_codec();
    test_codec_in_stream();
    test_pieces();
    test_scripts();
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's workers without threads: the test is the worker, so that what happens before, during and after a run is
 * said by the test and not by a clock.
 */
#include "../fuzz/oip_target.h"
#include "front_check.h"
#include "front_worker.h"

#define PLACES 3

/* What the request asks for, and a runner that does what a test says while it runs. */
static struct {
    rig *r;
    void (*meanwhile)(void);
    int fails;
    size_t runs;
} given;

static int run(const void *model, const uint8_t *x, size_t rows, uint8_t *const *outputs, void *scratch, size_t bytes_) {
    (void)model, (void)x;
    CHECK(((uintptr_t)scratch & (LIAM_ALIGNMENT - 1)) == 0 && bytes_ >= 100);
    given.runs++;
    memset(outputs[0], 1, rows * sizeof(int64_t));
    memset(outputs[1], 2, rows * sizeof(float));
    if (given.meanwhile != NULL) given.meanwhile();
    return !given.fails;
}

static oip_text text(const char *content) { return (oip_text){(const uint8_t *)content, strlen(content)}; }

static const oip_runner runner = {run, NULL, 2, 100};
static oip_spec input, output[2];
static oip_stats stats[2];
static oip_route routes[2];
static oip_entry entries[4];
static oip_table table;
static oip_server codec;
static uint8_t written[4096];
static uint64_t sequence;
static worker_scratch scratch;

static const front_limits limits = {.message_bytes = 1 << 16, .held_bytes = 1 << 18, .streams = 100,
                                    .greeting_ms = 1000, .workers = 0, .waiting = PLACES};

/* A rig that serves versions "a" and "b", of which every request takes long. */
static rig *serving(void) {
    static const uint8_t key[OIP_KEY_BYTES] = {0};
    memset(&given, 0, sizeof given);
    memset(stats, 0, sizeof stats);
    memset(entries, 0, sizeof entries);
    input = (oip_spec){text("x"), text("FP32"), 4, 0, 2, {-1, 4}, {0}, {0}};
    output[0] = (oip_spec){text("i"), text("INT64"), 8, 0, 1, {-1}, text("\x0a\x01i\x12\x05INT64"), text(",")};
    output[1] = (oip_spec){text("f"), text("FP32"), 4, 0, 2, {-1, 1}, text("\x0a\x01""f\x12\x04""FP32"), text(",")};
    table = (oip_table){4, 0, entries};
    for (uint32_t i = 0; i < 2; i++) {
        routes[i] = (oip_route){.input = &input, .inputs = 1, .output = output, .outputs = 2, .runner = &runner,
                                .label = -1, .max_rows = 9, .apart_rows = 9, .head = text("\x0a\x01m"),
                                .parameters = text("\x22\x42zz"), .stats = &stats[i], .owner = i};
        CHECK(oip_table_add(&table, text(i == 0 ? "a" : "b"), text(""), &routes[i]));
    }
    codec = (oip_server){.answer = written, .answer_bytes = sizeof written};
    CHECK(oip_issuer_init(&codec.issuer, key, sizeof key, (const uint8_t *)"edge", 4, 1, 0, &sequence));
    rig *r = given.r = greeted(&limits);
    front_serve(r->front, &codec, &table);
    return r;
}

static size_t put_request(uint8_t *data, char model) {
    static const char body[] = "\x0a\x01?\x2a\x0d\x0a\x01x\x12\x04""FP32\x1a\x02\x01\x04\x3a\x10" "abcdefghijklmnop";
    memset(data, 0, GRPC_PREFIX);
    data[4] = sizeof body - 1;
    memcpy(data + GRPC_PREFIX, body, sizeof body - 1);
    data[GRPC_PREFIX + 2] = (uint8_t)model;
    return GRPC_PREFIX + sizeof body - 1;
}

static void ask_with(rig *r, uint32_t id, char model, const char *field, const char *value) {
    uint8_t block[RIG_BLOCK], data[RIG_BLOCK], *end = rig_put_request(block, RIG_INFER);
    if (field != NULL) end = rig_put_text(end, field, value);
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS, id, block, (size_t)(end - block));
    const size_t size = put_request(data, model);
    if (id % 4 == 1) { /* at once, or in pieces, whose memory is taken over */
        rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, id, data, size);
    } else {
        rig_frame_in(r, FRAME_DATA, 0, id, data, 7);
        rig_frame_in(r, FRAME_DATA, FLAG_END_STREAM, id, data + 7, size - 7);
    }
}

static void ask(rig *r, uint32_t id, char model) { ask_with(r, id, model, NULL, NULL); }

static void ask_within(rig *r, uint32_t id, char model, const char *timeout) {
    ask_with(r, id, model, "grpc-timeout", timeout);
}

static void ask_pinned(rig *r, uint32_t id, const char *digest) {
    ask_with(r, id, 'a', "neuralmesh-digest", digest);
}

static void step(rig *r) {
    CHECK(worker_step(r->front, &scratch));
    rig_check(r);
}

static void is_answered(rig *r, uint32_t id) {
    rig_frame f;
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id);
    CHECK(rig_next(r, &f) && f.type == FRAME_DATA && f.id == id && contains(&f, "\x01\x01\x01\x01\x01\x01\x01\x01"));
    CHECK(contains(&f, "\x02\x02\x02\x02"));
    CHECK(rig_next(r, &f) && f.type == FRAME_HEADERS && f.id == id && contains(&f, "grpc-status\x01" "0"));
}

static void ended(rig *r) {
    CHECK(!worker_step(r->front, &scratch));
    done(r);
    free(scratch.at);
    scratch = (worker_scratch){NULL, 0};
}

static void test_answers(void) {
    rig *r = serving();
    ask(r, 1, 'a');
    ask(r, 3, 'a');
    CHECK(r->core->running == 2 && front_running(r->front) == 2 && stats[0].requests == 0);
    told_nothing(r);
    is_served(r, 5); /* others are, meanwhile */
    step(r);
    is_answered(r, 1);
    step(r);
    is_answered(r, 3);
    CHECK(stats[0].requests == 2 && stats[0].recorded == 2 && stats[0].queued == 2 && stats[0].failures == 0);
    CHECK(stats[0].queue_ns > 0 && given.runs == 2);
    ended(r);
}

static void test_turns(void) { /* what asks much does not hold up what asks little */
    rig *r = serving();
    ask(r, 1, 'a');
    ask(r, 3, 'a');
    ask(r, 5, 'b');
    static const uint32_t order[] = {1, 5, 3};
    for (size_t i = 0; i < 3; i++) {
        step(r);
        is_answered(r, order[i]);
    }
    CHECK(stats[0].requests == 2 && stats[1].requests == 1);
    ended(r);
}

static void test_no_place(void) { /* what finds none is its owner's, and known to be valid */
    rig *r = serving();
    front_event event;
    for (uint32_t id = 1; id <= 2 * PLACES + 1; id += 2) ask(r, id, 'a');
    CHECK(rig_take(r, &event) && event.kind == FRONT_CALL && event.flags == FRONT_BEGUN && event.data_bytes > 0);
    answer(r, event.call, "here", 4);
    gets(r, 2 * PLACES + 1, "here");
    for (uint32_t id = 1; id < 2 * PLACES; id += 2) {
        step(r);
        is_answered(r, id);
    }
    ended(r);
}

/* A call that names a digest is run by a worker where that answers, and else nothing is known of it to its owner. */
static void test_pinned(void) {
    rig *r = serving();
    routes[0].digest = text("abc");
    front_event event;
    ask_pinned(r, 1, "abc");
    step(r);
    is_answered(r, 1);
    ask_pinned(r, 3, "ab");
    CHECK(rig_take(r, &event) && event.kind == FRONT_CALL && event.flags == 0);
    answer(r, event.call, "other", 5);
    gets(r, 3, "other");
    r->core->limits.waiting = 0;
    ask_pinned(r, 5, "abc");
    CHECK(rig_take(r, &event) && event.kind == FRONT_CALL && event.flags == 0);
    answer(r, event.call, "full", 4);
    gets(r, 5, "full");
    r->core->limits.waiting = PLACES;
    given.fails = 1;
    ask_pinned(r, 7, "abc");
    step(r);
    CHECK(rig_take(r, &event) && event.kind == FRONT_CALL && event.flags == 0);
    answer(r, event.call, "why", 3);
    gets(r, 7, "why");
    ended(r);
}

static void test_no_memory(void) {
    rig *r = serving();
    r->core->limits.held_bytes = sizeof(work);
    ask(r, 1, 'a');
    front_event event;
    CHECK(rig_take(r, &event) && event.flags == FRONT_BEGUN);
    answer(r, event.call, "", 0);
    gets(r, 1, "");
    ended(r);
}

static void test_failing_run(void) { /* the owner is told the call as if no worker had had it */
    rig *r = serving();
    front_event event;
    given.fails = 1;
    ask(r, 1, 'a');
    step(r);
    CHECK(rig_take(r, &event) && event.kind == FRONT_CALL && event.flags == FRONT_BEGUN);
    uint8_t data[RIG_BLOCK];
    CHECK(event.data_bytes == put_request(data, 'a') - GRPC_PREFIX);
    CHECK(memcmp(event.data, data + GRPC_PREFIX, event.data_bytes) == 0 && r->core->running == 1);
    answer(r, event.call, "why", 3);
    gets(r, 1, "why");
    CHECK(stats[0].requests == 0 && stats[0].queued == 0);
    ended(r);
}

static void test_deadlines(void) {
    rig *r = serving();
    ask_within(r, 1, 'a', "0n");
    ask_within(r, 3, 'a', "1H");
    step(r);
    refused(r, 1, "grpc-status\x01" "4");
    CHECK(given.runs == 0 && stats[0].failures == 1 && stats[0].errors[4] == 1); /* it did not begin */
    step(r);
    is_answered(r, 3);
    ended(r);
}

static void pass_deadline(void) { stream_find(given.r->c, 1)->work->deadline_ns = front_now(); }

static void pass_and_reset(void) {
    pass_deadline();
    reset(given.r, 1);
}

static void test_reset_at_the_deadline(void) { /* a caller whose time is over gives up as well: that is not his choice */
    rig *r = serving();
    given.meanwhile = pass_and_reset;
    ask_within(r, 1, 'a', "1H");
    step(r);
    CHECK(stats[0].requests == 0 && stats[0].failures == 1 && stats[0].errors[4] == 1);
    ended(r);
}

static void test_deadline_within_a_run(void) {
    rig *r = serving();
    given.meanwhile = pass_deadline;
    ask_within(r, 1, 'a', "1H");
    step(r);
    refused(r, 1, "grpc-status\x01" "4");
    CHECK(given.runs == 1 && stats[0].requests == 0 && stats[0].errors[4] == 1);
    ended(r);
}

static void reset_first(void) { reset(given.r, 1); }

static void test_cancellation(void) { /* before its run, which then does not take place, and within it */
    rig *r = serving();
    ask(r, 1, 'a');
    ask(r, 3, 'a');
    const int64_t permitted = r->c->resets;
    reset(r, 3);
    CHECK(r->core->running == 1 && r->c->resets == permitted - 1); /* callers have only so many of them */
    CHECK(stats[0].failures == 1 && stats[0].errors[1] == 1);
    given.meanwhile = reset_first;
    step(r);
    CHECK(given.runs == 1 && stats[0].requests == 0 && r->core->running == 0 && r->core->held == 0);
    CHECK(stats[0].failures == 2 && stats[0].errors[1] == 2);
    ended(r);
}

static void vanish(void) {
    connection_clear(given.r->c);
    given.r->c->index = NULL;
    given.r->c->places = 0;
}

static void test_lost_connection(void) {
    rig *r = serving();
    ask(r, 1, 'a');
    ask(r, 3, 'b');
    given.meanwhile = vanish;
    step(r);
    CHECK(given.runs == 1 && r->core->running == 0);
    CHECK(stats[0].errors[1] == 1 && stats[1].errors[1] == 1);
    CHECK(!worker_step(r->front, &scratch));
    rig_free(r);
    free(scratch.at);
    scratch = (worker_scratch){NULL, 0};
}

static void swap(void) {
    front_serve(given.r->front, &codec, &table);
    CHECK(front_in_use(given.r->front) == 1);
}

static void test_swap(void) { /* what a run began with is in use until it is over, and the owner is told when it is not */
    rig *r = serving();
    CHECK(front_in_use(r->front) == 1);
    given.meanwhile = swap;
    ask(r, 1, 'a');
    step(r);
    is_answered(r, 1);
    told_nothing(r);
    CHECK(r->retired == 1 && front_in_use(r->front) == 2);
    given.meanwhile = NULL;
    ask(r, 3, 'a');
    CHECK(front_serve(r->front, NULL, NULL) == 3 && front_in_use(r->front) == 2);
    reset(r, 3); /* nor is it when nobody waits any more */
    told_nothing(r);
    CHECK(r->retired == 2 && front_in_use(r->front) == 3);
    ended(r);
}

static void test_refusal(void) { /* a front that takes no more calls waits for those that workers have */
    rig *r = serving();
    ask(r, 1, 'a');
    CHECK(front_refuse(r->front, OK_FIELDS) == 0);
    told_nothing(r);
    CHECK(r->idle == 0);
    ask(r, 3, 'a');
    refused(r, 3, "grpc-status\x01" "0");
    step(r);
    is_answered(r, 1);
    told_nothing(r);
    CHECK(r->idle == 1);
    ended(r);
}

static void cancel(void) { room_cancel(given.r->front); }

static void test_stop(void) { /* what has waited, and what has run, hears that it is cancelled */
    rig *r = serving();
    ask(r, 1, 'a');
    ask(r, 3, 'b');
    given.meanwhile = cancel;
    step(r);
    refused(r, 1, "grpc-status\x01" "1");
    refused(r, 3, "grpc-status\x01" "1");
    CHECK(given.runs == 1 && stats[0].errors[1] == 1 && stats[1].errors[1] == 1 && stats[0].requests == 0);
    ended(r);
}

static void test_streams(void) { /* messages of a stream stay in their order: they are the owner's */
    rig *r = serving();
    uint8_t data[RIG_BLOCK];
    rig_request(r, 1, RIG_INFERS, 0);
    const uint64_t call = told(r, FRONT_CALL);
    rig_frame_in(r, FRAME_DATA, 0, 1, data, put_request(data, 'a'));
    CHECK(told(r, FRONT_MESSAGE) == call);
    reset(r, 1);
    told(r, FRONT_GONE);
    ended(r);
}

void test_front_workers(void) {
    test_answers();
    test_turns();
    test_no_place();
    test_pinned();
    test_no_memory();
    test_failing_run();
    test_deadlines();
    test_deadline_within_a_run();
    test_reset_at_the_deadline();
    test_cancellation();
    test_lost_connection();
    test_swap();
    test_refusal();
    test_stop();
    test_streams();
}

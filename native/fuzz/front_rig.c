/* SPDX-License-Identifier: Apache-2.0
 *
 * A front with one connection and no socket.
 */
#include "front_rig.h"

#include <string.h>

static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
static const char *const paths[] = {"/test.Service/Infer", "/test.Service/Unary", "/test.Service/Stream",
                                    "/test.Service/Infers"};

const front_limits rig_limits = {.message_bytes = 1 << 22, .held_bytes = 1 << 23, .streams = 100, .greeting_ms = 1000};

rig *rig_new(const front_limits *limits) {
    rig *r = calloc(1, sizeof *r);
    REQUIRE(r != NULL);
    r->front = front_new(limits);
    r->c = malloc(sizeof *r->c);
    REQUIRE(r->front != NULL && r->c != NULL);
    for (int i = 0; i <= RIG_INFERS; i++) {
        const int kinds[] = {FRONT_INFER, FRONT_UNARY, FRONT_STREAM, FRONT_INFERS};
        REQUIRE(front_method(r->front, (const uint8_t *)paths[i], strlen(paths[i]), kinds[i]) == i);
    }
    r->core = front_core(r->front);
    connection_open(r->c, r->front, -1);
    return r;
}

void rig_greet(rig *r) { rig_feed(r, greeting, sizeof greeting - 1); }

/* ---- In ---------------------------------------------------------------------------------------------------- */

void rig_feed(rig *r, const uint8_t *data, size_t size) {
    if (r->c->closing || r->c->broken) return;
    uint8_t *copy = malloc(size + (size == 0)); /* exactly as long, so that reading past it is found */
    REQUIRE(copy != NULL);
    if (size) memcpy(copy, data, size);
    connection_feed(r->c, copy, size);
    free(copy);
    rig_check(r);
}

uint8_t *rig_put_frame(uint8_t *at, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size) {
    const uint8_t head[FRAME_HEAD] = {(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, type, flags,
                                      (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    memcpy(at, head, sizeof head);
    if (size) memcpy(at + sizeof head, data, size);
    return at + sizeof head + size;
}

uint8_t *rig_put_text(uint8_t *at, const char *name, const char *value) {
    return hpack_put(at, (const uint8_t *)name, strlen(name), (const uint8_t *)value, strlen(value));
}

uint8_t *rig_put_request(uint8_t *at, int kind) {
    at = rig_put_text(at, ":method", "POST");
    at = rig_put_text(at, ":scheme", "http");
    at = rig_put_text(at, ":path", paths[kind]);
    at = rig_put_text(at, "te", "trailers");
    return rig_put_text(at, "content-type", "application/grpc");
}

void rig_frame_in(rig *r, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size) {
    uint8_t *bytes = malloc(FRAME_HEAD + size);
    REQUIRE(bytes != NULL);
    rig_feed(r, bytes, (size_t)(rig_put_frame(bytes, type, flags, id, data, size) - bytes));
    free(bytes);
}

void rig_request(rig *r, uint32_t id, int kind, int end) {
    uint8_t block[RIG_BLOCK];
    const size_t size = (size_t)(rig_put_request(block, kind) - block);
    rig_frame_in(r, FRAME_HEADERS, FLAG_END_HEADERS | (end ? FLAG_END_STREAM : 0), id, block, size);
}

void rig_message(rig *r, uint32_t id, const char *message, int end) {
    uint8_t data[RIG_BLOCK] = {0};
    const size_t size = strlen(message);
    data[4] = (uint8_t)size;
    memcpy(data + GRPC_PREFIX, message, size);
    rig_frame_in(r, FRAME_DATA, end ? FLAG_END_STREAM : 0, id, data, GRPC_PREFIX + size);
}

/* ---- Events ------------------------------------------------------------------------------------------------ */

rig_call *rig_find(rig *r, uint64_t call) {
    for (size_t i = r->call_count; i > 0; i--) {
        if (r->calls[i - 1].call == call) return &r->calls[i - 1];
    }
    return NULL;
}

int rig_take(rig *r, front_event *event) {
    do {
        if (front_take(r->front, event, 1) == 0) return 0;
        r->idle += event->kind == FRONT_IDLE;
        r->retired += event->kind == FRONT_RETIRED;
    } while (event->kind == FRONT_IDLE || event->kind == FRONT_RETIRED);
    REQUIRE(event->call != 0);
    rig_call *call = rig_find(r, event->call);
    if (event->kind == FRONT_CALL) {
        REQUIRE(call == NULL && event->method <= RIG_INFERS);
        r->calls = realloc(r->calls, (r->call_count + 1) * sizeof *r->calls);
        REQUIRE(r->calls != NULL);
        r->calls[r->call_count++] = (rig_call){.call = event->call, .method = event->method};
        REQUIRE(event->method < RIG_STREAM || event->data_bytes == 0);
        return 1;
    }
    REQUIRE(call != NULL && !call->gone);
    REQUIRE(call->method >= RIG_STREAM || event->kind == FRONT_GONE || event->kind == FRONT_ROOM);
    if (call->finished) {
        REQUIRE(call->late > 0);
        call->late--;
    }
    if (event->kind == FRONT_MESSAGE || event->kind == FRONT_END) REQUIRE(!call->ended);
    if (event->kind == FRONT_END) call->ended = 1;
    if (event->kind == FRONT_GONE) call->gone = 1;
    return 1;
}

void rig_finished(rig *r, uint64_t number) {
    const core *k = r->core;
    rig_call *call = rig_find(r, number);
    REQUIRE(call != NULL && !call->finished && !call->gone);
    call->finished = 1;
    for (size_t i = 0; i < k->happened_count; i++) {
        call->late += k->happened[(k->happened_first + i) % k->happened_room].event.call == number;
    }
    rig_check(r);
}

/* ---- Out --------------------------------------------------------------------------------------------------- */

void rig_drain(rig *r, size_t bytes) {
    buffer *output = &r->c->output;
    if (bytes > buffer_size(output)) bytes = buffer_size(output);
    if (bytes > 0) {
        REQUIRE(buffer_add(&r->sent, buffer_at(output), bytes));
        buffer_take(output, bytes);
    }
    connection_pump(r->c);
    rig_check(r);
}

static rig_stream *stream_of(rig *r, uint32_t id) {
    for (size_t i = r->stream_count; i > 0; i--) {
        if (r->streams[i - 1].id == id) return &r->streams[i - 1];
    }
    r->streams = realloc(r->streams, (r->stream_count + 1) * sizeof *r->streams);
    REQUIRE(r->streams != NULL);
    r->streams[r->stream_count] = (rig_stream){.id = id};
    return &r->streams[r->stream_count++];
}

static void check_field(void *context, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    (void)context, (void)value, (void)size;
    REQUIRE(name_size > 0 && name[0] != '-');
}

/* The frames of a stream come in an order that HTTP/2 permits. */
static void check_order(rig *r, const rig_frame *f) {
    rig_stream *s = stream_of(r, f->id);
    REQUIRE(f->id % 2 == 1);
    REQUIRE(!s->reset || f->type == FRAME_RST_STREAM);
    REQUIRE(!s->ended || f->type == FRAME_RST_STREAM || f->type == FRAME_WINDOW_UPDATE);
    switch (f->type) {
        case FRAME_DATA:
            REQUIRE(s->begun && f->size > 0);
            r->data_bytes += f->size;
            break;
        case FRAME_HEADERS: {
            static uint8_t scratch[1 << 17];
            hpack_table table;
            hpack_table_init(&table);
            if (f->flags & FLAG_END_HEADERS) {
                REQUIRE(hpack_decode(&table, f->data, f->size, scratch, check_field, NULL) && table.count == 0);
            } else {
                r->block = f->id;
            }
            REQUIRE(!s->begun || f->flags & FLAG_END_STREAM);
            s->begun = 1;
            break;
        }
        case FRAME_RST_STREAM:
            REQUIRE(f->size == 4);
            s->reset = 1;
            break;
        default: REQUIRE(f->type == FRAME_WINDOW_UPDATE && f->size == 4);
    }
    if ((f->type == FRAME_DATA || f->type == FRAME_HEADERS) && f->flags & FLAG_END_STREAM) s->ended = 1;
}

static void check_frame(rig *r, const rig_frame *f) {
    REQUIRE(f->size <= RECEIVED_FRAME);
    REQUIRE(r->block == 0 || (f->type == FRAME_CONTINUATION && f->id == r->block));
    if (f->type == FRAME_CONTINUATION) {
        REQUIRE(r->block != 0);
        if (f->flags & FLAG_END_HEADERS) r->block = 0;
    } else if (f->id != 0) {
        check_order(r, f);
    } else if (f->type == FRAME_GOAWAY) {
        REQUIRE(f->size >= 8);
        r->farewell++;
    } else {
        REQUIRE(f->type == FRAME_SETTINGS || f->type == FRAME_PING || f->type == FRAME_WINDOW_UPDATE);
    }
}

int rig_read(rig *r, rig_frame *f) {
    if (r->read > 0) buffer_take(&r->sent, r->read);
    r->read = 0;
    if (buffer_size(&r->sent) < FRAME_HEAD) return 0;
    const uint8_t *at = buffer_at(&r->sent);
    const size_t size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
    if (buffer_size(&r->sent) < FRAME_HEAD + size) return 0;
    const uint32_t id = (uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8];
    *f = (rig_frame){at[3], at[4], id, size, at + FRAME_HEAD};
    r->read = FRAME_HEAD + size;
    for (size_t i = 0; i < r->read; i++) r->digest = (r->digest ^ at[i]) * UINT64_C(0x100000001b3);
    check_frame(r, f);
    return 1;
}

int rig_next(rig *r, rig_frame *f) {
    while (buffer_size(&r->c->output) > 0) rig_drain(r, SIZE_MAX);
    return rig_read(r, f);
}

/* ---- What always holds ------------------------------------------------------------------------------------- */

void rig_check(const rig *r) {
    const core *k = r->core;
    const connection *c = r->c;
    size_t held = 0, running = 0, open = 0, waiting = 0;
    int under_way = c->data == NULL;
    for (size_t i = 0; i < c->places; i++) {
        for (const stream *s = c->index[i]; s != NULL; s = s->chain) {
            open++;
            held += s->message.room + s->pending.room + s->backlog.room;
            running += stream_in_hand(s) || s->phase == FINISHING;
            REQUIRE((s->phase == WORKING) == (s->work != NULL));
            REQUIRE((s->phase == HANDED) == (s->call != 0));
            REQUIRE(s->receive_window >= 0 && s->receive_window <= STREAM_WINDOW);
            const size_t given = s->credit + s->withheld + (c->data == s ? c->data_left : 0);
            REQUIRE(stream_is_over(s) || s->receive_window + (int64_t)given == STREAM_WINDOW); /* no byte is forgotten */
            waiting += s->waiting;
            under_way |= c->data == s;
            REQUIRE(s->phase != RECEIVING || buffer_size(&s->pending) == 0);
            const size_t rooms = s->message.room + s->backlog.room + s->pending.room;
            REQUIRE(s->phase != LINGERING || (!s->ended && rooms == 0));
        }
    }
    for (const stream *s = c->first, *before = NULL; s != NULL; before = s, s = s->next) {
        REQUIRE(s->waiting && s->of == c && s->previous == before && waiting > 0);
        waiting--;
        REQUIRE(s->next != NULL || c->tail == s);
    }
    REQUIRE(waiting == 0 && under_way);
    REQUIRE(held == c->held);
    held += work_held(r->front);
    for (size_t i = 0; i < k->happened_count; i++) held += k->happened[(k->happened_first + i) % k->happened_room].held;
    for (size_t i = 0; i < k->taken_count; i++) held += k->taken[i].held;
    REQUIRE(open == c->open && open <= k->limits.streams);
    REQUIRE(held == k->held);
    REQUIRE(running == k->running);
    REQUIRE(c->send_window >= 0 || c->closing);
    REQUIRE(c->receive_window + (int64_t)c->credit == CONNECTION_WINDOW || c->closing);
    REQUIRE(buffer_size(&c->rest) <= FRAME_HEAD + BLOCK_BYTES && buffer_size(&c->block) <= BLOCK_BYTES);
}

void rig_close(rig *r) {
    connection_clear(r->c);
    r->c->index = NULL;
    r->c->places = 0;
    rig_check(r);
    front_event event;
    while (rig_take(r, &event)) continue;
    for (size_t i = 0; i < r->call_count; i++) REQUIRE(r->calls[i].finished != r->calls[i].gone && r->calls[i].late == 0);
    REQUIRE(r->core->held == 0 && r->core->running == 0 && front_running(r->front) == 0);
}

void rig_free(rig *r) {
    rig_close(r);
    front_free(r->front);
    free(r->c);
    free(r->calls);
    free(r->streams);
    buffer_free(&r->sent);
    free(r);
}

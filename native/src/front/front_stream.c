/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: finding them, what flow control lets them send, and the frames of answers.
 */
#include "front_core.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PLACES 16

/* `:status: 200` by its index, `content-type: application/grpc` with the name by its index. */
#define HEADERS_BLOCK "\x88\x0f\x10\x10" "application/grpc"
/* The first block of a connection begins with this: our table holds nothing, whatever the caller would permit. */
#define EMPTY_TABLE 0x20
/* `grpc-status: 0`. */
#define OK_BLOCK "\x00\x0bgrpc-status\x01" "0"

static const uint8_t headers_block[] = HEADERS_BLOCK;
static const uint8_t ok_block[] = OK_BLOCK;
#define HEADERS_SIZE (sizeof headers_block - 1)
#define OK_SIZE (sizeof ok_block - 1)

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t window(int64_t bytes) { return bytes > 0 ? (size_t)bytes : 0; }

static uint8_t *put_head(uint8_t *at, size_t size, uint8_t type, uint8_t flags, uint32_t id) {
    at[0] = (uint8_t)(size >> 16);
    at[1] = (uint8_t)(size >> 8);
    at[2] = (uint8_t)size;
    at[3] = type;
    at[4] = flags;
    return put32(at + 5, id);
}

static uint8_t *put(uint8_t *at, const uint8_t *data, size_t size) {
    if (size) memcpy(at, data, size);
    return at + size;
}

static void put_prefix(uint8_t prefix[GRPC_PREFIX], size_t size) {
    prefix[0] = 0;
    put32(prefix + 1, (uint32_t)size);
}

/* Room in the connection's output, or NULL: the connection cannot go on without. */
static uint8_t *output(connection *c, size_t bytes) {
    uint8_t *at = buffer_reserve(&c->output, bytes);
    if (at == NULL) c->broken = 1;
    return at;
}

static void output_to(connection *c, const uint8_t *end) { c->output.end = (size_t)(end - c->output.data); }

void connection_put_frame(connection *c, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size) {
    uint8_t *at = output(c, FRAME_HEAD + size);
    if (at != NULL) output_to(c, put(put_head(at, size, type, flags, id), data, size));
}

/* ---- The index --------------------------------------------------------------------------------------------- */

/* The numbers are the caller's choice, and are scattered so that no choice puts many in one place. */
static stream **index_at(connection *c, uint32_t id) {
    const uint32_t scattered = (id >> 1) * front_core(c->of)->seed;
    return &c->index[(scattered >> 16 ^ scattered) & (c->places - 1)];
}

static int grow_index(connection *c) {
    const size_t places = c->places ? 2 * c->places : FIRST_PLACES, before = c->places;
    stream **old = c->index, **index = calloc(places, sizeof(stream *));
    if (index == NULL) return 0;
    c->index = index;
    c->places = places;
    for (size_t i = 0; i < before; i++) {
        for (stream *s = old[i], *next; s != NULL; s = next) {
            next = s->chain;
            s->chain = *index_at(c, s->id);
            *index_at(c, s->id) = s;
        }
    }
    free(old);
    return 1;
}

stream *stream_open(connection *c, uint32_t id) {
    core *k = front_core(c->of);
    if (c->open == c->places && !grow_index(c)) return NULL;
    stream *s = k->free_streams;
    if (s != NULL) {
        k->free_streams = s->chain;
        k->spare--;
    } else {
        s = calloc(1, sizeof *s);
        if (s == NULL) return NULL;
    }
    const buffer fields = s->fields; /* what it had room for is used again */
    *s = (stream){.of = c, .id = id, .fields = fields};
    s->deadline_ns = s->length = -1;
    s->send_window = c->initial_window;
    s->receive_window = STREAM_WINDOW;
    s->chain = *index_at(c, id);
    *index_at(c, id) = s;
    c->open++;
    return s;
}

stream *stream_find(connection *c, uint32_t id) {
    if (c->places == 0) return NULL;
    stream *s = *index_at(c, id);
    while (s != NULL && s->id != id) s = s->chain;
    return s;
}

/* ---- What has something to send ---------------------------------------------------------------------------- */

static void wait_in_line(stream *s) {
    connection *c = s->of;
    if (s->waiting) return;
    s->waiting = 1;
    s->next = NULL;
    s->previous = c->tail;
    *(c->tail != NULL ? &c->tail->next : &c->first) = s;
    c->tail = s;
}

static void leave_line(stream *s) {
    connection *c = s->of;
    if (!s->waiting) return;
    s->waiting = 0;
    *(s->previous != NULL ? &s->previous->next : &c->first) = s->next;
    *(s->next != NULL ? &s->next->previous : &c->tail) = s->previous;
}

void stream_unblocked(stream *s) {
    if (buffer_size(&s->pending) > 0) wait_in_line(s);
}

/* ---- Closing ----------------------------------------------------------------------------------------------- */

/* Counts memory that a stream took or gave back. */
static void count_held(stream *s, size_t before, size_t after) {
    front_core(s->of->of)->held += after - before;
    s->of->held += after - before;
}

int stream_add(stream *s, buffer *b, const uint8_t *data, size_t size) {
    const front_limits *limits = &front_core(s->of->of)->limits;
    const size_t before = b->room;
    if (front_core(s->of->of)->held + size > limits->held_bytes) return 0;
    if (limits->connection_bytes > 0 && s->of->held + size > limits->connection_bytes) return 0;
    if (!buffer_add(b, data, size)) return 0;
    count_held(s, before, b->room);
    return 1;
}

void stream_drop(stream *s, buffer *b, size_t bytes) {
    const size_t before = b->room;
    buffer_take(b, bytes);
    count_held(s, before, b->room);
}

void stream_give(stream *s, buffer *b) {
    s->of->held -= b->room;
    *b = (buffer){NULL, 0, 0, 0};
}

/* Gives back what it holds. */
static void forget(stream *s) {
    count_held(s, s->message.room + s->pending.room + s->backlog.room, 0);
    buffer_free(&s->message);
    buffer_free(&s->pending);
    buffer_free(&s->backlog);
    buffer_free(&s->trailers);
}

void stream_close(stream *s) {
    connection *c = s->of;
    core *k = front_core(c->of);
    if (s->phase == HANDED) event_tell(s, FRONT_GONE);
    work_leave(s);
    if (s->phase == HANDED || s->phase == WORKING || s->phase == FINISHING) event_over(k);
    event_release(s);
    leave_line(s);
    if (c->data == s) c->data = NULL;
    stream **at = index_at(c, s->id);
    while (*at != s) at = &(*at)->chain;
    *at = s->chain;
    c->open--;
    forget(s);
    buffer_take(&s->fields, buffer_size(&s->fields));
    if (k->spare == SPARE_STREAMS) {
        buffer_free(&s->fields);
        free(s);
        return;
    }
    k->spare++;
    s->chain = k->free_streams;
    k->free_streams = s;
}

void connection_reset(connection *c, uint32_t id, uint32_t code) {
    uint8_t data[4];
    put32(data, code);
    connection_put_frame(c, FRAME_RST_STREAM, 0, id, data, sizeof data);
}

void stream_reset(stream *s, uint32_t code) {
    connection *c = s->of;
    const int handed = stream_in_hand(s);
    connection_reset(c, s->id, code);
    stream_close(s);
    if (handed) connection_charge(c);
}

void stream_fail(stream *s) { stream_reset(s, H2_ENHANCE_YOUR_CALM); }

/* The answer's last frame is out. A caller that has more to say is not reset at once: it would find its call broken while
 * it sends, and not see the answer. */
static void finished(stream *s) {
    if (s->ended) {
        stream_close(s);
        return;
    }
    event_over(front_core(s->of->of));
    forget(s);
    s->phase = LINGERING;
}

int stream_in_hand(const stream *s) { return s->phase == HANDED || s->phase == WORKING; }

int stream_is_over(const stream *s) { return s->phase == FINISHING || s->phase == LINGERING; }

void stream_discard(stream *s, size_t bytes, int last) {
    if (last) s->ended = 1;
    if (s->phase != LINGERING) return;
    s->lingered += bytes;
    if (s->ended) {
        stream_close(s);
    } else if (s->lingered > LINGER_BYTES) {
        stream_reset(s, H2_NO_ERROR);
    }
}

/* Whoever answers it has said the last word. */
static void let_go(stream *s) {
    core *k = front_core(s->of->of);
    if (s->phase == RECEIVING) k->running++;
    work_leave(s);
    s->phase = FINISHING;
    s->told = 0;
    event_release(s);
}

/* ---- Receiving --------------------------------------------------------------------------------------------- */

void stream_credit(stream *s, size_t bytes) {
    s->credit += bytes;
    if (s->ended || s->credit < STREAM_WINDOW / 2) return;
    uint8_t data[4];
    put32(data, (uint32_t)s->credit);
    connection_put_frame(s->of, FRAME_WINDOW_UPDATE, 0, s->id, data, sizeof data);
    s->receive_window += (int64_t)s->credit;
    s->credit = 0;
}

/* ---- Sending ----------------------------------------------------------------------------------------------- */

/* Writes a block in two parts as HEADERS and, where it is larger than a frame, CONTINUATION. */
int connection_put_block(connection *c, uint32_t id, int end, const uint8_t *first, size_t first_size, const uint8_t *second,
                     size_t second_size) {
    static const uint8_t empty_table = EMPTY_TABLE;
    size_t update = !c->spoken, left = update + first_size + second_size;
    uint8_t *at = output(c, left + (left / c->frame + 1) * FRAME_HEAD);
    if (at == NULL) return 0;
    uint8_t type = FRAME_HEADERS, flags = end ? FLAG_END_STREAM : 0;
    c->spoken = 1;
    do {
        size_t size = least(left, c->frame);
        left -= size;
        if (left == 0) flags |= FLAG_END_HEADERS;
        at = put(put_head(at, size, type, flags, id), &empty_table, update);
        size -= update;
        update = 0;
        const size_t of_first = least(size, first_size);
        at = put(at, first, of_first);
        first += of_first;
        first_size -= of_first;
        at = put(at, second, size - of_first);
        second += size - of_first;
        type = FRAME_CONTINUATION;
        flags = 0;
    } while (left > 0);
    output_to(c, at);
    return 1;
}

int stream_headers(stream *s, const uint8_t *block, size_t size, int end) {
    s->begun = 1;
    return connection_put_block(s->of, s->id, end, headers_block, HEADERS_SIZE, block, size);
}

/* How much of so many bytes may go into a frame now. */
static size_t permitted(const stream *s, size_t bytes) {
    const connection *c = s->of;
    return least(least(bytes, c->frame), least(window(s->send_window), window(c->send_window)));
}

static void spend(stream *s, size_t bytes) {
    s->send_window -= (int64_t)bytes;
    s->of->send_window -= (int64_t)bytes;
}

/* Keeps bytes of an answer until windows open. */
static int keep(stream *s, const uint8_t *data, size_t size) {
    if (!stream_add(s, &s->pending, data, size)) return 0;
    wait_in_line(s);
    return 1;
}

int stream_data(stream *s, const uint8_t *message, size_t size) {
    connection *c = s->of;
    uint8_t prefix[GRPC_PREFIX];
    put_prefix(prefix, size);
    size_t head = GRPC_PREFIX;
    while (head + size > 0 && buffer_size(&s->pending) == 0 && buffer_size(&c->output) < OUTPUT_BYTES) {
        const size_t now = permitted(s, head + size);
        if (now == 0) break;
        uint8_t *at = output(c, FRAME_HEAD + now);
        if (at == NULL) return 0;
        at = put_head(at, now, FRAME_DATA, 0, s->id);
        const size_t of_head = least(now, head), of_message = now - of_head;
        at = put(at, prefix + GRPC_PREFIX - head, of_head);
        output_to(c, put(at, message, of_message));
        head -= of_head;
        message += of_message;
        size -= of_message;
        spend(s, now);
    }
    return (head == 0 || keep(s, prefix + GRPC_PREFIX - head, head)) && (size == 0 || keep(s, message, size));
}

int stream_trailers(stream *s, const uint8_t *block, size_t size) {
    let_go(s);
    if (buffer_size(&s->pending) > 0) {
        if (buffer_add(&s->trailers, block, size)) return 1;
        s->of->broken = 1;
        return 0;
    }
    const int done = s->begun ? connection_put_block(s->of, s->id, 1, block, size, NULL, 0) : stream_headers(s, block, size, 1);
    finished(s);
    return done;
}

int stream_answer(stream *s, const uint8_t *message, size_t size) {
    connection *c = s->of;
    const size_t body = GRPC_PREFIX + size;
    if (s->begun || !c->spoken || permitted(s, body) < body || buffer_size(&c->output) >= OUTPUT_BYTES) {
        if ((!s->begun && !stream_headers(s, NULL, 0, 0)) || !stream_data(s, message, size)) return 0;
        return stream_trailers(s, ok_block, OK_SIZE);
    }
    uint8_t *at = output(c, 3 * FRAME_HEAD + HEADERS_SIZE + body + OK_SIZE), prefix[GRPC_PREFIX];
    if (at == NULL) return 0;
    at = put_head(at, HEADERS_SIZE, FRAME_HEADERS, FLAG_END_HEADERS, s->id);
    at = put(at, headers_block, HEADERS_SIZE);
    at = put_head(at, body, FRAME_DATA, 0, s->id);
    put_prefix(prefix, size);
    at = put(put(at, prefix, sizeof prefix), message, size);
    at = put_head(at, OK_SIZE, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, s->id);
    output_to(c, put(at, ok_block, OK_SIZE));
    spend(s, body);
    let_go(s);
    finished(s);
    return 1;
}

/* Sends a frame of what a stream keeps. */
static void pump(stream *s, size_t now) {
    connection *c = s->of;
    connection_put_frame(c, FRAME_DATA, 0, s->id, buffer_at(&s->pending), now);
    stream_drop(s, &s->pending, now);
    spend(s, now);
    const size_t left = buffer_size(&s->pending);
    if (s->told && left <= PENDING_BYTES / 2) {
        s->told = 0;
        event_tell(s, FRONT_ROOM);
    }
    if (left > 0) {
        wait_in_line(s);
    } else if (s->phase == FINISHING) {
        connection_put_block(c, s->id, 1, buffer_at(&s->trailers), buffer_size(&s->trailers), NULL, 0);
        finished(s);
    }
}

void connection_pump(connection *c) {
    while (c->first != NULL && c->send_window > 0 && !c->broken && buffer_size(&c->output) < OUTPUT_BYTES) {
        stream *s = c->first;
        leave_line(s);
        const size_t now = permitted(s, buffer_size(&s->pending));
        if (now > 0) pump(s, now); /* else the stream's own window is closed: stream_unblocked puts it back */
    }
}

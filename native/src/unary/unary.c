/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of unary.h: calls from their beginning to their end, and the connection they share.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "unary_core.h"

#define INPUT_BYTES ((size_t)1 << 16) /* read at a time */
#define READS 16                      /* before others may do something */
#define WINDOW ((uint32_t)MAX_WINDOW) /* memory is what bounds an answer, not what the peer may send unseen */

static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
uint32_t unary_abi_version(void) { return UNARY_ABI_VERSION; }

int unary_state(const unary *u) { return u->state; }

size_t unary_under_way(const unary *u) { return u->under_way; }

uint64_t unary_heard(const unary *u) { return u->heard; }

/* ---- Lines and the index ------------------------------------------------------------------------------------ */

void line_add(line *l, exchange *c) {
    c->next = NULL;
    *(l->last != NULL ? &l->last->next : &l->first) = c;
    l->last = c;
}

static void line_remove(line *l, exchange *c) {
    exchange *before = NULL;
    for (exchange *at = l->first; at != NULL; before = at, at = at->next) {
        if (at != c) continue;
        *(before != NULL ? &before->next : &l->first) = c->next;
        if (l->last == c) l->last = before;
        return;
    }
}

static exchange **index_at(unary *u, uint32_t id) { return &u->index[id / 2 % PLACES]; }

exchange *call_find(unary *u, uint32_t id) {
    exchange *c = *index_at(u, id);
    while (c != NULL && c->id != id) c = c->chain;
    return c;
}

int call_keep(unary *u, buffer *b, const uint8_t *data, size_t size) {
    const size_t before = b->room;
    if (u->held + size > u->limits.held_bytes || !buffer_add(b, data, size)) return 0;
    u->held += b->room - before;
    return 1;
}

void release(unary *u, buffer *b) {
    u->held -= b->room;
    buffer_free(b);
}

/* Forgets it; it is in no line any more. */
static void drop(unary *u, exchange *c) {
    exchange **at = index_at(u, c->id);
    while (*at != c) at = &(*at)->chain;
    *at = c->chain;
    u->calls--;
    release(u, &c->block);
    release(u, &c->pending);
    release(u, &c->data);
    release(u, &c->fields);
    free(c);
}

/* ---- Calls -------------------------------------------------------------------------------------------------- */

static int put_fields(unary *u, exchange *c, const uint8_t *fields, size_t size) {
    const uint8_t *at = fields, *end = fields + size;
    uint32_t sizes[2];
    while ((size_t)(end - at) >= sizeof sizes) {
        memcpy(sizes, at, sizeof sizes);
        at += sizeof sizes;
        if (sizes[0] > (size_t)(end - at) || sizes[1] > (size_t)(end - at) - sizes[0]) return 0;
        const size_t before = c->block.room;
        uint8_t *to = buffer_reserve(&c->block, HPACK_FIELD_BYTES((size_t)sizes[0], (size_t)sizes[1]));
        if (to == NULL) return 0;
        u->held += c->block.room - before;
        c->block.end = (size_t)(hpack_put(to, at, sizes[0], at + sizes[0], sizes[1]) - c->block.data);
        at += (size_t)sizes[0] + sizes[1];
    }
    return at == end;
}

/* Sends of a new call what may go at once, and keeps the rest. */
static int begin(unary *u, exchange *c, const uint8_t *message, size_t size) {
    uint8_t prefix[GRPC_PREFIX] = {0};
    put32(prefix + 1, (uint32_t)size);
    size_t sent = 0;
    if (u->sending.first == NULL && may_open(u)) {
        if (!open_stream(u, c)) return 0;
        const int64_t found = put_data(u, c, prefix, sizeof prefix, message, size);
        if (found < 0) return 0;
        sent = (size_t)found;
    }
    if (c->ended) return 1;
    if (sent < sizeof prefix) {
        if (!call_keep(u, &c->pending, prefix + sent, sizeof prefix - sent)) return 0;
        sent = sizeof prefix;
    }
    sent -= sizeof prefix;
    if (size > sent && !call_keep(u, &c->pending, message + sent, size - sent)) return 0;
    c->waits = 1;
    line_add(&u->sending, c);
    return 1;
}

/* Takes it out of what sends and of what is open. */
static void leave(unary *u, exchange *c) {
    if (c->waits) line_remove(&u->sending, c);
    c->waits = 0;
    u->open -= c->opened;
    u->under_way--;
}

uint64_t unary_call(unary *u, const uint8_t *fields, size_t fields_bytes, const uint8_t *message, size_t message_bytes) {
    if (u->state > UNARY_OPEN || u->under_way >= u->limits.calls || u->next_id > MAX_WINDOW) return 0;
    if (message_bytes > UINT32_MAX || u->held + fields_bytes + message_bytes > u->limits.held_bytes) return 0;
    exchange *c = calloc(1, sizeof *c);
    if (c == NULL) return 0;
    c->id = u->next_id;
    c->status = -1;
    c->chain = *index_at(u, c->id);
    *index_at(u, c->id) = c;
    u->calls++;
    u->under_way++;
    if (!put_fields(u, c, fields, fields_bytes) || !begin(u, c, message, message_bytes)) {
        /* of a stream that was opened the peer hears that nothing follows */
        leave(u, c);
        c->over = 1;
        if (c->opened) put_reset(u, c->id, H2_CANCEL);
        u->next_id += c->opened ? 2 : 0;
        drop(u, c);
        return 0;
    }
    u->next_id += 2;
    return c->id;
}

void call_end(unary *u, exchange *c, uint32_t status, int unseen, const char *why) {
    leave(u, c);
    release(u, &c->block);
    release(u, &c->pending);
    c->end = (unary_end){.call = c->id, .status = status, .unseen = unseen != 0, .why = why};
    c->over = 1;
    line_add(&u->ends, c);
}

void call_reset(unary *u, exchange *c, uint32_t code, uint32_t status, const char *why) {
    put_reset(u, c->id, code);
    if (!c->over) call_end(u, c, status, 0, why); /* which it may have by the loss of the connection */
}

int unary_cancel(unary *u, uint64_t number) {
    exchange *c = number <= UINT32_MAX ? call_find(u, (uint32_t)number) : NULL;
    if (c == NULL || c == u->taken) return 0;
    const int under_way = !c->over;
    if (under_way) {
        leave(u, c);
        if (c->opened) {
            c->over = 1; /* so that no loss of the connection ends it */
            put_reset(u, c->id, H2_CANCEL);
        }
    } else {
        line_remove(&u->ends, c);
    }
    drop(u, c);
    if (under_way) unary_pump(u);
    return under_way;
}

int unary_next(unary *u, unary_end *end) {
    if (u->taken != NULL) {
        drop(u, u->taken);
        u->taken = NULL;
    }
    exchange *c = u->ends.first;
    if (c == NULL) return 0;
    line_remove(&u->ends, c);
    u->taken = c;
    c->end.fields = buffer_size(&c->fields) ? buffer_at(&c->fields) : NULL;
    c->end.fields_bytes = buffer_size(&c->fields);
    if (c->end.status == GRPC_OK) {
        c->end.message = buffer_at(&c->data) + GRPC_PREFIX;
        c->end.message_bytes = buffer_size(&c->data) - GRPC_PREFIX;
    }
    *end = c->end;
    return 1;
}

/* ---- The connection ------------------------------------------------------------------------------------------ */

static uint8_t *put_setting(uint8_t *at, uint16_t name, uint32_t value) {
    at[0] = (uint8_t)(name >> 8);
    at[1] = (uint8_t)name;
    return put32(at + 2, value);
}

unary *unary_new(const unary_limits *limits) {
    unary *u = calloc(1, sizeof *u);
    if (u == NULL) return NULL;
    hpack_init();
    hpack_table_init(&u->table);
    u->limits = *limits;
    u->next_id = 1;
    u->permitted = SIZE_MAX; /* until the peer says how many */
    u->send_window = u->initial_window = DEFAULT_WINDOW;
    u->receive_window = MAX_WINDOW;
    u->frame = DEFAULT_FRAME;
    u->scratch = malloc(HPACK_SCRATCH(BLOCK_BYTES));
    uint8_t settings[4 * SETTING_BYTES], *at = settings, window[4];
    at = put_setting(at, SETTINGS_ENABLE_PUSH, 0);
    at = put_setting(at, SETTINGS_INITIAL_WINDOW_SIZE, WINDOW);
    at = put_setting(at, SETTINGS_MAX_FRAME_SIZE, RECEIVED_FRAME);
    put_setting(at, SETTINGS_MAX_HEADER_LIST_SIZE, FIELDS_BYTES);
    put32(window, WINDOW - DEFAULT_WINDOW);
    if (u->scratch == NULL || !buffer_add(&u->output, preface, sizeof preface - 1)) {
        unary_free(u);
        return NULL;
    }
    put_frame(u, FRAME_SETTINGS, 0, 0, settings, sizeof settings);
    put_frame(u, FRAME_WINDOW_UPDATE, 0, 0, window, sizeof window);
    return u;
}

void unary_free(unary *u) {
    for (size_t i = 0; i < PLACES; i++) {
        while (u->index[i] != NULL) drop(u, u->index[i]);
    }
    buffer_free(&u->block);
    buffer_free(&u->input);
    buffer_free(&u->output);
    free(u->scratch);
    free(u);
}

void unary_lose(unary *u, const char *why) {
    if (u->state == UNARY_LOST) return;
    u->state = UNARY_LOST;
    for (size_t i = 0; i < PLACES; i++) {
        for (exchange *c = u->index[i]; c != NULL; c = c->chain) {
            if (!c->over) call_end(u, c, GRPC_UNAVAILABLE, !c->opened, why);
        }
    }
}

void unary_fail(unary *u, uint32_t code, const char *why) {
    if (u->state == UNARY_LOST) return;
    uint8_t data[8];
    put32(put32(data, 0), code);
    put_frame(u, FRAME_GOAWAY, 0, 0, data, sizeof data);
    unary_lose(u, why);
}

void unary_ping(unary *u) { put_frame(u, FRAME_PING, 0, 0, (const uint8_t *)"neurmesh", 8); }

size_t unary_output(const unary *u, const uint8_t **data) {
    *data = buffer_at(&u->output);
    return buffer_size(&u->output);
}

void unary_sent(unary *u, size_t bytes) {
    buffer_take(&u->output, bytes);
    if (u->sending.first != NULL && buffer_size(&u->output) < OUTPUT_BYTES) unary_pump(u);
}

int unary_send(unary *u, int socket) {
    while (buffer_size(&u->output) > 0) {
        const ssize_t sent = send(socket, buffer_at(&u->output), buffer_size(&u->output), MSG_NOSIGNAL);
        if (sent > 0) {
            unary_sent(u, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return 1;
        } else if (errno != EINTR) {
            unary_lose(u, "the connection was lost");
            return 0;
        }
    }
    return 0;
}

int unary_receive(unary *u, int socket) {
    for (int i = 0; i < READS && u->state != UNARY_LOST; i++) {
        uint8_t *at = buffer_reserve(&u->input, INPUT_BYTES);
        if (at == NULL) {
            unary_lose(u, NO_MEMORY);
            break;
        }
        const ssize_t size = recv(socket, at, INPUT_BYTES, 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (size <= 0) {
            unary_lose(u, size == 0 ? "the peer closed the connection" : "the connection was lost");
            break;
        }
        u->input.end += (size_t)size;
        unary_read(u, (size_t)size);
        if ((size_t)size < INPUT_BYTES) break;
    }
    return unary_send(u, socket);
}

void unary_feed(unary *u, const uint8_t *data, size_t size) {
    if (u->state == UNARY_LOST) return;
    if (!buffer_add(&u->input, data, size)) {
        unary_lose(u, NO_MEMORY);
        return;
    }
    unary_read(u, size);
}

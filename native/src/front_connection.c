/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 as a server of one connection reads it (RFC 9113): frames, settings, windows and blocks of fields. What a frame
 * means to a call is for front_call.c to know.
 */
#include "front_core.h"

#include <stdlib.h>
#include <string.h>

#define PREFACE_BYTES 24
#define SETTING_BYTES 6

#define SETTINGS_ENABLE_PUSH 2
#define SETTINGS_MAX_CONCURRENT_STREAMS 3
#define SETTINGS_INITIAL_WINDOW_SIZE 4
#define SETTINGS_MAX_FRAME_SIZE 5
#define SETTINGS_MAX_HEADER_LIST_SIZE 6
#define MAX_FRAME_SIZE 16777215

/* Cancelled calls cost their owner work, so a caller may cancel so many at once and so many a second (CVE-2023-44487). */
#define RESETS_AT_ONCE 4000
#define RESETS_A_SECOND 2000

#define SECOND_NS INT64_C(1000000000)

static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* A frame's head, and its payload where that is there as a whole. */
typedef struct frame {
    size_t size;
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    const uint8_t *data;
} frame;

static uint32_t read32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint8_t *put_setting(uint8_t *at, uint16_t name, uint32_t value) {
    at[0] = (uint8_t)(name >> 8);
    at[1] = (uint8_t)name;
    return put32(at + 2, value);
}

/* ---- Beginning and end ------------------------------------------------------------------------------------- */

void connection_open(connection *c, front *f, int socket) {
    *c = (connection){.of = f, .socket = socket};
    const core *k = front_core(f);
    c->until_ns = front_now() + (int64_t)k->limits.greeting_ms * (SECOND_NS / 1000);
    c->send_window = c->initial_window = DEFAULT_WINDOW;
    c->receive_window = CONNECTION_WINDOW;
    c->frame = DEFAULT_FRAME;
    c->resets = RESETS_AT_ONCE;
    hpack_table_init(&c->fields);
    uint8_t settings[4 * SETTING_BYTES], *at = settings;
    at = put_setting(at, SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)k->limits.streams);
    at = put_setting(at, SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW);
    at = put_setting(at, SETTINGS_MAX_FRAME_SIZE, RECEIVED_FRAME);
    put_setting(at, SETTINGS_MAX_HEADER_LIST_SIZE, FIELDS_BYTES);
    connection_put_frame(c, FRAME_SETTINGS, 0, 0, settings, sizeof settings);
    uint8_t window[4];
    put32(window, CONNECTION_WINDOW - DEFAULT_WINDOW);
    connection_put_frame(c, FRAME_WINDOW_UPDATE, 0, 0, window, sizeof window);
}

void connection_abandon(connection *c) {
    for (size_t i = 0; i < c->places; i++) {
        while (c->index[i] != NULL) stream_close(c->index[i]);
    }
}

void connection_clear(connection *c) {
    connection_abandon(c);
    free(c->index);
    buffer_free(&c->block);
    buffer_free(&c->rest);
    buffer_free(&c->output);
}

int connection_owes(const connection *c) {
    for (size_t i = 0; i < c->places; i++) {
        for (const stream *s = c->index[i]; s != NULL; s = s->chain) {
            if (buffer_size(&s->message) + buffer_size(&s->pending) > 0) return 1;
        }
    }
    return 0;
}

static void put_goaway(connection *c, uint32_t code, const char *why) {
    uint8_t data[8 + 64];
    size_t size = strlen(why);
    if (size > sizeof data - 8) size = sizeof data - 8;
    put32(put32(data, c->last), code);
    memcpy(data + 8, why, size);
    connection_put_frame(c, FRAME_GOAWAY, 0, 0, data, 8 + size);
}

void connection_fail(connection *c, uint32_t code, const char *why) {
    if (c->closing) return;
    put_goaway(c, code, why);
    c->closing = 1;
    c->until_ns = front_now() + SECOND_NS;
    connection_abandon(c);
}

void connection_farewell(connection *c) {
    if (c->closing || c->farewell) return;
    put_goaway(c, H2_NO_ERROR, "");
    c->farewell = 1;
}

/* ---- Streams of frames ------------------------------------------------------------------------------------- */

/* The stream of a frame that only an opened one may get; NULL when it is closed, or an error that was said. */
static stream *opened(connection *c, uint32_t id) {
    if (c->farewell && id % 2 == 1 && id > c->last) return NULL; /* it was never looked at */
    if (id % 2 == 0 || id > c->last) {
        connection_fail(c, H2_PROTOCOL_ERROR, "a frame for a stream that is not open");
        return NULL;
    }
    return stream_find(c, id);
}

/* ---- DATA -------------------------------------------------------------------------------------------------- */

static void give_credit(connection *c, size_t bytes) {
    c->credit += bytes;
    if (c->credit < CONNECTION_WINDOW / 2) return;
    uint8_t data[4];
    put32(data, (uint32_t)c->credit);
    connection_put_frame(c, FRAME_WINDOW_UPDATE, 0, 0, data, sizeof data);
    c->receive_window += (int64_t)c->credit;
    c->credit = 0;
}

/* Reads what stands before the content of a DATA frame: 1, or 0 when that is not there yet. */
static int begin_data(connection *c, const frame *f, const uint8_t **at, const uint8_t *end) {
    size_t left = f->size, padding = 0;
    if (f->flags & FLAG_PADDED) {
        if (left > 0 && *at == end) return 0;
        padding = left > 0 ? *(*at)++ : 1;
        left -= left > 0;
        if (padding > left) {
            connection_fail(c, H2_PROTOCOL_ERROR, "more padding than frame");
            return 1;
        }
    }
    stream *s = opened(c, f->id);
    if (c->closing) return 1;
    c->receive_window -= (int64_t)f->size;
    if (c->receive_window < 0) {
        connection_fail(c, H2_FLOW_CONTROL_ERROR, "more data than the connection's window");
        return 1;
    }
    give_credit(c, f->size);
    if (s != NULL && s->ended) {
        stream_reset(s, H2_STREAM_CLOSED);
        s = NULL;
    } else if (s == NULL && f->id <= c->last) {
        connection_reset(c, f->id, H2_STREAM_CLOSED);
    }
    if (s != NULL) {
        s->receive_window -= (int64_t)f->size;
        s->received += (int64_t)(left - padding);
        if (s->receive_window < 0) {
            stream_reset(s, H2_FLOW_CONTROL_ERROR);
            s = NULL;
        } else if (s->length >= 0 && s->received > s->length) {
            stream_reset(s, H2_PROTOCOL_ERROR);
            s = NULL;
        } else if (stream_is_over(s)) {
            stream_discard(s, f->size, f->flags & FLAG_END_STREAM);
            s = NULL;
        } else {
            stream_credit(s, f->size - (left - padding));
        }
    }
    c->data = s;
    c->data_left = left - padding;
    c->data_padding = padding;
    c->data_ends = f->flags & FLAG_END_STREAM;
    c->in_data = 1;
    return 1;
}

/* Reads the content of the DATA frame under way as far as it is there. */
static const uint8_t *more_data(connection *c, const uint8_t *at, const uint8_t *end) {
    size_t here = (size_t)(end - at);
    if (here > c->data_left) here = c->data_left;
    const int complete = here == c->data_left;
    c->data_left -= here;
    if (c->data != NULL && here > 0) {
        if (stream_is_over(c->data)) { /* since the frame began */
            stream_discard(c->data, here, 0);
        } else {
            call_data(c->data, at, here, complete && c->data_ends);
        }
    }
    at += here;
    if (!complete) return at;
    size_t padding = (size_t)(end - at);
    if (padding > c->data_padding) padding = c->data_padding;
    c->data_padding -= padding;
    if (c->data_padding > 0) return at + padding;
    c->in_data = 0;
    if (c->data != NULL && c->data_ends) call_ended(c->data);
    c->data = NULL;
    return at + padding;
}

/* ---- Fields ------------------------------------------------------------------------------------------------ */

/* A whole block of fields is there. */
static void block_complete(connection *c, uint32_t id, uint8_t flags, const uint8_t *block, size_t size) {
    const char *wrong = "a block of fields that is no HPACK";
    stream *s = stream_find(c, id);
    if (id <= c->last) { /* trailers, or of a call that is over */
        if (s != NULL && s->ended) {
            stream_reset(s, H2_STREAM_CLOSED);
            s = NULL;
        } else if (s == NULL) {
            connection_fail(c, H2_STREAM_CLOSED, "fields for a stream that is closed");
            return;
        } else if (!(flags & FLAG_END_STREAM)) {
            stream_reset(s, H2_PROTOCOL_ERROR);
            s = NULL;
        }
        if (!call_trailing(c, s, block, size)) connection_fail(c, H2_COMPRESSION_ERROR, wrong);
        return;
    }
    if (c->farewell) { /* the caller learns from the farewell that it was not seen */
        if (!call_fields(c, NULL, block, size)) connection_fail(c, H2_COMPRESSION_ERROR, wrong);
        return;
    }
    c->last = id;
    if (c->open >= front_core(c->of)->limits.streams) {
        connection_reset(c, id, H2_REFUSED_STREAM);
    } else {
        s = stream_open(c, id);
        if (s == NULL) c->broken = 1;
    }
    if (!call_fields(c, s, block, size)) {
        connection_fail(c, H2_COMPRESSION_ERROR, wrong);
        return;
    }
    if (flags & FLAG_END_STREAM) {
        s = stream_find(c, id);
        if (s != NULL) call_ended(s);
    }
}

static void read_headers(connection *c, const frame *f) {
    const uint8_t *at = f->data, *end = at + f->size;
    size_t padding = 0;
    if (f->id % 2 == 0) {
        connection_fail(c, H2_PROTOCOL_ERROR, "fields for a stream that no client opens");
        return;
    }
    if (f->flags & FLAG_PADDED && at < end) padding = *at++;
    if (f->flags & FLAG_PRIORITY) {
        if (end - at >= 5 && (read32(at) & MAX_WINDOW) == f->id) {
            connection_fail(c, H2_PROTOCOL_ERROR, "a stream that depends on itself");
            return;
        }
        at += 5;
    }
    if (at > end || padding > (size_t)(end - at) || (f->flags & FLAG_PADDED && f->size == 0)) {
        connection_fail(c, H2_PROTOCOL_ERROR, "more padding than frame");
        return;
    }
    end -= padding;
    if (f->flags & FLAG_END_HEADERS) {
        block_complete(c, f->id, f->flags, at, (size_t)(end - at));
        return;
    }
    c->block_stream = f->id;
    c->block_flags = f->flags;
    c->continuations = 0;
    if (!buffer_add(&c->block, at, (size_t)(end - at))) c->broken = 1;
}

static void read_continuation(connection *c, const frame *f) {
    if (++c->continuations > MAX_CONTINUATIONS || buffer_size(&c->block) + f->size > BLOCK_BYTES) {
        connection_fail(c, H2_ENHANCE_YOUR_CALM, "too many fields");
        return;
    }
    if (!buffer_add(&c->block, f->data, f->size)) {
        c->broken = 1;
        return;
    }
    if (!(f->flags & FLAG_END_HEADERS)) return;
    const uint32_t id = c->block_stream;
    c->block_stream = 0;
    buffer block = c->block;
    c->block = (buffer){NULL, 0, 0, 0};
    block_complete(c, id, c->block_flags, buffer_at(&block), buffer_size(&block));
    buffer_free(&block);
}

/* ---- Other frames ------------------------------------------------------------------------------------------ */

static void read_priority(connection *c, const frame *f) {
    if (f->id == 0) {
        connection_fail(c, H2_PROTOCOL_ERROR, "a priority of no stream");
        return;
    }
    const int own = f->size == 5 && (read32(f->data) & MAX_WINDOW) == f->id;
    if (f->size == 5 && !own) return; /* there are no priorities here */
    const uint32_t code = own ? H2_PROTOCOL_ERROR : H2_FRAME_SIZE_ERROR;
    if (f->id % 2 == 0 || f->id > c->last) { /* what was never opened cannot be reset */
        connection_fail(c, code, "a wrong priority of a stream that is not open");
        return;
    }
    stream *s = stream_find(c, f->id);
    if (s != NULL) {
        stream_reset(s, code);
    } else {
        connection_reset(c, f->id, code);
    }
}

void connection_charge(connection *c) {
    const int64_t now = front_now();
    int64_t more = (now - c->resets_at_ns) / (SECOND_NS / RESETS_A_SECOND);
    if (more > RESETS_AT_ONCE - c->resets) more = RESETS_AT_ONCE - c->resets;
    if (more > 0) {
        c->resets += more;
        c->resets_at_ns = now;
    }
    if (c->resets-- <= 0) connection_fail(c, H2_ENHANCE_YOUR_CALM, "too many calls were ended in the middle");
}

static void read_reset(connection *c, const frame *f) {
    if (f->size != 4) {
        connection_fail(c, H2_FRAME_SIZE_ERROR, "RST_STREAM of a wrong size");
        return;
    }
    stream *s = opened(c, f->id);
    if (s == NULL) return;
    const int handed = s->phase == HANDED;
    stream_close(s);
    if (handed) connection_charge(c);
}

/* Moves the windows of all streams with the caller's setting. */
static void set_initial_window(connection *c, int64_t size) {
    const int64_t more = size - c->initial_window;
    c->initial_window = size;
    for (size_t i = 0; i < c->places; i++) {
        for (stream *s = c->index[i]; s != NULL; s = s->chain) {
            s->send_window += more;
            if (s->send_window > MAX_WINDOW) {
                connection_fail(c, H2_FLOW_CONTROL_ERROR, "a window beyond its limit");
                return;
            }
            stream_unblocked(s);
        }
    }
}

static void read_setting(connection *c, uint16_t name, uint32_t value, int64_t *window) {
    if (name == SETTINGS_ENABLE_PUSH && value > 1) {
        connection_fail(c, H2_PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1");
    } else if (name == SETTINGS_INITIAL_WINDOW_SIZE && value > MAX_WINDOW) {
        connection_fail(c, H2_FLOW_CONTROL_ERROR, "a window beyond its limit");
    } else if (name == SETTINGS_INITIAL_WINDOW_SIZE) {
        *window = value;
    } else if (name == SETTINGS_MAX_FRAME_SIZE && (value < DEFAULT_FRAME || value > MAX_FRAME_SIZE)) {
        connection_fail(c, H2_PROTOCOL_ERROR, "a frame size beyond its limits");
    } else if (name == SETTINGS_MAX_FRAME_SIZE) {
        c->frame = value < RECEIVED_FRAME ? value : RECEIVED_FRAME; /* larger ones would hold up other streams */
    }
}

static void read_settings(connection *c, const frame *f) {
    if (f->id != 0) {
        connection_fail(c, H2_PROTOCOL_ERROR, "settings of a stream");
        return;
    }
    if (f->size % SETTING_BYTES != 0 || (f->flags & FLAG_ACK && f->size > 0)) {
        connection_fail(c, H2_FRAME_SIZE_ERROR, "settings of a wrong size");
        return;
    }
    if (f->flags & FLAG_ACK) return;
    if (f->size > MAX_SETTINGS * SETTING_BYTES) {
        connection_fail(c, H2_ENHANCE_YOUR_CALM, "too many settings");
        return;
    }
    int64_t window = c->initial_window;
    for (size_t at = 0; at < f->size && !c->closing; at += SETTING_BYTES) {
        const uint8_t *one = f->data + at;
        read_setting(c, (uint16_t)(one[0] << 8 | one[1]), read32(one + 2), &window);
    }
    /* Only the last one counts, and it costs a walk over all streams. */
    if (!c->closing && window != c->initial_window) set_initial_window(c, window);
    if (!c->closing) connection_put_frame(c, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
    connection_pump(c);
}

static void read_ping(connection *c, const frame *f) {
    if (f->id != 0) {
        connection_fail(c, H2_PROTOCOL_ERROR, "a ping of a stream");
    } else if (f->size != 8) {
        connection_fail(c, H2_FRAME_SIZE_ERROR, "a ping of a wrong size");
    } else if (!(f->flags & FLAG_ACK)) {
        connection_put_frame(c, FRAME_PING, FLAG_ACK, 0, f->data, f->size);
    }
}

static void read_goaway(connection *c, const frame *f) {
    if (f->id != 0) {
        connection_fail(c, H2_PROTOCOL_ERROR, "a farewell of a stream");
    } else if (f->size < 8) {
        connection_fail(c, H2_FRAME_SIZE_ERROR, "a farewell of a wrong size");
    }
}

static void read_window_update(connection *c, const frame *f) {
    if (f->size != 4) {
        connection_fail(c, H2_FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size");
        return;
    }
    const int64_t more = read32(f->data) & MAX_WINDOW;
    if (f->id == 0) {
        c->send_window += more;
        if (more == 0) {
            connection_fail(c, H2_PROTOCOL_ERROR, "a window that opens by nothing");
        } else if (c->send_window > MAX_WINDOW) {
            connection_fail(c, H2_FLOW_CONTROL_ERROR, "a window beyond its limit");
        }
    } else {
        stream *s = opened(c, f->id);
        if (s == NULL) return;
        s->send_window += more;
        if (more == 0 || s->send_window > MAX_WINDOW) {
            stream_reset(s, more == 0 ? H2_PROTOCOL_ERROR : H2_FLOW_CONTROL_ERROR);
            return;
        }
        stream_unblocked(s);
    }
    connection_pump(c);
}

static void read_frame(connection *c, const frame *f) {
    if (c->block_stream != 0 && (f->type != FRAME_CONTINUATION || f->id != c->block_stream)) {
        connection_fail(c, H2_PROTOCOL_ERROR, "another frame within a block of fields");
        return;
    }
    switch (f->type) {
        case FRAME_HEADERS: read_headers(c, f); break;
        case FRAME_PRIORITY: read_priority(c, f); break;
        case FRAME_RST_STREAM: read_reset(c, f); break;
        case FRAME_SETTINGS: read_settings(c, f); break;
        case FRAME_PUSH_PROMISE: connection_fail(c, H2_PROTOCOL_ERROR, "a client does not push"); break;
        case FRAME_PING: read_ping(c, f); break;
        case FRAME_GOAWAY: read_goaway(c, f); break;
        case FRAME_WINDOW_UPDATE: read_window_update(c, f); break;
        case FRAME_CONTINUATION:
            if (c->block_stream != 0) {
                read_continuation(c, f);
            } else {
                connection_fail(c, H2_PROTOCOL_ERROR, "fields that go on from nothing");
            }
            break;
        default: break; /* an extension that nobody here knows */
    }
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

/* Compares the preface as far as it is there; returns the end of it. */
static const uint8_t *read_preface(connection *c, const uint8_t *at, const uint8_t *end) {
    while (at < end && c->prefaced < PREFACE_BYTES) {
        if (*at++ != preface[c->prefaced++]) {
            connection_fail(c, H2_PROTOCOL_ERROR, "this is a server for gRPC over HTTP/2");
            return end;
        }
    }
    return at;
}

/* Reads the next frame, or more of the one under way; returns where it ends, or NULL if that is not there yet. */
static const uint8_t *read_next(connection *c, const uint8_t *at, const uint8_t *end) {
    if (c->in_data) return at < end || c->data_left + c->data_padding == 0 ? more_data(c, at, end) : NULL;
    if (end - at < FRAME_HEAD) return NULL;
    frame f = {(size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2], at[3], at[4], read32(at + 5) & (uint32_t)MAX_WINDOW,
               at + FRAME_HEAD};
    if (!c->greeted) {
        if (f.type != FRAME_SETTINGS || f.flags & FLAG_ACK) {
            connection_fail(c, H2_PROTOCOL_ERROR, "settings come first");
            return end;
        }
        c->greeted = 1;
    }
    if (f.size > RECEIVED_FRAME) {
        connection_fail(c, H2_FRAME_SIZE_ERROR, "a frame beyond the limit");
        return end;
    }
    if (f.type == FRAME_DATA && c->block_stream == 0) {
        const uint8_t *content = f.data;
        return begin_data(c, &f, &content, end) ? content : NULL;
    }
    if (f.size > BLOCK_BYTES) {
        connection_fail(c, H2_ENHANCE_YOUR_CALM, "a large frame that is no data");
        return end;
    }
    if ((size_t)(end - f.data) < f.size) return NULL;
    read_frame(c, &f);
    return f.data + f.size;
}

void connection_feed(connection *c, const uint8_t *data, size_t size) {
    const uint8_t *at = data, *end = data + size;
    buffer joined = {NULL, 0, 0, 0};
    if (buffer_size(&c->rest) > 0) { /* what is there of a frame, and the bytes that follow it */
        joined = c->rest;
        c->rest = (buffer){NULL, 0, 0, 0};
        if (!buffer_add(&joined, data, size)) {
            buffer_free(&joined);
            c->broken = 1;
            return;
        }
        at = buffer_at(&joined);
        end = at + buffer_size(&joined);
    }
    if (c->prefaced < PREFACE_BYTES) at = read_preface(c, at, end);
    while (!c->closing && !c->broken) {
        const uint8_t *next = c->prefaced == PREFACE_BYTES ? read_next(c, at, end) : NULL;
        if (next == NULL) break;
        at = next;
    }
    if (!c->closing && !c->broken && at < end && !buffer_add(&c->rest, at, (size_t)(end - at))) c->broken = 1;
    buffer_free(&joined);
}

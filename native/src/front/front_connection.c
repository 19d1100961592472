/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 as a server of one connection reads it (RFC 9113): frames, data and blocks of fields. What they mean to a call
 * is for front_fields.c and front_call.c to know.
 */
#include "front_frame.h"

#include <stdlib.h>
#include <string.h>

#define PREFACE_BYTES 24

static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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

stream *connection_opened(connection *c, uint32_t id) {
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
    stream *s = connection_opened(c, f->id);
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

/* ---- Reading ----------------------------------------------------------------------------------------------- */

static void read_frame(connection *c, const frame *f) {
    if (c->block_stream != 0 && (f->type != FRAME_CONTINUATION || f->id != c->block_stream)) {
        connection_fail(c, H2_PROTOCOL_ERROR, "another frame within a block of fields");
    } else if (f->type == FRAME_HEADERS) {
        read_headers(c, f);
    } else if (f->type == FRAME_CONTINUATION && c->block_stream == 0) {
        connection_fail(c, H2_PROTOCOL_ERROR, "fields that go on from nothing");
    } else if (f->type == FRAME_CONTINUATION) {
        read_continuation(c, f);
    } else {
        control_read(c, f);
    }
}

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

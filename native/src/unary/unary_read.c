/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames as a client reads them (RFC 9113). What belongs to a call that has ended is counted and thrown away.
 */
#include "unary_core.h"

#define PING_BYTES 8

/* Says whether a stream was ever begun here; frames of others break the protocol. */
static int is_ours(unary *u, uint32_t id) {
    if (id % 2 == 1 && id < u->next_id) return 1;
    unary_fail(u, H2_PROTOCOL_ERROR, "the peer speaks of a stream that nobody opened");
    return 0;
}

/* Takes the padding off a frame: 1, or 0 for one that is wrong. */
static int unpad(unary *u, wire_frame *f) {
    if (!(f->flags & FLAG_PADDED)) return 1;
    if (f->size == 0 || f->data[0] >= f->size) {
        unary_fail(u, H2_PROTOCOL_ERROR, "the peer sends more padding than frame");
        return 0;
    }
    f->size -= 1 + (size_t)f->data[0];
    f->data++;
    return 1;
}

/* ---- Calls -------------------------------------------------------------------------------------------------- */

static void read_data(unary *u, wire_frame *f) {
    if (!is_ours(u, f->id)) return;
    u->receive_window -= (int64_t)f->size;
    u->credit += f->size;
    if (u->receive_window < 0) {
        unary_fail(u, H2_FLOW_CONTROL_ERROR, "the peer sends more than the connection's window");
        return;
    }
    if (u->credit >= (size_t)MAX_WINDOW / 2) {
        uint8_t data[4];
        put32(data, (uint32_t)u->credit);
        put_frame(u, FRAME_WINDOW_UPDATE, 0, 0, data, sizeof data);
        u->receive_window += (int64_t)u->credit;
        u->credit = 0;
    }
    exchange *c = call_find(u, f->id);
    if (unpad(u, f) && c != NULL && !c->over) answer_data(u, c, f->data, f->size, f->flags & FLAG_END_STREAM);
}

/* A whole block of fields is there; it is decoded whosever it is, since it changes the table. */
static void block_complete(unary *u, uint32_t id, uint8_t flags, const uint8_t *block, size_t size) {
    exchange *c = call_find(u, id);
    if (c != NULL && c->over) c = NULL;
    if (!answer_fields(u, c, block, size, flags & FLAG_END_STREAM)) {
        unary_fail(u, H2_COMPRESSION_ERROR, "the peer sends fields that are no HPACK");
    }
}

static void read_headers(unary *u, wire_frame *f) {
    if (!is_ours(u, f->id) || !unpad(u, f)) return;
    if (f->flags & FLAG_PRIORITY) {
        if (f->size < 5) {
            unary_fail(u, H2_FRAME_SIZE_ERROR, "the peer sends fields with half a priority");
            return;
        }
        f->data += 5;
        f->size -= 5;
    }
    if (f->flags & FLAG_END_HEADERS) {
        block_complete(u, f->id, f->flags, f->data, f->size);
        return;
    }
    u->block_stream = f->id;
    u->block_flags = f->flags;
    u->continuations = 0;
    if (!buffer_add(&u->block, f->data, f->size)) unary_lose(u, NO_MEMORY);
}

static void read_continuation(unary *u, const wire_frame *f) {
    if (++u->continuations > MAX_CONTINUATIONS || buffer_size(&u->block) + f->size > BLOCK_BYTES) {
        unary_fail(u, H2_ENHANCE_YOUR_CALM, "the peer sends too many fields");
        return;
    }
    if (!buffer_add(&u->block, f->data, f->size)) {
        unary_lose(u, NO_MEMORY);
        return;
    }
    if (!(f->flags & FLAG_END_HEADERS)) return;
    const uint32_t id = u->block_stream;
    u->block_stream = 0;
    block_complete(u, id, u->block_flags, buffer_at(&u->block), buffer_size(&u->block));
    u->block.start = u->block.end = 0;
}

static void read_reset(unary *u, const wire_frame *f) {
    if (f->size != 4) {
        unary_fail(u, H2_FRAME_SIZE_ERROR, "the peer sends RST_STREAM of a wrong size");
        return;
    }
    if (!is_ours(u, f->id)) return;
    exchange *c = call_find(u, f->id);
    if (c != NULL && !c->over) answer_reset(u, c, read32(f->data));
}

/* ---- The connection ------------------------------------------------------------------------------------------ */

/* Every stream's window moves with the peer's setting. */
static void set_window(unary *u, uint32_t size) {
    if (size > MAX_WINDOW) {
        unary_fail(u, H2_FLOW_CONTROL_ERROR, "the peer sets a window beyond its limit");
        return;
    }
    const int64_t more = (int64_t)size - u->initial_window;
    u->initial_window = size;
    for (size_t i = 0; i < PLACES; i++) {
        for (exchange *c = u->index[i]; c != NULL; c = c->chain) c->send_window += c->opened ? more : 0;
    }
}

static void read_setting(unary *u, unsigned name, uint32_t value) {
    switch (name) {
        case SETTINGS_MAX_CONCURRENT_STREAMS: u->permitted = value; break;
        case SETTINGS_INITIAL_WINDOW_SIZE: set_window(u, value); break;
        case SETTINGS_MAX_FRAME_SIZE:
            if (value < DEFAULT_FRAME || value > MAX_FRAME_SIZE) {
                unary_fail(u, H2_PROTOCOL_ERROR, "the peer sets a frame size beyond its limits");
            } else {
                u->frame = value < RECEIVED_FRAME ? value : RECEIVED_FRAME; /* larger ones would hold up other calls */
            }
            break;
        default: break;
    }
}

static void read_settings(unary *u, const wire_frame *f) {
    if (f->id != 0 || f->size % SETTING_BYTES != 0 || f->size > MAX_SETTINGS * SETTING_BYTES ||
        (f->flags & FLAG_ACK && f->size > 0)) {
        unary_fail(u, H2_PROTOCOL_ERROR, "the peer sends settings that are none");
        return;
    }
    if (f->flags & FLAG_ACK) return;
    for (size_t at = 0; at < f->size && u->state != UNARY_LOST; at += SETTING_BYTES) {
        const uint8_t *one = f->data + at;
        read_setting(u, (unsigned)(one[0] << 8 | one[1]), read32(one + 2));
    }
    if (u->state == UNARY_GREETING) u->state = UNARY_OPEN;
    put_frame(u, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
}

static void read_ping(unary *u, const wire_frame *f) {
    if (f->id != 0 || f->size != PING_BYTES) {
        unary_fail(u, H2_PROTOCOL_ERROR, "the peer sends a ping that is none");
    } else if (!(f->flags & FLAG_ACK)) {
        put_frame(u, FRAME_PING, FLAG_ACK, 0, f->data, f->size);
    }
}

/* The farewell says up to which stream the peer looks at what it got. */
static void read_goaway(unary *u, const wire_frame *f) {
    if (f->id != 0 || f->size < 8) {
        unary_fail(u, H2_PROTOCOL_ERROR, "the peer sends a farewell that is none");
        return;
    }
    const uint32_t last = read32(f->data) & (uint32_t)MAX_WINDOW;
    u->state = UNARY_LEAVING;
    for (size_t i = 0; i < PLACES; i++) {
        for (exchange *c = u->index[i]; c != NULL; c = c->chain) {
            if (!c->over && (c->id > last || !c->opened)) {
                call_end(u, c, GRPC_UNAVAILABLE, 1, "the peer takes no more calls on this connection");
            }
        }
    }
}

static void read_window_update(unary *u, const wire_frame *f) {
    if (f->size != 4) {
        unary_fail(u, H2_FRAME_SIZE_ERROR, "the peer sends WINDOW_UPDATE of a wrong size");
        return;
    }
    const int64_t more = read32(f->data) & MAX_WINDOW;
    if (f->id == 0) {
        u->send_window += more;
        if (more == 0 || u->send_window > MAX_WINDOW) {
            unary_fail(u, H2_FLOW_CONTROL_ERROR, "the peer opens a window by nothing, or beyond its limit");
        }
        return;
    }
    if (!is_ours(u, f->id)) return;
    exchange *c = call_find(u, f->id);
    if (c == NULL || c->over) return;
    c->send_window += more;
    if (more == 0 || c->send_window > MAX_WINDOW) {
        call_reset(u, c, H2_FLOW_CONTROL_ERROR, GRPC_INTERNAL, "the peer opens a window by nothing, or beyond its limit");
    }
}

/* ---- Frames ------------------------------------------------------------------------------------------------- */

static void read_frame(unary *u, wire_frame *f) {
    if (u->block_stream != 0 && (f->type != FRAME_CONTINUATION || f->id != u->block_stream)) {
        unary_fail(u, H2_PROTOCOL_ERROR, "the peer sends another frame within a block of fields");
        return;
    }
    if (u->state == UNARY_GREETING && (f->type != FRAME_SETTINGS || f->flags & FLAG_ACK)) {
        unary_fail(u, H2_PROTOCOL_ERROR, "the peer does not begin with settings");
        return;
    }
    switch (f->type) {
        case FRAME_DATA: read_data(u, f); break;
        case FRAME_HEADERS: read_headers(u, f); break;
        case FRAME_CONTINUATION:
            if (u->block_stream == 0) {
                unary_fail(u, H2_PROTOCOL_ERROR, "the peer sends fields that go on from nothing");
            } else {
                read_continuation(u, f);
            }
            break;
        case FRAME_RST_STREAM: read_reset(u, f); break;
        case FRAME_SETTINGS: read_settings(u, f); break;
        case FRAME_PUSH_PROMISE: unary_fail(u, H2_PROTOCOL_ERROR, "the peer pushes, which it must not"); break;
        case FRAME_PING: read_ping(u, f); break;
        case FRAME_GOAWAY: read_goaway(u, f); break;
        case FRAME_WINDOW_UPDATE: read_window_update(u, f); break;
        default: break; /* priorities, and extensions that nobody here knows */
    }
}

void unary_read(unary *u, size_t more) {
    u->heard += more;
    while (u->state != UNARY_LOST && buffer_size(&u->input) >= FRAME_HEAD) {
        const uint8_t *at = buffer_at(&u->input);
        wire_frame f = {(size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2], at[3], at[4],
                   read32(at + 5) & (uint32_t)MAX_WINDOW, at + FRAME_HEAD};
        if (f.size > (f.type == FRAME_DATA ? (size_t)RECEIVED_FRAME : (size_t)BLOCK_BYTES)) {
            unary_fail(u, H2_FRAME_SIZE_ERROR, "the peer sends a frame beyond the limit, or is no HTTP/2 server");
            break;
        }
        if (buffer_size(&u->input) < FRAME_HEAD + f.size) break;
        const size_t whole = FRAME_HEAD + f.size;
        read_frame(u, &f);
        u->input.start += whole;
    }
    if (u->state == UNARY_LOST || u->input.start == u->input.end) u->input.start = u->input.end = 0;
    if (u->sending.first != NULL) unary_pump(u);
}

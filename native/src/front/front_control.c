/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames that carry no call (RFC 9113): priorities, resets, settings, pings, farewells and windows.
 */
#include "front_frame.h"

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
    stream *s = connection_opened(c, f->id);
    if (s == NULL) return;
    const int handed = stream_in_hand(s);
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
        stream *s = connection_opened(c, f->id);
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

void control_read(connection *c, const frame *f) {
    switch (f->type) {
        case FRAME_PRIORITY: read_priority(c, f); break;
        case FRAME_RST_STREAM: read_reset(c, f); break;
        case FRAME_SETTINGS: read_settings(c, f); break;
        case FRAME_PUSH_PROMISE: connection_fail(c, H2_PROTOCOL_ERROR, "a client does not push"); break;
        case FRAME_PING: read_ping(c, f); break;
        case FRAME_GOAWAY: read_goaway(c, f); break;
        case FRAME_WINDOW_UPDATE: read_window_update(c, f); break;
        default: break; /* an extension that nobody here knows */
    }
}

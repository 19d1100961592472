/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that go out. A stream has its call's number from the beginning; it is opened when the peer permits it, in the
 * order in which calls began, and sends its request as far as windows open.
 */
#include "unary_core.h"

/* The first block says that our table holds nothing, whatever the peer would permit. */
static const uint8_t empty_table[] = {0x20};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

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

static void output_to(unary *u, const uint8_t *end) { u->output.end = (size_t)(end - u->output.data); }

void put_frame(unary *u, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size) {
    if (u->state == UNARY_LOST) return;
    uint8_t *at = buffer_size(&u->output) > 2 * OUTPUT_BYTES ? NULL : buffer_reserve(&u->output, FRAME_HEAD + size);
    if (at == NULL) {
        unary_lose(u, "the peer asks for answers and does not read them, or there is no memory");
        return;
    }
    output_to(u, put(put_head(at, size, type, flags, id), data, size));
}

void put_reset(unary *u, uint32_t id, uint32_t code) {
    uint8_t data[4];
    put32(data, code);
    put_frame(u, FRAME_RST_STREAM, 0, id, data, sizeof data);
}

/* Writes a call's fields as HEADERS and, where they are larger than a frame, CONTINUATION. */
static int put_block(unary *u, const exchange *c) {
    const uint8_t *from = buffer_at(&c->block);
    size_t update = u->spoken ? 0 : sizeof empty_table, left = update + buffer_size(&c->block);
    uint8_t *at = buffer_reserve(&u->output, left + (left / u->frame + 1) * FRAME_HEAD);
    if (at == NULL) return 0;
    u->spoken = 1;
    for (uint8_t type = FRAME_HEADERS; left > 0; type = FRAME_CONTINUATION) {
        const size_t size = least(left, u->frame);
        left -= size;
        at = put(put_head(at, size, type, left == 0 ? FLAG_END_HEADERS : 0, c->id), empty_table, update);
        at = put(at, from, size - update);
        from += size - update;
        update = 0;
    }
    output_to(u, at);
    return 1;
}

int64_t put_data(unary *u, exchange *c, const uint8_t *first, size_t first_size, const uint8_t *second,
                        size_t second_size) {
    size_t total = 0;
    while (!c->ended && buffer_size(&u->output) < OUTPUT_BYTES) {
        const size_t left = first_size + second_size;
        const int64_t window = c->send_window < u->send_window ? c->send_window : u->send_window;
        const size_t now = least(least(left, u->frame), window > 0 ? (size_t)window : 0);
        if (now == 0) break;
        uint8_t *at = buffer_reserve(&u->output, FRAME_HEAD + now);
        if (at == NULL) return -1;
        c->ended = now == left;
        at = put_head(at, now, FRAME_DATA, c->ended ? FLAG_END_STREAM : 0, c->id);
        const size_t of_first = least(now, first_size), of_second = now - of_first;
        output_to(u, put(put(at, first, of_first), second, of_second));
        first += of_first;
        first_size -= of_first;
        second += of_second;
        second_size -= of_second;
        c->send_window -= (int64_t)now;
        u->send_window -= (int64_t)now;
        total += now;
    }
    return (int64_t)total;
}

int may_open(const unary *u) {
    return u->state == UNARY_OPEN && u->open < u->permitted && buffer_size(&u->output) < OUTPUT_BYTES;
}

int open_stream(unary *u, exchange *c) {
    if (!put_block(u, c)) return 0;
    c->opened = 1;
    c->send_window = u->initial_window;
    u->open++;
    release(u, &c->block);
    return 1;
}

/* Sends of what waits of a call, as much as may go: 0 for no memory. */
static int pump(unary *u, exchange *c) {
    if (!c->opened && may_open(u) && !open_stream(u, c)) return 0;
    if (!c->opened) return 1;
    const int64_t sent = put_data(u, c, buffer_at(&c->pending), buffer_size(&c->pending), NULL, 0);
    if (sent < 0) return 0;
    c->pending.start += (size_t)sent;
    if (c->ended) release(u, &c->pending);
    return 1;
}

void unary_pump(unary *u) {
    if (u->state == UNARY_GREETING || u->state == UNARY_LOST) return;
    const line waiting = u->sending;
    int room = 1;
    u->sending = (line){NULL, NULL};
    for (exchange *c = waiting.first, *next; c != NULL; c = next) {
        next = c->next;
        if (room) room = pump(u, c);
        c->waits = !c->ended;
        if (c->waits) line_add(&u->sending, c);
    }
    if (!room) unary_lose(u, NO_MEMORY);
}

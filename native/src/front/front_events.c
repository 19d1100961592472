/* SPDX-License-Identifier: Apache-2.0
 *
 * What the owner of calls is told: numbers of calls, and a queue of what happened to them.
 */
#include "front_core.h"

#include <stdlib.h>
#include <string.h>

#define NO_PLACE UINT32_MAX
#define FIRST_ROOM 64
#define EVENT_BYTES (sizeof(happening) + 64) /* that an event counts beside its message: its place, and allocation */

/* ---- Numbers ----------------------------------------------------------------------------------------------- */

static int grow_places(core *k) {
    const uint32_t before = k->place_count, count = before ? 2 * before : FIRST_ROOM;
    place *places = realloc(k->places, count * sizeof *places);
    if (places == NULL) return 0;
    for (uint32_t i = before; i < count; i++) places[i] = (place){NULL, 0, i + 1 < count ? i + 1 : NO_PLACE};
    k->places = places;
    k->free_place = before;
    k->place_count = count;
    return 1;
}

static int give_number(stream *s) {
    core *k = front_core(s->of->of);
    if (k->free_place == NO_PLACE && !grow_places(k)) return 0;
    const uint32_t index = k->free_place;
    place *p = &k->places[index];
    k->free_place = p->next_free;
    p->stream = s;
    if (++p->used == 0) p->used = 1; /* no call has the number 0 */
    s->call = (uint64_t)p->used << 32 | index;
    return 1;
}

void event_release(stream *s) {
    if (s->call == 0) return;
    core *k = front_core(s->of->of);
    const uint32_t index = (uint32_t)s->call;
    k->places[index].stream = NULL;
    k->places[index].next_free = k->free_place;
    k->free_place = index;
    s->call = 0;
}

stream *event_stream(core *k, uint64_t call) {
    const uint32_t index = (uint32_t)call;
    if (index >= k->place_count || k->places[index].used != (uint32_t)(call >> 32)) return NULL;
    return k->places[index].stream;
}

/* ---- The queue --------------------------------------------------------------------------------------------- */

/* A place at the queue's end, or NULL if there is no memory. */
static happening *happen(core *k) {
    if (k->happened_count == k->happened_room) {
        const size_t room = k->happened_room ? 2 * k->happened_room : FIRST_ROOM;
        happening *ring = malloc(room * sizeof *ring);
        if (ring == NULL) return NULL;
        for (size_t i = 0; i < k->happened_count; i++) {
            ring[i] = k->happened[(k->happened_first + i) % k->happened_room];
        }
        free(k->happened);
        k->happened = ring;
        k->happened_room = room;
        k->happened_first = 0;
    }
    happening *found = &k->happened[(k->happened_first + k->happened_count++) % k->happened_room];
    *found = (happening){{.deadline_ns = -1}, EVENT_BYTES};
    k->held += found->held;
    return found;
}

/* Takes back the newest one. */
static void unhappen(core *k, happening *newest) {
    k->held -= newest->held;
    k->happened_count--;
}

static void hold(core *k, happening *one, size_t bytes) {
    one->held += bytes;
    k->held += bytes;
}

/* Gives a message to an event: the stream's own memory, or a copy. */
static int give(stream *s, happening *to, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    to->event.data_bytes = size;
    if (message != NULL && message == s->message.data) {
        to->event.data = message;
        to->held += s->message.room; /* which is counted already */
        stream_give(s, &s->message);
        return 1;
    }
    if (size == 0) return 1;
    uint8_t *copy = k->held + size > k->limits.held_bytes ? NULL : malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, message, size);
    to->event.data = copy;
    hold(k, to, size);
    return 1;
}

int event_call(stream *s, uint32_t flags, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    happening *one = happen(k);
    if (one == NULL) return 0;
    const size_t fields = s->fields.room;
    if (k->held + fields > k->limits.held_bytes || !give(s, one, message, size)) {
        unhappen(k, one);
        return 0;
    }
    if (!give_number(s)) {
        free((void *)one->event.data);
        unhappen(k, one);
        return 0;
    }
    hold(k, one, fields);
    one->event.call = s->call;
    one->event.kind = FRONT_CALL;
    one->event.flags = flags;
    one->event.method = s->method;
    one->event.deadline_ns = s->deadline_ns;
    one->event.fields = s->fields.data;
    one->event.fields_bytes = buffer_size(&s->fields);
    s->fields = (buffer){NULL, 0, 0, 0};
    s->phase = HANDED;
    k->running++;
    return 1;
}

int event_message(stream *s, const uint8_t *message, size_t size, int compressed) {
    core *k = front_core(s->of->of);
    happening *one = happen(k);
    if (one == NULL) return 0;
    if (!give(s, one, message, size)) {
        unhappen(k, one);
        return 0;
    }
    one->event.call = s->call;
    one->event.kind = FRONT_MESSAGE;
    one->event.flags = compressed ? FRONT_COMPRESSED : 0;
    return 1;
}

void event_tell(stream *s, uint32_t kind) {
    happening *one = happen(front_core(s->of->of));
    if (one == NULL) {
        s->of->broken = 1;
        return;
    }
    one->event.call = s->call;
    one->event.kind = kind;
}

void event_idle(core *k) {
    if (k->running > 0 || k->refusal == NULL || k->told_idle) return;
    happening *one = happen(k);
    if (one == NULL) return;
    one->event.kind = FRONT_IDLE;
    k->told_idle = 1;
}

void event_retired(core *k) {
    happening *one = happen(k);
    if (one != NULL) one->event.kind = FRONT_RETIRED; /* else the owner sees it when he serves something else */
}

void event_over(core *k) {
    k->running--;
    event_idle(k);
}

static void forget_taken(core *k) {
    for (size_t i = 0; i < k->taken_count; i++) {
        free((void *)k->taken[i].event.fields);
        free((void *)k->taken[i].event.data);
        k->held -= k->taken[i].held;
    }
    k->taken_count = 0;
}

size_t events_take(core *k, front_event *events, size_t room) {
    forget_taken(k);
    if (room > k->taken_room) {
        happening *taken = realloc(k->taken, room * sizeof *taken);
        if (taken == NULL) return 0;
        k->taken = taken;
        k->taken_room = room;
    }
    while (k->taken_count < room && k->happened_count > 0) {
        const happening one = k->happened[k->happened_first];
        k->happened_first = (k->happened_first + 1) % k->happened_room;
        k->happened_count--;
        events[k->taken_count] = one.event;
        k->taken[k->taken_count++] = one;
    }
    return k->taken_count;
}

void events_free(core *k) {
    forget_taken(k);
    while (k->happened_count > 0) {
        front_event one;
        events_take(k, &one, 1);
    }
    forget_taken(k);
    free(k->taken);
    free(k->happened);
    free(k->places);
}

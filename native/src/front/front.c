/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's functions: its life, and what the owner of calls does with them.
 */
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "front_thread.h"

core *front_core(front *f) { return &f->core; }

uint32_t front_abi_version(void) { return FRONT_ABI_VERSION; }

/* ---- Life -------------------------------------------------------------------------------------------------- */

front *front_new(const front_limits *limits) {
    front *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    hpack_init();
    pthread_mutexattr_t adaptive; /* whoever meets a held lock waits a little before it sleeps: holds are short */
    pthread_mutexattr_init(&adaptive);
#ifdef __GLIBC__
    pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(&f->lock, &adaptive);
    pthread_mutexattr_destroy(&adaptive);
    f->owner = getpid();
    f->core.limits = *limits;
    if (getrandom(&f->core.seed, sizeof f->core.seed, GRND_NONBLOCK) < 0) f->core.seed = (uint32_t)front_now();
    f->core.seed |= 1;
    f->core.free_place = UINT32_MAX;
    f->core.scratch = malloc(HPACK_SCRATCH(BLOCK_BYTES));
    f->input = malloc(INPUT_BYTES);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->happened = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = f};
    if (!room_open(f) || f->core.scratch == NULL || f->input == NULL || f->epoll < 0 || f->wake < 0 || f->happened < 0 ||
        epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->wake, &event) != 0) {
        front_free(f);
        return NULL;
    }
    return f;
}

int front_method(front *f, const uint8_t *path, size_t path_bytes, int kind) {
    core *k = &f->core;
    method *methods = realloc(k->methods, (k->method_count + 1) * sizeof *methods);
    uint8_t *copy = malloc(path_bytes + 1);
    if (methods != NULL) k->methods = methods;
    if (methods == NULL || copy == NULL) {
        free(copy);
        return -ENOMEM;
    }
    memcpy(copy, path, path_bytes);
    methods[k->method_count] = (method){copy, path_bytes, kind};
    return (int)k->method_count++;
}

int front_listen(front *f, int socket) {
    listener *l = malloc(sizeof *l);
    if (l == NULL) return -ENOMEM;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
    front_hold(f);
    *l = (listener){socket, 0, f->listeners};
    int status = 0;
    if (fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK) != 0 ||
        epoll_ctl(f->epoll, EPOLL_CTL_ADD, socket, &event) != 0) {
        status = -errno;
        free(l);
    } else {
        f->listeners = l;
    }
    front_go_on(f);
    return status;
}

int front_start(front *f) {
    const int status = thread_start(&f->thread, thread_run, f);
    f->started = status == 0;
    return -status;
}

static void close_listeners(front *f) {
    for (listener *l = f->listeners, *next; l != NULL; l = next) {
        next = l->next;
        close(l->socket);
        free(l);
    }
    f->listeners = NULL;
}

void front_stop(front *f, size_t patience_ms) {
    if (!f->started || f->owner != getpid()) return;
    front_hold(f);
    room_cancel(f); /* some of it has run, so that its callers do not hear what they may repeat */
    f->stopping = 1;
    f->stop_ns = front_now() + (int64_t)patience_ms * MS_NS;
    for (listener *l = f->listeners; l != NULL; l = l->next) {
        if (!l->paused) epoll_ctl(f->epoll, EPOLL_CTL_DEL, l->socket, NULL);
        l->paused = 0;
    }
    for (connection *c = f->core.first; c != NULL; c = c->next) {
        if (c->dead) continue;
        connection_farewell(c); /* which the thread sends: it alone may let go of the lock among connections */
    }
    thread_ring(f->wake);
    front_go_on(f);
    pthread_join(f->thread, NULL);
    room_close(f);
    f->started = 0;
    close_listeners(f);
}

void front_free(front *f) {
    if (f->owner != getpid()) return; /* what a child has of it is shared with the owner */
    front_stop(f, 0);
    close_listeners(f);
    core *k = &f->core;
    events_free(k);
    for (stream *s = k->free_streams, *next; s != NULL; s = next) {
        next = s->chain;
        buffer_free(&s->fields);
        free(s);
    }
    for (size_t i = 0; i < k->method_count; i++) free(k->methods[i].path);
    free(k->methods);
    free(k->refusal);
    free(k->scratch);
    free(f->input);
    buffer_free(&k->block);
    if (f->epoll >= 0) close(f->epoll);
    if (f->wake >= 0) close(f->wake);
    if (f->happened >= 0) close(f->happened);
    room_free(f);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* ---- For the owner of calls -------------------------------------------------------------------------------- */

size_t front_running(front *f) {
    front_hold(f);
    const size_t running = f->core.running;
    front_go_on(f);
    return running;
}

uint64_t front_serve(front *f, oip_server *codec, const oip_table *table) {
    front_hold(f);
    f->core.codec = table == NULL ? NULL : codec;
    f->core.table = table;
    const uint64_t served = ++f->core.served;
    front_go_on(f);
    return served;
}

uint64_t front_in_use(front *f) {
    front_hold(f);
    const uint64_t oldest = work_oldest(f);
    front_go_on(f);
    return oldest;
}

int front_descriptor(const front *f) { return f->happened; }

size_t front_take(front *f, front_event *events, size_t room) {
    front_hold(f);
    const size_t count = events_take(&f->core, events, room);
    if (f->core.crowded && f->core.happened_count <= EVENTS / 2) {
        f->core.crowded = 0;
        for (connection *c = f->core.first; c != NULL; c = c->next) {
            if (!c->dead) thread_watch(f, c);
        }
    }
    if (f->core.happened_count == 0) {
        thread_silence(f->happened);
        f->signalled = 0;
    }
    front_go_on(f);
    return count;
}

/* Reads the next field; returns where it ends, or NULL if there is none. */
static const uint8_t *next_field(const uint8_t *at, const uint8_t *end, const uint8_t **name, uint32_t sizes[2]) {
    if ((size_t)(end - at) < 2 * sizeof *sizes) return NULL;
    memcpy(sizes, at, 2 * sizeof *sizes);
    at += 2 * sizeof *sizes;
    if (sizes[0] > (size_t)(end - at) || sizes[1] > (size_t)(end - at) - sizes[0]) return NULL;
    *name = at;
    return at + sizes[0] + sizes[1];
}

/* Writes fields as a block to the front's own memory for that: 1, or 0. */
static int write_block(core *k, const uint8_t *fields, size_t size) {
    const uint8_t *at = fields, *end = fields + size, *name;
    uint32_t sizes[2];
    k->block.start = k->block.end = 0;
    while ((at = next_field(at, end, &name, sizes)) != NULL) {
        uint8_t *to = buffer_reserve(&k->block, HPACK_FIELD_BYTES((size_t)sizes[0], (size_t)sizes[1]));
        if (to == NULL) return 0;
        k->block.end = (size_t)(hpack_put(to, name, sizes[0], name + sizes[0], sizes[1]) - k->block.data);
    }
    return 1;
}

int front_refuse(front *f, const uint8_t *fields, size_t fields_bytes) {
    core *k = &f->core;
    front_hold(f);
    int status = -ENOMEM;
    if (write_block(k, fields, fields_bytes)) {
        uint8_t *refusal = malloc(buffer_size(&k->block) + 1);
        if (refusal != NULL) {
            if (buffer_size(&k->block) > 0) memcpy(refusal, buffer_at(&k->block), buffer_size(&k->block));
            free(k->refusal);
            k->refusal = refusal;
            k->refusal_size = buffer_size(&k->block);
            k->told_idle = 0;
            event_idle(k);
            thread_tell(f);
            status = 0;
        }
    }
    front_go_on(f);
    return status;
}

/* A call that its owner has in hand, with the front held; `done` lets go of it. */
typedef struct {
    front *front;
    stream *stream; /* NULL when the call is gone: nothing is held then */
    connection *of;
    uint32_t id;
} hand;

static hand take_in_hand(front *f, uint64_t call) {
    front_hold(f);
    stream *s = event_stream(&f->core, call);
    if (s != NULL && s->phase == HANDED) return (hand){f, s, s->of, s->id};
    front_go_on(f);
    return (hand){f, NULL, NULL, 0};
}

/* Sends what was written for a call and lets go of the front. */
static int done(hand h, int status) {
    thread_sent(h.front, h.of, h.id, status);
    front_go_on(h.front);
    return status;
}

int front_answer(front *f, uint64_t call, const uint8_t *message, size_t size) {
    const hand h = take_in_hand(f, call);
    return h.stream == NULL ? 0 : done(h, stream_answer(h.stream, message, size));
}

int front_begin(front *f, uint64_t call, const uint8_t *fields, size_t fields_bytes) {
    const hand h = take_in_hand(f, call);
    stream *s = h.stream;
    if (s == NULL) return 0;
    if (s->begun) {
        front_go_on(f);
        return 0;
    }
    return done(h, write_block(&f->core, fields, fields_bytes) &&
                       stream_headers(s, buffer_at(&f->core.block), buffer_size(&f->core.block), 0));
}

int front_send(front *f, uint64_t call, const uint8_t *message, size_t size) {
    const hand h = take_in_hand(f, call);
    stream *s = h.stream;
    if (s == NULL) return 0;
    int status = (s->begun || stream_headers(s, NULL, 0, 0)) && stream_data(s, message, size);
    if (s->owed > 0) s->owed--;
    if (status && buffer_size(&s->pending) > PENDING_BYTES) {
        s->told = 1;
        status = 2;
    }
    return done(h, status);
}

int front_finish(front *f, uint64_t call, const uint8_t *fields, size_t fields_bytes) {
    const hand h = take_in_hand(f, call);
    return h.stream == NULL ? 0
                            : done(h, write_block(&f->core, fields, fields_bytes) &&
                                          stream_trailers(h.stream, buffer_at(&f->core.block),
                                                          buffer_size(&f->core.block)));
}

int front_read(front *f, uint64_t call, size_t bytes) {
    const hand h = take_in_hand(f, call);
    stream *s = h.stream;
    if (s == NULL) return 0;
    s->unread -= bytes < s->unread ? bytes : s->unread;
    call_go_on(s);
    return done(h, 1);
}

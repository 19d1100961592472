/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's thread: sockets, readiness, and the lock under which everything else is done. It waits without the lock,
 * works off what is ready, and sends what came of it; a call's owner sends his answers himself.
 */
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "front_core.h"

#define READY 128             /* what is worked off under one hold of the lock */
#define INPUT_BYTES (1 << 18) /* read from a connection at a time */
#define ACCEPTED 64           /* at a time */
#define SWEEP_MS 100
#define MS_NS INT64_C(1000000)
#define STALLED_NS INT64_C(300000000000) /* a caller that neither sends nor reads what is under way is let go */

typedef struct listener {
    int socket;
    int paused; /* no descriptor was left */
    struct listener *next;
} listener;

struct front {
    core core;
    pid_t owner; /* the process that may use it */
    pthread_t thread;
    int started;
    pthread_mutex_t lock;
    atomic_int waiting; /* threads that want the lock beside the front's own */
    int epoll;
    int wake;      /* interrupts the thread's wait */
    int happened;  /* tells the owner of calls */
    int signalled; /* it has been told and has not looked yet */
    listener *listeners;
    int sweeping; /* something has a time limit */
    int stopping;
    int64_t stop_ns;
    int dead; /* connections are to be freed */
    uint8_t *input;
};

core *front_core(front *f) { return &f->core; }

int64_t front_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint32_t front_abi_version(void) { return FRONT_ABI_VERSION; }

/* ---- The lock ---------------------------------------------------------------------------------------------- */

void front_hold(front *f) {
    atomic_fetch_add(&f->waiting, 1);
    pthread_mutex_lock(&f->lock);
    atomic_fetch_sub(&f->waiting, 1);
}

void front_go_on(front *f) { pthread_mutex_unlock(&f->lock); }

/* A mutex is not fair, and the thread would take it again before whoever waits has woken up. */
static void hold_after_others(front *f) {
    while (atomic_load(&f->waiting) > 0) sched_yield();
    pthread_mutex_lock(&f->lock);
}

static void ring(int descriptor) {
    const uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void silence(int descriptor) {
    uint64_t count;
    while (read(descriptor, &count, sizeof count) < 0 && errno == EINTR) continue;
}

/* Tells the owner of calls, once until it looks. */
static void tell(front *f) {
    if (f->core.happened_count == 0 || f->signalled) return;
    f->signalled = 1;
    ring(f->happened);
}

/* ---- Connections ------------------------------------------------------------------------------------------- */

static void bury(front *f, connection *c) {
    if (c->dead) return;
    if (c->sending) { /* whoever does comes back here */
        c->broken = 1;
        return;
    }
    connection_abandon(c);
    epoll_ctl(f->epoll, EPOLL_CTL_DEL, c->socket, NULL); /* a child process may have it open as well */
    close(c->socket);
    c->socket = -1;
    c->dead = f->dead = 1;
}

/* Lets epoll watch what the connection can do. */
static void watch(front *f, connection *c) {
    const size_t waiting = buffer_size(&c->output);
    const int crowded = f->core.happened_count > EVENTS;
    const uint32_t wanted = (waiting < OUTPUT_BYTES && !crowded ? EPOLLIN : 0) | (waiting > 0 ? EPOLLOUT : 0);
    f->core.crowded |= crowded;
    if (wanted == c->events) return;
    struct epoll_event event = {.events = wanted, .data.ptr = c};
    if (epoll_ctl(f->epoll, EPOLL_CTL_MOD, c->socket, &event) == 0) c->events = wanted;
}

/* Puts back what the system did not take, before what was added since. */
static void put_back(connection *c, buffer *unsent) {
    if (buffer_size(unsent) == 0 && unsent->room < c->output.room) {
        buffer_free(unsent);
        return;
    }
    if (!buffer_add(unsent, buffer_at(&c->output), buffer_size(&c->output))) c->broken = 1;
    buffer_free(&c->output);
    c->output = *unsent;
}

/* Sends what waits, as far as the system takes it. A send takes several times as long as anything else here, so it is
 * done without the lock. */
static void flush(front *f, connection *c) {
    if (c->socket < 0 || c->sending) return; /* it is dead, or a test's, or somebody is at it */
    while (!c->broken && buffer_size(&c->output) > 0) {
        buffer output = c->output;
        c->output = (buffer){NULL, 0, 0, 0};
        c->sending = 1;
        pthread_mutex_unlock(&f->lock);
        const ssize_t sent = send(c->socket, buffer_at(&output), buffer_size(&output), MSG_NOSIGNAL);
        const int error = errno;
        front_hold(f);
        c->sending = 0;
        if (sent > 0) buffer_take(&output, (size_t)sent);
        put_back(c, &output);
        if (sent < 0) {
            if (error == EINTR) continue;
            if (error != EAGAIN && error != EWOULDBLOCK) c->broken = 1;
            break;
        }
        c->moved_ns = front_now();
        connection_pump(c);
    }
    if (c->broken) {
        bury(f, c);
        return;
    }
    if (c->closing || c->held > 0) f->sweeping = 1;
    if (c->closing == 1 && buffer_size(&c->output) == 0) {
        shutdown(c->socket, SHUT_WR); /* and wait for the caller's end, so that it gets to read the farewell */
        c->closing = 2;
    }
    watch(f, c);
}

static void receive(front *f, connection *c) {
    const ssize_t size = recv(c->socket, f->input, INPUT_BYTES, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (size <= 0) {
        bury(f, c);
        return;
    }
    c->moved_ns = front_now();
    if (!c->closing) connection_feed(c, f->input, (size_t)size);
}

static void accept_from(front *f, listener *l) {
    for (int i = 0; i < ACCEPTED; i++) {
        const int socket = accept4(l->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                epoll_ctl(f->epoll, EPOLL_CTL_DEL, l->socket, NULL); /* tried again at the next sweep */
                l->paused = f->sweeping = 1;
            }
            return;
        }
        connection *c = malloc(sizeof *c);
        if (c == NULL) {
            close(socket);
            continue;
        }
        const int on = 1;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a Unix socket knows neither */
        setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        connection_open(c, f, socket);
        c->next = f->core.first;
        if (c->next != NULL) c->next->previous = c;
        f->core.first = c;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->events = EPOLLIN;
        if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, socket, &event) != 0) c->broken = 1;
        f->sweeping = 1;
        if (f->stopping) connection_farewell(c);
        flush(f, c);
    }
}

/* Frees connections that are dead; only the thread does, since what epoll told it may point to them. */
static void free_dead(front *f) {
    if (!f->dead) return;
    f->dead = 0;
    for (connection *c = f->core.first, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->dead) continue;
        *(c->previous != NULL ? &c->previous->next : &f->core.first) = c->next;
        if (c->next != NULL) c->next->previous = c->previous;
        connection_clear(c);
        free(c);
    }
}

/* Closes connections whose time is over; returns whether another sweep is needed. */
static int sweep(front *f) {
    const int64_t now = front_now();
    int again = 0;
    for (connection *c = f->core.first; c != NULL; c = c->next) {
        if (c->dead) continue;
        const int limited = !c->greeted || c->closing;
        const int still = c->held > 0 && now >= c->moved_ns + STALLED_NS;
        if ((limited && now >= c->until_ns) || (still && connection_owes(c))) {
            bury(f, c);
        } else {
            again |= limited || c->held > 0;
        }
    }
    for (listener *l = f->listeners; l != NULL; l = l->next) {
        if (!l->paused) continue;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
        l->paused = epoll_ctl(f->epoll, EPOLL_CTL_ADD, l->socket, &event) != 0;
        again |= l->paused;
    }
    return again;
}

/* ---- The thread -------------------------------------------------------------------------------------------- */

static listener *listener_at(front *f, const void *pointer) {
    listener *l = f->listeners;
    while (l != NULL && l != pointer) l = l->next;
    return l;
}

static void work_off(front *f, const struct epoll_event *event) {
    if (event->data.ptr == f) {
        silence(f->wake);
        return;
    }
    listener *l = listener_at(f, event->data.ptr);
    if (l != NULL) {
        accept_from(f, l);
        return;
    }
    connection *c = event->data.ptr;
    if (c->dead) return;
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(f, c);
    if (event->events & EPOLLOUT && !c->dead) connection_pump(c);
    flush(f, c);
}

/* Says whether a stop has nothing left to wait for: connections end when the caller has read what was sent. */
static int is_over(front *f) {
    int over = 1;
    for (connection *c = f->core.first; c != NULL; c = c->next) {
        if (c->dead) continue;
        over = 0;
        if (!c->closing && buffer_size(&c->output) == 0 && !c->sending) {
            c->closing = 1;
            c->until_ns = f->stop_ns;
        }
        flush(f, c);
    }
    return over || front_now() >= f->stop_ns;
}

static void *run(void *argument) {
    front *f = argument;
    struct epoll_event ready[READY];
    int64_t swept_ns = 0;
    hold_after_others(f);
    for (;;) {
        if (f->stopping && is_over(f)) break;
        const int patience = f->sweeping || f->stopping ? SWEEP_MS : -1;
        pthread_mutex_unlock(&f->lock);
        const int count = epoll_wait(f->epoll, ready, READY, patience);
        hold_after_others(f);
        for (int i = 0; i < count; i++) {
            if (i > 0 && atomic_load(&f->waiting) > 0) { /* owners do not wait for all of it */
                pthread_mutex_unlock(&f->lock);
                hold_after_others(f);
            }
            work_off(f, &ready[i]);
        }
        if (f->sweeping && front_now() >= swept_ns + SWEEP_MS * MS_NS) {
            f->sweeping = sweep(f);
            swept_ns = front_now();
        }
        free_dead(f);
        tell(f);
    }
    for (connection *c = f->core.first; c != NULL; c = c->next) {
        while (c->sending) {
            pthread_mutex_unlock(&f->lock);
            hold_after_others(f);
        }
        bury(f, c);
    }
    free_dead(f);
    tell(f);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* ---- Life -------------------------------------------------------------------------------------------------- */

front *front_new(const front_limits *limits) {
    front *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* another front's thread may be decoding */
    pthread_once(&once, hpack_init);
    pthread_mutexattr_t adaptive; /* whoever meets a held lock waits a little before it sleeps: holds are short */
    pthread_mutexattr_init(&adaptive);
    pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&f->lock, &adaptive);
    pthread_mutexattr_destroy(&adaptive);
    f->owner = getpid();
    f->core.limits = *limits;
    f->core.seed = (uint32_t)front_now() * UINT32_C(2654435761) | 1;
    f->core.free_place = UINT32_MAX;
    f->core.scratch = malloc(HPACK_SCRATCH(BLOCK_BYTES));
    f->input = malloc(INPUT_BYTES);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->happened = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = f};
    if (f->core.scratch == NULL || f->input == NULL || f->epoll < 0 || f->wake < 0 || f->happened < 0 ||
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
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the interpreter's threads */
    const int status = pthread_create(&f->thread, NULL, run, f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    ring(f->wake);
    front_go_on(f);
    pthread_join(f->thread, NULL);
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

void front_serve(front *f, oip_server *codec, const oip_table *table) {
    front_hold(f);
    f->core.codec = table == NULL ? NULL : codec;
    f->core.table = table;
    front_go_on(f);
}

int front_descriptor(const front *f) { return f->happened; }

size_t front_take(front *f, front_event *events, size_t room) {
    front_hold(f);
    const size_t count = events_take(&f->core, events, room);
    if (f->core.crowded && f->core.happened_count <= EVENTS / 2) {
        f->core.crowded = 0;
        for (connection *c = f->core.first; c != NULL; c = c->next) {
            if (!c->dead) watch(f, c);
        }
    }
    if (f->core.happened_count == 0) {
        silence(f->happened);
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
            tell(f);
            status = 0;
        }
    }
    front_go_on(f);
    return status;
}

/* The stream of a call that can still be answered. */
static stream *answerable(front *f, uint64_t call) {
    stream *s = event_stream(&f->core, call);
    return s != NULL && s->phase == HANDED ? s : NULL;
}

/* Sends what a call's owner wrote, to the stream of this number; its answer has failed where the status is 0. */
static int sent(front *f, connection *c, uint32_t id, int status) {
    stream *s = status == 0 && !c->broken ? stream_find(c, id) : NULL;
    if (s != NULL) stream_fail(s);
    flush(f, c);
    if (f->dead) ring(f->wake);
    tell(f);
    front_go_on(f);
    return status;
}

int front_answer(front *f, uint64_t call, const uint8_t *message, size_t size) {
    front_hold(f);
    stream *s = answerable(f, call);
    if (s == NULL) {
        front_go_on(f);
        return 0;
    }
    connection *c = s->of;
    const uint32_t id = s->id;
    return sent(f, c, id, stream_answer(s, message, size));
}

int front_begin(front *f, uint64_t call, const uint8_t *fields, size_t fields_bytes) {
    front_hold(f);
    stream *s = answerable(f, call);
    if (s == NULL || s->begun) {
        front_go_on(f);
        return 0;
    }
    connection *c = s->of;
    const uint32_t id = s->id;
    return sent(f, c, id, write_block(&f->core, fields, fields_bytes) &&
                          stream_headers(s, buffer_at(&f->core.block), buffer_size(&f->core.block), 0));
}

int front_send(front *f, uint64_t call, const uint8_t *message, size_t size) {
    front_hold(f);
    stream *s = answerable(f, call);
    if (s == NULL) {
        front_go_on(f);
        return 0;
    }
    connection *c = s->of;
    const uint32_t id = s->id;
    int status = (s->begun || stream_headers(s, NULL, 0, 0)) && stream_data(s, message, size);
    if (s->owed > 0) s->owed--;
    if (status && buffer_size(&s->pending) > PENDING_BYTES) {
        s->told = 1;
        status = 2;
    }
    return sent(f, c, id, status);
}

int front_finish(front *f, uint64_t call, const uint8_t *fields, size_t fields_bytes) {
    front_hold(f);
    stream *s = answerable(f, call);
    if (s == NULL) {
        front_go_on(f);
        return 0;
    }
    connection *c = s->of;
    const uint32_t id = s->id;
    return sent(f, c, id, write_block(&f->core, fields, fields_bytes) &&
                          stream_trailers(s, buffer_at(&f->core.block), buffer_size(&f->core.block)));
}

int front_read(front *f, uint64_t call, size_t bytes) {
    front_hold(f);
    stream *s = answerable(f, call);
    if (s == NULL) {
        front_go_on(f);
        return 0;
    }
    connection *c = s->of;
    const uint32_t id = s->id;
    s->unread -= bytes < s->unread ? bytes : s->unread;
    call_go_on(s);
    return sent(f, c, id, 1);
}

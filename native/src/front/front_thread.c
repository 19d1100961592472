/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's thread: sockets, readiness, and the lock under which everything else is done. It waits without the lock,
 * works off what is ready, and sends what came of it; a call's owner sends his answers himself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "front_thread.h"

#define READY 128   /* what is worked off before others may hold the lock, unless they want to */
#define ACCEPTED 64 /* at a time */
#define FED_BYTES ((size_t)1 << 16) /* of a connection, likewise */
#define SWEEP_MS 100
#define STALLED_NS INT64_C(300000000000) /* a caller that neither sends nor reads what is under way is let go */

int64_t front_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

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

void thread_ring(int descriptor) {
    const uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void thread_silence(int descriptor) {
    uint64_t count;
    while (read(descriptor, &count, sizeof count) < 0 && errno == EINTR) continue;
}

/* Tells the owner of calls, once until it looks. */
void thread_tell(front *f) {
    if (f->core.happened_count == 0 || f->signalled) return;
    f->signalled = 1;
    thread_ring(f->happened);
}

int thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the interpreter's threads */
    const int status = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
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
void thread_watch(front *f, connection *c) {
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
void thread_flush(front *f, connection *c) {
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
    thread_watch(f, c);
}

/* Where the status is 0 the answer has failed. The stream may end under what is sent, so that it is found by its number. */
void thread_sent(front *f, connection *c, uint32_t id, int status) {
    stream *s = status == 0 && !c->broken ? stream_find(c, id) : NULL;
    if (s != NULL) stream_fail(s);
    const int swept = f->sweeping;
    thread_flush(f, c);
    if (f->dead || (f->sweeping && !swept)) thread_ring(f->wake);
    thread_tell(f);
}

static void receive(front *f, connection *c) {
    const ssize_t size = recv(c->socket, f->input, INPUT_BYTES, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (size <= 0) {
        bury(f, c);
        return;
    }
    c->moved_ns = front_now();
    for (size_t at = 0, here; at < (size_t)size && !c->closing && !c->broken && !c->dead; at += here) {
        if (at > 0 && atomic_load(&f->waiting) > 0) {
            pthread_mutex_unlock(&f->lock);
            hold_after_others(f);
        }
        here = (size_t)size - at < FED_BYTES ? (size_t)size - at : FED_BYTES;
        if (!c->dead) connection_feed(c, f->input + at, here);
    }
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
        thread_flush(f, c);
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
        thread_silence(f->wake);
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
    thread_flush(f, c);
}

/* Says whether a stop has nothing left to wait for: connections end when the caller has read what was sent. */
static int is_over(front *f) {
    int over = 1;
    for (connection *c = f->core.first; c != NULL; c = c->next) {
        if (c->dead) continue;
        over = 0;
        thread_flush(f, c);
        if (c->dead || c->closing || c->sending || buffer_size(&c->output) > 0) continue;
        c->closing = 1;
        c->until_ns = f->stop_ns;
        thread_flush(f, c);
    }
    return over || front_now() >= f->stop_ns;
}

void *thread_run(void *argument) {
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
        thread_tell(f);
    }
    for (connection *c = f->core.first; c != NULL; c = c->next) {
        while (c->sending) {
            pthread_mutex_unlock(&f->lock);
            hold_after_others(f);
        }
        bury(f, c);
    }
    free_dead(f);
    thread_tell(f);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

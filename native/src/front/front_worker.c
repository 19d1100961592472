/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers: threads of the front that run what takes long, without the lock and without the interpreter. The front's
 * thread has read the call and goes on with others; a worker runs it, and finishes it under the lock. What finds no
 * place, and a run that fails, is for the owner of calls, who knows how to wait and what to say.
 */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "front_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front_thread.h"

/* ---- What is there ----------------------------------------------------------------------------------------- */

static void put_last(workroom *r, work *w) {
    w->previous = r->last;
    *(r->last != NULL ? &r->last->next : &r->first) = w;
    r->last = w;
}

static void take_out(workroom *r, work *w) {
    *(w->previous != NULL ? &w->previous->next : &r->first) = w->next;
    *(w->next != NULL ? &w->next->previous : &r->last) = w->previous;
}

uint64_t work_oldest(front *f) {
    uint64_t oldest = f->core.served;
    for (const work *w = f->room.first; w != NULL; w = w->next) {
        if (w->served < oldest) oldest = w->served;
    }
    return oldest;
}

size_t work_held(front *f) {
    size_t held = 0;
    for (const work *w = f->room.first; w != NULL; w = w->next) held += w->held;
    return held;
}

/* Forgets a work; tells the owner when it was the last one that needed what was served then. */
static void forget(front *f, work *w) {
    const uint64_t before = work_oldest(f);
    take_out(&f->room, w);
    f->core.held -= w->held;
    free(w->message);
    free(w);
    if (work_oldest(f) != before) event_retired(&f->core);
}

/* A work for a call, with its message: the stream's own memory, or a copy. NULL if there is no memory. */
static work *make(stream *s, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    const size_t outputs = oip_outputs_bytes(&k->call), bytes = sizeof(work) + outputs;
    const int own = message == s->message.data && size > 0;
    if (outputs > k->limits.held_bytes || k->held + bytes + (own ? 0 : size) > k->limits.held_bytes) return NULL;
    work *w = malloc(bytes);
    uint8_t *kept = own ? s->message.data : malloc(size + 1);
    if (w == NULL || kept == NULL) {
        free(w);
        if (!own) free(kept);
        return NULL;
    }
    if (!own) memcpy(kept, message, size);
    *w = (work){.of = s, .served = k->served, .codec = k->codec, .deadline_ns = s->deadline_ns, .came_ns = front_now(),
                .call = k->call, .message = kept, .size = size};
    w->held = bytes + (own ? s->message.room : size);
    k->held += bytes + (own ? 0 : size); /* the stream's memory is counted already */
    if (own) stream_give(s, &s->message);
    return w;
}

static int is_late(const work *w, int64_t now) { return w->deadline_ns >= 0 && now >= w->deadline_ns; }

static void count_failure(const work *w, unsigned code) {
    oip_count_failure(w->call.route->stats, code, w->call.started_ns, oip_now());
}

static void *work_off(void *argument);

/* Whether somebody will take one more. */
static int has_worker(front *f) {
    workroom *r = &f->room;
    size_t most = f->core.limits.workers;
    if (most == 0) return 1; /* they are the caller's: a test's */
    if (most > MOST_WORKERS) most = MOST_WORKERS;
    if (r->count < most && r->waiting + r->running >= r->count && thread_start(&r->workers[r->count], work_off, f) == 0) {
        r->count++;
    }
    return r->count > 0;
}

int work_take(stream *s, const uint8_t *message, size_t size) {
    front *f = s->of->of;
    workroom *r = &f->room;
    if (r->closed || r->waiting >= f->core.limits.waiting || !has_worker(f)) return 0;
    work *w = make(s, message, size);
    if (w == NULL) return 0;
    put_last(r, w);
    r->waiting++;
    s->work = w;
    s->phase = WORKING;
    f->core.running++;
    sem_post(&r->comes);
    return 1;
}

void work_leave(stream *s) {
    work *w = s->work;
    if (w == NULL) return;
    front *f = s->of->of;
    s->work = NULL;
    w->of = NULL;
    count_failure(w, is_late(w, front_now()) ? GRPC_DEADLINE_EXCEEDED : GRPC_CANCELLED);
    if (w->begun) return; /* whoever has it will see */
    f->room.waiting--;
    forget(f, w);
}

/* ---- Runs -------------------------------------------------------------------------------------------------- */

static int reserve(worker_scratch *scratch, size_t bytes) {
    if (bytes <= scratch->bytes) return 1;
    free(scratch->at);
    *scratch = (worker_scratch){NULL, 0};
    if (posix_memalign(&scratch->at, LIAM_ALIGNMENT, bytes) != 0) return 0;
    scratch->bytes = bytes;
    return 1;
}

/* The oldest of another version than that whose turn was last, else the oldest. */
static work *next(workroom *r) {
    work *oldest = NULL;
    for (work *w = r->first; w != NULL; w = w->next) {
        if (w->begun) continue;
        if (w->call.route->owner != r->turn) return w;
        if (oldest == NULL) oldest = w;
    }
    return oldest;
}

static work *begin(front *f) {
    workroom *r = &f->room;
    work *w = next(r);
    if (w == NULL) return NULL;
    w->begun = 1;
    r->turn = w->call.route->owner;
    r->waiting--;
    r->running++;
    return w;
}

static void refuse_late(work *w, stream *s) {
    count_failure(w, GRPC_DEADLINE_EXCEEDED);
    call_refuse(s, GRPC_DEADLINE_EXCEEDED, "the deadline is over");
}

/* The owner runs it again, and says what is wrong with it. */
static void hand_over(work *w, stream *s) {
    front_core(s->of->of)->running--; /* it is counted again as his */
    s->phase = RECEIVING;
    if (!event_call(s, call_begun(s), w->message, w->size)) {
        call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
    }
}

/* Answers a call that was run, or was not. Returns 0 if the answer finds no room. */
static int conclude(work *w, stream *s, int ran, int64_t began_ns) {
    oip_stats *stats = w->call.route->stats;
    s->work = NULL;
    w->of = NULL;
    if (is_late(w, front_now())) {
        refuse_late(w, s);
        return 1;
    }
    const int64_t answer = ran ? oip_finish_whole(w->codec, &w->call, w->message, w->size, w->results) : OIP_PASS;
    if (answer <= 0) {
        hand_over(w, s);
        return 1;
    }
    oip_count_wait(stats, (uint64_t)(began_ns - w->came_ns));
    return stream_answer(s, w->codec->answer, (size_t)answer);
}

int worker_step(front *f, worker_scratch *scratch) {
    front_hold(f);
    work *w = begin(f);
    front_go_on(f);
    if (w == NULL) return 0;
    const int64_t began_ns = front_now();
    const size_t bytes = w->call.route->runner->scratch_bytes;
    const int ran = !is_late(w, began_ns) && reserve(scratch, bytes) &&
                    oip_run(&w->call, w->message, w->outputs, w->results, scratch->at, scratch->bytes);
    front_hold(f);
    f->room.running--;
    stream *s = w->of;
    if (s == NULL) {
        forget(f, w);
        thread_tell(f);
    } else {
        connection *c = s->of;
        const uint32_t id = s->id;
        const int status = conclude(w, s, ran, began_ns);
        forget(f, w);
        thread_sent(f, c, id, status);
    }
    front_go_on(f);
    return 1;
}

/* A worker, from the first work for it to the front's end. */
static void *work_off(void *argument) {
    front *f = argument;
    worker_scratch scratch = {NULL, 0};
    for (;;) {
        while (sem_wait(&f->room.comes) != 0 && errno == EINTR) continue;
        if (worker_step(f, &scratch)) continue;
        front_hold(f);
        const int closed = f->room.closed;
        front_go_on(f);
        if (closed) break; /* else the caller has taken back what was announced */
    }
    free(scratch.at);
    return NULL;
}

/* ---- The room ---------------------------------------------------------------------------------------------- */

int room_open(front *f) {
    f->room.turn = UINT32_MAX;
    return sem_init(&f->room.comes, 0, 0) == 0;
}

void room_cancel(front *f) {
    for (work *w = f->room.first, *following; w != NULL; w = following) {
        following = w->next; /* one that waits is gone with its stream */
        if (w->of == NULL) continue;
        call_refuse(w->of, GRPC_CANCELLED, "the call was cancelled");
    }
}

void room_close(front *f) {
    workroom *r = &f->room;
    front_hold(f);
    r->closed = 1;
    const size_t count = r->count;
    r->count = 0;
    front_go_on(f);
    for (size_t i = 0; i < count; i++) sem_post(&r->comes);
    for (size_t i = 0; i < count; i++) pthread_join(r->workers[i], NULL);
}

void room_free(front *f) { sem_destroy(&f->room.comes); }

/* SPDX-License-Identifier: Apache-2.0
 *
 * The front as its thread and its owner's functions see it. All of it is under the lock, but for what a wait needs.
 */
#ifndef FRONT_THREAD_H
#define FRONT_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "front_core.h"
#include "front_worker.h"

#define INPUT_BYTES (1 << 18) /* read from a connection at a time */
#define MS_NS INT64_C(1000000)

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
    workroom room;
    uint8_t *input;
};

void *thread_run(void *argument);                /* the thread, of a front */
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument); /* one without signals: 0, or an error */
void thread_sent(front *f, connection *c, uint32_t id, int status); /* sends what another thread wrote for a call */
void thread_flush(front *f, connection *c);      /* sends what waits; lets go of the lock meanwhile */
void thread_watch(front *f, connection *c);      /* has epoll watch what the connection can do */
void thread_tell(front *f);                      /* tells the owner of calls, once until he looks */
void thread_ring(int descriptor);                /* makes an eventfd readable */
void thread_silence(int descriptor);             /* and not any more */

#endif

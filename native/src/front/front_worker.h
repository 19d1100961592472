/* SPDX-License-Identifier: Apache-2.0
 *
 * The room of the front's workers: calls whose run is too long for the front's thread, the oldest first and those of
 * several versions in turns. All of it is under the front's lock, but for the runs.
 */
#ifndef FRONT_WORKER_H
#define FRONT_WORKER_H

#include <pthread.h>
#include <semaphore.h>

#include "front_core.h"

#define MOST_WORKERS 16

/* A call on its way through the room. Its stream may end before it does. */
typedef struct work {
    struct work *next; /* all there are, in order of arrival */
    struct work *previous;
    stream *of;        /* NULL when nobody waits for it any more */
    int begun;         /* a worker has it: he gives it back */
    size_t held;       /* bytes that count as held */
    uint64_t served;   /* by what front_serve gave at that time */
    oip_server *codec;
    int64_t deadline_ns;
    int64_t came_ns;
    oip_call call;
    uint8_t *message;
    size_t size;
    oip_result results[OIP_MAX_TENSORS];
    uint8_t outputs[];
} work;

typedef struct workroom {
    work *first;
    work *last;
    size_t waiting;  /* that no worker has */
    size_t running;  /* that one has */
    uint32_t turn;   /* owner of the last one that was begun; others come before him */
    pthread_t workers[MOST_WORKERS];
    size_t count;    /* workers there are; they begin when there is work for them */
    sem_t comes;     /* once for each work that came */
    int closed;
} workroom;

/* Memory that a worker keeps for its runs. */
typedef struct worker_scratch {
    void *at;
    size_t bytes;
} worker_scratch;

int room_open(front *f);
void room_cancel(front *f); /* tells the callers of what is there that it is cancelled */
void room_close(front *f);  /* ends the workers when their runs are done; waits for that, without the lock */
void room_free(front *f);

/* Works off the work whose turn it is, as a worker does: 1, or 0 if none waits. Without the lock. */
int worker_step(front *f, worker_scratch *scratch);

#endif

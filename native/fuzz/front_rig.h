/* SPDX-License-Identifier: Apache-2.0
 *
 * A front with one connection and no socket, for tests and for the fuzzer: bytes go in, frames come out, events are
 * taken. With every step it checks what must always hold: that what is counted as held and as running is what there is,
 * that the output is frames in an order that HTTP/2 permits, and that calls are told about in order.
 */
#ifndef FRONT_RIG_H
#define FRONT_RIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "front_core.h"

#define REQUIRE(condition)                                                  \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* The methods of a rig's front, by number. */
#define RIG_INFER 0
#define RIG_UNARY 1
#define RIG_STREAM 2
#define RIG_INFERS 3

#define RIG_BLOCK 512 /* room that rig_request takes, beside its fields */

/* A frame that came out; data lives until the next rig_read. */
typedef struct rig_frame {
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    size_t size;
    const uint8_t *data;
} rig_frame;

typedef struct rig_call {
    uint64_t call;
    uint32_t method;
    int ended;
    int gone;
    int finished;
    size_t late; /* events that waited when it was finished */
} rig_call;

/* What came out on a stream. */
typedef struct rig_stream {
    uint32_t id;
    int begun;
    int ended;
    int reset;
} rig_stream;

typedef struct rig {
    front *front;
    core *core;
    connection *c;
    rig_call *calls;
    size_t call_count;
    rig_stream *streams;
    size_t stream_count;
    buffer sent;     /* what was taken from the output and not yet read */
    size_t read;     /* bytes of it that were read */
    uint64_t digest; /* of all frames that were read */
    uint32_t block;  /* the stream whose fields go on */
    size_t data_bytes; /* of DATA that came out */
    int farewell;    /* GOAWAYs that came out */
    size_t idle;     /* FRONT_IDLEs that were taken */
    size_t retired;  /* FRONT_RETIREDs */
} rig;

extern const front_limits rig_limits;

rig *rig_new(const front_limits *limits);
void rig_greet(rig *r);                                     /* feeds the preface and empty settings */
void rig_feed(rig *r, const uint8_t *data, size_t size);
void rig_frame_in(rig *r, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size);
void rig_request(rig *r, uint32_t id, int kind, int end); /* feeds plain HEADERS */
void rig_message(rig *r, uint32_t id, const char *message, int end); /* feeds one DATA frame with a message */
int rig_take(rig *r, front_event *event);                   /* the next event of a call: 1, or 0 */
rig_call *rig_find(rig *r, uint64_t call);
void rig_finished(rig *r, uint64_t call); /* notes that an answer, or an end, was accepted */
void rig_drain(rig *r, size_t bytes);                       /* plays the socket that takes so many bytes */
int rig_read(rig *r, rig_frame *frame);                     /* the next frame of what was drained: 1, or 0 */
int rig_next(rig *r, rig_frame *frame);                     /* the same, of all output */
void rig_check(const rig *r);
void rig_close(rig *r);                                     /* ends the connection and takes what is told of it */
void rig_free(rig *r);                                      /* the rest; nothing may be left */

uint8_t *rig_put_frame(uint8_t *at, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size);
uint8_t *rig_put_request(uint8_t *at, int kind); /* a block of fields */
uint8_t *rig_put_text(uint8_t *at, const char *name, const char *value);

#endif

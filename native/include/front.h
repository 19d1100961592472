/* SPDX-License-Identifier: Apache-2.0
 *
 * The native front: gRPC over HTTP/2 (RFC 9113, RFC 7541) on plain sockets, served by one thread of its own that never
 * takes the interpreter's lock. Plain inferences are answered where they arrive, by the codec of oip.h; every other call
 * is handed to its owner as events, and answered by him with the functions below. It is a server for gRPC and nothing
 * else: no TLS, no push, no priorities, no compression of its answers.
 *
 * Conventions
 *   Memory    The front allocates what it holds: messages, answers and events within front_limits, beside them at most
 *             a few megabytes for a connection. A call that finds no room ends with RESOURCE_EXHAUSTED, by its status or,
 *             once it is answered, by ENHANCE_YOUR_CALM. While many events wait, nothing is read. What is returned in
 *             events lives until the next front_take. What a caller passes is copied before the function returns, but for
 *             the codec and table of front_serve, which stay the caller's.
 *   Threads   Once it is started every function may be called from any thread; one at a time works, the front's own
 *             thread included, and its workers but for their runs. A front belongs to the process that made it: a child may only end it, which does nothing.
 *   Errors    Functions that may fail say so: negative errno values, or 0 where a call is gone.
 *   Fields    Metadata crosses in one form: for each field its name's size and its value's as two uint32_t of the
 *             machine, then name and value. Values of names in -bin are in base64, as they are on the wire.
 */
#ifndef FRONT_H
#define FRONT_H

#include <stddef.h>
#include <stdint.h>

#include "oip.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FRONT_ABI_VERSION 2

typedef struct front front;

typedef struct front_limits {
    size_t message_bytes;  /* largest message of a request */
    size_t held_bytes;     /* messages, answers and events that are held at a time, of all connections together */
    size_t connection_bytes; /* messages and answers of one connection; 0 for as many as there may be in all */
    size_t streams;        /* calls under way on a connection */
    size_t greeting_ms;    /* time for a connection to say what it is */
    size_t workers;        /* threads that run what is too long for the front's own; 16 at most */
    size_t waiting;        /* calls that wait for one of them; what finds no place is handed over */
} front_limits;

/* How a method's calls are handed over. */
#define FRONT_INFER 0  /* ModelInfer: answered by the codec where it can, by a worker where that takes long, by the digest
                          that the metadata neuralmesh-digest names where there is any, else as FRONT_UNARY */
#define FRONT_UNARY 1  /* at once, with their one message, when that is complete */
#define FRONT_STREAM 2 /* when they begin; messages follow as they come, as fast as they are read */
#define FRONT_INFERS 3 /* ModelStreamInfer: a stream whose messages the codec answers where it can, in their order; its
                          owner answers each of the others by one front_send */

/* What happened to a call; the front tells about those that were handed over, and of each in order. */
#define FRONT_CALL 0    /* it begins; data is the message, but of a stream */
#define FRONT_MESSAGE 1 /* a message of a stream */
#define FRONT_END 2     /* the caller sends no more messages in the stream */
#define FRONT_ROOM 3    /* messages can be sent again; see front_send */
#define FRONT_GONE 4    /* the caller cancelled it or its connection ended; nothing can be sent */
#define FRONT_IDLE 5    /* of no call: calls are refused, and none is under way any more */
#define FRONT_RETIRED 6 /* of no call: what front_in_use says has risen */

#define FRONT_COMPRESSED 1 /* the message is compressed as the field grpc-encoding says */
#define FRONT_BEGUN 2      /* the codec found the message valid, and the caller is to run it; not of one that names a digest */

typedef struct front_event {
    uint64_t call; /* its number; it is given again after 2^32 calls at the earliest */
    uint32_t kind;
    uint32_t flags;
    uint32_t method;       /* FRONT_CALL: which, as numbered by front_method */
    int64_t deadline_ns;   /* FRONT_CALL: on CLOCK_MONOTONIC; -1 for none */
    const uint8_t *fields; /* FRONT_CALL: metadata, without pseudo-headers and what gRPC itself reads */
    size_t fields_bytes;
    const uint8_t *data; /* the message */
    size_t data_bytes;
} front_event;

uint32_t front_abi_version(void);

/* A front without connections: NULL if there is no memory or no descriptor left. */
front *front_new(const front_limits *limits);

/* Knows a method by its path, `/package.Service/Method`; returns its number, in the order of the calls. All methods are
 * known before the front starts; calls of others are answered UNIMPLEMENTED. */
int front_method(front *f, const uint8_t *path, size_t path_bytes, int kind);

/* Accepts connections from a listening socket, TCP or Unix, of which the front now takes care. */
int front_listen(front *f, int socket);

/* Starts the thread. */
int front_start(front *f);

/* Refuses, from now on, every call that begins, with these trailers; nothing of it runs. FRONT_IDLE follows. */
int front_refuse(front *f, const uint8_t *fields, size_t fields_bytes);

/* How many calls are under way: handed over and not finished, or answered and not sent. */
size_t front_running(front *f);

/* Accepts no more connections, says farewell on those there are, gives them so many milliseconds to read what was sent
 * and to close, closes the others and ends the threads, a worker's after its run. Calls that are left are gone; those
 * that were with a worker are told CANCELLED. */
void front_stop(front *f, size_t patience_ms);

/* Ends what front_stop has not, and gives everything back. Nobody may use the front any more. */
void front_free(front *f);

/* Holds the front's thread off until front_go_on: nothing that it counts changes. Not to be nested. */
void front_hold(front *f);
void front_go_on(front *f);

/* Answers inferences with this codec and these routes from now on; NULL hands everything over. Returns how often that
 * was said. What was said before is out of use, but for calls that are with a worker. */
uint64_t front_serve(front *f, oip_server *codec, const oip_table *table);

/* The least such number that is in use: codec and routes of those before it are the caller's again. */
uint64_t front_in_use(front *f);

/* ---- Calls that were handed over --------------------------------------------------------------------------- */

/* A descriptor that is readable while events wait. */
int front_descriptor(const front *f);

/* Takes up to so many events, oldest first; what the previous ones point to is given back. */
size_t front_take(front *f, front_event *events, size_t room);

/* All of these return 1, or 0 if the call is gone or already finished. */

/* Answers with a message and the status OK. */
int front_answer(front *f, uint64_t call, const uint8_t *message, size_t size);

/* Sends initial metadata; it goes out by itself with what is sent first. */
int front_begin(front *f, uint64_t call, const uint8_t *fields, size_t fields_bytes);

/* Sends a message. 2 says that the caller does not keep up: FRONT_ROOM follows when it does. */
int front_send(front *f, uint64_t call, const uint8_t *message, size_t size);

/* Finishes with trailers, grpc-status among them. */
int front_finish(front *f, uint64_t call, const uint8_t *fields, size_t fields_bytes);

/* What a message counts beside its bytes until it is read. */
#define FRONT_MESSAGE_BYTES 128

/* Says that the owner has read messages of a stream that count so many bytes in all, so that others may come. */
int front_read(front *f, uint64_t call, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif

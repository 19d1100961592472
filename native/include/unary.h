/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's side of a gRPC connection, for unary calls: the bytes of a request out, those of its answer in, over
 * HTTP/2 (RFC 9113, RFC 7541) on one plain socket that its owner connected. Many calls share it. It is a client for unary
 * gRPC and nothing else: no TLS, no streams of messages, no compression, and nothing is ever sent twice.
 *
 * Conventions
 *   Memory    What a caller passes is copied before the function returns. What is returned in an end lives until the next
 *             unary_next. Requests that wait and answers are held within unary_limits, beside them less than a megabyte.
 *   Threads   One at a time; nothing here waits for anything.
 *   Fields    As in front.h: for each its name's size and its value's as two uint32_t of the machine, then name and value.
 *             Names of pseudo-fields come first, and names are in lower case, which is the caller's to see to.
 */
#ifndef UNARY_H
#define UNARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UNARY_ABI_VERSION 1

typedef struct unary unary;

typedef struct unary_limits {
    size_t message_bytes; /* largest message of an answer */
    size_t held_bytes;    /* requests that wait, and answers, that are held at a time */
    size_t calls;         /* under way at a time */
} unary_limits;

/* What a connection is; see unary_state. */
#define UNARY_GREETING 0 /* the peer has not said that it speaks HTTP/2: calls are taken and wait */
#define UNARY_OPEN 1
#define UNARY_LEAVING 2  /* it takes no new calls, and those under way go on */
#define UNARY_LOST 3     /* it is over, and every call has its end */

/* How a call ended. */
typedef struct unary_end {
    uint64_t call;
    uint32_t status;  /* of gRPC: the peer's, or what the specification makes of it where the peer said none */
    uint32_t unseen;  /* the peer did not look at the request, so that nothing of it has run */
    const char *why;  /* where the status is not the peer's; else NULL */
    const uint8_t *message; /* of the status OK */
    size_t message_bytes;
    const uint8_t *fields; /* those that came last: of the trailers, if there were any */
    size_t fields_bytes;
} unary_end;

uint32_t unary_abi_version(void);

/* A connection on which nothing was said yet; NULL if there is no memory. */
unary *unary_new(const unary_limits *limits);
void unary_free(unary *u);

int unary_state(const unary *u);
size_t unary_under_way(const unary *u); /* calls that have not ended */
uint64_t unary_heard(const unary *u);   /* bytes that came so far */

/* Begins a call: its number, or 0 where it cannot be taken, so that nothing of it is sent: the connection takes no more
 * calls, as many as permitted are under way, or there is no room. A peer that permits fewer calls at a time gets them one
 * after the other. */
uint64_t unary_call(unary *u, const uint8_t *fields, size_t fields_bytes, const uint8_t *message, size_t message_bytes);

/* Ends a call without an end to take: 1, or 0 when it has ended already; its end, if it waits, is gone as well. */
int unary_cancel(unary *u, uint64_t call);

/* Asks the peer for a sign of life, which unary_heard counts. */
void unary_ping(unary *u);

/* Takes the next end: 1, or 0 for none. */
int unary_next(unary *u, unary_end *end);

/* Sends what waits, as far as the socket takes it: 1 when more waits, else 0. */
int unary_send(unary *u, int socket);

/* Reads what is there, up to a megabyte or so, and answers what has to be: 1 when more waits to be sent, else 0. The state says what
 * came of it. */
int unary_receive(unary *u, int socket);

/* The same without a socket: what waits to be sent, that so much of it was, and what came. */
size_t unary_output(const unary *u, const uint8_t **data);
void unary_sent(unary *u, size_t bytes);
void unary_feed(unary *u, const uint8_t *data, size_t size);

/* The line is gone: every call ends with UNAVAILABLE. */
void unary_lose(unary *u, const char *why);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of a caller share: unary.c has its calls, unary_write.c the frames that go out, unary_read.c those that
 * come in, unary_answer.c what they say of a call.
 */
#ifndef UNARY_CORE_H
#define UNARY_CORE_H

#include "front_hpack.h"
#include "front_wire.h"
#include "unary.h"

#define NO_MEMORY "there is no memory"

#define PLACES 256 /* of the index of calls, a power of two */

#define GRPC_UNKNOWN 2
#define GRPC_PERMISSION_DENIED 7
#define GRPC_UNAVAILABLE 14
#define GRPC_UNAUTHENTICATED 16

#define H2_INTERNAL_ERROR 2
#define H2_CANCEL 8
#define H2_INADEQUATE_SECURITY 12

typedef struct exchange {
    uint32_t id;      /* of its stream, and its number */
    uint8_t opened;   /* its fields are sent */
    uint8_t ended;    /* its request is sent as a whole */
    uint8_t begun;    /* the answer's first fields came */
    uint8_t over;     /* its end waits to be taken */
    uint8_t waits;    /* it is in the line of those that send */
    int http;         /* status; 0 for none */
    int status;       /* of gRPC; -1 for none */
    int64_t send_window;
    buffer block;     /* of the request's fields, until it is opened */
    buffer pending;   /* of the request's DATA, that waits for windows */
    buffer data;      /* of the answer: prefix and message */
    buffer fields;    /* that came last, in the form of front.h */
    size_t listed;    /* of these, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    unary_end end;
    struct exchange *chain; /* the next one in its place of the index */
    struct exchange *next;  /* in the line of those that have something to send, or of the ends */
} exchange;

typedef struct line {
    exchange *first;
    exchange *last;
} line;

struct unary {
    unary_limits limits;
    int state;
    uint32_t next_id;
    size_t calls;     /* in the index */
    size_t under_way; /* of these */
    size_t open;   /* opened streams */
    size_t permitted; /* of these */
    size_t held;
    uint64_t heard;
    exchange *index[PLACES];
    line sending; /* not opened, or with DATA that waits; in the order in which they begin */
    line ends;
    exchange *taken;  /* whose end was returned last */
    int64_t send_window;
    int64_t initial_window; /* of streams towards the peer */
    size_t frame;           /* largest that the peer accepts */
    int64_t receive_window;
    size_t credit;
    int spoken; /* a block of fields was sent */
    hpack_table table;
    buffer block; /* of fields that go on in CONTINUATION */
    uint32_t block_stream; /* 0 when none is under way */
    uint8_t block_flags;
    unsigned continuations;
    buffer input;
    buffer output;
    uint8_t *scratch;
};

/* unary.c */
exchange *call_find(unary *u, uint32_t id);
int call_keep(unary *u, buffer *b, const uint8_t *data, size_t size); /* within the limits */
void call_end(unary *u, exchange *c, uint32_t status, int unseen, const char *why); /* the owner's to take from now on */
void call_reset(unary *u, exchange *c, uint32_t code, uint32_t status, const char *why); /* tells the peer, and ends it */
void unary_fail(unary *u, uint32_t code, const char *why); /* the peer broke the protocol, or there is no memory */
void line_add(line *l, exchange *c);
void release(unary *u, buffer *b);

/* unary_write.c */
void put_frame(unary *u, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size);
void put_reset(unary *u, uint32_t id, uint32_t code);
int may_open(const unary *u);
int open_stream(unary *u, exchange *c); /* sends its fields; 0 for no memory */
/* Sends of two pieces of DATA, the last ones of the call, what windows permit; returns how much, or -1 for no memory. */
int64_t put_data(unary *u, exchange *c, const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size);
void unary_pump(unary *u); /* begins what may begin, and sends what windows permit */

/* unary_read.c */
void unary_read(unary *u, size_t more); /* so many bytes came behind those that are there */

/* unary_answer.c */
int answer_fields(unary *u, exchange *c, const uint8_t *block, size_t size, int last); /* 0 for a block that is no HPACK */
void answer_data(unary *u, exchange *c, const uint8_t *data, size_t size, int last);
void answer_reset(unary *u, exchange *c, uint32_t code);

#endif

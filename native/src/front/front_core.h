/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the front share. A request goes down, file by file: front_thread.c (sockets), front_connection.c
 * (HTTP/2 frames; front_control.c for those that carry no call), front_fields.c and front_call.c (gRPC), then oip_answer,
 * front_worker.c for what takes long, or front_events.c for the owner, who comes back through front.c. Its answer goes
 * out through front_stream.c (flow control) into the connection's buffer, which front_thread.c sends. Nothing between
 * them knows a socket. Everything is done under the front's lock.
 */
#ifndef FRONT_CORE_H
#define FRONT_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "front.h"
#include "front_hpack.h"
#include "front_wire.h"

/* ---- Limits ------------------------------------------------------------------------------------------------- */

#define STREAM_WINDOW (1 << 20)     /* bytes that a caller may send of a message before the front has read any */
#define CONNECTION_WINDOW (1 << 24) /* of all messages of a connection */
#define UNREAD_BYTES (1 << 18) /* messages of a stream that wait for its owner; what else comes waits unread */
#define EVENTS (1 << 14)       /* that wait for their owner; with more, nothing is read */
#define SPARE_STREAMS 4096     /* that are kept for calls to come */
#define PENDING_BYTES (1 << 18) /* messages of a stream that wait for its caller; with more, the owner is told so */
#define LINGER_BYTES (1 << 16) /* that a caller may send after its answer before it is told to stop */

/* ---- Streams and connections ------------------------------------------------------------------------------- */

typedef struct connection connection;

typedef enum phase {
    RECEIVING, /* its fields or its only message are not complete */
    HANDED,    /* its owner answers */
    WORKING,   /* a worker answers, or is to */
    FINISHING, /* answered; what is left waits for the caller's windows */
    LINGERING, /* over; the caller has yet to notice, and what it still sends is thrown away */
} phase;

typedef struct stream {
    connection *of;
    uint32_t id;
    uint32_t method;
    uint64_t call; /* 0 while it is not handed over */
    struct work *work; /* of a call that is WORKING */
    phase phase;
    uint8_t ended;      /* the caller has sent everything */
    uint8_t begun;      /* initial metadata is sent */
    uint8_t told;       /* its owner waits for FRONT_ROOM */
    uint8_t waiting;    /* it is in the connection's list of those with something to send */
    uint8_t compressed; /* the message under way is */
    uint8_t pinned;     /* the caller says which digest is to answer */
    uint8_t complete;   /* the only message is there */
    int64_t deadline_ns;
    int64_t length;   /* content-length, -1 for none */
    int64_t received; /* bytes of data */
    int64_t send_window;
    int64_t receive_window;
    size_t credit; /* received and not yet given back to the caller's window */
    size_t withheld; /* received, and given back when the owner has read more */
    size_t unread;   /* what messages count that the owner has not read */
    size_t lingered; /* bytes that came after the answer */
    size_t owed;     /* messages that the owner has not answered; FRONT_INFERS alone */
    buffer fields; /* metadata, in the form of front.h */
    uint8_t prefix[GRPC_PREFIX];
    size_t prefixed;  /* bytes of the prefix that are there */
    size_t announced; /* the message's size */
    buffer message;   /* what is there of it */
    buffer backlog;   /* data of a stream whose owner has much to read */
    uint8_t backlog_ends;
    buffer pending;   /* DATA that waits for windows */
    buffer trailers;  /* their block, while pending goes before them */
    struct stream *chain; /* the next one in its place of the connection's index, or of the free ones */
    struct stream *next;  /* in the list of those with something to send */
    struct stream *previous;
} stream;

struct connection {
    front *of;
    connection *next; /* in the front's list */
    connection *previous;
    int socket;      /* -1 in tests and fuzzing, and once it is closed */
    int greeted;     /* preface and settings were received */
    size_t prefaced; /* bytes of the preface that were received */
    int closing;     /* a farewell was said: nothing is read any more, what waits is sent */
    int farewell;    /* GOAWAY was sent */
    int dead;        /* to be freed by the front's thread */
    int sending;     /* a thread sends without the lock; it goes on with what is added meanwhile */
    int broken;      /* no memory: to be closed without a word */
    uint32_t events; /* what epoll watches */
    size_t held;      /* bytes of its messages and answers */
    int64_t moved_ns; /* when something was last received or sent */
    int64_t until_ns; /* when it is closed unless it has greeted, or at all where it is closing */
    uint32_t last;    /* highest stream that was opened */
    size_t open;      /* streams */
    stream **index;
    size_t places; /* in the index, a power of two */
    stream *first; /* with something to send, in order */
    stream *tail;
    int64_t send_window;
    int64_t receive_window;
    size_t credit;
    int64_t initial_window; /* of streams towards the caller */
    size_t frame;           /* largest one that the caller accepts */
    int spoken;             /* a block of fields was sent, and that our table is empty */
    hpack_table fields;
    buffer block;           /* of fields that go on in CONTINUATION */
    uint32_t block_stream;  /* 0 when none is under way */
    uint8_t block_flags;
    unsigned continuations;
    stream *data;     /* to which the frame under way belongs, NULL when nobody wants it */
    size_t data_left; /* bytes of it */
    size_t data_padding;
    int data_ends;
    int in_data;
    int64_t resets; /* that the caller may still send for now */
    int64_t resets_at_ns;
    buffer rest;   /* a frame that has begun */
    buffer output; /* what waits for the socket */
};

/* An event and the memory that goes with it. */
typedef struct happening {
    front_event event;
    size_t held; /* bytes of it that count as held */
} happening;

typedef struct method {
    uint8_t *path;
    size_t size;
    int kind;
} method;

/* A call that was handed over: its number is its place and how often that was used. */
typedef struct place {
    stream *stream;
    uint32_t used;
    uint32_t next_free;
} place;

/* The part of the front that streams and connections see. */
typedef struct core {
    front_limits limits;
    method *methods;
    size_t method_count;
    oip_server *codec;
    const oip_table *table;
    uint64_t served; /* how often these were given */
    oip_call call;
    uint8_t *refusal; /* a block of trailers; NULL while calls are accepted */
    size_t refusal_size;
    size_t held;    /* bytes of messages and answers */
    size_t running; /* calls handed over or finishing */
    connection *first;
    stream *free_streams;
    size_t spare;      /* how many these are */
    uint32_t seed;     /* scatters the numbers of streams over the places of an index; odd */
    int told_idle;
    int crowded; /* connections are not read because of the events that wait */
    place *places;
    uint32_t place_count;
    uint32_t free_place; /* UINT32_MAX for none */
    happening *happened; /* a ring */
    size_t happened_room;
    size_t happened_first;
    size_t happened_count;
    happening *taken;
    size_t taken_room;
    size_t taken_count;
    uint8_t *scratch; /* for blocks of fields */
    buffer block;     /* where trailers are written */
} core;

core *front_core(front *f);

int64_t front_now(void);

/* front_connection.c */
void connection_open(connection *c, front *f, int socket);
void connection_feed(connection *c, const uint8_t *data, size_t size); /* reads what was received */
void connection_fail(connection *c, uint32_t code, const char *why);   /* GOAWAY, and no more */
void connection_farewell(connection *c);                               /* GOAWAY without an error */
void connection_abandon(connection *c);                                /* its streams are gone */
void connection_clear(connection *c);                                  /* gives its memory back */
int connection_owes(const connection *c); /* its caller has a message to finish, or an answer to read */
void connection_charge(connection *c); /* for a call that its owner was given in vain; fails it when there are too many */
void connection_reset(connection *c, uint32_t id, uint32_t code); /* RST_STREAM */
int connection_put_block(connection *c, uint32_t id, int end, const uint8_t *first, size_t first_size,
                         const uint8_t *second, size_t second_size); /* fields, in two parts */
void connection_put_frame(connection *c, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *data, size_t size);

/* front_stream.c */
stream *stream_open(connection *c, uint32_t id);
stream *stream_find(connection *c, uint32_t id);
void stream_close(stream *s); /* forgets it; what it was handed over for is told that it is gone */
void stream_reset(stream *s, uint32_t code);
int stream_in_hand(const stream *s); /* its answer is being made, by its owner or by a worker */
int stream_is_over(const stream *s); /* it is answered, and nobody reads what still comes */
void stream_discard(stream *s, size_t bytes, int last); /* what came of such a one */
void stream_credit(stream *s, size_t bytes);
int stream_add(stream *s, buffer *b, const uint8_t *data, size_t size); /* to one of its buffers, within the limits */
void stream_drop(stream *s, buffer *b, size_t bytes);                   /* from its beginning */
void stream_give(stream *s, buffer *b);                                 /* its memory now belongs to somebody else */
void stream_fail(stream *s); /* its answer finds no room */
int stream_headers(stream *s, const uint8_t *block, size_t size, int end);
int stream_data(stream *s, const uint8_t *message, size_t size);       /* one gRPC message */
int stream_trailers(stream *s, const uint8_t *block, size_t size);     /* the end of the answer */
int stream_answer(stream *s, const uint8_t *message, size_t size);     /* headers, message, status OK */
void connection_pump(connection *c);                                   /* sends what windows permit */
void stream_unblocked(stream *s);

/* front_fields.c */
int call_fields(connection *c, stream *s, const uint8_t *block, size_t size); /* 0 for a block that is no HPACK */

/* The digest that the caller demands, within the call's fields; NULL for none, empty where its owner has the fields. */
oip_text call_digest(const stream *s);
int call_trailing(connection *c, stream *s, const uint8_t *block, size_t size);

/* front_call.c */
void call_refuse(stream *s, unsigned code, const char *why); /* with a status that the front itself finds */
void call_refuse_stopping(stream *s);
void call_refuse_http(stream *s, const char *status);
void call_data(stream *s, const uint8_t *data, size_t size, int last); /* last: the caller sends nothing after it */
void call_ended(stream *s); /* the caller has sent everything */
void call_go_on(stream *s); /* its owner has read something */

/* FRONT_BEGUN, but for a call that names a digest: who runs it later has to look again at what answers then. */
uint32_t call_begun(const stream *s);

/* front_events.c */
int event_call(stream *s, uint32_t flags, const uint8_t *message, size_t size);
int event_message(stream *s, const uint8_t *message, size_t size, int compressed);
void event_tell(stream *s, uint32_t kind);
void event_over(core *k); /* one call less is under way */
void event_idle(core *k); /* says so, if none is and none may begin */
void event_retired(core *k); /* something that was served before is out of use */
stream *event_stream(core *k, uint64_t call); /* NULL when it is gone */
void event_release(stream *s);                /* its number is not used any more */
size_t events_take(core *k, front_event *events, size_t room);
void events_free(core *k);

/* front_worker.c */
int work_take(stream *s, const uint8_t *message, size_t size); /* the core's call, which is long: 1, or 0 for no room */
void work_leave(stream *s);     /* nobody waits for it any more */
uint64_t work_oldest(front *f); /* the first of what was served that is in use */
size_t work_held(front *f);     /* bytes that count as held */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC over HTTP/2: the fields of a call, its messages, and who answers it. Plain inferences are answered here, by the
 * codec; everything else becomes an event.
 */
#include "front_core.h"

#include <string.h>

#define SEEN_METHOD 1
#define SEEN_SCHEME 2
#define SEEN_PATH 4
#define SEEN_AUTHORITY 8
#define SEEN_ALL (SEEN_METHOD | SEEN_SCHEME | SEEN_PATH)

#define NO_METHOD UINT32_MAX

/* A block of fields while it is read. */
typedef struct reading {
    core *k;
    stream *s; /* NULL: it is read for the sake of the table alone */
    unsigned seen;
    int regular;   /* a field that is no pseudo-field was seen */
    int trailing;  /* no pseudo-fields may come */
    int malformed; /* what RFC 9113 section 8.1.1 calls so */
    int post;
    int grpc;
    int no_memory;
    uint32_t method;
    size_t list; /* bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
} reading;

static int is(const uint8_t *name, size_t size, const char *text) {
    return size == strlen(text) && memcmp(name, text, size) == 0;
}

/* ---- Refusing ---------------------------------------------------------------------------------------------- */

/* Answers a call with a status that the front itself finds; its owner, if it has one, learns that it is gone. */
static void refuse(stream *s, unsigned code, const char *why) {
    uint8_t block[256], *at = block;
    uint8_t text[2];
    size_t size = 0;
    if (code >= 10) text[size++] = '1';
    text[size++] = (uint8_t)('0' + code % 10);
    at = hpack_put(at, (const uint8_t *)"grpc-status", 11, text, size);
    at = hpack_put(at, (const uint8_t *)"grpc-message", 12, (const uint8_t *)why, strlen(why));
    connection *c = s->of;
    const int handed = s->phase == HANDED;
    if (handed) event_tell(s, FRONT_GONE);
    stream_trailers(s, block, (size_t)(at - block));
    if (handed) connection_charge(c);
}

static void refuse_stopping(stream *s) {
    const core *k = front_core(s->of->of);
    stream_trailers(s, k->refusal, k->refusal_size);
}

/* Answers what is no gRPC with a plain status. */
static void refuse_http(stream *s, const char *status) {
    uint8_t block[32], *end = hpack_put(block, (const uint8_t *)":status", 7, (const uint8_t *)status, strlen(status));
    connection_put_frame(s->of, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, s->id, block, (size_t)(end - block));
    stream_close(s);
}

/* ---- Fields ------------------------------------------------------------------------------------------------ */

static uint32_t find_method(const core *k, const uint8_t *path, size_t size) {
    for (size_t i = 0; i < k->method_count; i++) {
        const method *one = &k->methods[i];
        if (one->size == size && memcmp(one->path, path, size) == 0) return (uint32_t)i;
    }
    return NO_METHOD;
}

static void read_pseudo(reading *r, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    unsigned which = 0;
    if (is(name, name_size, ":method")) {
        which = SEEN_METHOD;
        r->post = is(value, size, "POST");
    } else if (is(name, name_size, ":path")) {
        which = SEEN_PATH;
        if (size == 0) r->malformed = 1;
        r->method = find_method(r->k, value, size);
    } else if (is(name, name_size, ":scheme")) {
        which = SEEN_SCHEME;
    } else if (is(name, name_size, ":authority")) {
        which = SEEN_AUTHORITY;
    }
    if (which == 0 || r->seen & which || r->regular || r->trailing) r->malformed = 1;
    r->seen |= which;
}

/* A number of digits alone, or -1. */
static int64_t number(const uint8_t *text, size_t size, size_t most) {
    int64_t found = 0;
    if (size == 0 || size > most) return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        found = 10 * found + (text[i] - '0');
    }
    return found;
}

/* grpc-timeout: up to eight digits and a unit; the deadline, or -1 for what is none. */
static int64_t deadline(const uint8_t *text, size_t size) {
    static const struct {
        char name;
        int64_t ns;
    } units[] = {{'H', INT64_C(3600000000000)}, {'M', INT64_C(60000000000)}, {'S', 1000000000},
                 {'m', 1000000},                {'u', 1000},                 {'n', 1}};
    const int64_t count = size > 0 ? number(text, size - 1, 8) : -1;
    if (count < 0) return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (text[size - 1] != (uint8_t)units[i].name) continue;
        const int64_t now = front_now();
        return count > (INT64_MAX - now) / units[i].ns ? INT64_MAX : now + count * units[i].ns;
    }
    return -1;
}

/* Names are lower case letters and what else RFC 9110 calls a token; values hold no line ends and no zeros. */
static int is_valid(const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    if (name_size == 0) return 0;
    for (size_t i = 0; i < name_size; i++) {
        if (name[i] <= ' ' || name[i] >= 0x7f || (name[i] >= 'A' && name[i] <= 'Z') || name[i] == ':') return 0;
    }
    for (size_t i = 0; i < size; i++) {
        if (value[i] == 0 || value[i] == '\r' || value[i] == '\n') return 0;
    }
    return 1;
}

static void keep_field(reading *r, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    const uint32_t sizes[2] = {(uint32_t)name_size, (uint32_t)size};
    buffer *fields = &r->s->fields;
    if (!buffer_add(fields, (const uint8_t *)sizes, sizeof sizes) || !buffer_add(fields, name, name_size) ||
        !buffer_add(fields, value, size)) {
        r->no_memory = 1;
    }
}

static void read_regular(reading *r, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    if (is(name, name_size, "te")) {
        if (!is(value, size, "trailers")) r->malformed = 1;
    } else if (is(name, name_size, "content-type")) {
        r->grpc = size >= 16 && is(value, 16, "application/grpc") &&
                  (size == 16 || value[16] == '+' || value[16] == ';');
    } else if (is(name, name_size, "content-length")) {
        r->s->length = number(value, size, 18);
        if (r->s->length < 0) r->malformed = 1;
    } else if (is(name, name_size, "grpc-timeout")) {
        r->s->deadline_ns = deadline(value, size);
        if (r->s->deadline_ns < 0) r->malformed = 1;
    } else if (is(name, name_size, "connection") || is(name, name_size, "keep-alive") ||
               is(name, name_size, "proxy-connection") || is(name, name_size, "transfer-encoding") ||
               is(name, name_size, "upgrade")) {
        r->malformed = 1;
    } else if (!is(name, name_size, "grpc-accept-encoding")) {
        keep_field(r, name, name_size, value, size);
    }
}

static void read_field(void *context, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    reading *r = context;
    r->list += name_size + size + HPACK_ENTRY_BYTES;
    if (r->s == NULL || r->list > FIELDS_BYTES) return;
    if (name_size > 0 && name[0] == ':') {
        read_pseudo(r, name, name_size, value, size);
        return;
    }
    r->regular = 1;
    if (!is_valid(name, name_size, value, size)) {
        r->malformed = 1;
    } else if (!r->trailing) {
        read_regular(r, name, name_size, value, size);
    }
}

int call_fields(connection *c, stream *s, const uint8_t *block, size_t size) {
    core *k = front_core(c->of);
    reading r = {.k = k, .s = s, .method = NO_METHOD};
    if (!hpack_decode(&c->fields, block, size, k->scratch, read_field, &r)) return 0;
    if (s == NULL) return 1;
    if (r.list > FIELDS_BYTES) {
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "the metadata is larger than 16384 bytes");
    } else if (r.malformed || (r.seen & SEEN_ALL) != SEEN_ALL) {
        stream_reset(s, H2_PROTOCOL_ERROR);
    } else if (!r.post) {
        refuse_http(s, "405");
    } else if (!r.grpc) {
        refuse_http(s, "415");
    } else if (r.no_memory) {
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the metadata");
    } else if (k->refusal != NULL) {
        refuse_stopping(s);
    } else if (r.method == NO_METHOD) {
        refuse(s, GRPC_UNIMPLEMENTED, "this server has no such method");
    } else {
        s->method = r.method;
        if (k->methods[s->method].kind >= FRONT_STREAM && !event_call(s, 0, NULL, 0)) {
            refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
        }
    }
    return 1;
}

int call_trailing(connection *c, stream *s, const uint8_t *block, size_t size) {
    core *k = front_core(c->of);
    reading r = {.k = k, .s = s, .trailing = 1};
    if (!hpack_decode(&c->fields, block, size, k->scratch, read_field, &r)) return 0;
    if (s == NULL) return 1;
    if (r.malformed) {
        stream_reset(s, H2_PROTOCOL_ERROR);
    } else {
        call_ended(s);
    }
    return 1;
}

/* ---- Messages ---------------------------------------------------------------------------------------------- */

static int kind_of(const stream *s) { return front_core(s->of->of)->methods[s->method].kind; }

static int is_stream(const stream *s) { return kind_of(s) >= FRONT_STREAM; }

/* The answer of the codec to a message: its size, or what else oip_answer says. */
static int64_t infer(stream *s, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    if (k->codec == NULL || s->compressed) return OIP_PASS;
    return oip_answer(k->codec, k->table, &k->call, message, size);
}

/* Field infer_response of a ModelStreamInferResponse, and what is appended to the ModelInferResponse in it: the
 * parameter triton_final_response, true. */
#define WRAP_TAG 0x12
static const uint8_t wrap_end[] = "\x22\x1b\x0a\x15triton_final_response\x12\x02\x08\x01";
#define WRAP_END (sizeof wrap_end - 1)
#define WRAP_HEAD 6

/* Answers a message of a stream: 1; -1 if the answer finds no room; 0 when that is for the owner to do: he also answers what follows on one of his,
 * so that the order is kept, and what a caller that does not read has to wait for. */
static int infer_in_stream(stream *s, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    if (kind_of(s) != FRONT_INFERS || s->owed > 0 || buffer_size(&s->pending) > PENDING_BYTES) return 0;
    const int64_t answer = infer(s, message, size);
    if (answer <= 0) return 0;
    const size_t inner = (size_t)answer + WRAP_END;
    k->block.start = k->block.end = 0;
    uint8_t *wrapped = buffer_reserve(&k->block, WRAP_HEAD + inner), *at = wrapped;
    if (at == NULL) return -1;
    *at++ = WRAP_TAG;
    size_t rest = inner;
    for (; rest >= 0x80; rest >>= 7) *at++ = (uint8_t)(rest | 0x80);
    *at++ = (uint8_t)rest;
    memcpy(at, k->codec->answer, (size_t)answer);
    memcpy(at + answer, wrap_end, WRAP_END);
    at += inner;
    if (!s->begun && !stream_headers(s, NULL, 0, 0)) return -1;
    return stream_data(s, wrapped, (size_t)(at - wrapped)) ? 1 : -1;
}

/* Answers a call that has its one message, or hands it over. */
static void dispatch(stream *s, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    uint32_t flags = s->compressed ? FRONT_COMPRESSED : 0;
    if (k->refusal != NULL) {
        refuse_stopping(s);
        return;
    }
    if (kind_of(s) == FRONT_INFER) {
        const int64_t answer = infer(s, message, size);
        if (answer > 0) {
            connection *c = s->of;
            if (!stream_answer(s, k->codec->answer, (size_t)answer) && !c->broken) stream_fail(s);
            return;
        }
        if (answer == OIP_BEGUN) flags |= FRONT_BEGUN;
    }
    if (!event_call(s, flags, message, size)) refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
}

/* Gives the caller's window back, unless the owner of a stream has much to read. */
static void credit(stream *s, size_t bytes) {
    s->withheld += bytes;
    if (s->unread > UNREAD_BYTES) return;
    stream_credit(s, s->withheld);
    s->withheld = 0;
}

/* A message is there as a whole; last: nothing follows it. Returns 0 when the stream is over. */
static int whole(stream *s, const uint8_t *message, size_t size, int last) {
    s->prefixed = 0;
    if (is_stream(s)) {
        const int answered = infer_in_stream(s, message, size);
        if (answered < 0 && !s->of->broken) stream_fail(s);
        if (answered < 0) return 0;
        if (answered > 0) {
            stream_drop(s, &s->message, buffer_size(&s->message));
            return 1;
        }
        if (!event_message(s, message, size, s->compressed)) {
            refuse(s, GRPC_RESOURCE_EXHAUSTED, "too many bytes wait to be read");
            return 0;
        }
        s->unread += size + FRONT_MESSAGE_BYTES;
        s->owed++;
        return 1;
    }
    s->complete = 1;
    if (!last) return 1;
    s->ended = 1;
    if (s->length >= 0 && s->received != s->length) {
        stream_reset(s, H2_PROTOCOL_ERROR);
    } else {
        dispatch(s, message, size);
    }
    return 0;
}

/* Reads a prefix as far as it is there; returns 0 when the stream is over. */
static int read_prefix(stream *s, const uint8_t **data, size_t *size) {
    while (s->prefixed < GRPC_PREFIX && *size > 0) {
        s->prefix[s->prefixed++] = *(*data)++;
        --*size;
    }
    if (s->prefixed < GRPC_PREFIX) return 1;
    s->announced = (size_t)s->prefix[1] << 24 | (size_t)s->prefix[2] << 16 | (size_t)s->prefix[3] << 8 | s->prefix[4];
    s->compressed = s->prefix[0] == 1;
    if (s->prefix[0] > 1) {
        refuse(s, GRPC_INTERNAL, "a message's first byte is neither 0 nor 1");
        return 0;
    }
    if (s->announced > front_core(s->of->of)->limits.message_bytes) {
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "a message is larger than this server takes");
        return 0;
    }
    return 1;
}

/* Keeps a part of a message; returns 0 when the stream is over. */
static int keep_part(stream *s, const uint8_t *data, size_t size) {
    if (stream_add(s, &s->message, data, size)) return 1;
    refuse(s, GRPC_RESOURCE_EXHAUSTED, "this server holds as many bytes as it may");
    return 0;
}

#define TORN "the stream ended within a message"

/* The owner of a stream was given all its messages. */
static void end_of_stream(stream *s) {
    if (s->prefixed > 0) {
        refuse(s, GRPC_INTERNAL, TORN);
    } else {
        event_tell(s, FRONT_END);
    }
}

/* Reads messages until the owner of a stream has enough to read; returns how many bytes of the data are left. */
static size_t read_messages(stream *s, const uint8_t *data, size_t size, int last) {
    while (size > 0 && s->unread <= UNREAD_BYTES) {
        if (s->complete) {
            refuse(s, GRPC_INTERNAL, "more than one message for a method that takes one");
            return 0;
        }
        if (s->prefixed < GRPC_PREFIX && !read_prefix(s, &data, &size)) return 0;
        if (s->prefixed < GRPC_PREFIX) return 0;
        const size_t missing = s->announced - buffer_size(&s->message), here = size < missing ? size : missing;
        const int over = last && here == size;
        /* What is here as a whole and goes on at once is not copied. */
        const int direct = here == s->announced && (over || is_stream(s));
        if (!direct && !keep_part(s, data, here)) return 0;
        if (here == missing && !whole(s, direct ? data : buffer_at(&s->message), s->announced, over)) return 0;
        data += here;
        size -= here;
    }
    return size;
}

void call_data(stream *s, const uint8_t *data, size_t size, int last) {
    size_t left = size;
    credit(s, size);
    if (buffer_size(&s->backlog) == 0) left = read_messages(s, data, size, last);
    if (left > 0 && !stream_add(s, &s->backlog, data + size - left, left)) {
        refuse(s, GRPC_RESOURCE_EXHAUSTED, "too many bytes wait to be read");
    }
}

void call_go_on(stream *s) {
    if (s->unread > UNREAD_BYTES) return;
    if (buffer_size(&s->backlog) > 0) {
        buffer backlog = s->backlog; /* the stream may end while it is read */
        connection *c = s->of;
        const uint32_t id = s->id;
        const size_t size = buffer_size(&backlog);
        s->backlog = (buffer){NULL, 0, 0, 0};
        const size_t left = read_messages(s, buffer_at(&backlog), size, 0);
        stream *still = stream_find(c, id);
        if (still == NULL || stream_is_over(still)) {
            c->held -= backlog.room;
            front_core(c->of)->held -= backlog.room;
            buffer_free(&backlog);
            return;
        }
        s->backlog = backlog;
        stream_drop(s, &s->backlog, size - left);
        if (left > 0) return;
    }
    credit(s, 0);
    if (s->backlog_ends) {
        s->backlog_ends = 0;
        end_of_stream(s);
    }
}

void call_ended(stream *s) {
    if (s->ended) return;
    if (stream_is_over(s)) {
        stream_discard(s, 0, 1);
        return;
    }
    s->ended = 1;
    if (s->length >= 0 && s->received != s->length) {
        stream_reset(s, H2_PROTOCOL_ERROR);
    } else if (is_stream(s)) {
        if (buffer_size(&s->backlog) > 0) {
            s->backlog_ends = 1;
        } else {
            end_of_stream(s);
        }
    } else if (s->prefixed > 0) {
        refuse(s, GRPC_INTERNAL, TORN);
    } else if (s->complete) {
        dispatch(s, buffer_at(&s->message), buffer_size(&s->message));
    } else {
        refuse(s, GRPC_INTERNAL, "the call has no message");
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC over HTTP/2: the messages of a call, and who answers it. Plain inferences are answered here, by the codec, or by
 * a worker where they take long; everything else becomes an event.
 */
#include "front_core.h"

#include <string.h>

/* ---- Refusing ---------------------------------------------------------------------------------------------- */

/* Answers a call with a status that the front itself finds; its owner, if it has one, learns that it is gone. */
void call_refuse(stream *s, unsigned code, const char *why) {
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

void call_refuse_stopping(stream *s) {
    const core *k = front_core(s->of->of);
    stream_trailers(s, k->refusal, k->refusal_size);
}

/* Answers what is no gRPC with a plain status. */
void call_refuse_http(stream *s, const char *status) {
    uint8_t block[32], *end = hpack_put(block, (const uint8_t *)":status", 7, (const uint8_t *)status, strlen(status));
    connection_put_block(s->of, s->id, 1, block, (size_t)(end - block), NULL, 0);
    stream_close(s);
}

/* ---- Messages ---------------------------------------------------------------------------------------------- */

static int kind_of(const stream *s) { return front_core(s->of->of)->methods[s->method].kind; }

static int is_stream(const stream *s) { return kind_of(s) >= FRONT_STREAM; }

/* The answer of the codec to a message: its size, or what else oip_answer says. */
static int64_t infer(stream *s, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    if (k->codec == NULL || s->compressed) return OIP_PASS;
    k->call.pin = call_digest(s);
    return oip_answer(k->codec, k->table, &k->call, message, size);
}

uint32_t call_begun(const stream *s) { return s->pinned ? 0 : FRONT_BEGUN; }

/* Field infer_response of a ModelStreamInferResponse, and what is appended to the ModelInferResponse in it: the
 * parameter triton_final_response, true. */
#define WRAP_TAG 0x12
static const uint8_t wrap_end[] = "\x22\x1b\x0a\x15triton_final_response\x12\x02\x08\x01";
#define WRAP_END (sizeof wrap_end - 1)
#define WRAP_HEAD 6

/* Answers a message of a stream: 1; -1 if the answer finds no room; 0 when that is for the owner to do: he also answers
 * what follows on one of his, so that the order is kept, and what a caller that does not read has to wait for. */
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

/* Answers a call that has its one message, gives it to a worker, or hands it over. */
static void dispatch(stream *s, const uint8_t *message, size_t size) {
    core *k = front_core(s->of->of);
    uint32_t flags = s->compressed ? FRONT_COMPRESSED : 0;
    if (k->refusal != NULL) {
        call_refuse_stopping(s);
        return;
    }
    if (kind_of(s) == FRONT_INFER) {
        const int64_t answer = infer(s, message, size);
        if (answer > 0) {
            connection *c = s->of;
            if (!stream_answer(s, k->codec->answer, (size_t)answer) && !c->broken) stream_fail(s);
            return;
        }
        if (answer == OIP_LONG && work_take(s, message, size)) return;
        if (answer != OIP_PASS) flags |= call_begun(s);
    }
    if (!event_call(s, flags, message, size)) call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
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
            call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "too many bytes wait to be read");
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
        call_refuse(s, GRPC_INTERNAL, "a message's first byte is neither 0 nor 1");
        return 0;
    }
    if (s->announced > front_core(s->of->of)->limits.message_bytes) {
        call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "a message is larger than this server takes");
        return 0;
    }
    return 1;
}

/* Keeps a part of a message; returns 0 when the stream is over. */
static int keep_part(stream *s, const uint8_t *data, size_t size) {
    if (stream_add(s, &s->message, data, size)) return 1;
    call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "this server holds as many bytes as it may");
    return 0;
}

#define TORN "the stream ended within a message"

/* The owner of a stream was given all its messages. */
static void end_of_stream(stream *s) {
    if (s->prefixed > 0) {
        call_refuse(s, GRPC_INTERNAL, TORN);
    } else {
        event_tell(s, FRONT_END);
    }
}

/* Reads messages until the owner of a stream has enough to read; returns how many bytes of the data are left. */
static size_t read_messages(stream *s, const uint8_t *data, size_t size, int last) {
    while (size > 0 && s->unread <= UNREAD_BYTES) {
        if (s->complete) {
            call_refuse(s, GRPC_INTERNAL, "more than one message for a method that takes one");
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
        call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "too many bytes wait to be read");
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
        call_refuse(s, GRPC_INTERNAL, TORN);
    } else if (s->complete) {
        dispatch(s, buffer_at(&s->message), buffer_size(&s->message));
    } else {
        call_refuse(s, GRPC_INTERNAL, "the call has no message");
    }
}

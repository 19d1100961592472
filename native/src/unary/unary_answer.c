/* SPDX-License-Identifier: Apache-2.0
 *
 * What the peer says of a call: fields, the one message, a status; and what its end is where it says none of gRPC's (the
 * specification's tables of HTTP statuses and of codes of RST_STREAM).
 */
#include "unary_core.h"

/* A block of fields while it is read. */
typedef struct reading {
    unary *u;
    exchange *c; /* NULL: it is read for the sake of the table alone */
    int no_room;
} reading;

static int is(const uint8_t *name, size_t size, const char *text) {
    return size == strlen(text) && memcmp(name, text, size) == 0;
}

/* A number of three digits at most, or -1. */
static int number(const uint8_t *text, size_t size) {
    int found = 0;
    if (size == 0 || size > 3) return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        found = 10 * found + (text[i] - '0');
    }
    return found;
}

static void read_field(void *context, const uint8_t *name, size_t name_size, const uint8_t *value, size_t size) {
    reading *r = context;
    exchange *c = r->c;
    if (c == NULL) return;
    c->listed += name_size + size + HPACK_ENTRY_BYTES;
    if (c->listed > FIELDS_BYTES || r->no_room) return;
    if (is(name, name_size, ":status")) {
        c->http = number(value, size);
    } else if (is(name, name_size, "grpc-status")) {
        c->status = number(value, size);
    }
    const uint32_t sizes[2] = {(uint32_t)name_size, (uint32_t)size};
    r->no_room = !call_keep(r->u, &c->fields, (const uint8_t *)sizes, sizeof sizes) ||
                 !call_keep(r->u, &c->fields, name, name_size) || !call_keep(r->u, &c->fields, value, size);
}

static uint32_t of_http(int status) {
    switch (status) {
        case 400: return GRPC_INTERNAL;
        case 401: return GRPC_UNAUTHENTICATED;
        case 403: return GRPC_PERMISSION_DENIED;
        case 404: return GRPC_UNIMPLEMENTED;
        case 429: case 502: case 503: case 504: return GRPC_UNAVAILABLE;
        default: return GRPC_UNKNOWN;
    }
}

/* The answer is there as a whole: a status, and a message where that is OK. */
static void complete(unary *u, exchange *c) {
    const size_t size = buffer_size(&c->data);
    const uint8_t *data = buffer_at(&c->data);
    if (!c->ended) { /* the rest of the request is of no use any more */
        call_reset(u, c, H2_NO_ERROR, GRPC_UNKNOWN, "");
        if (u->state == UNARY_LOST) return;
    } else {
        call_end(u, c, GRPC_UNKNOWN, 0, "");
    }
    c->end.status = c->status < 0 ? GRPC_UNKNOWN : (uint32_t)c->status;
    c->end.why = NULL;
    if (c->status < 0) {
        c->end.why = "the peer ends the answer without a status";
    } else if (c->status == GRPC_OK && (size < GRPC_PREFIX || read32(data + 1) != size - GRPC_PREFIX)) {
        c->end.status = GRPC_INTERNAL;
        c->end.why = "the peer's answer is not one whole message";
    } else if (c->status == GRPC_OK && data[0] != 0) {
        c->end.status = GRPC_INTERNAL;
        c->end.why = "the peer compresses its answer, which nobody asked for";
    }
}

int answer_fields(unary *u, exchange *c, const uint8_t *block, size_t size, int last) {
    reading r = {u, c, 0};
    if (c != NULL) {
        c->fields.start = c->fields.end = 0;
        c->listed = 0;
    }
    if (!hpack_decode(&u->table, block, size, u->scratch, read_field, &r)) return 0;
    if (c == NULL) return 1;
    const int first = !c->begun;
    if (r.no_room || c->listed > FIELDS_BYTES) {
        call_reset(u, c, H2_CANCEL, GRPC_RESOURCE_EXHAUSTED, "the answer's metadata finds no room");
    } else if (first && c->http >= 100 && c->http < 200 && !last) {
        c->http = 0; /* the answer's own fields are yet to come */
    } else if (first && c->http != 200 && c->status < 0) {
        const uint32_t status = of_http(c->http);
        call_reset(u, c, last ? H2_NO_ERROR : H2_CANCEL, status, "the peer answers with an HTTP status, and none of gRPC");
    } else if (last) {
        complete(u, c);
    } else if (!first) {
        call_reset(u, c, H2_PROTOCOL_ERROR, GRPC_INTERNAL, "the peer sends fields in the middle of an answer");
    } else {
        c->begun = 1;
        c->status = -1; /* it is the trailers' to say */
    }
    return 1;
}

void answer_data(unary *u, exchange *c, const uint8_t *data, size_t size, int last) {
    if (!c->begun) {
        call_reset(u, c, H2_PROTOCOL_ERROR, GRPC_INTERNAL, "the peer sends an answer before its fields");
    } else if (buffer_size(&c->data) + size > u->limits.message_bytes + GRPC_PREFIX) {
        call_reset(u, c, H2_CANCEL, GRPC_RESOURCE_EXHAUSTED, "the answer is larger than a message may be");
    } else if (!call_keep(u, &c->data, data, size)) {
        call_reset(u, c, H2_CANCEL, GRPC_RESOURCE_EXHAUSTED, "the answer finds no room");
    } else if (last) {
        complete(u, c);
    }
}

void answer_reset(unary *u, exchange *c, uint32_t code) {
    switch (code) {
        case H2_REFUSED_STREAM: call_end(u, c, GRPC_UNAVAILABLE, 1, "the peer did not look at the call"); break;
        case H2_CANCEL: call_end(u, c, GRPC_CANCELLED, 0, "the peer cancelled the call"); break;
        case H2_ENHANCE_YOUR_CALM: call_end(u, c, GRPC_RESOURCE_EXHAUSTED, 0, "the peer has too much to do"); break;
        case H2_INADEQUATE_SECURITY:
            call_end(u, c, GRPC_PERMISSION_DENIED, 0, "the peer asks for more security");
            break;
        default: call_end(u, c, GRPC_INTERNAL, 0, "the peer reset the call"); break;
    }
}

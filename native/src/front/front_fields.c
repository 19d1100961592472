/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of a call: what HTTP/2 and gRPC ask of them, and the metadata that is left for its owner.
 */
#include "front_core.h"

#include <string.h>

#define SEEN_METHOD 1
#define SEEN_SCHEME 2
#define SEEN_PATH 4
#define SEEN_AUTHORITY 8
#define SEEN_ALL (SEEN_METHOD | SEEN_SCHEME | SEEN_PATH)

#define NO_METHOD UINT32_MAX

/* Metadata by which a caller says which digest is to answer; see docs/mesh.md. */
#define DIGEST_FIELD "neuralmesh-digest"

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

oip_text call_digest(const stream *s) {
    if (!s->pinned) return (oip_text){NULL, 0};
    const uint8_t *at = buffer_at(&s->fields), *end = at + buffer_size(&s->fields);
    while (at < end) {
        uint32_t sizes[2];
        memcpy(sizes, at, sizeof sizes);
        const uint8_t *name = at + sizeof sizes, *value = name + sizes[0];
        if (is(name, sizes[0], DIGEST_FIELD)) return (oip_text){value, sizes[1]};
        at = value + sizes[1];
    }
    /* They went to the owner of a stream, who looks at its digest himself: no route has this one. */
    return (oip_text){(const uint8_t *)"", 0};
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
        if (is(name, name_size, DIGEST_FIELD)) r->s->pinned = 1;
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
        call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "the metadata is larger than 16384 bytes");
    } else if (r.malformed || (r.seen & SEEN_ALL) != SEEN_ALL) {
        stream_reset(s, H2_PROTOCOL_ERROR);
    } else if (!r.post) {
        call_refuse_http(s, "405");
    } else if (!r.grpc) {
        call_refuse_http(s, "415");
    } else if (r.no_memory) {
        call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the metadata");
    } else if (k->refusal != NULL) {
        call_refuse_stopping(s);
    } else if (r.method == NO_METHOD) {
        call_refuse(s, GRPC_UNIMPLEMENTED, "this server has no such method");
    } else {
        s->method = r.method;
        if (k->methods[s->method].kind >= FRONT_STREAM && !event_call(s, 0, NULL, 0)) {
            call_refuse(s, GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
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

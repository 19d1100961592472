/* SPDX-License-Identifier: Apache-2.0
 *
 * The protobuf wire format within bounds: a reader that takes only the shortest form of everything, and a writer that
 * stops at the end of its memory.
 */
#ifndef OIP_WIRE_H
#define OIP_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The part of a message that has not been read yet. */
typedef struct reader {
    const uint8_t *data; /* the whole message, whose positions are reported */
    size_t at;
    size_t end;
} reader;

static inline int at_end(const reader *r) { return r->at >= r->end; }

static inline int read_byte(reader *r, uint8_t *byte) {
    if (r->at >= r->end) return 0;
    *byte = r->data[r->at++];
    return 1;
}

/* A varint of at most 64 bits, in as few bytes as it needs. */
static inline int read_varint(reader *r, uint64_t *value) {
    uint64_t found = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        if (!read_byte(r, &byte)) return 0;
        if (shift == 63 && byte > 1) return 0;
        found |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = found;
            return byte != 0 || shift == 0;
        }
    }
    return 0;
}

/* A length and that many bytes. */
static inline int read_bytes(reader *r, size_t *at, size_t *size) {
    uint64_t length;
    if (!read_varint(r, &length) || length > r->end - r->at) return 0;
    *at = r->at;
    *size = (size_t)length;
    r->at += (size_t)length;
    return 1;
}

/* Memory that is being written; full says that something did not fit, and everything after that is left out. */
typedef struct writer {
    uint8_t *data;
    size_t at;
    size_t end;
    int full;
} writer;

static inline uint8_t *reserve(writer *w, size_t size) {
    if (w->full || size > w->end - w->at) {
        w->full = 1;
        return NULL;
    }
    uint8_t *place = w->data + w->at;
    w->at += size;
    return place;
}

static inline void put_bytes(writer *w, const uint8_t *bytes, size_t size) {
    uint8_t *place = reserve(w, size);
    if (place != NULL && size != 0) memcpy(place, bytes, size);
}

static inline void put_byte(writer *w, uint8_t byte) {
    uint8_t *place = reserve(w, 1);
    if (place != NULL) *place = byte;
}

static inline size_t varint_size(uint64_t value) {
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

static inline void put_varint(writer *w, uint64_t value) {
    while (value >= 0x80) {
        put_byte(w, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    put_byte(w, (uint8_t)value);
}

/* Whether bytes are well-formed UTF-8 (Unicode 15, table 3-7). */
int oip_is_utf8(const uint8_t *bytes, size_t size);

#endif

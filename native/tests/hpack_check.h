/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of HPACK hand to the decoder, and hear of it.
 */
#ifndef HPACK_CHECK_H
#define HPACK_CHECK_H

#include "check.h"
#include "front_hpack.h"

#define ROOM 16384

/* Fields as text, one a line, and the same of a table, newest first. */
typedef struct heard {
    char text[ROOM];
    size_t size;
} heard;

static inline void add(heard *h, const uint8_t *text, size_t size) {
    CHECK(h->size + size < ROOM);
    memcpy(h->text + h->size, text, size);
    h->size += size;
    h->text[h->size] = 0;
}

static inline void hear(void *context, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size) {
    add(context, name, name_size);
    add(context, (const uint8_t *)"=", 1);
    add(context, value, value_size);
    add(context, (const uint8_t *)"\n", 1);
}

static inline int decode(hpack_table *table, const uint8_t *block, size_t size, heard *h) {
    uint8_t *copy = malloc(size + (size == 0)), *scratch = malloc(HPACK_SCRATCH(size) + 1); /* to find reads past them */
    if (size) memcpy(copy, block, size);
    h->size = 0;
    h->text[0] = 0;
    const int done = hpack_decode(table, copy, size, scratch, hear, h);
    free(copy);
    free(scratch);
    return done;
}

static inline size_t from_hex(const char *hex, uint8_t *out) {
    size_t size = 0;
    unsigned byte;
    for (; *hex; hex++) {
        if (*hex == ' ') continue;
        CHECK(sscanf(hex, "%2x", &byte) == 1);
        out[size++] = (uint8_t)byte;
        hex++;
    }
    return size;
}

/* What the table holds, asked by the indexes of its entries. */
static inline void check_table(hpack_table *table, const char *expected, size_t size) {
    heard h;
    uint8_t block[2 * HPACK_MAX_ENTRIES], *at = block;
    for (size_t i = 0; i < table->count; i++) {
        if (62 + i < 0x7f) {
            *at++ = (uint8_t)(0x80 | (62 + i));
        } else {
            *at++ = 0xff;
            *at++ = (uint8_t)(62 + i - 0x7f);
        }
    }
    CHECK(decode(table, block, (size_t)(at - block), &h));
    CHECK(strcmp(h.text, expected) == 0);
    CHECK(table->size == size);
}

static inline void expect(hpack_table *table, const char *hex, const char *fields, const char *entries, size_t size) {
    heard h;
    uint8_t block[1024];
    CHECK(decode(table, block, from_hex(hex, block), &h));
    CHECK(strcmp(h.text, fields) == 0);
    check_table(table, entries, size);
    test_case++;
}

static inline hpack_table fresh(size_t limit) {
    static hpack_table table;
    memset(&table, 0, sizeof table);
    hpack_table_init(&table);
    table.limit = limit;
    return table;
}

#endif

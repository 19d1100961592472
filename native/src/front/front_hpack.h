/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK (RFC 7541): a decoder with its dynamic table, and what an encoder without one writes.
 */
#ifndef FRONT_HPACK_H
#define FRONT_HPACK_H

#include <stddef.h>
#include <stdint.h>

#define HPACK_TABLE_BYTES 4096 /* SETTINGS_HEADER_TABLE_SIZE: the protocol's default, which is never raised */
#define HPACK_ENTRY_BYTES 32   /* that an entry counts beside its texts */
#define HPACK_MAX_ENTRIES (HPACK_TABLE_BYTES / HPACK_ENTRY_BYTES)

typedef struct hpack_entry {
    uint16_t at;
    uint16_t name;
    uint16_t value;
} hpack_entry;

/* The dynamic table of one direction of a connection; all zero but for limit at first. */
typedef struct hpack_table {
    size_t limit;  /* as the encoder last set it */
    size_t size;   /* as RFC 7541 section 4.1 counts */
    size_t count;  /* entries */
    size_t newest; /* place of the newest one in the ring */
    size_t end;    /* of what is written of texts */
    hpack_entry ring[HPACK_MAX_ENTRIES];
    uint8_t texts[2 * HPACK_TABLE_BYTES]; /* one after the other; moved to the beginning when the end is reached */
} hpack_table;

typedef void hpack_field(void *context, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size);

void hpack_table_init(hpack_table *table);

/* Fills the decoder's tables that are the same for all; before anything is decoded. */
void hpack_init(void);

/* Bytes of scratch that decoding a block of so many bytes takes: a byte's shortest code has 5 bits. */
#define HPACK_SCRATCH(block) (2 * (block))

/* Decodes a whole block and tells its fields: 1, or 0 for one that is no HPACK. */
int hpack_decode(hpack_table *table, const uint8_t *block, size_t size, uint8_t *scratch, hpack_field *field,
                 void *context);

/* Most bytes that hpack_put writes for texts of these sizes. */
#define HPACK_FIELD_BYTES(name, value) (1 + 5 + (name) + 5 + (value))

/* Writes a field as a literal that enters no table; returns its end. */
uint8_t *hpack_put(uint8_t *at, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size);

#endif

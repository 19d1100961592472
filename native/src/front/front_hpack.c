/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK. Strings in Huffman's code are decoded four bits at a time: the state is an inner node of the code's tree, and
 * no code is so short that four bits could end two. The code is canonical, so the tree follows from the lengths.
 */
#include "front_hpack.h"

#include <pthread.h>
#include <string.h>

#define STATIC_ENTRIES 61
#define SYMBOLS 257
#define END_OF_STRING 256
#define NODES 256
#define LONGEST_CODE 30

#define EMITS 1  /* the step ends a symbol */
#define ENDS 2   /* a string may end after this step */
#define FAILS 4  /* the end-of-string symbol, which no string may hold */

typedef struct step {
    uint8_t next;
    uint8_t symbol;
    uint8_t flags;
} step;

/* RFC 7541 appendix B, in order of the symbols. */
static const uint8_t code_lengths[SYMBOLS] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,  5,  5,  5,  6,
    6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,  15, 5,  6,  5,  6,  5,  6,  6,
    6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
};

/* RFC 7541 appendix A: names and values, each ended by a zero. */
static const char *const static_texts[STATIC_ENTRIES][2] = {
    {":authority", ""},
    {":method", "GET"},
    {":method", "POST"},
    {":path", "/"},
    {":path", "/index.html"},
    {":scheme", "http"},
    {":scheme", "https"},
    {":status", "200"},
    {":status", "204"},
    {":status", "206"},
    {":status", "304"},
    {":status", "400"},
    {":status", "404"},
    {":status", "500"},
    {"accept-charset", ""},
    {"accept-encoding", "gzip, deflate"},
    {"accept-language", ""},
    {"accept-ranges", ""},
    {"accept", ""},
    {"access-control-allow-origin", ""},
    {"age", ""},
    {"allow", ""},
    {"authorization", ""},
    {"cache-control", ""},
    {"content-disposition", ""},
    {"content-encoding", ""},
    {"content-language", ""},
    {"content-length", ""},
    {"content-location", ""},
    {"content-range", ""},
    {"content-type", ""},
    {"cookie", ""},
    {"date", ""},
    {"etag", ""},
    {"expect", ""},
    {"expires", ""},
    {"from", ""},
    {"host", ""},
    {"if-match", ""},
    {"if-modified-since", ""},
    {"if-none-match", ""},
    {"if-range", ""},
    {"if-unmodified-since", ""},
    {"last-modified", ""},
    {"link", ""},
    {"location", ""},
    {"max-forwards", ""},
    {"proxy-authenticate", ""},
    {"proxy-authorization", ""},
    {"range", ""},
    {"referer", ""},
    {"refresh", ""},
    {"retry-after", ""},
    {"server", ""},
    {"set-cookie", ""},
    {"strict-transport-security", ""},
    {"transfer-encoding", ""},
    {"user-agent", ""},
    {"vary", ""},
    {"via", ""},
    {"www-authenticate", ""},
};

static step steps[NODES][16];

/* A text that is read, wherever it stands. */
typedef struct text {
    const uint8_t *at;
    size_t size;
} text;

/* What is left of a block. */
typedef struct input {
    const uint8_t *at;
    const uint8_t *end;
} input;

/* ---- Huffman's code ---------------------------------------------------------------------------------------- */

/* The tree: a child is an inner node's number, or a symbol's with LEAF on top. */
#define LEAF 0x1000
#define NONE 0xffff

static void grow_tree(uint16_t tree[NODES][2]) {
    memset(tree, 0xff, NODES * sizeof *tree);
    uint16_t nodes = 1;
    uint32_t code = 0;
    for (unsigned length = 1; length <= LONGEST_CODE; length++) {
        code <<= 1;
        for (uint16_t symbol = 0; symbol < SYMBOLS; symbol++) {
            if (code_lengths[symbol] != length) continue;
            uint16_t node = 0;
            for (unsigned bit = length - 1; bit > 0; bit--) {
                uint16_t *child = &tree[node][code >> bit & 1];
                if (*child == NONE) *child = nodes++;
                node = *child;
            }
            tree[node][code & 1] = LEAF | symbol;
            code++;
        }
    }
}

/* Marks the nodes that less than a byte of ones leads to: what a string may end with. */
static void mark_endings(uint16_t tree[NODES][2], uint8_t ending[NODES]) {
    uint16_t node = 0;
    for (unsigned bits = 0; bits < 8; bits++, node = tree[node][1]) ending[node] = 1;
}

static void fill(void) {
    uint16_t tree[NODES][2];
    uint8_t ending[NODES] = {0};
    grow_tree(tree);
    mark_endings(tree, ending);
    for (unsigned from = 0; from < NODES; from++) {
        for (unsigned nibble = 0; nibble < 16; nibble++) {
            step made = {0, 0, 0};
            uint16_t node = (uint16_t)from;
            for (int bit = 3; bit >= 0; bit--) {
                const uint16_t child = tree[node][nibble >> bit & 1];
                if (child < LEAF) {
                    node = child;
                    continue;
                }
                node = 0;
                if (child == (LEAF | END_OF_STRING)) made.flags |= FAILS;
                made.flags |= EMITS;
                made.symbol = (uint8_t)child;
            }
            made.next = (uint8_t)node;
            if (ending[node]) made.flags |= ENDS;
            steps[from][nibble] = made;
        }
    }
}

void hpack_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* another thread may be decoding */
    pthread_once(&once, fill);
}

/* Decodes a string to `out`; returns its end, or NULL. */
static uint8_t *huffman(const uint8_t *data, size_t size, uint8_t *out) {
    uint8_t state = 0, flags = ENDS;
    for (size_t i = 0; i < size; i++) {
        for (unsigned shift = 8; shift > 0;) {
            shift -= 4;
            const step taken = steps[state][data[i] >> shift & 15];
            flags = taken.flags;
            if (flags & FAILS) return NULL;
            if (flags & EMITS) *out++ = taken.symbol;
            state = taken.next;
        }
    }
    return flags & ENDS ? out : NULL;
}

/* ---- The dynamic table ------------------------------------------------------------------------------------- */

void hpack_table_init(hpack_table *table) {
    table->limit = HPACK_TABLE_BYTES;
    table->size = table->count = table->newest = table->end = 0;
}

/* The entry that many places behind the newest one. */
static hpack_entry *entry(hpack_table *table, size_t behind) {
    return &table->ring[(table->newest + HPACK_MAX_ENTRIES - behind) % HPACK_MAX_ENTRIES];
}

static void shrink(hpack_table *table, size_t size) {
    while (table->size > size) {
        const hpack_entry *oldest = entry(table, table->count - 1);
        table->size -= (size_t)oldest->name + oldest->value + HPACK_ENTRY_BYTES;
        table->count--;
    }
}

/* Moves the texts to the beginning. */
static void compact(hpack_table *table) {
    const size_t start = table->count ? entry(table, table->count - 1)->at : table->end;
    memmove(table->texts, table->texts + start, table->end - start);
    for (size_t i = 0; i < table->count; i++) entry(table, i)->at -= (uint16_t)start;
    table->end -= start;
}

/* Adds an entry. The name may stand in the table itself, and what holds it may have to go for the entry: its bytes stay
 * where they are until compact, which copies them first. */
static void insert(hpack_table *table, text name, text value) {
    const size_t bytes = name.size + value.size, size = bytes + HPACK_ENTRY_BYTES;
    if (size > table->limit) {
        shrink(table, 0);
        return;
    }
    uint8_t kept[HPACK_TABLE_BYTES];
    if (table->end + bytes > sizeof table->texts) {
        memcpy(kept, name.at, name.size);
        name.at = kept;
        shrink(table, table->limit - size);
        compact(table);
    } else {
        shrink(table, table->limit - size);
    }
    table->newest = (table->newest + 1) % HPACK_MAX_ENTRIES;
    table->ring[table->newest] = (hpack_entry){(uint16_t)table->end, (uint16_t)name.size, (uint16_t)value.size};
    memmove(table->texts + table->end, name.at, name.size);
    memcpy(table->texts + table->end + name.size, value.at, value.size);
    table->end += bytes;
    table->size += size;
    table->count++;
}

/* ---- Blocks ------------------------------------------------------------------------------------------------ */

/* An integer with a prefix of so many bits; at most four bytes follow, more than any size here needs. */
static int integer(input *in, unsigned bits, size_t *value) {
    const size_t most = ((size_t)1 << bits) - 1;
    size_t found = *in->at++ & most;
    if (found == most) {
        unsigned shift = 0;
        uint8_t byte;
        do {
            if (in->at == in->end || shift > 21) return 0;
            byte = *in->at++;
            found += (size_t)(byte & 0x7f) << shift;
            shift += 7;
        } while (byte & 0x80);
    }
    *value = found;
    return 1;
}

static int string(input *in, uint8_t **scratch, text *found) {
    if (in->at == in->end) return 0;
    const int coded = *in->at & 0x80;
    size_t size;
    if (!integer(in, 7, &size) || size > (size_t)(in->end - in->at)) return 0;
    *found = (text){in->at, size};
    if (coded) {
        uint8_t *end = huffman(in->at, size, *scratch);
        if (end == NULL) return 0;
        *found = (text){*scratch, (size_t)(end - *scratch)};
        *scratch = end;
    }
    in->at += size;
    return 1;
}

/* The field of an index from 1: of the static table, then of the dynamic one. */
static int indexed(hpack_table *table, size_t index, text *name, text *value) {
    if (index == 0) return 0;
    if (index <= STATIC_ENTRIES) {
        const char *const *found = static_texts[index - 1];
        *name = (text){(const uint8_t *)found[0], strlen(found[0])};
        *value = (text){(const uint8_t *)found[1], strlen(found[1])};
        return 1;
    }
    index -= STATIC_ENTRIES + 1;
    if (index >= table->count) return 0;
    const hpack_entry *found = entry(table, index);
    *name = (text){table->texts + found->at, found->name};
    *value = (text){table->texts + found->at + found->name, found->value};
    return 1;
}

int hpack_decode(hpack_table *table, const uint8_t *block, size_t size, uint8_t *scratch, hpack_field *field,
                 void *context) {
    input in = {block, block + size};
    int begun = 0; /* fields were seen, before which alone the table's size may change */
    while (in.at < in.end) {
        const uint8_t first = *in.at;
        size_t index;
        text name, value, unused;
        if ((first & 0xe0) == 0x20) {
            if (begun || !integer(&in, 5, &index) || index > HPACK_TABLE_BYTES) return 0;
            table->limit = index;
            shrink(table, index);
            continue;
        }
        begun = 1;
        if (first & 0x80) {
            if (!integer(&in, 7, &index) || !indexed(table, index, &name, &value)) return 0;
            field(context, name.at, name.size, value.at, value.size);
            continue;
        }
        const int kept = (first & 0xc0) == 0x40;
        uint8_t *free = scratch;
        if (!integer(&in, kept ? 6 : 4, &index)) return 0;
        if (index ? !indexed(table, index, &name, &unused) : !string(&in, &free, &name)) return 0;
        if (!string(&in, &free, &value)) return 0;
        field(context, name.at, name.size, value.at, value.size);
        if (kept) insert(table, name, value);
    }
    return 1;
}

/* ---- Encoding ---------------------------------------------------------------------------------------------- */

static uint8_t *put_string(uint8_t *at, const uint8_t *data, size_t size) {
    if (size < 0x7f) {
        *at++ = (uint8_t)size;
    } else {
        *at++ = 0x7f;
        size_t rest = size - 0x7f;
        for (; rest >= 0x80; rest >>= 7) *at++ = (uint8_t)(rest | 0x80);
        *at++ = (uint8_t)rest;
    }
    if (size) memcpy(at, data, size);
    return at + size;
}

uint8_t *hpack_put(uint8_t *at, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size) {
    *at++ = 0;
    return put_string(put_string(at, name, name_size), value, value_size);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK: the examples of RFC 7541 appendix C with the table after each, every symbol's code, and what no encoder sends.
 */
#include "check.h"
#include "front_hpack.h"

#define ROOM 16384

/* Fields as text, one a line, and the same of a table, newest first. */
typedef struct heard {
    char text[ROOM];
    size_t size;
} heard;

static void add(heard *h, const uint8_t *text, size_t size) {
    CHECK(h->size + size < ROOM);
    memcpy(h->text + h->size, text, size);
    h->size += size;
    h->text[h->size] = 0;
}

static void hear(void *context, const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size) {
    add(context, name, name_size);
    add(context, (const uint8_t *)"=", 1);
    add(context, value, value_size);
    add(context, (const uint8_t *)"\n", 1);
}

static int decode(hpack_table *table, const uint8_t *block, size_t size, heard *h) {
    uint8_t *copy = malloc(size + (size == 0)), *scratch = malloc(HPACK_SCRATCH(size) + 1); /* to find reads past them */
    if (size) memcpy(copy, block, size);
    h->size = 0;
    h->text[0] = 0;
    const int done = hpack_decode(table, copy, size, scratch, hear, h);
    free(copy);
    free(scratch);
    return done;
}

static size_t from_hex(const char *hex, uint8_t *out) {
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
static void check_table(hpack_table *table, const char *expected, size_t size) {
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

static void expect(hpack_table *table, const char *hex, const char *fields, const char *entries, size_t size) {
    heard h;
    uint8_t block[1024];
    CHECK(decode(table, block, from_hex(hex, block), &h));
    CHECK(strcmp(h.text, fields) == 0);
    check_table(table, entries, size);
    test_case++;
}

/* ---- The examples of RFC 7541 appendix C ------------------------------------------------------------------- */

static hpack_table fresh(size_t limit) {
    static hpack_table table;
    memset(&table, 0, sizeof table);
    hpack_table_init(&table);
    table.limit = limit;
    return table;
}

static void test_representations(void) { /* C.2 */
    hpack_table t = fresh(4096);
    expect(&t, "400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key=custom-header\n",
           "custom-key=custom-header\n", 55);
    t = fresh(4096);
    expect(&t, "040c2f73616d706c652f70617468", ":path=/sample/path\n", "", 0);
    expect(&t, "100870617373776f726406736563726574", "password=secret\n", "", 0);
    expect(&t, "82", ":method=GET\n", "", 0);
}

#define REQUEST ":method=GET\n:scheme=http\n:path=/\n:authority=www.example.com\n"
#define AUTHORITY ":authority=www.example.com\n"
#define NO_CACHE "cache-control=no-cache\n"

static void test_requests(void) { /* C.3 and C.4 */
    static const char *const blocks[2][3] = {
        {"828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
         "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"},
        {"828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"},
    };
    for (size_t coded = 0; coded < 2; coded++) {
        hpack_table t = fresh(4096);
        expect(&t, blocks[coded][0], REQUEST, AUTHORITY, 57);
        expect(&t, blocks[coded][1], REQUEST NO_CACHE, NO_CACHE AUTHORITY, 110);
        expect(&t, blocks[coded][2],
               ":method=GET\n:scheme=https\n:path=/index.html\n:authority=www.example.com\ncustom-key=custom-value\n",
               "custom-key=custom-value\n" NO_CACHE AUTHORITY, 164);
    }
}

#define DATE1 "date=Mon, 21 Oct 2013 20:13:21 GMT\n"
#define DATE2 "date=Mon, 21 Oct 2013 20:13:22 GMT\n"
#define LOCATION "location=https://www.example.com\n"
#define PRIVATE "cache-control=private\n"
#define COOKIE "set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n"

static void test_responses(void) { /* C.5 and C.6: a table of 256 bytes, from which entries go */
    static const char *const blocks[2][3] = {
        {"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
         "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
         "4803333037c1c0bf",
         "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a6970"
         "7738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20"
         "76657273696f6e3d31"},
        {"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
         "4883640effc1c0bf",
         "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f"
         "3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"},
    };
    for (size_t coded = 0; coded < 2; coded++) {
        hpack_table t = fresh(256);
        expect(&t, blocks[coded][0], ":status=302\n" PRIVATE DATE1 LOCATION, LOCATION DATE1 PRIVATE ":status=302\n", 222);
        expect(&t, blocks[coded][1], ":status=307\n" PRIVATE DATE1 LOCATION, ":status=307\n" LOCATION DATE1 PRIVATE, 222);
        expect(&t, blocks[coded][2], ":status=200\n" PRIVATE DATE2 LOCATION "content-encoding=gzip\n" COOKIE,
               COOKIE "content-encoding=gzip\n" DATE2, 215);
    }
}

static void test_static_table(void) { /* its first, its last and the sum of all */
    heard h;
    hpack_table t = fresh(4096);
    uint64_t sum = 0;
    for (unsigned index = 1; index <= 61; index++) {
        const uint8_t block = (uint8_t)(0x80 | index);
        CHECK(decode(&t, &block, 1, &h));
        for (size_t i = 0; i < h.size; i++) sum = sum * 31 + (uint8_t)h.text[i];
        if (index == 1) CHECK(strcmp(h.text, ":authority=\n") == 0);
        if (index == 16) CHECK(strcmp(h.text, "accept-encoding=gzip, deflate\n") == 0);
        if (index == 61) CHECK(strcmp(h.text, "www-authenticate=\n") == 0);
    }
    CHECK(sum == UINT64_C(0x7da3fc010fc4ebe4) /* of `name=value` and a line's end, of each */);
    CHECK(!decode(&t, (const uint8_t *)"\x80", 1, &h) && !decode(&t, (const uint8_t *)"\xbe", 1, &h));
}

/* ---- Huffman's code ---------------------------------------------------------------------------------------- */

/* RFC 7541 appendix B: each symbol's code, in its lowest bits, and how many they are. */
static const struct {
    uint32_t code;
    unsigned bits;
} codes[257] = {
    {0x1ff8, 13}, {0x7fffd8, 23}, {0xfffffe2, 28}, {0xfffffe3, 28}, {0xfffffe4, 28}, {0xfffffe5, 28}, {0xfffffe6, 28},
    {0xfffffe7, 28}, {0xfffffe8, 28}, {0xffffea, 24}, {0x3ffffffc, 30}, {0xfffffe9, 28}, {0xfffffea, 28},
    {0x3ffffffd, 30}, {0xfffffeb, 28}, {0xfffffec, 28}, {0xfffffed, 28}, {0xfffffee, 28}, {0xfffffef, 28},
    {0xffffff0, 28}, {0xffffff1, 28}, {0xffffff2, 28}, {0x3ffffffe, 30}, {0xffffff3, 28}, {0xffffff4, 28},
    {0xffffff5, 28}, {0xffffff6, 28}, {0xffffff7, 28}, {0xffffff8, 28}, {0xffffff9, 28}, {0xffffffa, 28},
    {0xffffffb, 28}, {0x14, 6}, {0x3f8, 10}, {0x3f9, 10}, {0xffa, 12}, {0x1ff9, 13}, {0x15, 6}, {0xf8, 8},
    {0x7fa, 11}, {0x3fa, 10}, {0x3fb, 10}, {0xf9, 8}, {0x7fb, 11}, {0xfa, 8}, {0x16, 6}, {0x17, 6}, {0x18, 6},
    {0x0, 5}, {0x1, 5}, {0x2, 5}, {0x19, 6}, {0x1a, 6}, {0x1b, 6}, {0x1c, 6}, {0x1d, 6}, {0x1e, 6}, {0x1f, 6},
    {0x5c, 7}, {0xfb, 8}, {0x7ffc, 15}, {0x20, 6}, {0xffb, 12}, {0x3fc, 10}, {0x1ffa, 13}, {0x21, 6}, {0x5d, 7},
    {0x5e, 7}, {0x5f, 7}, {0x60, 7}, {0x61, 7}, {0x62, 7}, {0x63, 7}, {0x64, 7}, {0x65, 7}, {0x66, 7}, {0x67, 7},
    {0x68, 7}, {0x69, 7}, {0x6a, 7}, {0x6b, 7}, {0x6c, 7}, {0x6d, 7}, {0x6e, 7}, {0x6f, 7}, {0x70, 7}, {0x71, 7},
    {0x72, 7}, {0xfc, 8}, {0x73, 7}, {0xfd, 8}, {0x1ffb, 13}, {0x7fff0, 19}, {0x1ffc, 13}, {0x3ffc, 14}, {0x22, 6},
    {0x7ffd, 15}, {0x3, 5}, {0x23, 6}, {0x4, 5}, {0x24, 6}, {0x5, 5}, {0x25, 6}, {0x26, 6}, {0x27, 6}, {0x6, 5},
    {0x74, 7}, {0x75, 7}, {0x28, 6}, {0x29, 6}, {0x2a, 6}, {0x7, 5}, {0x2b, 6}, {0x76, 7}, {0x2c, 6}, {0x8, 5},
    {0x9, 5}, {0x2d, 6}, {0x77, 7}, {0x78, 7}, {0x79, 7}, {0x7a, 7}, {0x7b, 7}, {0x7ffe, 15}, {0x7fc, 11},
    {0x3ffd, 14}, {0x1ffd, 13}, {0xffffffc, 28}, {0xfffe6, 20}, {0x3fffd2, 22}, {0xfffe7, 20}, {0xfffe8, 20},
    {0x3fffd3, 22}, {0x3fffd4, 22}, {0x3fffd5, 22}, {0x7fffd9, 23}, {0x3fffd6, 22}, {0x7fffda, 23}, {0x7fffdb, 23},
    {0x7fffdc, 23}, {0x7fffdd, 23}, {0x7fffde, 23}, {0xffffeb, 24}, {0x7fffdf, 23}, {0xffffec, 24}, {0xffffed, 24},
    {0x3fffd7, 22}, {0x7fffe0, 23}, {0xffffee, 24}, {0x7fffe1, 23}, {0x7fffe2, 23}, {0x7fffe3, 23}, {0x7fffe4, 23},
    {0x1fffdc, 21}, {0x3fffd8, 22}, {0x7fffe5, 23}, {0x3fffd9, 22}, {0x7fffe6, 23}, {0x7fffe7, 23}, {0xffffef, 24},
    {0x3fffda, 22}, {0x1fffdd, 21}, {0xfffe9, 20}, {0x3fffdb, 22}, {0x3fffdc, 22}, {0x7fffe8, 23}, {0x7fffe9, 23},
    {0x1fffde, 21}, {0x7fffea, 23}, {0x3fffdd, 22}, {0x3fffde, 22}, {0xfffff0, 24}, {0x1fffdf, 21}, {0x3fffdf, 22},
    {0x7fffeb, 23}, {0x7fffec, 23}, {0x1fffe0, 21}, {0x1fffe1, 21}, {0x3fffe0, 22}, {0x1fffe2, 21}, {0x7fffed, 23},
    {0x3fffe1, 22}, {0x7fffee, 23}, {0x7fffef, 23}, {0xfffea, 20}, {0x3fffe2, 22}, {0x3fffe3, 22}, {0x3fffe4, 22},
    {0x7ffff0, 23}, {0x3fffe5, 22}, {0x3fffe6, 22}, {0x7ffff1, 23}, {0x3ffffe0, 26}, {0x3ffffe1, 26}, {0xfffeb, 20},
    {0x7fff1, 19}, {0x3fffe7, 22}, {0x7ffff2, 23}, {0x3fffe8, 22}, {0x1ffffec, 25}, {0x3ffffe2, 26}, {0x3ffffe3, 26},
    {0x3ffffe4, 26}, {0x7ffffde, 27}, {0x7ffffdf, 27}, {0x3ffffe5, 26}, {0xfffff1, 24}, {0x1ffffed, 25},
    {0x7fff2, 19}, {0x1fffe3, 21}, {0x3ffffe6, 26}, {0x7ffffe0, 27}, {0x7ffffe1, 27}, {0x3ffffe7, 26},
    {0x7ffffe2, 27}, {0xfffff2, 24}, {0x1fffe4, 21}, {0x1fffe5, 21}, {0x3ffffe8, 26}, {0x3ffffe9, 26},
    {0xffffffd, 28}, {0x7ffffe3, 27}, {0x7ffffe4, 27}, {0x7ffffe5, 27}, {0xfffec, 20}, {0xfffff3, 24}, {0xfffed, 20},
    {0x1fffe6, 21}, {0x3fffe9, 22}, {0x1fffe7, 21}, {0x1fffe8, 21}, {0x7ffff3, 23}, {0x3fffea, 22}, {0x3fffeb, 22},
    {0x1ffffee, 25}, {0x1ffffef, 25}, {0xfffff4, 24}, {0xfffff5, 24}, {0x3ffffea, 26}, {0x7ffff4, 23},
    {0x3ffffeb, 26}, {0x7ffffe6, 27}, {0x3ffffec, 26}, {0x3ffffed, 26}, {0x7ffffe7, 27}, {0x7ffffe8, 27},
    {0x7ffffe9, 27}, {0x7ffffea, 27}, {0x7ffffeb, 27}, {0xffffffe, 28}, {0x7ffffec, 27}, {0x7ffffed, 27},
    {0x7ffffee, 27}, {0x7ffffef, 27}, {0x7fffff0, 27}, {0x3ffffee, 26}, {0x3fffffff, 30},
};

/* Writes codes one after the other, and ones up to the byte's end and for so many bytes more. */
static size_t put_codes(const uint16_t *symbols, size_t count, size_t more, uint8_t *out) {
    uint64_t bits = 0;
    unsigned waiting = 0;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        bits = bits << codes[symbols[i]].bits | codes[symbols[i]].code;
        for (waiting += codes[symbols[i]].bits; waiting >= 8; waiting -= 8) out[size++] = (uint8_t)(bits >> (waiting - 8));
    }
    if (waiting > 0) out[size++] = (uint8_t)(bits << (8 - waiting) | 0xff >> waiting);
    while (more-- > 0) out[size++] = 0xff;
    return size;
}

/* Decodes a coded string as the value of a field: what came out, or NULL. */
static const char *uncode(const uint8_t *coded, size_t size, heard *h) {
    hpack_table t = fresh(4096);
    uint8_t block[600] = {0x00, 0x01, 'n', (uint8_t)(0x80 | size)};
    size_t at = 4;
    if (size >= 0x7f) {
        block[3] = 0xff;
        block[at++] = (uint8_t)((size - 0x7f) & 0x7f) | 0x80;
        block[at++] = (uint8_t)((size - 0x7f) >> 7);
    }
    memcpy(block + at, coded, size);
    return decode(&t, block, at + size, h) ? h->text + 2 : NULL;
}

static void test_symbols(void) {
    heard h;
    uint8_t coded[64];
    for (test_case = 0; test_case < 256; test_case++) {
        const uint16_t twice[2] = {(uint16_t)test_case, (uint16_t)test_case};
        for (size_t count = 1; count <= 2; count++) {
            const char *text = uncode(coded, put_codes(twice, count, 0, coded), &h);
            CHECK(text != NULL && h.size == 3 + count);
            for (size_t i = 0; i < count; i++) CHECK((uint8_t)text[i] == test_case);
        }
        CHECK(uncode(coded, put_codes(twice, 2, 1, coded), &h) == NULL); /* padding of a byte */
        const uint16_t ended[2] = {(uint16_t)test_case, 256};
        CHECK(uncode(coded, put_codes(ended, 2, 0, coded), &h) == NULL);
    }
    for (test_case = 0; test_case < 2000; test_case++) {
        uint16_t symbols[40];
        uint8_t long_coded[256];
        const size_t count = random_below(40);
        for (size_t i = 0; i < count; i++) symbols[i] = (uint16_t)random_below(256);
        const char *text = uncode(long_coded, put_codes(symbols, count, 0, long_coded), &h);
        CHECK(text != NULL && h.size == 3 + count);
        for (size_t i = 0; i < count; i++) CHECK((uint8_t)text[i] == symbols[i]);
    }
}

static void test_padding(void) { /* every two bytes: as a reader of single bits takes them */
    heard h;
    for (test_case = 0; test_case < 65536; test_case++) {
        const uint8_t coded[2] = {(uint8_t)(test_case >> 8), (uint8_t)test_case};
        char expected[8];
        size_t count = 0;
        uint32_t bits = 0;
        unsigned size = 0;
        for (int bit = 15; bit >= 0; bit--) {
            bits = bits << 1 | (test_case >> bit & 1);
            size++;
            for (unsigned symbol = 0; symbol < 256; symbol++) {
                if (codes[symbol].bits != size || codes[symbol].code != bits) continue;
                expected[count++] = (char)symbol;
                bits = size = 0;
                break;
            }
        }
        const int valid = size < 8 && bits == (1u << size) - 1;
        const char *text = uncode(coded, 2, &h);
        CHECK((text != NULL) == valid);
        CHECK(text == NULL || (h.size == 3 + count && memcmp(text, expected, count) == 0));
    }
}

/* ---- What no encoder sends --------------------------------------------------------------------------------- */

static int decodes(const char *hex) {
    heard h;
    uint8_t block[1024];
    hpack_table t = fresh(4096);
    return decode(&t, block, from_hex(hex, block), &h);
}

static void test_integers(void) {
    CHECK(decodes("3fe11f"));                 /* 4096 */
    CHECK(!decodes("3fe21f"));                /* 4097: more than the table's size may be */
    CHECK(decodes("3fe19f00"));               /* a zero byte more than needed */
    CHECK(decodes("3fe19f8000"));
    CHECK(!decodes("3fe19f808000"));          /* five bytes that follow */
    CHECK(!decodes("3fe1ffffff7f"));
    CHECK(!decodes("3fe1ffffffff7f"));
    CHECK(!decodes("ff80808080808080808001"));
    CHECK(!decodes("ffffffffffffffffffff7f"));
    CHECK(!decodes("ff"));
    CHECK(!decodes("ffff"));
    CHECK(!decodes("7fffffff7f"));            /* an index of the name */
    CHECK(!decodes("00017fffffff7f"));        /* the size of a string */
    CHECK(!decodes("0001610261"));            /* longer than what is left */
    CHECK(!decodes("00"));
    CHECK(!decodes("0001"));
    CHECK(!decodes("000161"));
    CHECK(decodes("00016100") && decodes("000000") && decodes("00016180"));
    CHECK(decodes(""));
}

static void test_cuts(void) { /* no beginning of a block reads past its end, nor any byte that is changed */
    heard h;
    uint8_t block[256];
    const size_t size = from_hex("203fe11f828684418cf1e3c2e5f23a6ba0ab90f4ff5886a8eb10649cbf408825a849e95ba97d7f0161bebf", block);
    for (size_t cut = 0; cut <= size; cut++) {
        hpack_table t = fresh(4096);
        decode(&t, block, cut, &h);
    }
    for (size_t i = 0; i < size; i++) {
        const uint8_t before = block[i];
        for (unsigned value = 0; value < 256; value++) {
            hpack_table t = fresh(4096);
            block[i] = (uint8_t)value;
            decode(&t, block, size, &h);
        }
        block[i] = before;
    }
}

static void test_sizes(void) {
    heard h;
    uint8_t block[64];
    hpack_table t = fresh(4096);
    expect(&t, "40016101624001630164000000", "a=b\nc=d\n=\n", "c=d\na=b\n", 68);
    expect(&t, "2f82", ":method=GET\n", "", 0);                  /* 15: everything goes */
    expect(&t, "4001610162", "a=b\n", "", 0);                    /* larger than the table: empties it */
    expect(&t, "203f4540016101624001630164000000", "a=b\nc=d\n=\n", "c=d\na=b\n", 68); /* 0, then 100 */
    expect(&t, "3f03", "", "c=d\n", 34);                         /* 34: one stays */
    expect(&t, "3f0382be", ":method=GET\nc=d\n", "c=d\n", 34);
    CHECK(!decode(&t, block, from_hex("8220", block), &h));      /* after a field */
    t = fresh(4096);
    CHECK(!decode(&t, block, from_hex("40016101623f03", block), &h));
    t = fresh(4096);
    expect(&t, "3fe11f3f03203fe11f", "", "", 0);                 /* more than two are no error */
}

/* ---- The dynamic table against a simple one ---------------------------------------------------------------- */

#define SHADOWS 4096

typedef struct shadow {
    char *name[SHADOWS];
    char *value[SHADOWS];
    size_t count; /* of all there ever were; those that are left are the last ones */
    size_t left;
    size_t size;
    size_t limit;
} shadow;

static size_t counts(const shadow *s, size_t at) { return strlen(s->name[at]) + strlen(s->value[at]) + 32; }

static void let_go(shadow *s, size_t size) {
    while (s->size > size) s->size -= counts(s, s->count - s->left--);
}

static char *copy_of(const char *text) { return strcpy(malloc(strlen(text) + 1), text); }

static void enter(shadow *s, const char *name, const char *value) {
    s->name[s->count] = copy_of(name);
    s->value[s->count] = copy_of(value);
    const size_t size = counts(s, s->count);
    if (size > s->limit) {
        let_go(s, 0);
        free(s->name[s->count]);
        free(s->value[s->count]);
        return;
    }
    let_go(s, s->limit - size);
    s->count++;
    s->left++;
    s->size += size;
}

static void check_against(hpack_table *t, const shadow *s) {
    static char expected[ROOM];
    size_t size = 0;
    expected[0] = 0;
    for (size_t i = 0; i < s->left; i++) {
        const size_t at = s->count - 1 - i;
        size += (size_t)snprintf(expected + size, sizeof expected - size, "%s=%s\n", s->name[at], s->value[at]);
    }
    check_table(t, expected, s->size);
    CHECK(t->count == s->left && t->end <= sizeof t->texts);
}

static void random_text(char *text, size_t most) {
    const size_t size = random_below(most + 1);
    for (size_t i = 0; i < size; i++) text[i] = (char)('a' + random_below(26));
    text[size] = 0;
}

/* Literals with and without the name by an index, which may be that of the entry that goes for it; sizes that change. */
static void test_evictions(size_t most) {
    static shadow s;
    static char name[4200], value[4200];
    static uint8_t block[16384];
    heard h;
    hpack_table t = fresh(4096);
    s.count = s.left = s.size = 0;
    s.limit = 4096;
    for (test_case = 0; test_case < 3000 && s.count < SHADOWS - 1; test_case++) {
        uint8_t *at = block;
        if (random_below(50) == 0) {
            static const size_t limits[] = {0, 31, 32, 100, 1000, 4095, 4096};
            s.limit = limits[random_below(7)];
            let_go(&s, s.limit);
            *at++ = s.limit < 31 ? 0x20 : 0x3f;
            if (s.limit >= 31) {
                *at++ = (uint8_t)((s.limit - 31) & 0x7f) | 0x80;
                *at++ = (uint8_t)((s.limit - 31) >> 7);
            }
        }
        random_text(value, random_below(8) ? most : 4000);
        if (s.left > 0 && random_below(2)) {
            const size_t index = random_below(3) ? s.left - 1 : random_below(s.left); /* mostly the oldest one */
            strcpy(name, s.name[s.count - 1 - index]);
            *at++ = (uint8_t)(62 + index < 63 ? 0x40 | (62 + index) : 0x7f);
            if (62 + index >= 63) *at++ = (uint8_t)(62 + index - 63);
        } else {
            random_text(name, random_below(8) ? most : 4000);
            *at++ = 0x40;
            uint8_t literal[HPACK_FIELD_BYTES(4200, 0)];
            uint8_t *end = hpack_put(literal, (const uint8_t *)name, strlen(name), NULL, 0) - 1; /* but for the value */
            memcpy(at, literal + 1, (size_t)(end - literal) - 1);
            at += end - literal - 1;
        }
        uint8_t literal[HPACK_FIELD_BYTES(0, 4200)];
        uint8_t *end = hpack_put(literal, NULL, 0, (const uint8_t *)value, strlen(value));
        memcpy(at, literal + 2, (size_t)(end - literal) - 2);
        at += end - literal - 2;
        enter(&s, name, value);
        CHECK(decode(&t, block, (size_t)(at - block), &h));
        CHECK(h.size == strlen(name) + strlen(value) + 2);
        CHECK(strncmp(h.text, name, strlen(name)) == 0 && strncmp(h.text + strlen(name) + 1, value, strlen(value)) == 0);
        check_against(&t, &s);
    }
    for (size_t i = 0; i < s.count; i++) {
        free(s.name[i]);
        free(s.value[i]);
    }
}

static void test_written(void) { /* what is written is read, at every size of which the length's form depends */
    static const size_t sizes[] = {0, 1, 126, 127, 128, 254, 255, 256, 16510, 16511};
    static char text[16512];
    static uint8_t block[HPACK_FIELD_BYTES(16511, 16511)];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 100; i++) {
        heard *h = malloc(sizeof *h);
        const size_t name = sizes[i % 10] % 8000, value = sizes[i / 10] % 8000;
        hpack_table t = fresh(4096);
        const uint8_t *end = hpack_put(block, (uint8_t *)text, name, (uint8_t *)text, value);
        CHECK((size_t)(end - block) <= HPACK_FIELD_BYTES(name, value));
        CHECK(decode(&t, block, (size_t)(end - block), h));
        CHECK(h->size == name + value + 2 && h->text[name] == '=' && t.count == 0);
        free(h);
    }
}

void test_hpack(void) {
    hpack_init();
    test_representations();
    test_requests();
    test_responses();
    test_static_table();
    test_symbols();
    test_padding();
    test_integers();
    test_cuts();
    test_sizes();
    test_evictions(0);
    test_evictions(20);
    test_evictions(400);
    test_evictions(1500);
    test_written();
}

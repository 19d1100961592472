/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK's dynamic table: changes of its size, and entries that go, against a simple table.
 */
#include "hpack_check.h"

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

void test_hpack_table(void) {
    hpack_init();
    test_sizes();
    test_evictions(0);
    test_evictions(20);
    test_evictions(400);
    test_evictions(1500);
}

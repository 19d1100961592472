/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK's integers and strings in every form, blocks that are cut or changed, and those that the front writes.
 */
#include "hpack_check.h"

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

void test_hpack_blocks(void) {
    hpack_init();
    test_integers();
    test_cuts();
    test_written();
}

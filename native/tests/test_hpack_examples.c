/* SPDX-License-Identifier: Apache-2.0
 *
 * HPACK: the examples of RFC 7541 appendix C with the table after each, and the static table.
 */
#include "hpack_check.h"

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

void test_hpack_examples(void) {
    hpack_init();
    test_representations();
    test_requests();
    test_responses();
    test_static_table();
}

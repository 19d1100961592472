/* SPDX-License-Identifier: Apache-2.0
 *
 * The serving codec in C: known digests and ids, every truncation and every changed byte of some requests, a fixed
 * run of the fuzzer's mutations, and memory that is exactly as large as it says. That accepted requests mean what
 * protobuf says, and that answers are those of the ordinary way, is tested from Python.
 */
#include <pthread.h>

#include "../fuzz/oip_target.h"
#include "check.h"
#include "oip.h"
#include "oip_wire.h"

#define MUTATIONS 60000
#define ROOM 512
#define NUMBERS 2000000

static void check_digest(const char *message, size_t repeats, const char *expected) {
    oip_sha256 hash;
    uint8_t digest[32];
    char text[65];
    oip_sha256_init(&hash);
    for (size_t i = 0; i < repeats; i++) oip_sha256_update(&hash, (const uint8_t *)message, strlen(message));
    oip_sha256_final(&hash, digest);
    for (size_t i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    CHECK(strcmp(text, expected) == 0);
}

static void test_sha256(void) { /* the examples of FIPS 180-4 */
    for (int portable = 0; portable < 2; portable++) {
        oip_sha256_portable(portable);
        CHECK(!portable || !oip_sha256_native());
        check_digest("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check_digest("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        check_digest("aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    oip_sha256_portable(0);
}

static void test_ids(void) {
    static const uint8_t node[OIP_NODE_BYTES + 1] = "edge";
    uint8_t key[OIP_KEY_BYTES], subject[OIP_SUBJECT_BYTES] = {0}, id[OIP_ID_BYTES], text[OIP_ID_TEXT];
    uint64_t last = 0;
    oip_issuer issuer;
    for (unsigned i = 0; i < sizeof key; i++) key[i] = (uint8_t)i;
    CHECK(!oip_issuer_init(&issuer, key, OIP_KEY_BYTES - 1, node, 4, 0, 0, &last));
    CHECK(!oip_issuer_init(&issuer, key, OIP_KEY_BYTES, node, 0, 0, 0, &last));
    CHECK(!oip_issuer_init(&issuer, key, OIP_KEY_BYTES, node, OIP_NODE_BYTES + 1, 0, 0, &last));
    CHECK(oip_issuer_init(&issuer, key, OIP_KEY_BYTES, node, 4, 1000, 7, &last));
    oip_issue(&issuer, subject, 2000007, id);
    oip_id_text(id, text);
    CHECK(last == 1);
    CHECK(memcmp(text, "AAAAAAPoAAAAAAIAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAMKpubGcIpdv", OIP_ID_TEXT) == 0);
}

static void *take_numbers(void *sequence) {
    for (unsigned i = 0; i < NUMBERS; i++) oip_next(sequence);
    return NULL;
}

static void test_numbers(void) { /* of two threads at a time none gets the other's */
    static uint64_t last;
    pthread_t other;
    CHECK(pthread_create(&other, NULL, take_numbers, &last) == 0);
    while (__atomic_load_n(&last, __ATOMIC_RELAXED) == 0) continue; /* until the other one is at it */
    take_numbers(&last);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(last == 2 * NUMBERS);
}

/* Whether a code point's bytes are well-formed, said in another way than the codec does it. */
static int decodes(const uint8_t *b, size_t size) {
    if (size == 1) return b[0] < 0x80;
    uint32_t point = b[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (b[i] >> 6 != 2) return 0;
        point = point << 6 | (b[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint32_t lead = size == 2 ? b[0] >> 5 == 6 : size == 3 ? b[0] >> 4 == 14 : b[0] >> 3 == 30;
    return lead && point >= least[size] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

static void test_utf8(void) {
    static const uint8_t next[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    uint8_t *b = malloc(4);
    for (unsigned first = 0; first < 256; first++) {
        b[3] = (uint8_t)first;
        CHECK(oip_is_utf8(b + 3, 1) == decodes(b + 3, 1));
        for (unsigned second = 0; second < 256; second++) {
            b[2] = (uint8_t)first;
            b[3] = (uint8_t)second;
            CHECK(oip_is_utf8(b + 2, 2) == (decodes(b + 2, 2) || (first < 0x80 && second < 0x80)));
            for (size_t i = 0; first >= 0xe0 && i < sizeof next; i++) {
                b[1] = (uint8_t)first;
                b[2] = (uint8_t)second;
                b[3] = next[i];
                CHECK(oip_is_utf8(b + 1, 3) == decodes(b + 1, 3));
                for (size_t k = 0; first >= 0xf0 && k < sizeof next; k++) {
                    const uint8_t four[4] = {(uint8_t)first, (uint8_t)second, next[i], next[k]};
                    memcpy(b, four, 4);
                    CHECK(oip_is_utf8(b, 4) == decodes(b, 4));
                }
            }
        }
    }
    free(b);
}

static void test_histogram(void) {
    static oip_stats stats;
    oip_record(&stats, 0);
    CHECK(stats.zero_count == 1 && stats.low == 0.0 && stats.recorded == 1);
    for (unsigned shift = 0; shift < 64; shift++) {
        oip_record(&stats, UINT64_C(1) << shift);
        oip_record(&stats, (UINT64_C(1) << shift) - 1 + (UINT64_C(1) << shift));
    }
    oip_record(&stats, UINT64_MAX);
    uint64_t sum = stats.zero_count;
    for (size_t i = 0; i < OIP_BUCKETS; i++) sum += stats.buckets[i];
    CHECK(sum == stats.recorded && sum == 130);
    CHECK(stats.high == (double)INT64_MAX * 1e-9);
}

static void test_table(void) {
    oip_entry entries[4] = {{{0}, {0}, NULL}};
    oip_table table = {4, 0, entries};
    oip_route routes[4];
    static const char names[][2] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        const oip_text name = {(const uint8_t *)names[i], 1}, none = {NULL, 0};
        CHECK(oip_table_find(&table, name, none) == NULL);
        CHECK(oip_table_add(&table, name, none, &routes[i]) == (i < 3)); /* one entry stays free */
        CHECK(oip_table_find(&table, name, none) == (i < 3 ? &routes[i] : NULL));
        CHECK(oip_table_find(&table, none, name) == NULL);
        CHECK(!oip_table_add(&table, name, none, &routes[i]));
    }
    oip_table empty = {0, 0, NULL};
    CHECK(oip_table_find(&empty, (oip_text){NULL, 0}, (oip_text){NULL, 0}) == NULL);
    CHECK(!oip_table_add(&empty, (oip_text){NULL, 0}, (oip_text){NULL, 0}, routes));
}

/* Every seed, cut off everywhere, and with every byte replaced by every other. */
static void test_neighbours(void) {
    uint8_t data[ROOM];
    size_t answered = 0;
    for (test_case = 0; test_case < oip_seed_count; test_case++) {
        const size_t size = oip_seeds[test_case].size;
        memcpy(data, oip_seeds[test_case].bytes, size);
        answered += (size_t)oip_target(data, size);
        for (size_t cut = 0; cut < size; cut++) oip_target(data, cut);
        for (size_t i = 0; i < size; i++) {
            const uint8_t before = data[i];
            for (unsigned value = 0; value < 256; value++) {
                data[i] = (uint8_t)value;
                oip_target(data, size);
            }
            data[i] = before;
        }
    }
    CHECK(answered == 7);
}

static void test_mutations(void) {
    uint64_t state = 1;
    size_t answered = 0;
    for (test_case = 0; test_case < MUTATIONS; test_case++) {
        uint8_t data[ROOM];
        const struct oip_seed *seed = &oip_seeds[test_case % oip_seed_count];
        memcpy(data, seed->bytes, seed->size);
        answered += (size_t)oip_target(data, oip_mutate(data, seed->size, ROOM, &state));
    }
    CHECK(answered > MUTATIONS / 50 && answered < MUTATIONS);
}

void test_oip(void) {
    test_sha256();
    test_ids();
    test_numbers();
    test_utf8();
    test_histogram();
    test_table();
    test_neighbours();
    test_mutations();
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Levels: names, support, the environment, and the self-test.
 */
#include "check.h"

static void environment(const char *value, int status, int level, int is_forced) {
    if (value == NULL) {
        unsetenv("LIAM_SIMD");
    } else {
        setenv("LIAM_SIMD", value, 1);
    }
    CHECK(liam_init() == status);
    CHECK(liam_level() == level);
    CHECK(liam_level_forced() == is_forced);
}

void test_dispatch(void) {
    const int best = liam_best_level();
    CHECK(liam_level() == LIAM_SCALAR); /* before liam_init */
    CHECK(liam_abi_version() == LIAM_ABI_VERSION);
    CHECK(liam_level_name(-1) == NULL && liam_level_name(LIAM_LEVELS) == NULL);
    CHECK(!liam_level_supported(-1) && !liam_level_supported(LIAM_LEVELS));
    CHECK(liam_level_supported(LIAM_SCALAR) && liam_level_supported(best));

    environment(NULL, LIAM_OK, best, 0);
    environment("", LIAM_OK, best, 0);
    environment("scalar", LIAM_OK, LIAM_SCALAR, 1);
    environment("AVX2", LIAM_ERR_UNSUPPORTED, LIAM_SCALAR, 0);
    environment("avx5120", LIAM_ERR_UNSUPPORTED, LIAM_SCALAR, 0);

    uint64_t digest[LIAM_LEVELS] = {0};
    for (int level = 0; level < LIAM_LEVELS; level++) {
        const int supported = liam_level_supported(level);
        environment(liam_level_name(level), supported ? LIAM_OK : LIAM_ERR_UNSUPPORTED,
                    supported ? level : LIAM_SCALAR, supported);
        CHECK(liam_set_level(level) == (supported ? LIAM_OK : LIAM_ERR_UNSUPPORTED));
        CHECK(liam_self_test(level, &digest[level]) == (supported ? LIAM_OK : LIAM_ERR_UNSUPPORTED));
        CHECK(!supported || digest[level] == digest[LIAM_SCALAR]);
    }
    CHECK(liam_self_test(LIAM_SCALAR, NULL) == LIAM_ERR_NULL);
    CHECK(liam_self_test(-1, digest) == LIAM_ERR_UNSUPPORTED);
    CHECK(liam_set_level(-1) == LIAM_ERR_UNSUPPORTED);
    environment(NULL, LIAM_OK, best, 0);

    for (int status = LIAM_OK; status <= LIAM_ERR_SELF_TEST; status++) {
        CHECK(strcmp(liam_status_text(status), liam_status_text(-1)) != 0);
    }
    CHECK(liam_words(0) == 0 && liam_words(1) == 1 && liam_words(64) == 1 && liam_words(65) == 2);
    CHECK(liam_words(SIZE_MAX) == SIZE_MAX / 64 + 1);
}

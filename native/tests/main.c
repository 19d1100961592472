/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs every test at every SIMD level that this machine has.
 */
#include "check.h"

const char *test_name = "";
size_t test_case = 0;

static void run(const char *name, void (*test)(void)) {
    test_name = name;
    test_case = 0;
    test();
    printf("%-8s %s\n", liam_level_name(liam_level()), name);
}

int main(void) {
    run("dispatch", test_dispatch);
    run("trials", test_trials);
    run("oip", test_oip);
    run("hpack examples", test_hpack_examples);
    run("hpack huffman", test_hpack_huffman);
    run("hpack blocks", test_hpack_blocks);
    run("hpack table", test_hpack_table);
    run("front calls", test_front_calls);
    run("front windows", test_front_windows);
    run("front limits", test_front_limits);
    run("front workers", test_front_workers);
    run("front", test_front);
    run("caller", test_caller);
    for (int level = 0; level < LIAM_LEVELS; level++) {
        if (liam_set_level(level) != LIAM_OK) continue;
        run("bits", test_bits);
        run("pack", test_pack);
        run("xnor", test_xnor);
        run("linear", test_linear);
        run("gf2", test_gf2);
        run("gf2 errors", test_gf2_errors);
        run("network", test_network);
        run("hadamard", test_hadamard);
        run("rotation", test_rotation);
        run("search", test_search);
        run("index", test_index);
        run("rescore", test_rescore);
        run("errors", test_errors);
        run("search errors", test_search_errors);
    }
    return 0;
}

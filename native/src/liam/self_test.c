/* SPDX-License-Identifier: Apache-2.0
 *
 * The families of the self-test, and what each must digest to at every level.
 */
#include "self_test.h"

#define OFFSET_BASIS UINT64_C(0xcbf29ce484222325) /* of FNV-1a */

typedef struct part {
    self_test_fn *run;
    uint64_t golden;
} part;

static const part parts[] = {
    {liam_self_test_bits, UINT64_C(0xac28bca8157e5404)},
    {liam_self_test_layers, UINT64_C(0xf3bdb04240bf8b73)},
    {liam_self_test_batch, UINT64_C(0x8fca28c75acf1485)},
    {liam_self_test_linear, UINT64_C(0x6c9a93b8f6f0f668)},
    {liam_self_test_hadamard, UINT64_C(0x93eb0cd8d5104441)},
    {liam_self_test_search, UINT64_C(0xa355fec8eb5620e2)},
    {liam_self_test_gf2, UINT64_C(0xfc97b4899097e3a5)},
};

int liam_self_test_on(const kernels *table, uint64_t *digest) {
    int status = LIAM_OK;
    *digest = OFFSET_BASIS;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint64_t found = parts[i].run(table, OFFSET_BASIS);
        if (found != parts[i].golden) status = LIAM_ERR_SELF_TEST;
        *digest = digest_of(*digest, &found, 1, sizeof found);
    }
    return status;
}

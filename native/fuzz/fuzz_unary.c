/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller under libFuzzer.
 */
#include "unary_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unary_target(data, size);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of libFuzzer.
 */
#include "oip_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)oip_target(data, size);
    return 0;
}

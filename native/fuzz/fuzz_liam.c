/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of libFuzzer: the first byte picks the function, the others are what its trial draws.
 */
#include "liam_trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size != 0) (void)trial_at_every_level(data[0] % trial_subjects(), data + 1, size - 1, 0);
    return 0;
}

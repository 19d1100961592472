/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of libFuzzer for the front.
 */
#include <string.h>

#include "front_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)front_target(data, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
    uint8_t changed[FRONT_ROOM_BYTES];
    uint64_t state = ((uint64_t)seed << 8) + 1;
    if (size == 0) size = front_seed(seed % front_seed_count, changed);
    else if (size <= sizeof changed) memcpy(changed, data, size);
    else return size;
    size = front_mutate(changed, size, &state);
    if (size > room) size = room;
    memcpy(data, changed, size);
    return size;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing the front without libFuzzer: mutations of the seeds and of what came of them, for the seconds that the first
 * argument says. The second one is the state to start from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "front_target.h"

#define POOL 256

int main(int argc, char **argv) {
    static uint8_t pool[POOL][FRONT_ROOM_BYTES];
    static size_t sizes[POOL];
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    unsigned long runs = 0, calls = 0;
    if (state == 0) state = 1;
    printf("state %llu\n", (unsigned long long)state);
    fflush(stdout);
    for (size_t i = 0; i < POOL; i++) sizes[i] = front_seed(i % front_seed_count, pool[i]);
    do {
        for (unsigned k = 0; k < 500; k++, runs++) {
            uint8_t data[FRONT_ROOM_BYTES];
            const size_t from = (size_t)(state >> 7) % POOL;
            memcpy(data, pool[from], sizes[from]);
            const size_t size = front_mutate(data, sizes[from], &state);
            const int found = front_target(data, size);
            calls += (unsigned long)found;
            /* What still comes to calls is worth going on from; seeds come back, lest all become the same. */
            const size_t to = (size_t)(state >> 23) % POOL;
            if (found > 0 && (state >> 40) % 16 != 0) {
                memcpy(pool[to], data, size);
                sizes[to] = size;
            } else if ((state >> 48) % 16 == 0) {
                sizes[to] = front_seed((size_t)(state >> 33) % front_seed_count, pool[to]);
            }
        }
    } while (time(NULL) < end);
    printf("%lu scripts, %lu calls\n", runs, calls);
    return 0;
}

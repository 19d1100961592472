/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing without libFuzzer: mutations of the seeds and of what was answered, for the seconds that the first argument
 * says. The second one is the state to start from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oip_target.h"

#define ROOM 512
#define POOL 256

int main(int argc, char **argv) {
    static uint8_t pool[POOL][ROOM];
    static size_t sizes[POOL];
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    unsigned long runs = 0, answered = 0;
    if (state == 0) state = 1;
    printf("state %llu\n", (unsigned long long)state);
    for (size_t i = 0; i < POOL; i++) {
        sizes[i] = oip_seeds[i % oip_seed_count].size;
        memcpy(pool[i], oip_seeds[i % oip_seed_count].bytes, sizes[i]);
    }
    do {
        for (unsigned k = 0; k < 10000; k++, runs++) {
            uint8_t data[ROOM];
            const size_t from = (size_t)(state % POOL);
            memcpy(data, pool[from], sizes[from]);
            const size_t size = oip_mutate(data, sizes[from], ROOM, &state);
            if (!oip_target(data, size)) continue;
            answered++;
            memcpy(pool[state % POOL], data, size);
            sizes[state % POOL] = size;
        }
    } while (time(NULL) < end);
    printf("%lu requests, %lu answered\n", runs, answered);
    return 0;
}

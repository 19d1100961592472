/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing the caller without libFuzzer: scripts of frames, for the seconds that the first argument says. The second one is
 * the state to start from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "unary_target.h"

int main(int argc, char **argv) {
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    unsigned long runs = 0, answered = 0;
    if (state == 0) state = 1;
    printf("state %llu\n", (unsigned long long)state);
    fflush(stdout);
    do {
        for (unsigned k = 0; k < 500; k++, runs++) {
            uint8_t data[UNARY_ROOM_BYTES];
            answered += (unsigned long)unary_target(data, unary_script(data, &state));
        }
    } while (time(NULL) < end);
    printf("%lu scripts, %lu answers\n", runs, answered);
    return 0;
}

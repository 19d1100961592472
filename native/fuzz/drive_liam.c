/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of the kernel without libFuzzer, for the seconds that the first argument says. The second one is the seed to
 * start from, the third the name of the only function to try.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "liam_trial.h"

int main(int argc, char **argv) {
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) << 32;
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    const size_t subjects = trial_subjects();
    unsigned long trials = 0, calls = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    do {
        for (unsigned k = 0; k < 100; k++, seed++) {
            for (size_t s = 0; s < subjects; s++, trials++) {
                if (argc > 3 && strcmp(argv[3], trial_subject_at(s)->name) != 0) continue;
                calls += trial_at_every_level(s, NULL, 0, seed) != 0;
            }
        }
    } while (time(NULL) < end);
    printf("%lu trials of %zu functions, %lu with a call\n", trials, subjects, calls);
    return 0;
}

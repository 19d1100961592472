/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixed part of the kernel's fuzzer: some trials of every public function, at every level.
 */
#include "check.h"
#include "../fuzz/liam_trial.h"

#define SEEDS 200

void test_trials(void) {
    const int level = liam_level();
    for (size_t subject = 0; subject < trial_subjects(); subject++) {
        size_t calls = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) calls += trial_at_every_level(subject, NULL, 0, seed) != 0;
        test_case = subject;
        CHECK(calls > SEEDS / 2);
    }
    CHECK(liam_set_level(level) == LIAM_OK);
}

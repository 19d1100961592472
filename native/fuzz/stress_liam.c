/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel under threads: some run trials of all functions, others put levels into use, initialise and test the
 * kernel at the same time, from the first call of the process on. Every trial has the digest that it has at the scalar
 * level and alone. For ThreadSanitizer, for the seconds that the argument says.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "liam_trial.h"

#define WORKERS 4
#define SWITCHERS 2
#define SEEDS 64
#define SUBJECTS 256

static atomic_int stopped;
static atomic_ulong trials, switches;
static _Atomic uint64_t found[SUBJECTS][SEEDS]; /* the first digest of a trial, 0 before */
static pthread_barrier_t start;

static void fail(const char *what, size_t subject, size_t seed) {
    fprintf(stderr, "%s, seed %zu: %s\n", trial_subject_at(subject)->name, seed, what);
    abort();
}

static void *work(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    const size_t subjects = trial_subjects();
    pthread_barrier_wait(&start);
    while (!atomic_load(&stopped)) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u; /* Knuth, The Art of Computer Programming */
        const size_t subject = (size_t)(state >> 40) % subjects, seed = (size_t)(state >> 33) % SEEDS;
        uint64_t before = 0;
        const uint64_t digest = trial_run(subject, NULL, 0, seed);
        if (!atomic_compare_exchange_strong(&found[subject][seed], &before, digest) && before != digest) {
            fail("two results", subject, seed);
        }
        atomic_fetch_add(&trials, 1);
    }
    return NULL;
}

static void *change(void *argument) {
    pthread_barrier_wait(&start);
    for (int i = (int)(uintptr_t)argument; !atomic_load(&stopped); i++) {
        uint64_t digest;
        const int level = i % LIAM_LEVELS;
        if (i % 16 == 0 && liam_init() != LIAM_OK) abort();
        if (liam_level_supported(level) && (liam_set_level(level) != LIAM_OK || liam_self_test(level, &digest) != LIAM_OK)) {
            abort();
        }
        if (liam_level_name(liam_level()) == NULL || liam_cpu_features() != liam_cpu_features()) abort();
        (void)liam_level_forced();
        atomic_fetch_add(&switches, 1);
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[WORKERS + SWITCHERS];
    if (trial_subjects() > SUBJECTS) abort();
    pthread_barrier_init(&start, NULL, WORKERS + SWITCHERS);
    for (uintptr_t i = 0; i < WORKERS + SWITCHERS; i++) {
        if (pthread_create(&threads[i], NULL, i < WORKERS ? work : change, (void *)(i + 1)) != 0) abort();
    }
    const struct timespec span = {argc > 1 ? atoi(argv[1]) : 10, 0};
    nanosleep(&span, NULL);
    atomic_store(&stopped, 1);
    for (size_t i = 0; i < WORKERS + SWITCHERS; i++) pthread_join(threads[i], NULL);
    if (liam_set_level(LIAM_SCALAR) != LIAM_OK) abort();
    for (size_t subject = 0; subject < trial_subjects(); subject++) {
        for (size_t seed = 0; seed < SEEDS; seed++) {
            const uint64_t digest = atomic_load(&found[subject][seed]);
            if (digest != 0 && digest != trial_run(subject, NULL, 0, seed)) fail("not as at level scalar", subject, seed);
        }
    }
    printf("%lu trials, %lu changes of level\n", trials, switches);
    return 0;
}

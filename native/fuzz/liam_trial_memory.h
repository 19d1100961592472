/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory behind a trial's operands: exactly as large as documented, filled, guarded, and looked at afterwards.
 */
#ifndef LIAM_TRIAL_MEMORY_H
#define LIAM_TRIAL_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

#include "liam_trial.h"

#define ROOM ((size_t)1 << 18) /* bytes that a trial's operand may have */

#define REQUIRE(t, condition)                                                                                    \
    do {                                                                                                         \
        if (!(condition)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s at level %s, status %d (must %x, may %x, either %x): %s\n", __FILE__,      \
                    __LINE__, (t)->name, liam_level_name(liam_level()), (t)->status, (t)->must, (t)->may,           \
                    (t)->either, #condition);                                                                    \
            abort();                                                                                             \
        }                                                                                                        \
    } while (0)

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t trial_random(uint64_t *state);

/* Bytes of an element. */
size_t operand_element(const operand *o);

/* Whether it has no elements. */
int operand_is_empty(const operand *o);

/* Bytes from the first to the last one of the rows; more than ROOM, if they are too many. */
size_t operand_span(const operand *o);

void operand_allocate(trial *t, operand *o);

/* Aborts when anything but the rows of outputs was written, or on errors even they; digests them. */
void operand_inspect(trial *t, operand *o);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OIP_TARGET_H
#define OIP_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "oip.h"

/* Runs one input; aborts when something is wrong. Returns 1 if the codec answered it. */
int oip_target(const uint8_t *data, size_t size);

/* Prepares the target's own codec, which writes to `answer`, for others to use; returns its routes. */
const oip_table *oip_target_server(oip_server *server, uint8_t *answer, size_t answer_bytes);

/* Requests to begin with, and how many there are. */
extern const struct oip_seed {
    const char *bytes;
    size_t size;
} oip_seeds[];
extern const size_t oip_seed_count;

/* Changes size bytes at random, within room; returns the new size. */
size_t oip_mutate(uint8_t *data, size_t size, size_t room, uint64_t *state);

#endif

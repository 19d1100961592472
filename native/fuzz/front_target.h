/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FRONT_TARGET_H
#define FRONT_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* Frames of these types say what happens beside the caller's bytes; the front itself knows no such frames. */
#define SCRIPT_OWNER 0xf0 /* the owner of calls acts: each byte is a step, two more say for which call and how much */
#define SCRIPT_DRAIN 0xf1 /* the socket takes output: two bytes say how much */
#define SCRIPT_DATA 0xf2  /* the caller sends a long DATA frame: two bytes say how many times 64 bytes */
#define SCRIPT_CUT 0xf3   /* from here on, bytes come in pieces of so many; 0 for as they are */

/* Runs one input: options, then frames. Aborts when something is wrong; returns how many calls were handed over. */
int front_target(const uint8_t *data, size_t size);

#define FRONT_ROOM_BYTES 2048

/* Writes an input to begin with; returns its size. There are so many of them. */
size_t front_seed(size_t number, uint8_t *data);
extern const size_t front_seed_count;

/* Changes an input frame by frame or byte by byte, within FRONT_ROOM_BYTES; returns the new size. */
size_t front_mutate(uint8_t *data, size_t size, uint64_t *state);

#endif

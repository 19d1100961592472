/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNARY_TARGET_H
#define UNARY_TARGET_H

#include <stddef.h>
#include <stdint.h>

#define UNARY_ROOM_BYTES 1024

/* Runs one input: how bytes are cut, what the caller does meanwhile, then what the peer sends. Aborts when something is
 * wrong; returns how many calls were answered. */
int unary_target(const uint8_t *data, size_t size);

/* Writes an input made of frames that a peer may send, some of them wrong; returns its size. */
size_t unary_script(uint8_t *data, uint64_t *state);

#endif

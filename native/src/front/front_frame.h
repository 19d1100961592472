/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames as front_connection.c and front_control.c read them.
 */
#ifndef FRONT_FRAME_H
#define FRONT_FRAME_H

#include "front_core.h"

#define SETTING_BYTES 6

#define SETTINGS_ENABLE_PUSH 2
#define SETTINGS_MAX_CONCURRENT_STREAMS 3
#define SETTINGS_INITIAL_WINDOW_SIZE 4
#define SETTINGS_MAX_FRAME_SIZE 5
#define SETTINGS_MAX_HEADER_LIST_SIZE 6
#define MAX_FRAME_SIZE 16777215

/* Cancelled calls cost their owner work, so a caller may cancel so many at once and so many a second (CVE-2023-44487). */
#define RESETS_AT_ONCE 4000
#define RESETS_A_SECOND 2000
#define SECOND_NS INT64_C(1000000000)

/* A frame's head, and its payload where that is there as a whole. */
typedef struct frame {
    size_t size;
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    const uint8_t *data;
} frame;

static inline uint32_t read32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The stream of a frame that only an opened one may get; NULL when it is closed, or an error that was said. */
stream *connection_opened(connection *c, uint32_t id);

/* Reads a frame that carries no call: PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, or an unknown one. */
void control_read(connection *c, const frame *f);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames as front_connection.c and front_control.c read them.
 */
#ifndef FRONT_FRAME_H
#define FRONT_FRAME_H

#include "front_core.h"

typedef wire_frame frame;

/* Cancelled calls cost their owner work, so a caller may cancel so many at once and so many a second (CVE-2023-44487). */
#define RESETS_AT_ONCE 4000
#define RESETS_A_SECOND 2000
#define SECOND_NS INT64_C(1000000000)

/* The stream of a frame that only an opened one may get; NULL when it is closed, or an error that was said. */
stream *connection_opened(connection *c, uint32_t id);

/* Reads a frame that carries no call: PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, or an unknown one. */
void control_read(connection *c, const frame *f);

#endif

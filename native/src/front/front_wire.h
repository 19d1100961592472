/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 and gRPC as both ends speak them: the front, which serves, and the caller of unary.h. Frames, limits, and memory
 * that grows.
 */
#ifndef FRONT_WIRE_H
#define FRONT_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- HTTP/2 ------------------------------------------------------------------------------------------------ */

#define FRAME_HEAD 9

#define FRAME_DATA 0
#define FRAME_HEADERS 1
#define FRAME_PRIORITY 2
#define FRAME_RST_STREAM 3
#define FRAME_SETTINGS 4
#define FRAME_PUSH_PROMISE 5
#define FRAME_PING 6
#define FRAME_GOAWAY 7
#define FRAME_WINDOW_UPDATE 8
#define FRAME_CONTINUATION 9

#define FLAG_END_STREAM 0x1
#define FLAG_ACK 0x1
#define FLAG_END_HEADERS 0x4
#define FLAG_PADDED 0x8
#define FLAG_PRIORITY 0x20

#define H2_NO_ERROR 0
#define H2_PROTOCOL_ERROR 1
#define H2_FLOW_CONTROL_ERROR 3
#define H2_STREAM_CLOSED 5
#define H2_FRAME_SIZE_ERROR 6
#define H2_REFUSED_STREAM 7
#define H2_COMPRESSION_ERROR 9
#define H2_ENHANCE_YOUR_CALM 11

#define MAX_WINDOW INT64_C(0x7fffffff)
#define DEFAULT_WINDOW 65535
#define DEFAULT_FRAME 16384

#define SETTING_BYTES 6

#define SETTINGS_ENABLE_PUSH 2
#define SETTINGS_MAX_CONCURRENT_STREAMS 3
#define SETTINGS_INITIAL_WINDOW_SIZE 4
#define SETTINGS_MAX_FRAME_SIZE 5
#define SETTINGS_MAX_HEADER_LIST_SIZE 6
#define MAX_FRAME_SIZE 16777215

#define RECEIVED_FRAME (1 << 18)    /* largest frame that is accepted */
#define BLOCK_BYTES (1 << 15)       /* largest block of compressed fields, and largest frame but DATA */
#define FIELDS_BYTES (1 << 14)      /* largest list of fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
#define MAX_CONTINUATIONS 64
#define MAX_SETTINGS 32        /* in a frame */
#define OUTPUT_BYTES (1 << 20) /* what waits for the socket; with more, nothing is read from the connection */

/* ---- gRPC -------------------------------------------------------------------------------------------------- */

#define GRPC_PREFIX 5

#define GRPC_OK 0
#define GRPC_CANCELLED 1
#define GRPC_DEADLINE_EXCEEDED 4
#define GRPC_RESOURCE_EXHAUSTED 8
#define GRPC_UNIMPLEMENTED 12
#define GRPC_INTERNAL 13

/* ---- Memory ------------------------------------------------------------------------------------------------ */

/* Bytes that grow at their end and are taken from their beginning. */
typedef struct buffer {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t room;
} buffer;

static inline size_t buffer_size(const buffer *b) { return b->end - b->start; }
static inline const uint8_t *buffer_at(const buffer *b) { return b->data + b->start; }

/* Room for so many bytes more; where to write them, or NULL if there is no memory. What is written is added to end. */
uint8_t *buffer_reserve(buffer *b, size_t bytes);
int buffer_add(buffer *b, const uint8_t *data, size_t size);
static inline uint8_t *put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * (3 - i));
    return at + 4;
}
void buffer_take(buffer *b, size_t bytes); /* an emptied one that was large gives its memory back */
void buffer_free(buffer *b);

/* ---- Frames ------------------------------------------------------------------------------------------------- */

/* A frame's head, and its payload where that is there as a whole. */
typedef struct wire_frame {
    size_t size;
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    const uint8_t *data;
} wire_frame;

static inline uint32_t read32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing memory of the front.
 */
#include "front_core.h"

#include <stdlib.h>
#include <string.h>

#define SMALL 4096 /* an emptied buffer keeps this much */

uint8_t *buffer_reserve(buffer *b, size_t bytes) {
    if (b->room - b->end >= bytes) return b->data + b->end;
    const size_t size = buffer_size(b);
    if (b->start > 0) {
        if (size) memmove(b->data, b->data + b->start, size);
        b->start = 0;
        b->end = size;
    }
    if (b->room - size < bytes) {
        size_t room = b->room ? b->room : 256;
        while (room - size < bytes) {
            if (room > SIZE_MAX / 2) return NULL;
            room *= 2;
        }
        uint8_t *data = realloc(b->data, room);
        if (data == NULL) return NULL;
        b->data = data;
        b->room = room;
    }
    return b->data + b->end;
}

int buffer_add(buffer *b, const uint8_t *data, size_t size) {
    if (size == 0) return 1; /* an empty buffer has no memory, which is no failure */
    uint8_t *at = buffer_reserve(b, size);
    if (at == NULL) return 0;
    memcpy(at, data, size);
    b->end += size;
    return 1;
}

void buffer_take(buffer *b, size_t bytes) {
    b->start += bytes;
    if (b->start < b->end) return;
    b->start = b->end = 0;
    if (b->room > SMALL) buffer_free(b);
}

void buffer_free(buffer *b) {
    free(b->data);
    *b = (buffer){NULL, 0, 0, 0};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels and digest receipts wait here, in the caller's memory, until the caller takes them. Both are bounded; what has
 * no room is counted.
 */
#include "oip_keep.h"

#include <string.h>

void oip_keep_labels(oip_labels *labels, const uint8_t *id, uint32_t owner, const uint8_t *values, size_t count) {
    if (labels == NULL || labels->limit == 0) return;
    if (labels->count >= labels->limit || count > labels->capacity - labels->used || count > UINT32_MAX) {
        labels->dropped++;
        return;
    }
    memcpy(labels->ids + labels->count * OIP_ID_BYTES, id, OIP_ID_BYTES);
    labels->owners[labels->count] = owner;
    labels->rows[labels->count] = (uint32_t)count;
    if (count != 0) memcpy(labels->values + labels->used, values, count * sizeof *labels->values);
    labels->used += count;
    labels->count++;
}

int oip_is_kept(const oip_receipts *receipts, const oip_route *route, const uint8_t *id) {
    if (receipts == NULL || route->receipts == 0) return 0;
    if (route->receipts == UINT64_MAX) return 1;
    uint64_t checksum = 0;
    for (unsigned i = OIP_ID_BYTES - 8; i < OIP_ID_BYTES; i++) checksum = checksum << 8 | id[i];
    return checksum < route->receipts;
}

static size_t decimal(uint64_t value, char *text) {
    char digits[20];
    size_t size = 0;
    do {
        digits[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < size; i++) text[i] = digits[size - 1 - i];
    return size;
}

void oip_hash_output(oip_sha256 *hash, const oip_spec *spec, const int64_t *shape, size_t dims, const uint8_t *data,
                     size_t size) {
    char text[OIP_MAX_DIMS * 21 + 40];
    size_t length = strlen("{\"bytes\":");
    memcpy(text, "{\"bytes\":", length);
    length += decimal(size, text + length);
    oip_sha256_update(hash, (const uint8_t *)text, length);
    oip_sha256_update(hash, spec->header.at, spec->header.size);
    length = 0;
    for (size_t i = 0; i < dims; i++) {
        if (i != 0) text[length++] = ',';
        length += decimal((uint64_t)shape[i], text + length);
    }
    memcpy(text + length, "]}\n", 3);
    oip_sha256_update(hash, (const uint8_t *)text, length + 3);
    oip_sha256_update(hash, data, size);
}

void oip_keep_receipt(oip_receipts *receipts, const oip_route *route, const uint8_t *id, const uint8_t *request,
                      size_t request_size, oip_sha256 *outputs) {
    /* Whoever takes them may be another thread: it moves `taken` after it has read, and reads what `written` covers. */
    if (receipts->written - __atomic_load_n(&receipts->taken, __ATOMIC_ACQUIRE) >= receipts->capacity) {
        receipts->dropped++;
        return;
    }
    oip_receipt *record = &receipts->records[receipts->written % receipts->capacity];
    oip_sha256 hash;
    oip_sha256_init(&hash);
    oip_sha256_update(&hash, request, request_size);
    oip_sha256_final(&hash, record->request);
    oip_sha256_final(outputs, record->outputs);
    memcpy(record->id, id, OIP_ID_BYTES);
    record->owner = route->owner;
    record->flags = route->flags;
    record->reserved = 0;
    __atomic_store_n(&receipts->written, receipts->written + 1, __ATOMIC_RELEASE);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * From the model and version that a request names to the route that answers it.
 */
#include "oip.h"

#include <string.h>

/* FNV-1a over both texts; 0xff, which is in no UTF-8, stands between them. */
static uint64_t hash_of(oip_text model, oip_text version) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < model.size; i++) hash = (hash ^ model.at[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < version.size; i++) hash = (hash ^ version.at[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static int same(oip_text a, oip_text b) { return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0); }

/* The entry that holds a key, else the free one where it would be; NULL for a table without entries. */
static oip_entry *place_of(const oip_table *table, oip_text model, oip_text version) {
    if (table->slots == 0) return NULL;
    size_t slot = (size_t)hash_of(model, version) & (table->slots - 1);
    for (size_t tries = 0; tries < table->slots; tries++) {
        oip_entry *entry = &table->entries[slot];
        if (entry->route == NULL || (same(entry->model, model) && same(entry->version, version))) return entry;
        slot = (slot + 1) & (table->slots - 1);
    }
    return NULL;
}

int oip_table_add(oip_table *table, oip_text model, oip_text version, const oip_route *route) {
    if (route == NULL || table->used + 1 >= table->slots || (table->slots & (table->slots - 1)) != 0) return 0;
    oip_entry *entry = place_of(table, model, version);
    if (entry == NULL || entry->route != NULL) return 0;
    *entry = (oip_entry){model, version, route};
    table->used++;
    return 1;
}

int oip_table_put(oip_table *table, const uint8_t *model, size_t model_size, const uint8_t *version,
                  size_t version_size, const oip_route *route) {
    return oip_table_add(table, (oip_text){model, model_size}, (oip_text){version, version_size}, route);
}

const oip_route *oip_table_find(const oip_table *table, oip_text model, oip_text version) {
    const oip_entry *entry = place_of(table, model, version);
    return entry == NULL ? NULL : entry->route;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of an answer besides its counts.
 */
#ifndef OIP_KEEP_H
#define OIP_KEEP_H

#include "oip.h"

/* Keeps the labels of a prediction, or counts them as dropped. Labels need no alignment. */
void oip_keep_labels(oip_labels *labels, const uint8_t *id, uint32_t owner, const uint8_t *values, size_t count);

/* Whether a prediction of a route gets a receipt. */
int oip_is_kept(const oip_receipts *receipts, const oip_route *route, const uint8_t *id);

/* Adds an output to the digest of the outputs. */
void oip_hash_output(oip_sha256 *hash, const oip_spec *spec, const int64_t *shape, size_t dims, const uint8_t *data,
                     size_t size);

/* Keeps a receipt whose outputs have been hashed, or counts it as dropped. */
void oip_keep_receipt(oip_receipts *receipts, const oip_route *route, const uint8_t *id, const uint8_t *request,
                      size_t request_size, oip_sha256 *outputs);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs by a route's runner.
 */
#ifndef OIP_RUN_H
#define OIP_RUN_H

#include "oip.h"

/* Shapes and sizes of the results of all outputs, which follow from the rows: 1, or 0 if they do not, and the runner is
 * not for this call. */
int oip_shape(const oip_call *call, oip_result *results);

/* Runs a call with output i to outputs[i]: 1, or 0. */
int oip_run_to(const oip_call *call, const uint8_t *data, uint8_t *const *outputs, void *scratch, size_t scratch_bytes);

#endif

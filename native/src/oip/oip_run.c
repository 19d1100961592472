/* SPDX-License-Identifier: Apache-2.0
 *
 * What runs a version in C, and runs of it: on the way of a request, or apart from it in whichever thread.
 */
#include "oip_run.h"

#include "sizes.h"

/* ---- Runners ----------------------------------------------------------------------------------------------- */

/* Scratch in which an index searches; queries that find no room in it share no pass over the codes. */
#define INDEX_SCRATCH ((size_t)1 << 20)

static int network(const void *model, const uint8_t *x, size_t rows, uint8_t *const *outputs, void *scratch,
                   size_t scratch_bytes) {
    return liam_network_run(model, x, rows, outputs[0], outputs[1], scratch, scratch_bytes) == LIAM_OK;
}

static int neighbours(const void *model, const uint8_t *x, size_t rows, uint8_t *const *outputs, void *scratch,
                      size_t scratch_bytes) {
    return liam_index_run(model, x, rows, outputs[0], outputs[1], scratch, scratch_bytes) == LIAM_OK;
}

int oip_runner_of_network(oip_runner *runner, const liam_network *model) {
    *runner = (oip_runner){network, model, 2, 0};
    return liam_network_scratch_bytes(model, &runner->scratch_bytes) == LIAM_OK;
}

int oip_runner_of_index(oip_runner *runner, const liam_index *model) {
    *runner = (oip_runner){neighbours, model, 2, 0};
    if (liam_index_scratch_bytes(model, 1, &runner->scratch_bytes) != LIAM_OK) return 0;
    if (runner->scratch_bytes < INDEX_SCRATCH) runner->scratch_bytes = INDEX_SCRATCH;
    return 1;
}

/* ---- Runs -------------------------------------------------------------------------------------------------- */

static int shape_one(const oip_spec *spec, size_t rows, oip_result *result) {
    if (spec->dims == 0 || spec->dims > OIP_MAX_DIMS || spec->shape[0] != -1) return 0;
    *result = (oip_result){.dims = spec->dims, .shape = {(int64_t)rows}};
    if (!size_mul(rows, spec->width, &result->size)) return 0;
    for (size_t i = 1; i < spec->dims; i++) {
        if (spec->shape[i] < 0 || !size_mul(result->size, (size_t)spec->shape[i], &result->size)) return 0;
        result->shape[i] = spec->shape[i];
    }
    return 1;
}

int oip_shape(const oip_call *call, oip_result *results) {
    const oip_route *route = call->route;
    if (route->inputs != 1 || route->outputs != route->runner->outputs) return 0;
    for (size_t i = 0; i < route->outputs; i++) {
        if (!shape_one(&route->output[i], call->rows, &results[i])) return 0;
    }
    return 1;
}

int oip_run_to(const oip_call *call, const uint8_t *data, uint8_t *const *outputs, void *scratch, size_t scratch_bytes) {
    const oip_runner *runner = call->route->runner;
    const uint8_t *x = data + call->request.input[call->given[0]].raw.at;
    return runner->run(runner->model, x, call->rows, outputs, scratch, scratch_bytes);
}

size_t oip_outputs_bytes(const oip_call *call) {
    oip_result results[OIP_MAX_TENSORS];
    size_t bytes = 0;
    if (!oip_shape(call, results)) return 0;
    for (size_t i = 0; i < call->route->outputs; i++) {
        if (!size_add(bytes, results[i].size, &bytes)) return SIZE_MAX;
    }
    return bytes;
}

int oip_run(const oip_call *call, const uint8_t *data, uint8_t *memory, oip_result *results, void *scratch,
            size_t scratch_bytes) {
    uint8_t *outputs[OIP_MAX_TENSORS];
    if (!oip_shape(call, results)) return 0;
    for (size_t i = 0; i < call->route->outputs; i++) {
        results[i].data = outputs[i] = memory;
        memory += results[i].size;
    }
    return oip_run_to(call, data, outputs, scratch, scratch_bytes);
}

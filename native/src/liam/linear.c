/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layers of floats: the checked edge over linear_<level>.c, and the preparation of weights.
 *
 * Prepared weights are panels of 16 columns, each contiguous: 16 biases, then 16 weights for each input. A vector holds
 * outputs, so that each lane adds up its own, in the order of the inputs.
 */
#include "liam_linear.h"

#include <string.h>

#include "float_mode.h"
#include "kernels.h"
#include "rows.h"

int liam_linear_prepared_bytes(size_t inputs, size_t outputs, size_t *bytes) {
    size_t rows, columns;
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (!size_add(inputs, 1, &rows) || !size_round_up(outputs, LINEAR_PANEL, &columns) ||
        !size_mul(columns, sizeof(float), &columns) || !size_mul(rows, columns, bytes)) {
        return LIAM_ERR_OVERFLOW;
    }
    return LIAM_OK;
}

int liam_linear_prepare(const float *weights, size_t inputs, size_t outputs, size_t weights_stride, const float *bias,
                        void *prepared, size_t prepared_bytes) {
    size_t needed;
    int status = liam_linear_prepared_bytes(inputs, outputs, &needed);
    if (status == LIAM_OK) status = check_rows(weights, inputs, outputs, weights_stride, sizeof *weights);
    if (status != LIAM_OK || needed == 0) return status;
    if (prepared == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(prepared, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    if (prepared_bytes < needed) return LIAM_ERR_MEMORY;

    memset(prepared, 0, needed);
    for (size_t j = 0; j < outputs; j += LINEAR_PANEL) {
        const size_t columns = outputs - j < LINEAR_PANEL ? outputs - j : LINEAR_PANEL;
        float *panel = (float *)prepared + j / LINEAR_PANEL * linear_panel_floats(inputs);
        if (bias != NULL) memcpy(panel, bias + j, columns * sizeof *panel);
        for (size_t k = 0; k < inputs; k++) {
            memcpy(panel + (k + 1) * LINEAR_PANEL, weights + k * weights_stride + j, columns * sizeof *panel);
        }
    }
    return LIAM_OK;
}

int liam_linear_run(const float *x, size_t rows, size_t inputs, size_t x_stride, const void *prepared, size_t outputs,
                    float *out, size_t out_stride) {
    const linear_job job = {.x = x, .rows = rows, .x_stride = x_stride, .panels = prepared, .inputs = inputs,
                            .outputs = outputs, .out = out, .out_stride = out_stride};
    size_t bytes;
    int status = liam_linear_prepared_bytes(inputs, outputs, &bytes);
    if (status == LIAM_OK) status = check_rows(x, rows, inputs, x_stride, sizeof *x);
    if (status == LIAM_OK) status = check_rows(out, rows, outputs, out_stride, sizeof *out);
    if (status != LIAM_OK || rows == 0 || outputs == 0) return status;
    if (prepared == NULL) return LIAM_ERR_NULL;
    if (!is_aligned(prepared, LIAM_ALIGNMENT)) return LIAM_ERR_ALIGNMENT;
    const unsigned mode = float_mode_enter();
    liam_active()->linear(&job);
    float_mode_leave(mode);
    return LIAM_OK;
}

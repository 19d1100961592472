/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layers, one term at a time: the reference that the other levels are compared with.
 */
#include <float.h>

#include "linear_kernels.h"

#if FLT_EVAL_METHOD != 0
#error "float expressions have to be rounded to float"
#endif

static float result_of(const linear_job *job, const char *row, size_t j) {
    const float *panel = job->panels + j / LINEAR_PANEL * linear_panel_floats(job->inputs) + j % LINEAR_PANEL;
    float sum[LINEAR_SUMS] = {0};
    for (size_t k = 0; k < job->inputs; k++) {
        const float term = linear_at(row, k) * panel[(k + 1) * LINEAR_PANEL];
        sum[k % LINEAR_SUMS] += term;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]) + panel[0];
}

void liam_linear_scalar(const linear_job *job) {
    for (size_t i = 0; i < job->rows; i++) {
        for (size_t j = 0; j < job->outputs; j++) {
            const uint32_t nan = UINT32_C(0x7fc00000);
            float result = result_of(job, linear_row(job, i), j);
            if (result != result) memcpy(&result, &nan, sizeof result);
            memcpy(linear_result(job, i, j), &result, sizeof result);
        }
    }
}

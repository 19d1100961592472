/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of the self-test that runs linear layers of floats, subnormal results among them, so that a thread that flushes
 * them to zero does not pass.
 */
#include "liam_linear.h"
#include "self_test.h"

#define ROWS 12 /* one tile of each height */
#define INPUTS 39
#define OUTPUTS 75
#define PANELS ((OUTPUTS + LINEAR_PANEL - 1) / LINEAR_PANEL)

typedef struct work {
    _Alignas(LIAM_ALIGNMENT) float panels[PANELS * LINEAR_PANEL * (INPUTS + 1)];
    float x[ROWS * INPUTS];
    float weights[INPUTS * OUTPUTS];
    float bias[OUTPUTS];
    float out[ROWS * OUTPUTS];
} work;

uint64_t liam_self_test_linear(const kernels *table, uint64_t d) {
    work w;
    uint64_t state = 0x4c494e454152; /* "LINEAR" */
    memset(&w, 0, sizeof w);
    for (size_t i = 0; i < ROWS * INPUTS; i++) w.x[i] = next_float(&state) * (i / INPUTS == 3 ? 0x1p-120f : 1.0f);
    for (size_t i = 0; i < INPUTS * OUTPUTS; i++) w.weights[i] = next_float(&state) * (i % 2 ? 0x1p-10f : 1.0f);
    for (size_t j = 0; j < OUTPUTS; j++) w.bias[j] = next_float(&state) * (j % 3 ? 0x1p-120f : 1.0f);
    if (liam_linear_prepare(w.weights, INPUTS, OUTPUTS, OUTPUTS, w.bias, w.panels, sizeof w.panels) != LIAM_OK) return d;
    const linear_job job = {.x = w.x, .rows = ROWS - 1, .x_stride = INPUTS, .panels = w.panels, .inputs = INPUTS,
                            .outputs = OUTPUTS, .out = w.out, .out_stride = OUTPUTS};
    table->linear(&job);
    const linear_job last = {.x = w.x + (ROWS - 1) * INPUTS, .rows = 1, .x_stride = INPUTS, .panels = w.panels,
                             .inputs = INPUTS, .outputs = OUTPUTS, .out = w.out + (ROWS - 1) * OUTPUTS,
                             .out_stride = OUTPUTS};
    table->linear(&last);
    return digest_of(d, w.out, ROWS * OUTPUTS, sizeof *w.out);
}

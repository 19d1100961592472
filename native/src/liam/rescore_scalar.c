/* SPDX-License-Identifier: Apache-2.0
 *
 * Float scores, one term at a time: the reference that the other levels are compared with.
 */
#include "rescore_kernels.h"
#include "sizes.h"
#include "xnor_kernels.h"

static float sum_of(float *lanes) {
    for (size_t half = RESCORE_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
    }
    return rescore_result(lanes[0]);
}

static void score_bits(const rescore_job *job) {
    const size_t words = words_of(job->width);
    for (size_t s = 0; s < job->c; s++) {
        const size_t position = (size_t)job->positions[s];
        const uint64_t *row = job->panels + position / LIAM_PANEL * words * LIAM_PANEL + position % LIAM_PANEL;
        float lanes[RESCORE_LANES] = {0};
        for (size_t j = 0; j < job->width; j++) {
            const uint64_t bit = row[j / 64 * LIAM_PANEL] >> (j % 64) & 1;
            lanes[j % RESCORE_LANES] += bit ? job->query[j] : -job->query[j];
        }
        job->out[s] = sum_of(lanes);
    }
}

static void score_f32(const rescore_job *job) {
    for (size_t s = 0; s < job->c; s++) {
        const float *row = job->vectors + (size_t)job->positions[s] * job->vectors_stride;
        float lanes[RESCORE_LANES] = {0};
        for (size_t j = 0; j < job->width; j++) {
            const float term = job->query[j] * row[j];
            lanes[j % RESCORE_LANES] += term;
        }
        job->out[s] = sum_of(lanes);
    }
}

const rescore_kernels liam_rescore_scalar = {.bits = score_bits, .f32 = score_f32};

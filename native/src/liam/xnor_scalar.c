/* SPDX-License-Identifier: Apache-2.0
 *
 * XNOR-popcount products, one word and one column at a time: the reference that the other levels are compared with.
 */
#include <string.h>

#include "popcount.h"
#include "sizes.h"
#include "xnor_kernels.h"

static int32_t dot(const xnor_job *job, size_t i, size_t j) {
    const size_t words = words_of(job->nbits);
    const uint64_t *a = job->a + i * job->a_stride;
    const uint64_t *lane = job->panels + j / LIAM_PANEL * words * LIAM_PANEL + j % LIAM_PANEL;
    int32_t different = 0;
    for (size_t w = 0; w < words; w++) {
        const uint64_t valid = w + 1 < words ? UINT64_MAX : tail_mask(job->nbits);
        different += (int32_t)popcount64((a[w] ^ lane[w * LIAM_PANEL]) & valid);
    }
    return (int32_t)job->nbits - 2 * different;
}

static void to_dot(const xnor_job *job) {
    for (size_t i = 0; i < job->m; i++) {
        int32_t *row = (int32_t *)job->out + i * job->out_stride;
        for (size_t j = 0; j < job->n; j++) row[j] = dot(job, i, j);
    }
}

static void to_threshold(const xnor_job *job) {
    for (size_t i = 0; i < job->m; i++) {
        uint64_t *row = (uint64_t *)job->out + i * job->out_stride;
        for (size_t w = 0; w < words_of(job->n); w++) row[w] = 0;
        for (size_t j = 0; j < job->n; j++) {
            row[j / 64] |= (uint64_t)(dot(job, i, j) >= job->thresholds[j]) << (j % 64);
        }
    }
}

static void to_scale(const xnor_job *job) {
    for (size_t i = 0; i < job->m; i++) {
        char *row = (char *)job->out + i * job->out_stride * sizeof(float);
        for (size_t j = 0; j < job->n; j++) {
            const float product = job->scale[j] * (float)dot(job, i, j);
            const float score = product + job->bias[j];
            memcpy(row + j * sizeof score, &score, sizeof score);
        }
    }
}

const xnor_kernels liam_xnor_scalar = {.dot = to_dot, .threshold = to_threshold, .scale = to_scale};

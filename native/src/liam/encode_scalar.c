/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding features as bits, one at a time: the reference that the other levels are compared with.
 */
#include <string.h>

#include "encode_kernels.h"

void liam_encode_scalar(const encoder *e, const void *x, size_t rows, uint64_t *out, size_t out_stride) {
    for (size_t i = 0; i < rows; i++) {
        const char *row = (const char *)x + i * e->features * sizeof(float);
        uint64_t *words = out + i * out_stride;
        for (size_t w = 0; w < e->words; w++) words[w] = 0;
        for (size_t j = 0; j < e->words * 64; j++) {
            float feature;
            memcpy(&feature, row + (size_t)e->source[j] * sizeof feature, sizeof feature);
            words[j / 64] |= (uint64_t)(feature >= e->thresholds[j]) << (j % 64);
        }
    }
}

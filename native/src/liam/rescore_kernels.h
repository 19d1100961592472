/* SPDX-License-Identifier: Apache-2.0
 *
 * Float scores of a shortlist, in the order of summation that liam_search.h defines.
 */
#ifndef LIAM_RESCORE_KERNELS_H
#define LIAM_RESCORE_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "target.h"

/* Sums that a score is made of. */
#define RESCORE_LANES 16

/* One query and its shortlist: positions[0] to positions[c - 1] are valid rows. */
typedef struct rescore_job {
    const float *query;
    const uint64_t *panels; /* rows of bits */
    const float *vectors;   /* or of floats */
    size_t vectors_stride;
    size_t width; /* of query and rows */
    const int64_t *positions;
    size_t c;
    float *out;
} rescore_job;

typedef void rescore_fn(const rescore_job *job);

typedef struct rescore_kernels {
    rescore_fn *bits;
    rescore_fn *f32;
} rescore_kernels;

extern const rescore_kernels liam_rescore_scalar, liam_rescore_avx2, liam_rescore_avx512;

/* A score as it is written: NaN has one form, because instructions differ in which NaN they keep. */
static inline float rescore_result(float score) {
    const uint32_t nan = UINT32_C(0x7fc00000);
    if (score != score) memcpy(&score, &nan, sizeof score);
    return score;
}

#endif

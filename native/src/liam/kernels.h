/* SPDX-License-Identifier: Apache-2.0
 *
 * What a SIMD level implements: a table of kernels for each family of operations. The public functions check their
 * arguments and then call these, which trust them.
 *
 * A family has a header <family>_kernels.h with its table, liam_<family>_<level> for each level that has kernels of its
 * own in <family>_<level>.c, the checked edge <family>.c, and self_test_<family>.c.
 */
#ifndef LIAM_KERNELS_H
#define LIAM_KERNELS_H

#include "bits_kernels.h"
#include "encode_kernels.h"
#include "gf2_kernels.h"
#include "hadamard_kernels.h"
#include "liam.h"
#include "linear_kernels.h"
#include "pack_kernels.h"
#include "rescore_kernels.h"
#include "search_kernels.h"
#include "xnor_kernels.h"

typedef struct kernels {
    liam_level_id level;
    const bits_kernels *bits;
    const pack_kernels *pack;
    const xnor_kernels *xnor;
    const search_kernels *search;
    const rescore_kernels *rescore;
    encode_fn *encode;
    linear_fn *linear;
    const hadamard_kernels *hadamard;
    const gf2_kernels *gf2;
} kernels;

/* The table in use. */
const kernels *liam_active(void);

/* The table of a level, or NULL if there is no such level or this machine cannot run it. */
const kernels *liam_kernels_for(int level);

#endif

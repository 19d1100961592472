/* SPDX-License-Identifier: Apache-2.0
 *
 * Popcount in portable C, for the scalar level and for what is counted too seldom to need a kernel.
 */
#ifndef LIAM_POPCOUNT_H
#define LIAM_POPCOUNT_H

#include <stdint.h>

static inline uint32_t popcount64(uint64_t v) {
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(v * UINT64_C(0x0101010101010101) >> 56);
}

#endif

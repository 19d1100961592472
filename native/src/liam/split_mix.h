/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers that are the same everywhere, one after the other from one word of state.
 */
#ifndef LIAM_SPLIT_MIX_H
#define LIAM_SPLIT_MIX_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif

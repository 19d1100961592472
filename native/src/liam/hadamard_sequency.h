/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequency order: natural output i has the place s with i = bit_reverse(s ^ s >> 1), so s is the inverse Gray code of
 * the reversed i. Both ways are linear over GF(2): the place of i ^ j is place(i) ^ place(j).
 *
 * Rows of at least 256 elements are put in order by tiles of 16 x 16: the elements whose numbers i differ in their four
 * highest and four lowest bits. For the highest bits, places differ in their four lowest bits alone; for the lowest
 * bits they differ in the four highest, and all others may be complemented. So a tile is 16 runs of consecutive
 * elements in both orders, and every cache line is touched once.
 */
#ifndef LIAM_HADAMARD_SEQUENCY_H
#define LIAM_HADAMARD_SEQUENCY_H

#include <stddef.h>
#include <stdint.h>

#define SEQUENCY_SIDE 16
#define SEQUENCY_TILE (SEQUENCY_SIDE * SEQUENCY_SIDE)

/* The four highest bits of i, by the four lowest of its place: the reversed Gray code. Where the other bits of i have
 * odd parity, the place's four are complemented. */
static const uint8_t sequency_rows[SEQUENCY_SIDE] = {0, 8, 12, 4, 6, 14, 10, 2, 3, 11, 15, 7, 5, 13, 9, 1};

/* The place in sequency order of natural output i of n = 2^k. */
static inline size_t sequency_place(size_t i, size_t n) {
    size_t place = 0, bit = 0;
    for (size_t mask = 1; mask < n; mask *= 2, i /= 2) { /* the lowest bit of i is the highest of the Gray code */
        bit ^= i & 1;
        place = place * 2 + bit;
    }
    return place;
}

#endif

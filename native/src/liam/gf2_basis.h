/* SPDX-License-Identifier: Apache-2.0
 *
 * The pivots of 64 columns: words of rows go in, in order, and those that are no sum of the words before them stay, as
 * a basis in reduced echelon form that knows which words each of its members is the sum of.
 */
#ifndef LIAM_GF2_BASIS_H
#define LIAM_GF2_BASIS_H

#include <stddef.h>
#include <stdint.h>

typedef struct gf2_basis {
    _Alignas(64) uint64_t reduced[64]; /* member k: its pivot is its lowest one, and no other member has a one there */
    uint64_t sum[64];                  /* bit l: the l-th word that stayed is part of member k */
    uint64_t pivot[64];                /* the pivot of member k, which the k-th word gave, as a word of this one bit */
    unsigned column[64];               /* and as a number */
    size_t row[64];                    /* where the k-th word came from */
    size_t count;
    uint64_t pivots; /* all pivots */
} gf2_basis;

/* Offers a word of a row to a basis of fewer than 64 members. Members past the count are zero. */
typedef void gf2_offer_fn(gf2_basis *basis, uint64_t word, size_t row);

static inline void gf2_basis_clear(gf2_basis *basis) {
    for (size_t k = 0; k < 64; k++) basis->reduced[k] = basis->sum[k] = basis->pivot[k] = 0;
    basis->count = 0;
    basis->pivots = 0;
}

/* Adds a member, of which the others have lost the pivot. */
static inline void gf2_basis_append(gf2_basis *basis, uint64_t rest, uint64_t sum, size_t row) {
    const size_t k = basis->count++;
    unsigned column = 0;
    while ((rest >> column & 1) == 0) column++;
    basis->reduced[k] = rest;
    basis->sum[k] = sum;
    basis->pivot[k] = UINT64_C(1) << column;
    basis->column[k] = column;
    basis->row[k] = row;
    basis->pivots |= basis->pivot[k];
}

/* All ones if a word has a bit, else zero. */
static inline uint64_t gf2_spread(uint64_t word, uint64_t bit) { return 0 - (uint64_t)((word & bit) != 0); }

/* A gf2_offer_fn without vectors. */
static inline void gf2_basis_offer(gf2_basis *basis, uint64_t word, size_t row) {
    const size_t count = basis->count;
    uint64_t rest = word;
    uint64_t sum = UINT64_C(1) << count;
    for (size_t k = 0; k < count; k++) { /* no member changes another's pivot bit, so word says which to add */
        const uint64_t added = gf2_spread(word, basis->pivot[k]);
        rest ^= basis->reduced[k] & added;
        sum ^= basis->sum[k] & added;
    }
    if (rest == 0) return;
    for (size_t k = 0; k < count; k++) {
        const uint64_t added = gf2_spread(basis->reduced[k], rest & (0 - rest));
        basis->reduced[k] ^= rest & added;
        basis->sum[k] ^= sum & added;
    }
    gf2_basis_append(basis, rest, sum, row);
}

#endif

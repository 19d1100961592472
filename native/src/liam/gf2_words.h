/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight 512-bit vectors as a matrix of words. Included inside a target region.
 */
#ifndef LIAM_GF2_WORDS_H
#define LIAM_GF2_WORDS_H

/* Transposes eight vectors of eight words. */
LIAM_INLINE void transpose_words(__m512i *x) {
    __m512i t[8];
    LIAM_UNROLL
    for (unsigned i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
    }
    LIAM_UNROLL
    for (unsigned e = 0; e < 2; e++) {
        const __m512i p = _mm512_shuffle_i64x2(t[e], t[2 + e], 0x44), q = _mm512_shuffle_i64x2(t[4 + e], t[6 + e], 0x44);
        const __m512i r = _mm512_shuffle_i64x2(t[e], t[2 + e], 0xee), s = _mm512_shuffle_i64x2(t[4 + e], t[6 + e], 0xee);
        x[e] = _mm512_shuffle_i64x2(p, q, 0x88);
        x[2 + e] = _mm512_shuffle_i64x2(p, q, 0xdd);
        x[4 + e] = _mm512_shuffle_i64x2(r, s, 0x88);
        x[6 + e] = _mm512_shuffle_i64x2(r, s, 0xdd);
    }
}

#endif

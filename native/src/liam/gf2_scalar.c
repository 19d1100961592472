/* SPDX-License-Identifier: Apache-2.0
 *
 * GF(2) by definition, one bit at a time: the reference that the other levels are compared with.
 */
#include <string.h>

#include "gf2_space.h"

static int bit_of(const uint64_t *row, size_t j) { return (int)(row[j / 64] >> (j % 64) & 1); }

static void add_row(uint64_t *to, const uint64_t *row, size_t words) {
    for (size_t w = 0; w < words; w++) to[w] ^= row[w];
}

/* Copies a row without its excess bits. */
static void copy_row(uint64_t *to, const uint64_t *row, size_t nbits) {
    if (nbits == 0) return;
    memcpy(to, row, words_of(nbits) * sizeof *to);
    to[words_of(nbits) - 1] &= tail_mask(nbits);
}

static void multiply(const gf2_product *job) {
    const size_t words = words_of(job->n);
    for (size_t i = 0; i < job->m; i++) {
        uint64_t *row = job->out + i * job->out_stride;
        memset(row, 0, words * sizeof *row);
        for (size_t k = 0; k < job->k; k++) {
            if (bit_of(job->a + i * job->a_stride, k)) add_row(row, job->b + k * job->b_stride, words);
        }
        row[words - 1] &= tail_mask(job->n);
    }
}

static void transpose(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, uint64_t *out, size_t out_stride) {
    for (size_t j = 0; j < nbits; j++) {
        uint64_t *row = out + j * out_stride;
        memset(row, 0, words_of(m) * sizeof *row);
        for (size_t i = 0; i < m; i++) row[i / 64] |= (uint64_t)bit_of(a + i * a_stride, j) << (i % 64);
    }
}

static void apply(const uint64_t *a, size_t m, size_t nbits, size_t a_stride, const uint64_t *x, uint64_t *out) {
    memset(out, 0, words_of(m) * sizeof *out);
    for (size_t i = 0; i < m; i++) {
        const uint64_t *row = a + i * a_stride;
        int sum = 0;
        for (size_t j = 0; j < nbits; j++) sum ^= bit_of(row, j) & bit_of(x, j);
        out[i / 64] |= (uint64_t)sum << (i % 64);
    }
}

/* Copies both parts beside each other, each of whole words. */
static void load(const gf2_elimination *job, uint64_t *rows, size_t left_words, size_t words) {
    memset(rows, 0, job->m * words * sizeof *rows);
    for (size_t i = 0; i < job->m; i++) {
        uint64_t *row = rows + i * words;
        copy_row(row, job->left + i * job->left_stride, job->left_bits);
        if (job->right != NULL) {
            copy_row(row + left_words, job->right + i * job->right_stride, job->right_bits);
        } else if (i < job->right_bits) {
            row[left_words + i / 64] |= UINT64_C(1) << (i % 64);
        }
    }
}

/* Gauss-Jordan without exchanges: a row that has given a pivot is used and stays where it is. */
static size_t eliminate(const gf2_elimination *job) {
    gf2_elimination_space s;
    if (!gf2_elimination_space_of(job->m, job->left_bits, job->right_bits, &s)) return 0;
    const size_t left_words = words_of(job->left_bits);
    const size_t words = left_words + words_of(job->right_bits);
    uint64_t *rows = job->workspace;
    size_t *place = (size_t *)(void *)((uint8_t *)job->workspace + s.place);
    uint8_t *used = (uint8_t *)job->workspace + s.used;
    load(job, rows, left_words, words);
    memset(used, 0, job->m);

    size_t rank = 0;
    for (size_t j = 0; j < job->left_bits; j++) {
        size_t p = 0;
        while (p < job->m && (used[p] || !bit_of(rows + p * words, j))) p++;
        if (p == job->m) continue;
        for (size_t i = 0; i < job->m; i++) {
            if (i != p && bit_of(rows + i * words, j)) add_row(rows + i * words, rows + p * words, words);
        }
        used[p] = 1;
        place[p] = rank;
        if (job->pivots != NULL) job->pivots[rank] = (int64_t)j;
        rank++;
    }
    size_t next = rank;
    for (size_t i = 0; i < job->m; i++) {
        const size_t to = used[i] ? place[i] : next++;
        const uint64_t *row = rows + i * words;
        if (job->left_out != NULL) copy_row(job->left_out + to * job->left_out_stride, row, job->left_bits);
        if (job->right_out != NULL) {
            copy_row(job->right_out + to * job->right_out_stride, row + left_words, job->right_bits);
        }
    }
    return rank;
}

const gf2_kernels liam_gf2_scalar = {
    .multiply = multiply, .transpose = transpose, .apply = apply, .eliminate = eliminate};

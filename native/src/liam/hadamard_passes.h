/* SPDX-License-Identifier: Apache-2.0
 *
 * Walsh-Hadamard transforms of one element type with one kind of vector: a file that is included once for each, between
 * BEGIN and END of its target, after these definitions, which it ends.
 *   NAME(x)            x with a suffix for the type
 *   ELEMENT, VECTOR    the types
 *   LANES              elements in a vector
 *   RADIX              vectors that a pass holds in registers: 8 or 16
 *   LOAD, STORE        for addresses aligned to elements
 *   ADD, SUB           of vectors
 *   WITHIN(p, n)       the vector at p after the stages of distances below n, which is at most LANES
 *   SCALAR             the scalar level's transform
 *
 * A row is transformed in passes, each of which loads and stores every vector once. The first goes over blocks of RADIX
 * consecutive vectors and does the stages within vectors and across the block. Each later pass adds up to log2(RADIX)
 * stages, over columns of a vector's width through RADIX rows. They are nested, so that each is done in the smallest
 * cache that holds its rows. All this only chooses when a sum is computed, not of what: an element's stages come in
 * ascending order, whatever the passes.
 */
#define BLOCK ((size_t)RADIX * LANES)

/* The stage that pairs vectors h apart. */
LIAM_INLINE void NAME(stage)(VECTOR *v, unsigned count, unsigned h) {
    LIAM_UNROLL
    for (unsigned i = 0; i < count / 2; i++) {
        const unsigned k = i / h * 2 * h + i % h;
        const VECTOR a = v[k], b = v[k + h];
        v[k] = ADD(a, b);
        v[k + h] = SUB(a, b);
    }
}

/* All stages across count vectors, a constant where this is inlined. */
LIAM_INLINE void NAME(across)(VECTOR *v, unsigned count) {
    if (count > 1) NAME(stage)(v, count, 1);
    if (count > 2) NAME(stage)(v, count, 2);
    if (count > 4) NAME(stage)(v, count, 4);
    if (count > 8) NAME(stage)(v, count, 8);
}

/* Whole transforms of `blocks` blocks of count vectors. */
LIAM_INLINE void NAME(blocks_of)(const ELEMENT *x, size_t blocks, size_t x_stride, ELEMENT *out, size_t out_stride,
                                 unsigned count) {
    for (size_t b = 0; b < blocks; b++) {
        VECTOR v[RADIX];
        LIAM_UNROLL
        for (unsigned i = 0; i < count; i++) v[i] = WITHIN(x + b * x_stride + i * LANES, LANES);
        NAME(across)(v, count);
        LIAM_UNROLL
        for (unsigned i = 0; i < count; i++) STORE(out + b * out_stride + i * LANES, v[i]);
    }
}

static void NAME(blocks)(const ELEMENT *x, size_t blocks, size_t x_stride, ELEMENT *out, size_t out_stride,
                         size_t count) {
    switch (count) {
    case 1: NAME(blocks_of)(x, blocks, x_stride, out, out_stride, 1); break;
    case 2: NAME(blocks_of)(x, blocks, x_stride, out, out_stride, 2); break;
    case 4: NAME(blocks_of)(x, blocks, x_stride, out, out_stride, 4); break;
    case 8: NAME(blocks_of)(x, blocks, x_stride, out, out_stride, 8); break;
    default: NAME(blocks_of)(x, blocks, x_stride, out, out_stride, RADIX); break;
    }
}

/* The stages across `count` rows of h elements that lie one after the other. */
LIAM_INLINE void NAME(columns_of)(ELEMENT *x, size_t h, unsigned count) {
    for (size_t j = 0; j < h; j += LANES) {
        VECTOR v[RADIX];
        LIAM_UNROLL
        for (unsigned i = 0; i < count; i++) v[i] = LOAD(x + i * h + j);
        NAME(across)(v, count);
        LIAM_UNROLL
        for (unsigned i = 0; i < count; i++) STORE(x + i * h + j, v[i]);
    }
}

static void NAME(columns)(ELEMENT *x, size_t h, size_t count) {
    switch (count) {
    case 2: NAME(columns_of)(x, h, 2); break;
    case 4: NAME(columns_of)(x, h, 4); break;
    case 8: NAME(columns_of)(x, h, 8); break;
    default: NAME(columns_of)(x, h, RADIX); break;
    }
}

/* A row of more than one block.
 * Elements a multiple of 4096 bytes apart share a set of the first-level cache, which has 8 or 12 ways: with 16 of them
 * every store would miss what its load brought, so that longer rows are transformed by 8. */
static void NAME(row)(const ELEMENT *x, size_t n, ELEMENT *out) {
    const size_t most = n * sizeof(ELEMENT) >= RADIX * 4096 ? 8 : RADIX;
    const size_t count = n / BLOCK < most ? n / BLOCK : most;
    const size_t h = n / count;
    if (h == BLOCK) {
        NAME(blocks)(x, count, BLOCK, out, BLOCK, RADIX);
    } else {
        for (size_t i = 0; i < count; i++) NAME(row)(x + i * h, h, out + i * h);
    }
    NAME(columns)(out, h, count);
}

/* Rows shorter than a vector: several to a vector where no gaps are between them, the rest by the scalar level. */
static void NAME(short_rows)(const ELEMENT *x, size_t rows, size_t n, size_t x_stride, ELEMENT *out,
                             size_t out_stride) {
    const size_t whole = x_stride == n && out_stride == n ? rows / (LANES / n) * (LANES / n) : 0;
    for (size_t j = 0; j < whole * n; j += LANES) STORE(out + j, WITHIN(x + j, n));
    SCALAR(x + whole * x_stride, rows - whole, n, x_stride, out + whole * out_stride, out_stride);
}

static void NAME(transform)(const ELEMENT *x, size_t rows, size_t n, size_t x_stride, ELEMENT *out, size_t out_stride) {
    if (n < LANES) {
        NAME(short_rows)(x, rows, n, x_stride, out, out_stride);
    } else if (n <= BLOCK) {
        NAME(blocks)(x, rows, x_stride, out, out_stride, n / LANES);
    } else {
        for (size_t r = 0; r < rows; r++) NAME(row)(x + r * x_stride, n, out + r * out_stride);
    }
}

#undef NAME
#undef ELEMENT
#undef VECTOR
#undef LANES
#undef BLOCK
#undef LOAD
#undef STORE
#undef ADD
#undef SUB
#undef WITHIN
#undef SCALAR

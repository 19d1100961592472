/* SPDX-License-Identifier: Apache-2.0
 *
 * The random rotation: its signs, and its steps forwards and backwards.
 */
#include "hadamard_rows.h"
#include "kernels.h"
#include "sizes.h"
#include "split_mix.h"

#define SQRT_HALF 0x1.6a09e6p-1f

/* A rotation's plan: its kernels and the transforms' length and scale. */
typedef struct rotation {
    const hadamard_kernels *kernels;
    const uint64_t *signs;
    size_t n;
    size_t part;  /* the greatest power of two up to n */
    float factor; /* 1 / sqrt(part), exact where that is a power of two */
    size_t steps;
} rotation;

/* How often elements are multiplied by signs and a part is transformed. */
static size_t steps_of(size_t n) { return is_power_of_two(n) ? LIAM_ROTATION_ROUNDS : 2 * LIAM_ROTATION_ROUNDS; }

int liam_rotation_bytes(size_t n, size_t *bytes) {
    if (bytes == NULL) return LIAM_ERR_NULL;
    if (n == 0 || n > LIAM_MAX_HADAMARD) return LIAM_ERR_SIZE;
    return size_mul(words_of(n), steps_of(n) * sizeof(uint64_t), bytes) ? LIAM_OK : LIAM_ERR_OVERFLOW;
}

int liam_rotation_prepare(size_t n, uint64_t seed, uint64_t *signs, size_t signs_bytes) {
    size_t needed;
    const int status = liam_rotation_bytes(n, &needed);
    if (status != LIAM_OK) return status;
    if (signs == NULL) return LIAM_ERR_NULL;
    if (signs_bytes < needed) return LIAM_ERR_MEMORY;
    const size_t words = words_of(n);
    uint64_t state = seed;
    for (size_t k = 0; k < steps_of(n) * words; k++) {
        signs[k] = next_random(&state) & (k % words == words - 1 ? tail_mask(n) : UINT64_MAX);
    }
    return LIAM_OK;
}

static rotation plan(const uint64_t *signs, size_t n) {
    rotation r = {liam_active()->hadamard, signs, n, 1, 1.0f, steps_of(n)};
    int halvings = 0;
    for (; r.part <= n / 2; r.part *= 2) halvings++;
    if (halvings % 2) r.factor = SQRT_HALF;
    for (; halvings > 1; halvings -= 2) r.factor *= 0.5f;
    return r;
}

/* Transforms the part that a step is for: the first, then the last, and so on. */
static void transform_part(const rotation *r, float *x, size_t step) {
    float *part = step % 2 ? x + (r->n - r->part) : x;
    r->kernels->f32(part, 1, r->part, r->part, part, r->part);
    r->kernels->scale(part, r->part, r->factor);
}

/* What a step ends with if both parts were transformed. */
static void mix_halves(const rotation *r, float *x, size_t step) {
    const size_t half = r->n / 2;
    if (r->part != r->n && step % 2) r->kernels->mix(x, x + (r->n - half), half, SQRT_HALF);
}

static const uint64_t *signs_of(const rotation *r, size_t step) { return r->signs + step * words_of(r->n); }

static void apply_row(const rotation *r, const float *x, float *out) {
    for (size_t step = 0; step < r->steps; step++) {
        r->kernels->flip(step == 0 ? x : out, signs_of(r, step), r->n, out);
        transform_part(r, out, step);
        mix_halves(r, out, step);
    }
}

static void invert_row(const rotation *r, const float *x, float *out) {
    for (size_t j = 0; j < r->n; j++) out[j] = x[j];
    for (size_t step = r->steps; step-- > 0;) {
        mix_halves(r, out, step);
        transform_part(r, out, step);
        r->kernels->flip(out, signs_of(r, step), r->n, out);
    }
}

static int check(const uint64_t *signs, const float *x, size_t rows, size_t n, size_t x_stride, const float *out,
                 size_t out_stride) {
    const int status = check_hadamard_rows(x, rows, n, x_stride, out, out_stride, sizeof *x);
    return status == LIAM_OK && rows != 0 && signs == NULL ? LIAM_ERR_NULL : status;
}

int liam_rotation_apply(const uint64_t *signs, const float *x, size_t rows, size_t n, size_t x_stride, float *out,
                        size_t out_stride) {
    const int status = check(signs, x, rows, n, x_stride, out, out_stride);
    if (status != LIAM_OK) return status;
    const rotation r = plan(signs, n);
    for (size_t i = 0; i < rows; i++) apply_row(&r, x + i * x_stride, out + i * out_stride);
    return LIAM_OK;
}

int liam_rotation_inverse(const uint64_t *signs, const float *x, size_t rows, size_t n, size_t x_stride, float *out,
                          size_t out_stride) {
    const int status = check(signs, x, rows, n, x_stride, out, out_stride);
    if (status != LIAM_OK) return status;
    const rotation r = plan(signs, n);
    for (size_t i = 0; i < rows; i++) invert_row(&r, x + i * x_stride, out + i * out_stride);
    return LIAM_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layers against a loop that rounds after each step: every small shape, odd floats (infinities, NaN with payloads,
 * subnormals, signed zeros), threads that flush subnormals, and memory that ends at an inaccessible page.
 */
#include <math.h>

#include "check.h"
#include "liam_linear.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

typedef struct memory {
    arena x, weights, bias, prepared, out;
} memory;

static float expected(const float *x, const float *weights, size_t inputs, size_t stride, float bias) {
    volatile float sum[4] = {0}; /* volatile: rounded after each step */
    for (size_t k = 0; k < inputs; k++) {
        const volatile float term = x[k] * weights[k * stride];
        sum[k % 4] = sum[k % 4] + term;
    }
    const volatile float low = sum[0] + sum[1], high = sum[2] + sum[3], all = low + high;
    return all + bias;
}

static int same(float found, float wanted) {
    const uint32_t nan = UINT32_C(0x7fc00000);
    return memcmp(&found, isnan(wanted) ? (const void *)&nan : (const void *)&wanted, sizeof found) == 0;
}

static float odd_float(size_t one_in) {
    static const uint32_t odd[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f812345,
                                   0x00000001, 0x807fffff, 0x7f7fffff};
    const size_t pick = random_below(one_in * 10);
    float value = random_float();
    if (pick < sizeof odd / sizeof *odd) memcpy(&value, &odd[pick], sizeof value);
    return pick % 3 == 0 ? value : value * 0x1p-70f; /* products that are subnormal */
}

/* A row of results alone, in the middle of others, and with rows in another order, is checked by all having to be what
 * the reference says. */
static void layer(memory mem, size_t rows, size_t inputs, size_t outputs) {
    const size_t rarity = 1 + random_below(200) * random_below(20); /* some layers have only odd floats, most have few */
    const size_t x_stride = inputs + outputs % 3, w_stride = outputs + inputs % 2, out_stride = outputs + rows % 3;
    const size_t x_span = rows ? (rows - 1) * x_stride + inputs : 0;
    const size_t w_span = inputs ? (inputs - 1) * w_stride + outputs : 0;
    const size_t out_span = rows ? (rows - 1) * out_stride + outputs : 0;
    float *x = arena_take(mem.x, x_span * sizeof *x), *weights = arena_take(mem.weights, w_span * sizeof *weights);
    float *bias = arena_take(mem.bias, outputs * sizeof *bias);
    for (size_t i = 0; i < x_span; i++) x[i] = odd_float(rarity); /* between the rows too */
    for (size_t i = 0; i < w_span; i++) weights[i] = odd_float(rarity);
    for (size_t j = 0; j < outputs; j++) bias[j] = odd_float(rarity);

    size_t bytes = SIZE_MAX;
    CHECK(liam_linear_prepared_bytes(inputs, outputs, &bytes) == LIAM_OK);
    CHECK(bytes == (outputs + 15) / 16 * 16 * (inputs + 1) * sizeof(float));
    float *prepared = arena_take(mem.prepared, bytes);
    const int with_bias = (rows + inputs) % 4 != 0;
    CHECK(liam_linear_prepare(weights, inputs, outputs, w_stride, with_bias ? bias : NULL, prepared, bytes) == LIAM_OK);
    CHECK(front_intact(prepared));
    float *out = arena_take(mem.out, out_span * sizeof *out);
    CHECK(liam_linear_run(x, rows, inputs, x_stride, prepared, outputs, out, out_stride) == LIAM_OK);
    CHECK(front_intact(out));
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < outputs; j++) {
            const float wanted = expected(x + i * x_stride, weights + j, inputs, w_stride, with_bias ? bias[j] : 0.0f);
            CHECK(same(out[i * out_stride + j], wanted));
        }
        if (i + 1 < rows) CHECK(all_canary(out + i * out_stride + outputs, (out_stride - outputs) * sizeof *out));
    }
}

/* A thread that flushes subnormal numbers and rounds down has the same results, and its settings afterwards. */
static void settings_of_the_thread(void) {
#if defined(__SSE__)
    static _Alignas(LIAM_ALIGNMENT) float prepared[16 * 2];
    const float tiny = 0x1p-140f, third = 0x1.555556p-2f, bias = 0x1p-149f;
    const unsigned before = _mm_getcsr(), odd = (before | 0x8040 | 0x2000) & ~0x3fu;
    for (size_t k = 0; k < 2; k++) {
        float out[2];
        CHECK(liam_linear_prepare(k ? &third : &tiny, 1, 1, 1, &bias, prepared, sizeof prepared) == LIAM_OK);
        CHECK(liam_linear_run(&third, 1, 1, 1, prepared, 1, &out[0], 1) == LIAM_OK);
        _mm_setcsr(odd);
        const int status = liam_linear_run(&third, 1, 1, 1, prepared, 1, &out[1], 1);
        const unsigned after = _mm_getcsr();
        _mm_setcsr(before);
        CHECK(status == LIAM_OK && (after & ~0x3fu) == odd);
        CHECK(memcmp(&out[0], &out[1], sizeof *out) == 0 && out[0] != 0.0f);
    }
    /* liam_init does not start in such a thread. */
    const int level = liam_level();
    _mm_setcsr(before | 0x8000);
    const int flushing = liam_init();
    _mm_setcsr(before | 0x2000);
    const int rounding_down = liam_init();
    _mm_setcsr(before);
    CHECK(flushing == LIAM_ERR_FLOAT_MODE && rounding_down == LIAM_ERR_FLOAT_MODE);
    CHECK(liam_set_level(level) == LIAM_OK);
#endif
}

static void errors(void) {
    static _Alignas(LIAM_ALIGNMENT) float prepared[16 * 10];
    float x[9] = {0}, out[9];
    size_t bytes;
    const size_t huge = SIZE_MAX / 4;
    CHECK(liam_linear_prepared_bytes(1, 1, NULL) == LIAM_ERR_NULL);
    CHECK(liam_linear_prepared_bytes(SIZE_MAX, 1, &bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_linear_prepared_bytes(1, SIZE_MAX, &bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_linear_prepared_bytes(huge, 2, &bytes) == LIAM_ERR_OVERFLOW);
    CHECK(liam_linear_prepare(x, 9, 1, 0, NULL, prepared, sizeof prepared) == LIAM_ERR_STRIDE);
    CHECK(liam_linear_prepare(x, 2, 1, huge, NULL, prepared, sizeof prepared) == LIAM_ERR_OVERFLOW);
    CHECK(liam_linear_prepare(NULL, 9, 1, 1, NULL, prepared, sizeof prepared) == LIAM_ERR_NULL);
    CHECK(liam_linear_prepare(x, 9, 1, 1, NULL, NULL, sizeof prepared) == LIAM_ERR_NULL);
    CHECK(liam_linear_prepare(x, 9, 1, 1, NULL, prepared + 1, sizeof prepared) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_linear_prepare(x, 9, 1, 1, NULL, prepared, sizeof prepared - 1) == LIAM_ERR_MEMORY);
    CHECK(liam_linear_prepare(NULL, 0, 0, 0, NULL, NULL, 0) == LIAM_OK);
    CHECK(liam_linear_run(x, 1, 9, 8, prepared, 1, out, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_linear_run(x, 1, 9, 9, prepared, 2, out, 1) == LIAM_ERR_STRIDE);
    CHECK(liam_linear_run(x, huge, 9, 9, prepared, 1, out, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_linear_run(x, huge, 0, 0, prepared, 1, out, 1) == LIAM_ERR_OVERFLOW);
    CHECK(liam_linear_run(NULL, 1, 9, 9, prepared, 1, out, 1) == LIAM_ERR_NULL);
    CHECK(liam_linear_run(x, 1, 9, 9, NULL, 1, out, 1) == LIAM_ERR_NULL);
    CHECK(liam_linear_run(x, 1, 9, 9, prepared, 1, NULL, 1) == LIAM_ERR_NULL);
    CHECK(liam_linear_run(x, 1, 9, 9, prepared + 1, 1, out, 1) == LIAM_ERR_ALIGNMENT);
    CHECK(liam_linear_run(NULL, 0, 9, 9, NULL, 1, NULL, 1) == LIAM_OK);
    CHECK(liam_linear_run(NULL, 3, 0, 0, NULL, 0, NULL, 0) == LIAM_OK);
}

void test_linear(void) {
    static memory mem;
    if (mem.x.end == NULL) mem = (memory){arena_new(), arena_new(), arena_new(), arena_new(), arena_new()};
    errors();
    settings_of_the_thread();
    for (size_t rows = 0; rows <= 64; rows++) { /* every batch, with some widths */
        for (size_t outputs = 1; outputs <= 100; outputs += 1 + outputs / 3) {
            test_case = rows * 1000 + outputs;
            layer(mem, rows, 9 + rows % 4, outputs);
        }
    }
    for (size_t inputs = 0; inputs <= 70; inputs++) { /* every depth, with the widths about a vector's */
        for (size_t outputs = 0; outputs <= 35; outputs++) {
            test_case = inputs * 1000 + outputs;
            layer(mem, 1 + (inputs + outputs) % 13, inputs, outputs);
        }
    }
    for (test_case = 0; test_case < 20; test_case++) {
        layer(mem, 1 + test_case, 784 + test_case, 10);
        layer(mem, 13, 100 * test_case, 3 * test_case);
    }
    layer(mem, 31, 5000, 9); /* more inputs than one pass over the panels takes */
}

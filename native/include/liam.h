/* SPDX-License-Identifier: Apache-2.0
 *
 * LIAM: binary algebra on bit-packed matrices. This header has the conventions, dispatch, packing, products and
 * networks; beside it stand the headers of the other families, which keep the same conventions.
 *
 * Conventions
 *   Bits      A row of nbits bits is ceil(nbits / 64) words of uint64_t, least significant bit first: bit j is
 *             (words[j / 64] >> (j % 64)) & 1. In memory a word is little-endian in files and host order in calls.
 *   Meaning   Bit 1 stands for +1 and bit 0 for -1.
 *   Excess    The bits past nbits in the last word of a row are zero in everything LIAM writes and are ignored in
 *             everything it reads. Words between a row's end and its stride are neither read nor written.
 *   Strides   Bit rows have their stride in words, all others in elements. A stride is at least the row's width.
 *   Sizes     nbits is at most LIAM_MAX_NBITS. Zero rows are valid everywhere, and a pointer to nothing may be NULL.
 *   Memory    The caller owns all of it. LIAM neither allocates nor frees, and keeps no pointer after a call.
 *             Typed pointers have their type's natural alignment; void pointers say what they need.
 *             Outputs must not overlap inputs.
 *   Errors    Functions return a liam_status as int. On any error nothing was written, unless stated otherwise.
 *             LIAM never aborts, never prints and sets no errno.
 *   Threads   Every function may be called from any thread at any time; only liam_init and liam_set_level change
 *             state, and that state is one atomic pointer.
 *   Results   Every operation returns the same bits at every SIMD level, batch size, row position and alignment.
 */
#ifndef LIAM_H
#define LIAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LIAM_ABI_VERSION 3

/* The widest row, in bits: dot products, doubled popcounts and thresholds then always fit int32_t. */
#define LIAM_MAX_NBITS 1073741824

/* Alignment in bytes of prepared weights, networks and scratch. */
#define LIAM_ALIGNMENT 64

/* The deepest network: hidden layers between the input encoding and the head. */
#define LIAM_MAX_HIDDEN_LAYERS 64

typedef enum liam_status {
    LIAM_OK = 0,
    LIAM_ERR_NULL = 1,        /* a pointer that is needed is NULL */
    LIAM_ERR_SIZE = 2,        /* a count is zero where it must not be, or above its limit */
    LIAM_ERR_STRIDE = 3,      /* a stride is smaller than the row it steps over */
    LIAM_ERR_OVERFLOW = 4,    /* a byte size does not fit the address space */
    LIAM_ERR_ALIGNMENT = 5,   /* memory is not aligned as documented */
    LIAM_ERR_MEMORY = 6,      /* the caller's memory is smaller than the documented size */
    LIAM_ERR_VALUE = 7,       /* a value is not finite, or an index or threshold is out of its range */
    LIAM_ERR_UNSUPPORTED = 8, /* a level is unknown, or this machine cannot run it */
    LIAM_ERR_SELF_TEST = 9,   /* a level computed wrong bits */
    LIAM_ERR_FLOAT_MODE = 10  /* the thread does not compute with floats as IEEE 754 says */
} liam_status;

/* SIMD levels, each a superset of the one before. */
typedef enum liam_level_id {
    LIAM_SCALAR = 0, /* portable C, deliberately naive: the reference */
    LIAM_AVX2 = 1,   /* AVX2 */
    LIAM_AVX512 = 2, /* AVX-512 F, BW, VL, DQ and VPOPCNTDQ */
    LIAM_GFNI = 3,   /* and VBMI and GFNI, which GF(2) needs to be fast */
    LIAM_AMX = 4     /* and the tile unit, AMX-INT8, for products of batches; Linux only */
} liam_level_id;

#define LIAM_LEVELS 5

/* CPU features found by CPUID and usable by XGETBV, as bits of liam_cpu_features(). Looking for AMXINT8 asks the operating
 * system for leave to use tiles, for the whole process and once; without it the feature is not there. */
#define LIAM_CPU_AVX2 1
#define LIAM_CPU_AVX512F 2
#define LIAM_CPU_AVX512BW 4
#define LIAM_CPU_AVX512VL 8
#define LIAM_CPU_AVX512DQ 16
#define LIAM_CPU_AVX512VPOPCNTDQ 32
#define LIAM_CPU_GFNI 64
#define LIAM_CPU_AVX512VBMI 128
#define LIAM_CPU_AMXINT8 256

/* ---- Start-up and dispatch -------------------------------------------------------------------------------- */

/* LIAM_ABI_VERSION of the compiled library. */
uint32_t liam_abi_version(void);

/* One sentence for a status, never NULL. */
const char *liam_status_text(int status);

/* Chooses the level: the best one this machine runs, or the one named by the environment variable LIAM_SIMD
 * (scalar, avx2, avx512, gfni or amx; unset and empty mean the best one). Then runs the self-test on it.
 * Before the first successful call, and after a failed one, the scalar level is in use. Call again to re-read the
 * environment. LIAM_ERR_UNSUPPORTED: LIAM_SIMD has another value or names a level that this machine cannot run.
 * LIAM_ERR_SELF_TEST: the level computed wrong bits here.
 * LIAM_ERR_FLOAT_MODE: the calling thread flushes subnormal floats to zero, or does not round to nearest; so does a process
 * that has loaded a library built with -ffast-math. */
int liam_init(void);

/* The level in use, a liam_level_id. */
int liam_level(void);

/* The best level that this machine runs, a liam_level_id. */
int liam_best_level(void);

/* 1 if the last successful liam_init took its level from LIAM_SIMD, else 0. */
int liam_level_forced(void);

/* 1 if this machine runs the level, else 0, also for values that are no level. */
int liam_level_supported(int level);

/* "scalar", "avx2", "avx512", "gfni" or "amx", or NULL for a value that is no level. */
const char *liam_level_name(int level);

/* Puts a level into use, for tests and benchmarks. Calls that are under way finish on the level they began with.
 * LIAM_ERR_UNSUPPORTED: unknown, or this machine cannot run it. */
int liam_set_level(int level);

/* The LIAM_CPU_* bits of this machine. */
uint64_t liam_cpu_features(void);

/* Runs every operation on a fixed input at the given level, without putting that level into use, and writes a 64-bit
 * digest of all outputs. LIAM_ERR_SELF_TEST: the digest differs from the one compiled in (it is written all the same).
 * LIAM_ERR_UNSUPPORTED: as liam_set_level. LIAM_ERR_NULL: digest. */
int liam_self_test(int level, uint64_t *digest);

/* ---- Packing ---------------------------------------------------------------------------------------------- */

/* Words in a row of nbits bits. */
size_t liam_words(size_t nbits);

/* Packs rows x nbits numbers: bit j of row i is x[i * x_stride + j] >= thresholds[j], or >= 0 if thresholds is NULL.
 * A NaN in x gives 0; -0.0 equals 0.0 and gives 1. Doubles are compared as doubles. There are nbits thresholds.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW, and VALUE for a threshold that is NaN. */
int liam_pack_f32(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                  uint64_t *out, size_t out_stride);
int liam_pack_f64(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                  uint64_t *out, size_t out_stride);

/* Packs rows x nbits integers: bit j of row i is x[i * x_stride + j] >= thresholds[j], or >= 0 if thresholds is NULL.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW. */
int liam_pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, const int8_t *thresholds,
                 uint64_t *out, size_t out_stride);

/* Packs rows x nbits truth values: bit j is x[j] != 0. Errors as liam_pack_i8. */
int liam_pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out,
                   size_t out_stride);

/* Unpacks rows of bits to +1 and -1. Errors as liam_pack_i8. */
int liam_unpack_i8(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, int8_t *out,
                   size_t out_stride);
int liam_unpack_f32(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, float *out,
                    size_t out_stride);

/* Unpacks rows of bits to 1 and 0. Errors as liam_pack_i8. */
int liam_unpack_bool(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, uint8_t *out,
                     size_t out_stride);

/* Reads rows of ceil(nbits / 8) bytes whose bits are in little (big_endian = 0) or big (1) order, as NumPy's packbits
 * names it. Errors: as liam_pack_i8, and VALUE for another big_endian. */
int liam_from_bytes(const uint8_t *bytes, size_t rows, size_t nbits, size_t bytes_stride, int big_endian,
                    uint64_t *out, size_t out_stride);

/* Writes rows of ceil(nbits / 8) bytes, the inverse of liam_from_bytes. Excess bits of the last byte are zero. */
int liam_to_bytes(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, int big_endian,
                  uint8_t *out, size_t out_stride);

/* ---- XNOR-popcount linear --------------------------------------------------------------------------------- */

/* All three products take m rows of nbits bits and n prepared weight rows of nbits bits, with
 *     dot(i, j) = nbits - 2 * popcount(a[i] xor w[j]),
 * the inner product of the two +-1 vectors. nbits, m and n may be zero.
 *
 * prepared: what liam_xnor_prepare wrote for the same n and nbits, aligned to LIAM_ALIGNMENT.
 * workspace: memory of the caller's for one call at a time, liam_xnor_workspace_bytes bytes, aligned to LIAM_ALIGNMENT; or
 * NULL, which gives the same bits, in batches perhaps later.
 * Errors: NULL, SIZE, STRIDE, OVERFLOW, ALIGNMENT, MEMORY. */

/* Bytes of workspace with which a product is fastest, at any level; less than 1 MiB, and 0 for small batches.
 * Errors: NULL, SIZE. */
int liam_xnor_workspace_bytes(size_t m, size_t n, size_t nbits, size_t *bytes);

/* Bytes of prepared weights: n rounded up to a multiple of 16 rows. Errors: NULL, SIZE, OVERFLOW. */
int liam_xnor_prepared_bytes(size_t n, size_t nbits, size_t *bytes);

/* Writes n weight rows in the layout that the products read, which is the same at every level: groups of 16 rows,
 * interleaved by word, missing rows and excess bits zero. prepared is aligned to LIAM_ALIGNMENT.
 * Errors: as above, and MEMORY if prepared_bytes is smaller than liam_xnor_prepared_bytes says. */
int liam_xnor_prepare(const uint64_t *weights, size_t n, size_t nbits, size_t weights_stride, void *prepared,
                      size_t prepared_bytes);

/* out[i * out_stride + j] = dot(i, j) */
int liam_xnor_dot(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n, size_t nbits,
                  int32_t *out, size_t out_stride, void *workspace, size_t workspace_bytes);

/* Bit j of out row i is dot(i, j) >= thresholds[j]. Any int32_t is a valid threshold. out_stride in words. */
int liam_xnor_threshold(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n,
                        size_t nbits, const int32_t *thresholds, uint64_t *out, size_t out_stride, void *workspace,
                        size_t workspace_bytes);

/* out[i * out_stride + j] = scale[j] * (float)dot(i, j) + bias[j]: one conversion, one product, one sum, each rounded
 * to nearest even, never fused. */
int liam_xnor_scale(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n,
                    size_t nbits, const float *scale, const float *bias, float *out, size_t out_stride,
                    void *workspace, size_t workspace_bytes);

/* ---- Whole networks --------------------------------------------------------------------------------------- */

/* A hidden layer: bit j of its output is dot(input, weights[j]) >= thresholds[j]. Its input width is the previous
 * layer's outputs (or the encoder's bits). Thresholds lie within [-K - 1, K + 1] for an input of K bits. */
typedef struct liam_layer_spec {
    const uint64_t *weights;   /* outputs rows */
    size_t weights_stride;     /* in words */
    const int32_t *thresholds; /* outputs values */
    size_t outputs;
} liam_layer_spec;

/* A layer of floats, as liam_linear.h computes it: y = x W + bias. */
typedef struct liam_float_layer_spec {
    const float *weights;  /* inputs rows of outputs finite values */
    size_t weights_stride; /* in floats */
    const float *bias;     /* outputs finite values */
    size_t outputs;
} liam_float_layer_spec;

/* A feed-forward network, as liam_network_prepare reads it.
 *   input    if there is one, a layer of floats, whose outputs take the place of x and of features in what follows. It may
 *            overflow, and what is NaN then gives 0 bits
 *   encode   bit j of the first layer's input is x[source[j]] >= thresholds[j], so that one feature may feed
 *            several bits (a thermometer code). Runs of 16 consecutive sources are read fastest.
 *   hidden   hidden_layers layers, possibly none
 *   head     scores[c] = scale[c] * (float)dot(c) + bias[c] as liam_xnor_scale, or, if there is a table,
 *            scores[c] = table[c * (K + 1) + (dot(c) + K) / 2] for an input of K bits, which is any function of the
 *            inner product, or, if there is a head of floats, that layer of the last +1s and -1s;
 *            label = the lowest c with the greatest score. Scores may be infinite, never NaN, because scale, bias and
 *            table are finite, and the values of a head of floats lie within [-2^64, 2^64]. */
typedef struct liam_network_spec {
    size_t features;
    size_t input_bits;
    const int32_t *source;   /* input_bits values within [0, features) */
    const float *thresholds; /* input_bits finite values */
    size_t hidden_layers;
    const liam_layer_spec *layers;
    const uint64_t *head_weights; /* classes rows */
    size_t head_stride;           /* in words */
    const float *scale;           /* classes finite values; not read if there is a table */
    const float *bias;            /* classes finite values; not read if there is a table */
    size_t classes;
    const float *table; /* NULL, or classes rows of K + 1 finite values */
    const liam_float_layer_spec *input; /* NULL, or at most INT32_MAX outputs for features inputs */
    const liam_float_layer_spec *head;  /* NULL, or classes outputs; then no other array of the head is read */
} liam_network_spec;

/* A prepared network: one block of the caller's memory that holds all it needs and no pointers, so it may be copied
 * and shared between processes of one machine type. */
typedef struct liam_network liam_network;

/* Bytes of the prepared network. Reads the sizes in the spec and which parts it has, not the arrays.
 * Errors: NULL, SIZE (any count zero or above its limit), STRIDE, OVERFLOW. */
int liam_network_bytes(const liam_network_spec *spec, size_t *bytes);

/* Checks the spec and writes the network into net, which has net_bytes bytes aligned to LIAM_ALIGNMENT.
 * Errors: as liam_network_bytes, and VALUE, ALIGNMENT, MEMORY. */
int liam_network_prepare(const liam_network_spec *spec, liam_network *net, size_t net_bytes);

/* Bytes of scratch for one run, whatever its number of rows. Errors: NULL, VALUE (not a prepared network). */
int liam_network_scratch_bytes(const liam_network *net, size_t *bytes);

/* Runs the network.
 *   x        float[rows][features], contiguous, any alignment; a NaN feature gives 0 bits
 *   label    int64_t[rows], any alignment
 *   scores   float[rows][classes], contiguous, any alignment
 *   scratch  liam_network_scratch_bytes bytes, aligned to LIAM_ALIGNMENT, one per concurrent call
 * Errors: NULL, VALUE (not a prepared network), OVERFLOW, ALIGNMENT, MEMORY. */
int liam_network_run(const liam_network *net, const void *x, size_t rows, void *label, void *scores,
                     void *scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

#endif

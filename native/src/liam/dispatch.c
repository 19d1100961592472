/* SPDX-License-Identifier: Apache-2.0
 *
 * One constant table of kernels per SIMD level, and one atomic pointer to the table in use.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "float_mode.h"
#include "kernels.h"
#include "self_test.h"

#define AVX512_FEATURES                                                                             \
    (LIAM_CPU_AVX2 | LIAM_CPU_AVX512F | LIAM_CPU_AVX512BW | LIAM_CPU_AVX512VL | LIAM_CPU_AVX512DQ | \
     LIAM_CPU_AVX512VPOPCNTDQ)
#define GFNI_FEATURES (AVX512_FEATURES | LIAM_CPU_AVX512VBMI | LIAM_CPU_GFNI)
#define AMX_FEATURES (GFNI_FEATURES | LIAM_CPU_AMXINT8)

static const kernels scalar_kernels = {
    .level = LIAM_SCALAR,
    .bits = &liam_bits_scalar,
    .pack = &liam_pack_scalar,
    .xnor = &liam_xnor_scalar,
    .search = &liam_search_scalar,
    .rescore = &liam_rescore_scalar,
    .encode = liam_encode_scalar,
    .linear = liam_linear_scalar,
    .hadamard = &liam_hadamard_scalar,
    .gf2 = &liam_gf2_scalar,
};
#if LIAM_X86
static const kernels avx2_kernels = {
    .level = LIAM_AVX2,
    .bits = &liam_bits_avx2,
    .pack = &liam_pack_avx2,
    .xnor = &liam_xnor_avx2,
    .search = &liam_search_avx2,
    .rescore = &liam_rescore_avx2,
    .encode = liam_encode_avx2,
    .linear = liam_linear_avx2,
    .hadamard = &liam_hadamard_avx2,
    .gf2 = &liam_gf2_avx2,
};
static const kernels avx512_kernels = {
    .level = LIAM_AVX512,
    .bits = &liam_bits_avx512,
    .pack = &liam_pack_avx512,
    .xnor = &liam_xnor_avx512,
    .search = &liam_search_avx512,
    .rescore = &liam_rescore_avx512,
    .encode = liam_encode_avx512,
    .linear = liam_linear_avx512,
    .hadamard = &liam_hadamard_avx512,
    .gf2 = &liam_gf2_avx512,
};
static const kernels gfni_kernels = {
    .level = LIAM_GFNI,
    .bits = &liam_bits_avx512,
    .pack = &liam_pack_avx512,
    .xnor = &liam_xnor_avx512,
    .search = &liam_search_avx512,
    .rescore = &liam_rescore_avx512,
    .encode = liam_encode_avx512,
    .linear = liam_linear_avx512,
    .hadamard = &liam_hadamard_avx512,
    .gf2 = &liam_gf2_gfni,
};
#endif
#if LIAM_TILES
static const kernels amx_kernels = {
    .level = LIAM_AMX,
    .bits = &liam_bits_avx512,
    .pack = &liam_pack_avx512,
    .xnor = &liam_xnor_amx,
    .search = &liam_search_amx,
    .rescore = &liam_rescore_avx512,
    .encode = liam_encode_avx512,
    .linear = liam_linear_avx512,
    .hadamard = &liam_hadamard_avx512,
    .gf2 = &liam_gf2_gfni,
};
#endif

typedef struct level {
    const char *name;
    uint64_t needs; /* LIAM_CPU_* */
    const kernels *table;
} level;

static const level levels[LIAM_LEVELS] = {
    [LIAM_SCALAR] = {"scalar", 0, &scalar_kernels},
#if LIAM_X86
    [LIAM_AVX2] = {"avx2", LIAM_CPU_AVX2, &avx2_kernels},
    [LIAM_AVX512] = {"avx512", AVX512_FEATURES, &avx512_kernels},
    [LIAM_GFNI] = {"gfni", GFNI_FEATURES, &gfni_kernels},
#else
    [LIAM_AVX2] = {"avx2", UINT64_MAX, NULL},
    [LIAM_AVX512] = {"avx512", UINT64_MAX, NULL},
    [LIAM_GFNI] = {"gfni", UINT64_MAX, NULL},
#endif
#if LIAM_TILES
    [LIAM_AMX] = {"amx", AMX_FEATURES, &amx_kernels},
#else
    [LIAM_AMX] = {"amx", UINT64_MAX, NULL},
#endif
};

static const kernels *_Atomic active = &scalar_kernels;
static _Atomic int forced = 0;

const kernels *liam_active(void) { return atomic_load_explicit(&active, memory_order_acquire); }

const kernels *liam_kernels_for(int id) {
    if (id < 0 || id >= LIAM_LEVELS) return NULL;
    return (liam_cpu_detect() & levels[id].needs) == levels[id].needs ? levels[id].table : NULL;
}

int liam_level(void) { return (int)liam_active()->level; }

int liam_level_forced(void) { return atomic_load_explicit(&forced, memory_order_relaxed); }

int liam_level_supported(int id) { return liam_kernels_for(id) != NULL; }

const char *liam_level_name(int id) { return id < 0 || id >= LIAM_LEVELS ? NULL : levels[id].name; }

int liam_best_level(void) {
    int best = LIAM_SCALAR;
    for (int id = LIAM_SCALAR; id < LIAM_LEVELS; id++) {
        if (liam_level_supported(id)) best = id;
    }
    return best;
}

int liam_set_level(int id) {
    const kernels *table = liam_kernels_for(id);
    if (table == NULL) return LIAM_ERR_UNSUPPORTED;
    atomic_store_explicit(&active, table, memory_order_release);
    return LIAM_OK;
}

/* The level that LIAM_SIMD names, -1 if it is not set, LIAM_LEVELS if it names none. */
static int level_from_environment(void) {
    const char *name = getenv("LIAM_SIMD");
    if (name == NULL || name[0] == '\0') return -1;
    int id = 0;
    while (id < LIAM_LEVELS && strcmp(name, levels[id].name) != 0) id++;
    return id;
}

int liam_init(void) {
    const int wanted = level_from_environment();
    const kernels *table = liam_kernels_for(wanted < 0 ? liam_best_level() : wanted);
    uint64_t digest;
    int status = float_mode_is_ieee() ? LIAM_OK : LIAM_ERR_FLOAT_MODE;
    if (table == NULL) status = LIAM_ERR_UNSUPPORTED;
    if (status == LIAM_OK) status = liam_self_test_on(table, &digest);
    const int ok = status == LIAM_OK;
    atomic_store_explicit(&active, ok ? table : &scalar_kernels, memory_order_release);
    atomic_store_explicit(&forced, ok && wanted >= 0, memory_order_relaxed);
    return status;
}

uint64_t liam_cpu_features(void) { return liam_cpu_detect(); }

int liam_self_test(int id, uint64_t *digest) {
    if (digest == NULL) return LIAM_ERR_NULL;
    const kernels *table = liam_kernels_for(id);
    return table == NULL ? LIAM_ERR_UNSUPPORTED : liam_self_test_on(table, digest);
}

uint32_t liam_abi_version(void) { return LIAM_ABI_VERSION; }

const char *liam_status_text(int status) {
    switch (status) {
    case LIAM_OK: return "ok";
    case LIAM_ERR_NULL: return "a pointer that is needed is NULL";
    case LIAM_ERR_SIZE: return "a count is zero where it must not be, or above its limit";
    case LIAM_ERR_STRIDE: return "a stride is smaller than the row it steps over";
    case LIAM_ERR_OVERFLOW: return "a byte size does not fit the address space";
    case LIAM_ERR_ALIGNMENT: return "memory is not aligned as documented";
    case LIAM_ERR_MEMORY: return "memory is smaller than the documented size";
    case LIAM_ERR_VALUE: return "a value is not finite, or an index or threshold is out of its range";
    case LIAM_ERR_UNSUPPORTED: return "the SIMD level is unknown, or this machine cannot run it";
    case LIAM_ERR_SELF_TEST: return "the SIMD level computed wrong bits";
    case LIAM_ERR_FLOAT_MODE: return "this thread flushes subnormal floats to zero, or does not round to nearest";
    default: return "unknown status";
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiling a region for an instruction set without per-file flags: the library is built for the baseline machine, and
 * only functions between BEGIN and END may use more. Compilers without such regions get the scalar level alone.
 */
#ifndef LIAM_TARGET_H
#define LIAM_TARGET_H

/* Define LIAM_X86 as 0 to build the portable library on any machine. */
#if defined(LIAM_X86)
#elif defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define LIAM_X86 1
#else
#define LIAM_X86 0
#endif

/* Tiles have to be asked for, and only how Linux wants to be asked is known here. */
#if LIAM_X86 && defined(__linux__)
#define LIAM_TILES 1
#else
#define LIAM_TILES 0
#endif

#if LIAM_X86
#define LIAM_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LIAM_TARGET_BEGIN(isa) \
    LIAM_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define LIAM_TARGET_END LIAM_PRAGMA(clang attribute pop)
#else
#define LIAM_TARGET_BEGIN(isa) LIAM_PRAGMA(GCC push_options) LIAM_PRAGMA(GCC target(isa))
#define LIAM_TARGET_END LIAM_PRAGMA(GCC pop_options)
#endif

#define LIAM_AVX2_BEGIN LIAM_TARGET_BEGIN("avx2")
#define LIAM_AVX512_BEGIN LIAM_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq")
#define LIAM_GFNI_BEGIN LIAM_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vbmi,gfni")
#define LIAM_AMX_BEGIN LIAM_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vbmi,amx-tile,amx-int8")
#define LIAM_INLINE static inline __attribute__((always_inline))
#else
#define LIAM_INLINE static inline
#endif

/* Loops over registers: fully unrolled, or the arrays of accumulators would live in memory. */
#if defined(__clang__)
#define LIAM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define LIAM_UNROLL _Pragma("GCC unroll 16")
#else
#define LIAM_UNROLL
#endif

#endif

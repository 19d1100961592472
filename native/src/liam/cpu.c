/* SPDX-License-Identifier: Apache-2.0
 *
 * Which instructions may run here. A CPUID bit says that the processor has an instruction; XCR0 says that the operating
 * system saves the registers it uses. Both are needed.
 */
#define _GNU_SOURCE /* syscall */
#include "cpu.h"

#include <stdatomic.h>

#include "liam.h"
#include "target.h"

#if LIAM_X86
#include <cpuid.h>
#if LIAM_TILES
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define XCR0_AVX UINT64_C(0x06)    /* xmm and ymm state */
#define XCR0_AVX512 UINT64_C(0xe6) /* and opmask, upper zmm, zmm16-31 */

#define XCR0_AMX UINT64_C(0x60000) /* tile configuration and data */

/* Linux saves tiles only for processes that asked. */
static int leave_for_tiles(void) {
#if LIAM_TILES
    const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return 0;
#endif
}

static uint64_t read_xcr0(void) {
    uint32_t eax, edx;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (uint64_t)edx << 32 | eax;
}

static uint64_t detect(void) {
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
    const uint32_t osxsave = UINT32_C(1) << 27;
    const uint32_t avx = UINT32_C(1) << 28;
    if (!(ecx & osxsave) || !(ecx & avx)) return 0;
    const uint64_t xcr0 = read_xcr0();
    if ((xcr0 & XCR0_AVX) != XCR0_AVX) return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;

    uint64_t found = 0;
    if (ebx >> 5 & 1) found |= LIAM_CPU_AVX2;
    if (ecx >> 8 & 1) found |= LIAM_CPU_GFNI;
    if ((xcr0 & XCR0_AVX512) == XCR0_AVX512) {
        if (ebx >> 16 & 1) found |= LIAM_CPU_AVX512F;
        if (ebx >> 17 & 1) found |= LIAM_CPU_AVX512DQ;
        if (ebx >> 30 & 1) found |= LIAM_CPU_AVX512BW;
        if (ebx >> 31 & 1) found |= LIAM_CPU_AVX512VL;
        if (ecx >> 1 & 1) found |= LIAM_CPU_AVX512VBMI;
        if (ecx >> 14 & 1) found |= LIAM_CPU_AVX512VPOPCNTDQ;
    }
    const int has_tiles = edx >> 24 & edx >> 25 & 1; /* AMX-TILE and AMX-INT8 */
    if (has_tiles && (xcr0 & XCR0_AMX) == XCR0_AMX && leave_for_tiles()) found |= LIAM_CPU_AMXINT8;
    return found;
}
#else
static uint64_t detect(void) { return 0; }
#endif

uint64_t liam_cpu_detect(void) {
    static const uint64_t known = UINT64_C(1) << 63; /* set once detected; racing threads store the same value */
    static _Atomic uint64_t cache = 0;
    uint64_t features = atomic_load_explicit(&cache, memory_order_relaxed);
    if (!(features & known)) {
        features = detect() | known;
        atomic_store_explicit(&cache, features, memory_order_relaxed);
    }
    return features & ~known;
}

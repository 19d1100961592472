/* What this processor can at most: rates of the instructions that the kernel's inner loops are made of, with every
 * operand in a register, and of reads from memory. limits.py compiles it, calls it and holds the clock.
 *
 * Each function goes round `rounds` times and returns how much it did, in the unit that its comment names. There are
 * enough independent chains to cover the instruction's latency, and KEEP makes the compiler believe that a value may
 * have changed, so that nothing is computed once and used again. The functions raise the instruction set by
 * themselves and must not be called where limits_supported() is 0.
 */
#define _DEFAULT_SOURCE
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHAINS 8
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,gfni")))
#define KEEP(vector) __asm__ volatile("" : "+v"(vector))
#define EACH_CHAIN _Pragma("GCC unroll 8") for (int chain = 0; chain < CHAINS; chain++)

static volatile uint64_t sink;

int limits_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("gfni");
}

static TARGET void keep_all(const __m512i *chains) {
    __m512i folded = _mm512_setzero_si512();
    EACH_CHAIN folded = _mm512_xor_si512(folded, chains[chain]);
    sink = (uint64_t)_mm512_reduce_add_epi64(folded);
}

/* Xor, population count, add: a product of packed signs. Returns pairs of bits. */
TARGET uint64_t limits_bit_pairs(uint64_t rounds) {
    __m512i sums[CHAINS], columns[CHAINS], row = _mm512_set1_epi64(0x5555);
    EACH_CHAIN {
        sums[chain] = _mm512_setzero_si512();
        columns[chain] = _mm512_set1_epi64(chain + 1);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        KEEP(row);
        EACH_CHAIN sums[chain] =
            _mm512_add_epi64(sums[chain], _mm512_popcnt_epi64(_mm512_xor_si512(row, columns[chain])));
    }
    keep_all(sums);
    return rounds * CHAINS * 512;
}

/* GF(2) products of 8 x 8 blocks. Returns multiplications of bits. */
TARGET uint64_t limits_bit_products(uint64_t rounds) {
    __m512i values[CHAINS], matrix = _mm512_set1_epi64(0x0102040810204080);
    EACH_CHAIN values[chain] = _mm512_set1_epi64(chain);
    for (uint64_t round = 0; round < rounds; round++) {
        EACH_CHAIN values[chain] = _mm512_gf2p8affine_epi64_epi8(values[chain], matrix, 0);
    }
    keep_all(values);
    return rounds * CHAINS * 64 * 64;
}

/* Additions of float32. Returns them. */
TARGET uint64_t limits_float_adds(uint64_t rounds) {
    __m512 sums[CHAINS], term = _mm512_set1_ps(1.0f);
    EACH_CHAIN sums[chain] = _mm512_set1_ps((float)chain);
    for (uint64_t round = 0; round < rounds; round++) {
        EACH_CHAIN sums[chain] = _mm512_add_ps(sums[chain], term);
    }
    __m512i bits[CHAINS];
    EACH_CHAIN bits[chain] = _mm512_castps_si512(sums[chain]);
    keep_all(bits);
    return rounds * CHAINS * 16;
}

#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM of arch_prctl */
#define TILE_DATA 18

/* Tiles have to be asked for: Linux gives their state to processes that want it. */
int limits_tiles_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* Eight tiles of 16 rows of 64 bytes, as the processor wants it written. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

/* Products of tiles of int8, 16 x 64 by 64 x 16, in four tiles of sums. Returns multiplications, each of which can be
 * one of signs. Not to be called where limits_tiles_supported() is 0.
 */
__attribute__((target("amx-tile,amx-int8"))) uint64_t limits_tile_products(uint64_t rounds) {
    _tile_loadconfig(&tiles); /* all are zero from then on */
    for (uint64_t round = 0; round < rounds; round++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
    return rounds * 4 * 16 * 16 * 64;
}

/* Reads all whole lines of a memory once, in order, asking for those `ahead` bytes further on where `ahead` is not 0.
 * Returns the bytes read.
 */
TARGET uint64_t limits_read(const void *memory, size_t bytes, size_t ahead) {
    const char *from = memory;
    __m512i folded[CHAINS];
    EACH_CHAIN folded[chain] = _mm512_setzero_si512();
    size_t stripe = CHAINS * sizeof(__m512i), stripes = bytes / stripe;
    for (size_t at = 0; at < stripes; at++, from += stripe) {
        if (ahead) {
            EACH_CHAIN _mm_prefetch(from + ahead + chain * sizeof(__m512i), _MM_HINT_T0);
        }
        EACH_CHAIN folded[chain] =
            _mm512_or_si512(folded[chain], _mm512_loadu_si512(from + chain * sizeof(__m512i)));
    }
    keep_all(folded);
    return stripes * stripe;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How a thread computes with floats. Libraries that were built for speed let threads flush subnormal numbers to zero, and
 * the setting outlives their calls, so that results would depend on what a process has loaded.
 */
#ifndef LIAM_FLOAT_MODE_H
#define LIAM_FLOAT_MODE_H

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

/* Sets the mode of IEEE 754: rounding to nearest even, subnormal numbers kept, nothing trapped. Returns what
 * float_mode_leave puts back. Elsewhere than on x86 the mode is only looked at when the library starts. */
static inline unsigned float_mode_enter(void) {
#if defined(__SSE__) || defined(_M_X64)
    const unsigned ieee = 0x1f80, settings = 0xffc0; /* all but the flags that operations raise */
    const unsigned before = _mm_getcsr();
    if ((before & settings) != ieee) _mm_setcsr(ieee);
    return before;
#else
    return 0;
#endif
}

static inline void float_mode_leave(unsigned before) {
#if defined(__SSE__) || defined(_M_X64)
    if (_mm_getcsr() != before) _mm_setcsr(before);
#else
    (void)before;
#endif
}

/* Whether this thread's mode is that of IEEE 754, found by computing. */
static inline int float_mode_is_ieee(void) {
    volatile float one = 1.0f, least = 0x1p-149f, smallest = 0x1p-126f, half_step = 0x1p-24f;
    const volatile float product = smallest * 0.5f, kept = least * one; /* a subnormal result, and a subnormal operand */
    const volatile float up = one + half_step, down = -one - half_step, even = one + 3.0f * half_step;
    return product == 0x1p-127f && kept == 0x1p-149f && up == 1.0f && down == -1.0f && even == 1.0f + 0x1p-22f;
}

#endif

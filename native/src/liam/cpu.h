/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIAM_CPU_H
#define LIAM_CPU_H

#include <stdint.h>

/* The LIAM_CPU_* features that processor and operating system both support; detected once. */
uint64_t liam_cpu_detect(void);

#endif

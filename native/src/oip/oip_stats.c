/* SPDX-License-Identifier: Apache-2.0
 *
 * Latencies in base-2 exponential buckets, exactly as neuralmesh_server.histogram counts them: by the bounds of the
 * buckets between 1/2 and 1, each rounded down to a double, among which the mantissa is looked up.
 */
#define _POSIX_C_SOURCE 199309L

#include <math.h>
#include <time.h>

#include "oip.h"

#define STEPS 32

/* floor(2^(53 + step / 32 - 1)) / 2^53; a test recomputes them. */
static const double floors[STEPS] = {
    0x1.0000000000000p-1, 0x1.059b0d3158574p-1, 0x1.0b5586cf9890fp-1, 0x1.11301d0125b50p-1,
    0x1.172b83c7d517ap-1, 0x1.1d4873168b9aap-1, 0x1.2387a6e756238p-1, 0x1.29e9df51fdee1p-1,
    0x1.306fe0a31b715p-1, 0x1.371a7373aa9cap-1, 0x1.3dea64c123422p-1, 0x1.44e086061892dp-1,
    0x1.4bfdad5362a27p-1, 0x1.5342b569d4f81p-1, 0x1.5ab07dd485429p-1, 0x1.6247eb03a5584p-1,
    0x1.6a09e667f3bccp-1, 0x1.71f75e8ec5f73p-1, 0x1.7a11473eb0186p-1, 0x1.82589994cce12p-1,
    0x1.8ace5422aa0dbp-1, 0x1.93737b0cdc5e4p-1, 0x1.9c49182a3f090p-1, 0x1.a5503b23e255cp-1,
    0x1.ae89f995ad3adp-1, 0x1.b7f76f2fb5e46p-1, 0x1.c199bdd85529cp-1, 0x1.cb720dcef9069p-1,
    0x1.d5818dcfba487p-1, 0x1.dfc97337b9b5ep-1, 0x1.ea4afa2a490d9p-1, 0x1.f50765b6e4540p-1,
};

static uint64_t nanoseconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t oip_now(void) { return nanoseconds_of(CLOCK_MONOTONIC); }

void oip_record(oip_stats *stats, uint64_t nanoseconds) {
    if (nanoseconds > INT64_MAX) nanoseconds = INT64_MAX;
    const double value = (double)nanoseconds * 1e-9;
    if (nanoseconds == 0) {
        stats->zero_count++;
    } else {
        int exponent;
        const double mantissa = frexp(value, &exponent);
        unsigned step = 0; /* the last bound below the mantissa */
        for (unsigned half = STEPS / 2; half != 0; half /= 2) {
            if (floors[step + half] < mantissa) step += half;
        }
        /* A power of two is the upper end of the bucket below. */
        const int index = (exponent - 1) * STEPS + (floors[step] < mantissa ? (int)step : -1);
        stats->buckets[index - OIP_FIRST_BUCKET]++;
    }
    if (stats->recorded == 0 || value < stats->low) stats->low = value;
    if (stats->recorded == 0 || value > stats->high) stats->high = value;
    stats->recorded++;
    stats->sum += value;
}

void oip_count(oip_stats *stats, uint64_t rows, uint64_t started_ns, uint64_t read_ns, uint64_t ran_ns,
               uint64_t now_ns) {
    stats->requests++;
    stats->executions++;
    stats->rows += rows;
    stats->success_ns += now_ns - started_ns;
    stats->input_ns += read_ns - started_ns;
    stats->infer_ns += ran_ns - read_ns;
    stats->output_ns += now_ns - ran_ns;
    stats->last_ms = nanoseconds_of(CLOCK_REALTIME) / 1000000;
    oip_record(stats, now_ns - started_ns);
}

void oip_count_wait(oip_stats *stats, uint64_t nanoseconds) {
    stats->queued++;
    stats->queue_ns += nanoseconds;
}

void oip_count_failure(oip_stats *stats, unsigned code, uint64_t started_ns, uint64_t now_ns) {
    stats->failures++;
    stats->failure_ns += now_ns - started_ns;
    stats->last_ms = nanoseconds_of(CLOCK_REALTIME) / 1000000;
    if (code < OIP_CODES) stats->errors[code]++;
}

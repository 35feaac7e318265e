/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks that limits are measured with. Nanoseconds in 64 bits last for 584 years. */
#ifndef BERTH_BASE_CLOCK_H
#define BERTH_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

static inline uint64_t clock_now_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Time that never jumps; the only clock for limits. */
static inline uint64_t clock_monotonic_ns(void)
{
    return clock_now_ns(CLOCK_MONOTONIC);
}

/* Processor time that the calling thread has used. */
static inline uint64_t clock_thread_cpu_ns(void)
{
    return clock_now_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of limits that are rates: pure functions of numbers and times, so that a test can check them
 * against an exact simulation.
 */
#ifndef BERTH_SANDBOX_RATE_LIMITS_H
#define BERTH_SANDBOX_RATE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * CPU share: a token bucket of thread time. Full at the start; holds one period's share; refills
 * continuously. A slice may overdraw it by its length, which the refill then has to pay back, so the average
 * holds.
 */
struct cpu_share {
    uint32_t percent; /* 100: off */
    int64_t tokens_ns;
    uint64_t refilled_ns; /* monotonic time of the last refill */
};

enum { CPU_PERIOD_MS = 100 };

void cpu_share_init(struct cpu_share *share, uint32_t percent, uint64_t now_ns);
/* Takes what a slice used. Returns 0 if the guest may go on, otherwise the monotonic time at which it may. */
uint64_t cpu_share_charge(struct cpu_share *share, uint64_t used_ns, uint64_t now_ns);

/*
 * Call rate: calls are due at multiples of an interval; a guest that was idle may make up to one second's
 * worth at once (at least one call), never more (generic cell rate algorithm, ITU-T I.371).
 */
struct call_rate {
    uint64_t interval_ns; /* 0: off */
    uint64_t burst_ns;
    uint64_t due_ns; /* when the next call would be exactly on time */
};

void call_rate_init(struct call_rate *rate, double calls_per_second, uint64_t now_ns);
/* Asks for one call. Returns 0 and counts it, or the time at which to ask again. */
uint64_t call_rate_take(struct call_rate *rate, uint64_t now_ns);

#endif

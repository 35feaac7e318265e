/* SPDX-License-Identifier: Apache-2.0 */
/* See rate_limits.h. All times are monotonic nanoseconds that the caller read. */
#include "sandbox/rate_limits.h"

#include "base/checked_math.h"
#include "base/clock.h"

static int64_t capacity_ns(const struct cpu_share *share)
{
    return (int64_t)share->percent * CPU_PERIOD_MS * (int64_t)NS_PER_MS / 100;
}

void cpu_share_init(struct cpu_share *share, uint32_t percent, uint64_t now_ns)
{
    *share = (struct cpu_share){.percent = percent, .refilled_ns = now_ns};
    share->tokens_ns = capacity_ns(share);
}

uint64_t cpu_share_charge(struct cpu_share *share, uint64_t used_ns, uint64_t now_ns)
{
    if (share->percent >= 100)
        return 0;
    uint64_t elapsed_ns = saturating_sub_u64(now_ns, share->refilled_ns);
    int64_t capacity = capacity_ns(share);
    /* Longer than this fills any debt that one slice can make. */
    if (elapsed_ns > 3600 * NS_PER_S)
        elapsed_ns = 3600 * NS_PER_S;
    share->tokens_ns += (int64_t)(elapsed_ns * share->percent / 100);
    share->refilled_ns = now_ns;
    if (share->tokens_ns > capacity)
        share->tokens_ns = capacity;
    share->tokens_ns -= (int64_t)used_ns;
    if (share->tokens_ns > 0)
        return 0;
    /* Wake with a tick's worth, so that a guest in debt is not woken for nothing. */
    int64_t wanted_ns = capacity < (int64_t)NS_PER_MS ? capacity : (int64_t)NS_PER_MS;
    return now_ns + (uint64_t)(wanted_ns - share->tokens_ns) * 100 / share->percent;
}

void call_rate_init(struct call_rate *rate, double calls_per_second, uint64_t now_ns)
{
    *rate = (struct call_rate){0};
    if (calls_per_second <= 0)
        return;
    double interval_ns = (double)NS_PER_S / calls_per_second;
    rate->interval_ns = interval_ns < 1 ? 1 : interval_ns > 9e18 ? (uint64_t)9e18 : (uint64_t)interval_ns;
    rate->burst_ns = saturating_sub_u64(NS_PER_S, rate->interval_ns);
    rate->due_ns = now_ns;
}

uint64_t call_rate_take(struct call_rate *rate, uint64_t now_ns)
{
    if (rate->interval_ns == 0)
        return 0;
    if (rate->due_ns > saturating_add_u64(now_ns, rate->burst_ns))
        return rate->due_ns - rate->burst_ns;
    if (rate->due_ns < now_ns)
        rate->due_ns = now_ns;
    rate->due_ns = saturating_add_u64(rate->due_ns, rate->interval_ns);
    return 0;
}

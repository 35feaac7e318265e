/* SPDX-License-Identifier: Apache-2.0 */
/* clock_time_get and clock_res_get. See guest_clock.h. */
#include "base/clock.h"
#include "base/checked_math.h"
#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_clock.h"
#include "wasi/guest_memory.h"

#define MONOTONIC_FIRST  NS_PER_S
#define VIRTUAL_STEP_NS  NS_PER_US
#define VIRTUAL_EPOCH_NS (UINT64_C(946684800) * NS_PER_S) /* 2000-01-01T00:00:00Z */

int guest_clock_check(const struct wasi_context *context, uint32_t clock_id)
{
    if (clock_id > CLOCKID_THREAD_CPUTIME_ID)
        return ERRNO_INVAL;
    if (clock_id >= CLOCKID_PROCESS_CPUTIME_ID || context->clock == WASI_CLOCK_NONE)
        return ERRNO_NOTSUP;
    return 0;
}

uint64_t guest_clock_grain_ns(const struct wasi_context *context)
{
    return context->clock == WASI_CLOCK_FINE ? 1 : NS_PER_MS;
}

uint64_t guest_clock_exact_ns(struct wasi_context *context, uint32_t clock_id)
{
    if (context->deterministic)
        return saturating_add_u64(context->virtual_ns,
                                  clock_id == CLOCKID_REALTIME ? VIRTUAL_EPOCH_NS : MONOTONIC_FIRST);
    if (clock_id == CLOCKID_REALTIME)
        return clock_now_ns(CLOCK_REALTIME);
    uint64_t now = clock_monotonic_ns();
    if (!context->monotonic_base_ns)
        context->monotonic_base_ns = now;
    return now - context->monotonic_base_ns + MONOTONIC_FIRST;
}

/* A clock that the contract could grant: says so when it does not. */
static int require_clock(struct call *call, uint32_t clock_id)
{
    int r = guest_clock_check(call->context, clock_id);
    if (r == ERRNO_NOTSUP && clock_id < CLOCKID_PROCESS_CPUTIME_ID)
        deny(call, &(struct denial){.rule = "grants.clock",
                                    .observed = "a clock",
                                    .allowed = "no clock",
                                    .remedy = "clock = \"coarse\""});
    return r;
}

int call_clock_res_get(struct call *call)
{
    uint8_t *result;
    int r = guest_range(call, "the result", call_u32(call, 1), 8, 8, &result);
    if (!r)
        r = require_clock(call, call_u32(call, 0));
    if (r)
        return r;
    uint64_t grain = guest_clock_grain_ns(call->context);
    store_u64(result, grain == 1 && call->context->deterministic ? VIRTUAL_STEP_NS : grain);
    return 0;
}

int call_clock_time_get(struct call *call)
{
    struct wasi_context *context = call->context;
    uint8_t *result;
    int r = guest_range(call, "the result", call_u32(call, 2), 8, 8, &result);
    if (!r)
        r = require_clock(call, call_u32(call, 0));
    if (r)
        return r;
    if (context->deterministic)
        context->virtual_ns = saturating_add_u64(context->virtual_ns, VIRTUAL_STEP_NS);
    uint64_t now = guest_clock_exact_ns(context, call_u32(call, 0));
    store_u64(result, now - now % guest_clock_grain_ns(context));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The rates against exact simulations in which time is a number. */
#include "sandbox/rate_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

/* A guest that always wants the processor and yields after each slice; returns the share it got, in percent.
 */
static double greedy_share(uint32_t percent, uint64_t slice_ns, uint64_t duration_ns)
{
    struct cpu_share share;
    uint64_t now_ns = 1000, used_ns = 0, end_ns = now_ns + duration_ns;
    cpu_share_init(&share, percent, now_ns);
    while (now_ns < end_ns) {
        now_ns += slice_ns;
        used_ns += slice_ns;
        uint64_t until_ns = cpu_share_charge(&share, slice_ns, now_ns);
        if (until_ns > now_ns)
            now_ns = until_ns;
    }
    return 100.0 * (double)used_ns / (double)(now_ns - 1000);
}

static void a_greedy_guest_gets_its_share_within_two_points(void **state)
{
    (void)state;
    for (uint32_t percent = 1; percent < 100; percent++)
        for (uint64_t slice_us = 50; slice_us <= 2000; slice_us += 650) {
            double share = greedy_share(percent, slice_us * NS_PER_US, 5 * NS_PER_S);
            assert_true(share > percent - 2.0);
            assert_true(share < percent + 2.0);
        }
}

static void a_full_share_never_waits(void **state)
{
    struct cpu_share share;
    (void)state;
    cpu_share_init(&share, 100, 0);
    for (uint64_t now_ns = 0; now_ns < NS_PER_S; now_ns += NS_PER_MS)
        assert_int_equal(cpu_share_charge(&share, NS_PER_MS, now_ns), 0);
}

/* Computes, then sleeps on its own just before each tick; random lengths below one tick. */
static void sleeping_before_the_tick_does_not_cheat_the_bucket(void **state)
{
    struct cpu_share share;
    unsigned seed = 7;
    uint64_t now_ns = 0, used_ns = 0;
    (void)state;
    cpu_share_init(&share, 10, 0);
    while (now_ns < 5 * NS_PER_S) {
        uint64_t until_ns = cpu_share_charge(&share, 0, now_ns);
        if (until_ns > now_ns) {
            now_ns = until_ns;
            continue;
        }
        uint64_t slice_ns = (uint64_t)rand_r(&seed) % NS_PER_MS;
        now_ns += slice_ns;
        used_ns += slice_ns;
        cpu_share_charge(&share, slice_ns, now_ns);
        now_ns += (uint64_t)rand_r(&seed) % (NS_PER_MS / 10);
    }
    assert_true(100.0 * (double)used_ns / (double)now_ns < 12.0);
}

static void an_idle_guest_does_not_save_up_more_than_a_period(void **state)
{
    struct cpu_share share;
    (void)state;
    cpu_share_init(&share, 10, 0);
    cpu_share_charge(&share, 0, 1000 * NS_PER_S);
    assert_true(share.tokens_ns <= (int64_t)(10 * NS_PER_MS));
    assert_int_not_equal(cpu_share_charge(&share, 10 * NS_PER_MS, 1000 * NS_PER_S), 0);
}

/* Calls whenever it may; returns how many it made within the time. */
static uint64_t greedy_calls(double per_second, uint64_t duration_ns)
{
    struct call_rate rate;
    uint64_t now_ns = 5, calls = 0;
    call_rate_init(&rate, per_second, now_ns);
    while (now_ns < 5 + duration_ns) {
        uint64_t until_ns = call_rate_take(&rate, now_ns);
        if (until_ns) {
            assert_true(until_ns > now_ns);
            now_ns = until_ns;
        } else {
            calls++;
        }
    }
    return calls;
}

static void calls_are_one_seconds_worth_and_then_the_rate(void **state)
{
    (void)state;
    assert_in_range(greedy_calls(1000, 5 * NS_PER_S), 5990, 6010);
    assert_in_range(greedy_calls(10, 10 * NS_PER_S), 109, 111);
    assert_in_range(greedy_calls(0.5, 20 * NS_PER_S), 10, 11);
}

static void a_rate_of_zero_is_off(void **state)
{
    struct call_rate rate;
    (void)state;
    call_rate_init(&rate, 0, 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(call_rate_take(&rate, 0), 0);
}

static void extreme_rates_neither_overflow_nor_stall(void **state)
{
    struct call_rate rate;
    (void)state;
    call_rate_init(&rate, 1e300, 0);
    assert_int_equal(call_rate_take(&rate, 0), 0);
    call_rate_init(&rate, 1e-300, 0);
    assert_int_equal(call_rate_take(&rate, 0), 0);
    assert_true(call_rate_take(&rate, 0) > NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greedy_guest_gets_its_share_within_two_points),
        cmocka_unit_test(a_full_share_never_waits),
        cmocka_unit_test(sleeping_before_the_tick_does_not_cheat_the_bucket),
        cmocka_unit_test(an_idle_guest_does_not_save_up_more_than_a_period),
        cmocka_unit_test(calls_are_one_seconds_worth_and_then_the_rate),
        cmocka_unit_test(a_rate_of_zero_is_off),
        cmocka_unit_test(extreme_rates_neither_overflow_nor_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

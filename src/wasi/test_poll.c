/* SPDX-License-Identifier: Apache-2.0 */
/* poll_oneoff and the clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "wasi/preview1.h"
#include "wasi/test_guest.h"

enum { AT_SUBSCRIPTIONS = AT_BUFFER, AT_EVENTS = AT_BUFFER + 0x10000 };

static const struct test_setup fine = {.clock = WASI_CLOCK_FINE};
static const struct test_setup deterministic = {.clock = WASI_CLOCK_FINE, .deterministic = true};

static uint8_t *subscription(struct test_guest *g, uint32_t index, uint8_t tag)
{
    uint8_t *at = g->memory.data + AT_SUBSCRIPTIONS + index * SUBSCRIPTION_SIZE;
    memset(at, 0, SUBSCRIPTION_SIZE);
    store_u64(at + SUBSCRIPTION_USERDATA, 1000 + index);
    store_u8(at + SUBSCRIPTION_TAG, tag);
    return at;
}

static void subscribe_clock(struct test_guest *g, uint32_t index, uint32_t clock, uint64_t timeout,
                            uint16_t flags)
{
    uint8_t *at = subscription(g, index, EVENTTYPE_CLOCK);
    store_u32(at + SUBSCRIPTION_CLOCK_ID, clock);
    store_u64(at + SUBSCRIPTION_TIMEOUT, timeout);
    store_u16(at + SUBSCRIPTION_FLAGS, flags);
}

static void subscribe_fd(struct test_guest *g, uint32_t index, uint8_t tag, uint32_t fd)
{
    store_u32(subscription(g, index, tag) + SUBSCRIPTION_FD, fd);
}

static uint32_t poll_n(struct test_guest *g, uint32_t n)
{
    return guest_call(g, poll_oneoff, AT_SUBSCRIPTIONS, AT_EVENTS, n, AT_RESULT);
}

static void assert_event(const struct test_guest *g, uint32_t index, uint32_t of, uint16_t error)
{
    const uint8_t *event = g->memory.data + AT_EVENTS + index * EVENT_SIZE;
    assert_int_equal(load_u64(event + EVENT_USERDATA), 1000 + of);
    assert_int_equal(load_u16(event + EVENT_ERROR), error);
    assert_int_equal(event[EVENT_TYPE],
                     g->memory.data[AT_SUBSCRIPTIONS + of * SUBSCRIPTION_SIZE + SUBSCRIPTION_TAG]);
}

static uint64_t clock_of(struct test_guest *g, uint32_t id)
{
    assert_int_equal(guest_call(g, clock_time_get, id, 0, AT_RESULT), 0);
    return guest_result_u64(g);
}

static void nothing_too_much_or_unknown_is_invalid(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    assert_int_equal(poll_n(&g, 0), ERRNO_INVAL);
    assert_int_equal(poll_n(&g, 4097), ERRNO_INVAL);
    assert_int_equal(poll_n(&g, 1000000), FAULTED);
    assert_int_equal(poll_n(&g, UINT32_MAX), FAULTED);
    subscribe_clock(&g, 0, CLOCKID_MONOTONIC, 0, 0);
    subscription(&g, 1, 3);
    assert_int_equal(poll_n(&g, 2), ERRNO_INVAL);
    test_guest_end(&g);
}

static void mistakes_of_one_subscription_are_its_event(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    subscribe_clock(&g, 0, 99, 0, 0);
    subscribe_clock(&g, 1, CLOCKID_PROCESS_CPUTIME_ID, 0, 0);
    subscribe_clock(&g, 2, CLOCKID_MONOTONIC, 0, 2);
    subscribe_fd(&g, 3, EVENTTYPE_FD_READ, 77);
    subscribe_fd(&g, 4, EVENTTYPE_FD_WRITE, UINT32_MAX);
    subscribe_fd(&g, 5, EVENTTYPE_FD_READ, 1);
    subscribe_fd(&g, 6, EVENTTYPE_FD_READ, 3);
    subscribe_clock(&g, 7, CLOCKID_MONOTONIC, UINT64_MAX, 0);
    assert_int_equal(poll_n(&g, 8), 0);
    assert_int_equal(guest_result_u32(&g), 7);
    static const uint16_t errors[] = {ERRNO_INVAL, ERRNO_NOTSUP,     ERRNO_INVAL, ERRNO_BADF,
                                      ERRNO_BADF,  ERRNO_NOTCAPABLE, ERRNO_ISDIR};
    for (uint32_t i = 0; i < 7; i++)
        assert_event(&g, i, i, errors[i]);
    test_guest_end(&g);
}

static void a_sleep_waits_for_its_deadline_and_counts_from_the_first_call(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    uint64_t before = clock_monotonic_ns();
    subscribe_clock(&g, 0, CLOCKID_MONOTONIC, 2 * NS_PER_MS, 0);
    subscribe_clock(&g, 1, CLOCKID_REALTIME, NS_PER_S * 3600, 0);
    assert_int_equal(poll_n(&g, 2), WAITS);
    uint64_t deadline = wasi_context_wait(g.context)->deadline_ns;
    assert_true(deadline >= before + 2 * NS_PER_MS);
    assert_int_equal(wasi_context_wait(g.context)->sources, 0);
    while (clock_monotonic_ns() < deadline) {
        uint32_t r = poll_n(&g, 2);
        if (r == 0)
            break;
        assert_int_equal(r, WAITS);
        assert_true(wasi_context_wait(g.context)->deadline_ns == deadline);
    }
    assert_int_equal(wasi_context_usage(g.context)->calls, 1);
    if (clock_monotonic_ns() >= deadline && guest_result_u32(&g) != 1)
        assert_int_equal(poll_n(&g, 2), 0);
    assert_int_equal(guest_result_u32(&g), 1);
    assert_event(&g, 0, 0, 0);
    test_guest_end(&g);
}

static void past_and_zero_timeouts_are_due_and_the_largest_never(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    uint64_t monotonic = clock_of(&g, CLOCKID_MONOTONIC), realtime = clock_of(&g, CLOCKID_REALTIME);
    subscribe_clock(&g, 0, CLOCKID_MONOTONIC, 0, 0);
    subscribe_clock(&g, 1, CLOCKID_MONOTONIC, monotonic, SUBCLOCKFLAGS_ABSTIME);
    subscribe_clock(&g, 2, CLOCKID_REALTIME, realtime, SUBCLOCKFLAGS_ABSTIME);
    subscribe_clock(&g, 3, CLOCKID_REALTIME, 0, SUBCLOCKFLAGS_ABSTIME);
    subscribe_clock(&g, 4, CLOCKID_REALTIME, realtime + NS_PER_S * 3600, SUBCLOCKFLAGS_ABSTIME);
    assert_int_equal(poll_n(&g, 5), 0);
    assert_int_equal(guest_result_u32(&g), 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_event(&g, i, i, 0);
    for (uint32_t i = 0; i < 4; i++)
        subscribe_clock(&g, i, i % 2, UINT64_MAX, i / 2);
    assert_int_equal(poll_n(&g, 2), WAITS);
    assert_true(wasi_context_wait(g.context)->deadline_ns == UINT64_MAX);
    wasi_context_abandon_call(g.context);
    assert_int_equal(poll_n(&g, 4), WAITS);
    uint64_t now = clock_monotonic_ns();
    assert_true(wasi_context_wait(g.context)->deadline_ns > now + NS_PER_S * 3600);
    test_guest_end(&g);
}

static void absolute_times_are_the_guests_own(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    uint64_t now = clock_monotonic_ns();
    uint64_t guest_now = clock_of(&g, CLOCKID_MONOTONIC);
    assert_true(guest_now >= NS_PER_S && guest_now < NS_PER_S * 60);
    subscribe_clock(&g, 0, CLOCKID_MONOTONIC, guest_now + NS_PER_S * 1000, SUBCLOCKFLAGS_ABSTIME);
    assert_int_equal(poll_n(&g, 1), WAITS);
    uint64_t deadline = wasi_context_wait(g.context)->deadline_ns;
    assert_true(deadline >= now + NS_PER_S * 1000 && deadline < now + NS_PER_S * 1060);
    test_guest_end(&g);
}

static void streams_are_ready_reported_together_or_waited_for(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    g.streams[2].blocked = true;
    subscribe_fd(&g, 0, EVENTTYPE_FD_READ, 0);
    subscribe_fd(&g, 1, EVENTTYPE_FD_WRITE, 2);
    subscribe_clock(&g, 2, CLOCKID_MONOTONIC, NS_PER_S * 3600, 0);
    assert_int_equal(poll_n(&g, 3), WAITS);
    assert_int_equal(wasi_context_wait(g.context)->sources, 1 | 4);
    assert_true(wasi_context_wait(g.context)->deadline_ns != UINT64_MAX);
    g.streams[0].length = 5;
    g.streams[2].blocked = false;
    assert_int_equal(poll_n(&g, 3), 0);
    assert_int_equal(guest_result_u32(&g), 2);
    assert_event(&g, 0, 0, 0);
    assert_int_equal(load_u64(g.memory.data + AT_EVENTS + EVENT_NBYTES), 5);
    assert_event(&g, 1, 1, 0);
    g.streams[0].length = 0;
    g.streams[0].ended = true;
    assert_int_equal(poll_n(&g, 1), 0);
    assert_int_equal(load_u16(g.memory.data + AT_EVENTS + EVENT_FLAGS), EVENTRWFLAGS_HANGUP);
    /* A stream keeps what it is when its number changes. */
    uint32_t fd;
    host_file(&g, "f", "abc");
    assert_int_equal(guest_open(&g, 3, "f", 0, ALL_RIGHTS & ~RIGHTS_FD_WRITE, &fd), 0);
    assert_int_equal(guest_call(&g, fd_renumber, 0, fd), 0);
    g.streams[0].ended = false;
    subscribe_fd(&g, 0, EVENTTYPE_FD_READ, fd);
    assert_int_equal(poll_n(&g, 1), WAITS);
    assert_int_equal(wasi_context_wait(g.context)->sources, 1);
    test_guest_end(&g);
}

static void files_are_ready_at_once(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &(struct test_setup){.writable = true});
    host_file(&g, "f", "abcde");
    assert_int_equal(guest_open(&g, 3, "f", 0, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_read(&g, fd, 2, NULL), 0);
    subscribe_fd(&g, 0, EVENTTYPE_FD_READ, fd);
    subscribe_fd(&g, 1, EVENTTYPE_FD_WRITE, fd);
    assert_int_equal(poll_n(&g, 2), 0);
    assert_int_equal(guest_result_u32(&g), 2);
    assert_int_equal(load_u64(g.memory.data + AT_EVENTS + EVENT_NBYTES), 3);
    test_guest_end(&g);
}

static void subscriptions_and_events_may_be_the_same_memory(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &fine);
    for (uint32_t i = 0; i < 4096; i++)
        subscribe_clock(&g, i, CLOCKID_MONOTONIC, 0, 0);
    assert_int_equal(guest_call(&g, poll_oneoff, AT_SUBSCRIPTIONS, AT_SUBSCRIPTIONS, 4096, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 4096);
    for (uint32_t i = 0; i < 4096; i++)
        assert_int_equal(load_u64(g.memory.data + AT_SUBSCRIPTIONS + i * EVENT_SIZE + EVENT_USERDATA),
                         1000 + i);
    test_guest_end(&g);
}

static void sleeping_needs_no_clock(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.clock = WASI_CLOCK_NONE});
    subscribe_clock(&g, 0, CLOCKID_REALTIME, NS_PER_S * 100, 0);
    assert_int_equal(poll_n(&g, 1), WAITS);
    wasi_context_abandon_call(g.context);
    subscribe_clock(&g, 0, CLOCKID_REALTIME, 1, SUBCLOCKFLAGS_ABSTIME);
    assert_int_equal(poll_n(&g, 1), 0);
    assert_event(&g, 0, 0, ERRNO_NOTSUP);
    test_guest_end(&g);
}

static void clocks_have_the_grain_that_was_granted(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.clock = WASI_CLOCK_COARSE});
    for (uint32_t id = 0; id < 2; id++) {
        assert_int_equal(clock_of(&g, id) % NS_PER_MS, 0);
        assert_int_equal(guest_call(&g, clock_res_get, id, AT_RESULT), 0);
        assert_int_equal(guest_result_u64(&g), NS_PER_MS);
        assert_true(clock_of(&g, id) > 0);
    }
    assert_int_equal(guest_call(&g, clock_time_get, CLOCKID_PROCESS_CPUTIME_ID, 0, AT_RESULT), ERRNO_NOTSUP);
    assert_int_equal(guest_call(&g, clock_time_get, CLOCKID_THREAD_CPUTIME_ID, 0, AT_RESULT), ERRNO_NOTSUP);
    assert_int_equal(guest_call(&g, clock_time_get, 4, 0, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, clock_res_get, UINT32_MAX, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(g.n_denials, 0);
    test_guest_end(&g);
    test_guest_start(&g, &fine);
    uint64_t first = clock_of(&g, CLOCKID_MONOTONIC);
    assert_true(clock_of(&g, CLOCKID_MONOTONIC) >= first);
    test_guest_end(&g);
}

static void virtual_time_passes_by_reading_and_by_sleeping_only(void **state)
{
    (void)state;
    struct test_guest g;
    for (int run = 0; run < 2; run++) {
        test_guest_start(&g, &deterministic);
        uint64_t start = clock_of(&g, CLOCKID_MONOTONIC);
        assert_int_equal(start, NS_PER_S + NS_PER_US);
        assert_int_equal(clock_of(&g, CLOCKID_MONOTONIC), start + NS_PER_US);
        subscribe_clock(&g, 0, CLOCKID_MONOTONIC, NS_PER_S * 3600, 0);
        subscribe_clock(&g, 1, CLOCKID_MONOTONIC, start + NS_PER_S * 60, SUBCLOCKFLAGS_ABSTIME);
        assert_int_equal(poll_n(&g, 2), 0);
        assert_int_equal(guest_result_u32(&g), 1);
        assert_event(&g, 0, 1, 0);
        assert_int_equal(clock_of(&g, CLOCKID_MONOTONIC), start + NS_PER_S * 60 + NS_PER_US);
        assert_int_equal(clock_of(&g, CLOCKID_REALTIME) / NS_PER_S, 946684800 + 60);
        /* Streams are always ready, whatever has arrived. */
        g.streams[0].length = run ? 5 : 0;
        subscribe_fd(&g, 0, EVENTTYPE_FD_READ, 0);
        subscribe_clock(&g, 1, CLOCKID_MONOTONIC, 1, 0);
        assert_int_equal(poll_n(&g, 2), 0);
        assert_int_equal(guest_result_u32(&g), 1);
        assert_int_equal(load_u64(g.memory.data + AT_EVENTS + EVENT_NBYTES), 1);
        /* For ever is a time too. */
        subscribe_clock(&g, 0, CLOCKID_MONOTONIC, UINT64_MAX, 0);
        assert_int_equal(poll_n(&g, 1), 0);
        assert_true(clock_of(&g, CLOCKID_MONOTONIC) == UINT64_MAX);
        test_guest_end(&g);
    }
}

static void a_timer_tells_no_more_than_the_clock(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.deterministic = true, .clock = WASI_CLOCK_COARSE});
    assert_int_equal(clock_of(&g, CLOCKID_MONOTONIC), NS_PER_S); /* it is a microsecond later */
    subscribe_clock(&g, 0, CLOCKID_MONOTONIC, NS_PER_S + 1, SUBCLOCKFLAGS_ABSTIME);
    subscribe_fd(&g, 1, EVENTTYPE_FD_WRITE, 1);
    assert_int_equal(poll_n(&g, 2), 0);
    assert_int_equal(guest_result_u32(&g), 1);
    assert_event(&g, 0, 1, 0);
    assert_int_equal(poll_n(&g, 1), 0);
    assert_int_equal(clock_of(&g, CLOCKID_MONOTONIC), NS_PER_S + NS_PER_MS);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_too_much_or_unknown_is_invalid),
        cmocka_unit_test(mistakes_of_one_subscription_are_its_event),
        cmocka_unit_test(a_sleep_waits_for_its_deadline_and_counts_from_the_first_call),
        cmocka_unit_test(past_and_zero_timeouts_are_due_and_the_largest_never),
        cmocka_unit_test(absolute_times_are_the_guests_own),
        cmocka_unit_test(streams_are_ready_reported_together_or_waited_for),
        cmocka_unit_test(files_are_ready_at_once),
        cmocka_unit_test(subscriptions_and_events_may_be_the_same_memory),
        cmocka_unit_test(sleeping_needs_no_clock),
        cmocka_unit_test(clocks_have_the_grain_that_was_granted),
        cmocka_unit_test(a_timer_tells_no_more_than_the_clock),
        cmocka_unit_test(virtual_time_passes_by_reading_and_by_sleeping_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

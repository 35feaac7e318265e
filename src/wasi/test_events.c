/* SPDX-License-Identifier: Apache-2.0 */
/* push_event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const struct test_setup granted = {.events = true};

static uint32_t push(struct test_guest *g, const char *bytes, uint32_t length)
{
    memcpy(g->memory.data + AT_BUFFER, bytes, length);
    return guest_call(g, liop_push_event, AT_BUFFER, length);
}

static void both_names_push_a_text(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    assert_int_equal(push(&g, "snow \xe2\x98\x83", 8), 0);
    assert_string_equal(g.event, "snow \xe2\x98\x83");
    assert_int_equal(guest_call(&g, nmp_push_event, AT_BUFFER, 4), 0);
    assert_string_equal(g.event, "snow");
    assert_int_equal(push(&g, "", 0), 0);
    assert_int_equal(g.event_length, 0);
    assert_int_equal(g.n_events, 3);
    assert_int_equal(wasi_context_usage(g.context)->calls, 3);
    test_guest_end(&g);
}

static void what_is_not_utf8_arrives_as_words_that_say_so(void **state)
{
    static const char *const bad[] = {"\xff", "a\xc0\x80", "\xed\xa0\x80", "\xe2\x98", "\xf4\x90\x80\x80"};
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        g.event[0] = '\0';
        assert_int_equal(push(&g, bad[i], (uint32_t)strlen(bad[i])), 0);
        assert_string_equal(g.event, "BAD_UTF8");
    }
    test_guest_end(&g);
}

static void an_event_outside_of_memory_is_a_fault(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    assert_int_equal(guest_call(&g, liop_push_event, GUEST_MEMORY_SIZE - 4, 5), FAULTED);
    assert_string_equal(wasi_context_fault(g.context),
                        "push_event: the event at 0x3ffffc, 5 bytes, lies outside of memory (4194304 bytes)");
    assert_int_equal(guest_call(&g, liop_push_event, UINT32_MAX, UINT32_MAX), FAULTED);
    assert_int_equal(guest_call(&g, liop_push_event, GUEST_MEMORY_SIZE - 4, 4), 0);
    test_guest_end(&g);
}

static void without_the_grant_it_is_a_denial_and_nothing_else(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(push(&g, "hello", 5), 0);
    assert_int_equal(g.n_events, 0);
    assert_string_equal(g.denial, "grants.events|push_event|one of 5 bytes|no events|events = true");
    test_guest_end(&g);
}

static void an_event_that_is_too_long_is_a_denial(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    memset(g.memory.data + AT_BUFFER, 'x', (64 << 10) + 1);
    assert_int_equal(guest_call(&g, liop_push_event, AT_BUFFER, 64 << 10), 0);
    assert_int_equal(g.event_length, 64 << 10);
    assert_int_equal(guest_call(&g, liop_push_event, AT_BUFFER, (64 << 10) + 1), 0);
    assert_int_equal(g.n_events, 1);
    assert_string_equal(
        g.denial, "grants.events|push_event|one of 65537 bytes|events of at most 65536 bytes|shorter events");
    test_guest_end(&g);
}

static void where_there_is_no_room_the_guest_waits_and_the_call_counts_once(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    g.no_room = true;
    assert_int_equal(push(&g, "late", 4), WAITS);
    assert_int_equal(wasi_context_wait(g.context)->sources, WASI_WAIT_EVENTS);
    assert_true(wasi_context_wait(g.context)->deadline_ns == UINT64_MAX);
    assert_int_equal(push(&g, "late", 4), WAITS);
    g.no_room = false;
    assert_int_equal(push(&g, "late", 4), 0);
    assert_string_equal(g.event, "late");
    assert_int_equal(wasi_context_usage(g.context)->calls, 1);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_names_push_a_text),
        cmocka_unit_test(what_is_not_utf8_arrives_as_words_that_say_so),
        cmocka_unit_test(an_event_outside_of_memory_is_a_fault),
        cmocka_unit_test(without_the_grant_it_is_a_denial_and_nothing_else),
        cmocka_unit_test(an_event_that_is_too_long_is_a_denial),
        cmocka_unit_test(where_there_is_no_room_the_guest_waits_and_the_call_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

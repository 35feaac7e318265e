/* SPDX-License-Identifier: Apache-2.0 */
/* wait_for_change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const struct test_setup granted = {.watch = true, .writable = true};
static const struct test_setup hiding = {
    .watch = true, .hide = (const char *const[]){"*.key", "private/"}, .n_hide = 2};

#define FOR_EVER                   ((uint64_t)INT64_C(-1))
#define wait_on(g, fd, timeout_ms) guest_call(g, berth_wait_for_change, fd, timeout_ms)

static void look(struct test_guest *g)
{
    wasi_watches_look(g->watches);
}

static void host_rename(const struct test_guest *g, const char *from, const char *to)
{
    char old[256], new[256];
    snprintf(old, sizeof old, "%s/%s", g->root, from);
    snprintf(new, sizeof new, "%s/%s", g->root, to);
    assert_int_equal(rename(old, new), 0);
}

static void host_remove(const struct test_guest *g, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", g->root, name);
    assert_int_equal(remove(path), 0);
}

/* It waits, is told of the change, and then its call is done. */
#define assert_wakes(g, fd, change)                        \
    do {                                                   \
        unsigned before_ = (g)->n_woken;                   \
        assert_int_equal(wait_on(g, fd, FOR_EVER), WAITS); \
        change;                                            \
        look(g);                                           \
        assert_int_equal((g)->n_woken, before_ + 1);       \
        assert_int_equal(wait_on(g, fd, FOR_EVER), 0);     \
    } while (0)

static void a_directory_wakes_for_what_happens_in_it(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    assert_wakes(&g, 3, host_file(&g, "new", "1"));
    assert_wakes(&g, 3, host_file(&g, "new", "2"));
    assert_wakes(&g, 3, host_rename(&g, "new", "other"));
    assert_wakes(&g, 3, host_remove(&g, "other"));
    assert_wakes(&g, 3, host_directory(&g, "sub"));
    /* Not for what happens further down. */
    assert_int_equal(wait_on(&g, 3, FOR_EVER), WAITS);
    host_file(&g, "sub/deep", "1");
    look(&g);
    assert_int_equal(wait_on(&g, 3, FOR_EVER), WAITS);
    test_guest_end(&g);
}

static void a_file_wakes_for_what_is_written_to_it(void **state)
{
    uint32_t fd;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    host_file(&g, "system.log", "1");
    host_file(&g, "beside", "1");
    assert_int_equal(guest_open(&g, 3, "system.log", 0, RIGHTS_FD_READ, &fd), 0);
    assert_wakes(&g, fd, host_file(&g, "system.log", "12"));
    assert_int_equal(wait_on(&g, fd, FOR_EVER), WAITS);
    host_file(&g, "beside", "12");
    look(&g);
    assert_int_equal(wait_on(&g, fd, FOR_EVER), WAITS);
    wasi_context_abandon_call(g.context);
    assert_wakes(&g, fd, host_rename(&g, "system.log", "system.log.1"));
    test_guest_end(&g);
}

static void what_happens_between_two_waits_is_told_once(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    assert_int_equal(wait_on(&g, 3, 0), ERRNO_TIMEDOUT); /* from here on */
    for (int i = 0; i < 100; i++)
        host_file(&g, "new", "1");
    assert_int_equal(wait_on(&g, 3, 0), 0);
    assert_int_equal(wait_on(&g, 3, 0), ERRNO_TIMEDOUT);
    test_guest_end(&g);
}

static void each_descriptor_remembers_by_itself(void **state)
{
    uint32_t a, b;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    host_file(&g, "f", "1");
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &a), 0);
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &b), 0);
    assert_int_equal(wait_on(&g, a, 0), ERRNO_TIMEDOUT);
    assert_int_equal(wait_on(&g, b, 0), ERRNO_TIMEDOUT);
    host_file(&g, "f", "2");
    assert_int_equal(wait_on(&g, a, 0), 0);
    assert_int_equal(wait_on(&g, b, 0), 0);
    /* The kernel's watch is shared; the one that is left keeps it. */
    assert_int_equal(guest_call(&g, fd_close, a), 0);
    host_file(&g, "f", "3");
    assert_int_equal(wait_on(&g, b, 0), 0);
    assert_int_equal(guest_call(&g, fd_renumber, b, a), ERRNO_BADF);
    test_guest_end(&g);
}

static void a_watch_moves_with_its_descriptor(void **state)
{
    uint32_t a, b;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    host_file(&g, "f", "1");
    host_file(&g, "g", "1");
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &a), 0);
    assert_int_equal(guest_open(&g, 3, "g", 0, RIGHTS_FD_READ, &b), 0);
    assert_int_equal(wait_on(&g, a, 0), ERRNO_TIMEDOUT);
    assert_int_equal(wait_on(&g, b, 0), ERRNO_TIMEDOUT);
    assert_int_equal(guest_call(&g, fd_renumber, a, b), 0);
    host_file(&g, "g", "2");
    assert_int_equal(wait_on(&g, b, 0), ERRNO_TIMEDOUT);
    host_file(&g, "f", "2");
    assert_int_equal(wait_on(&g, b, 0), 0);
    test_guest_end(&g);
}

static void a_timeout_passes_and_counts_from_the_first_call(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    uint64_t before_ns = clock_monotonic_ns();
    assert_int_equal(wait_on(&g, 3, 20), WAITS);
    uint64_t deadline_ns = wasi_context_wait(g.context)->deadline_ns;
    assert_int_equal(wasi_context_wait(g.context)->sources, WASI_WAIT_CHANGE);
    assert_true(deadline_ns >= before_ns + 20 * NS_PER_MS);
    assert_int_equal(wait_on(&g, 3, 20), WAITS);
    assert_true(wasi_context_wait(g.context)->deadline_ns == deadline_ns);
    while (clock_monotonic_ns() < deadline_ns)
        ;
    assert_int_equal(wait_on(&g, 3, 20), ERRNO_TIMEDOUT);
    assert_int_equal(wait_on(&g, 3, INT64_MAX), WAITS);
    assert_true(wasi_context_wait(g.context)->deadline_ns == UINT64_MAX);
    wasi_context_abandon_call(g.context);
    assert_int_equal(wait_on(&g, 3, (uint64_t)INT64_MIN), WAITS);
    test_guest_end(&g);
}

/* ---- What is hidden ----------------------------------------------------------------------------- */

static void what_happens_to_hidden_names_wakes_nobody(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &hiding);
    assert_int_equal(wait_on(&g, 3, FOR_EVER), WAITS);
    host_file(&g, "a.key", "1");
    host_file(&g, "a.key", "2");
    host_directory(&g, "private");
    host_file(&g, "private/x", "1");
    host_rename(&g, "a.key", "B.KEY");
    host_remove(&g, "B.KEY");
    look(&g);
    assert_int_equal(g.n_woken, 0);
    assert_int_equal(wait_on(&g, 3, FOR_EVER), WAITS);
    wasi_context_abandon_call(g.context);
    assert_wakes(&g, 3, host_file(&g, "private.txt", "1"));
    test_guest_end(&g);
}

static void a_name_that_comes_out_of_hiding_wakes(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &hiding);
    host_file(&g, "a.key", "1");
    assert_wakes(&g, 3, host_rename(&g, "a.key", "a.txt"));
    assert_wakes(&g, 3, host_rename(&g, "a.txt", "a.key"));
    test_guest_end(&g);
}

static void a_directory_that_became_hidden_tells_no_more(void **state)
{
    uint32_t fd;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &hiding);
    host_directory(&g, "open");
    assert_int_equal(guest_open(&g, 3, "open", OFLAGS_DIRECTORY, RIGHTS_FD_READDIR, &fd), 0);
    assert_wakes(&g, fd, host_file(&g, "open/x", "1"));
    host_rename(&g, "open", "private");
    assert_int_equal(wait_on(&g, fd, FOR_EVER), WAITS);
    host_file(&g, "private/y", "1");
    look(&g);
    assert_int_equal(wait_on(&g, fd, FOR_EVER), WAITS);
    test_guest_end(&g);
}

/* ---- Refusals ----------------------------------------------------------------------------------- */

static void without_the_grant_it_is_a_denial(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(wait_on(&g, 3, 0), ERRNO_NOTCAPABLE);
    assert_string_equal(g.denial,
                        "grants.watch|wait_for_change in \"/\"|one|no waiting for changes|watch = true");
    test_guest_end(&g);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    uint32_t fd;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    host_file(&g, "f", "1");
    assert_int_equal(wait_on(&g, 99, 0), ERRNO_BADF);
    assert_int_equal(wait_on(&g, UINT32_MAX, 0), ERRNO_BADF);
    assert_int_equal(wait_on(&g, 0, 0), ERRNO_INVAL);
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_WRITE, &fd), 0);
    assert_int_equal(wait_on(&g, fd, 0), ERRNO_NOTCAPABLE);
    assert_int_equal(g.n_denials, 0);
    test_guest_end(&g);
}

static void a_deterministic_run_sees_no_changes(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.watch = true, .deterministic = true});
    assert_int_equal(wait_on(&g, 3, 0), ERRNO_NOTSUP);
    test_guest_end(&g);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void a_file_that_loses_its_name_wakes(void **state)
{
    uint32_t fd;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    host_file(&g, "f", "1");
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
    assert_wakes(&g, fd, host_remove(&g, "f"));
    assert_int_equal(wait_on(&g, fd, 0), ERRNO_TIMEDOUT);
    test_guest_end(&g);
}

static void a_directory_that_is_gone_is_no_trouble(void **state)
{
    uint32_t fd;
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    host_directory(&g, "sub");
    assert_int_equal(guest_open(&g, 3, "sub", OFLAGS_DIRECTORY, RIGHTS_FD_READDIR, &fd), 0);
    assert_int_equal(wait_on(&g, fd, 0), ERRNO_TIMEDOUT);
    /* It is open, so for the kernel it is still there; the directory that it was in has changed. */
    assert_wakes(&g, 3, host_remove(&g, "sub"));
    assert_int_equal(wait_on(&g, fd, 0), ERRNO_TIMEDOUT);
    assert_int_equal(guest_call(&g, fd_close, fd), 0);
    look(&g);
    test_guest_end(&g);
}

static void guests_wake_each_for_their_own(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &granted);
    struct wasi_context *first = g.context, *second = test_guest_second_context(&g);
    assert_int_equal(wait_on(&g, 3, FOR_EVER), WAITS);
    g.context = second;
    assert_int_equal(wait_on(&g, 3, FOR_EVER), WAITS);
    host_file(&g, "new", "1");
    look(&g);
    assert_int_equal(g.n_woken, 2);
    assert_int_equal(wait_on(&g, 3, FOR_EVER), 0);
    g.context = first;
    assert_int_equal(wait_on(&g, 3, FOR_EVER), 0);
    wasi_context_free(second);
    assert_wakes(&g, 3, host_file(&g, "newer", "1"));
    test_guest_end(&g);
}

static void many_watches_leave_nothing_behind(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.watch = true, .max_open_files = 700});
    unsigned before = host_open_descriptors();
    for (int round = 0; round < 3; round++) {
        uint32_t fds[600];
        for (int i = 0; i < 600; i++) {
            char name[16];
            snprintf(name, sizeof name, "f%d", i);
            host_file(&g, name, "1");
            assert_int_equal(guest_open(&g, 3, name, 0, RIGHTS_FD_READ, &fds[i]), 0);
            assert_int_equal(wait_on(&g, fds[i], 0), ERRNO_TIMEDOUT);
        }
        host_file(&g, "f599", "12");
        for (int i = 0; i < 600; i++) {
            assert_int_equal(wait_on(&g, fds[i], 0), i == 599 ? 0 : ERRNO_TIMEDOUT);
            assert_int_equal(guest_call(&g, fd_close, fds[i]), 0);
        }
    }
    assert_int_equal(host_open_descriptors(), before);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_wakes_for_what_happens_in_it),
        cmocka_unit_test(a_file_wakes_for_what_is_written_to_it),
        cmocka_unit_test(what_happens_between_two_waits_is_told_once),
        cmocka_unit_test(each_descriptor_remembers_by_itself),
        cmocka_unit_test(a_watch_moves_with_its_descriptor),
        cmocka_unit_test(a_timeout_passes_and_counts_from_the_first_call),
        cmocka_unit_test(what_happens_to_hidden_names_wakes_nobody),
        cmocka_unit_test(a_name_that_comes_out_of_hiding_wakes),
        cmocka_unit_test(a_directory_that_became_hidden_tells_no_more),
        cmocka_unit_test(without_the_grant_it_is_a_denial),
        cmocka_unit_test(what_cannot_be_watched_is_refused),
        cmocka_unit_test(a_deterministic_run_sees_no_changes),
        cmocka_unit_test(a_file_that_loses_its_name_wakes),
        cmocka_unit_test(a_directory_that_is_gone_is_no_trouble),
        cmocka_unit_test(guests_wake_each_for_their_own),
        cmocka_unit_test(many_watches_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

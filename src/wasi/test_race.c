/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that is moved in and out of the granted tree while a guest walks through it with "..". Without
 * RESOLVE_BENEATH this escapes within a few hundred rounds.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

enum { ROUNDS = 20000 };

struct mover {
    char inside[192];
    char outside[192];
    atomic_bool stop;
};

static void *move_in_and_out(void *argument)
{
    struct mover *mover = argument;
    while (!atomic_load(&mover->stop)) {
        rename(mover->inside, mover->outside);
        rename(mover->outside, mover->inside);
    }
    return NULL;
}

static void race(const struct test_setup *setup)
{
    struct test_guest g;
    struct mover mover = {.stop = false};
    pthread_t thread;
    uint32_t fd, size;
    unsigned opened = 0;
    test_guest_start(&g, setup);
    host_directory(&g, "a");
    host_directory(&g, "a/b");
    host_file(&g, "f", "inside");
    host_file(&g, "../f", "escape");
    snprintf(mover.inside, sizeof mover.inside, "%s/a", g.root);
    snprintf(mover.outside, sizeof mover.outside, "%s/a", g.above);
    assert_int_equal(pthread_create(&thread, NULL, move_in_and_out, &mover), 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t r = guest_open(&g, 3, "a/b/../../f", 0, RIGHTS_FD_READ, &fd);
        if (r == 0) {
            assert_int_equal(guest_read(&g, fd, 10, &size), 0);
            assert_memory_equal(g.memory.data + AT_BUFFER, "inside", 6);
            assert_int_equal(guest_call(&g, fd_close, fd), 0);
            opened++;
        } else {
            assert_true(r == ERRNO_NOENT || r == ERRNO_AGAIN || r == ERRNO_NOTCAPABLE);
        }
        if (setup->writable && i % 16 == 0) {
            guest_mkdir(&g, 3, "a/b/../../made");
            guest_unlink(&g, 3, "a/b/../../../f");
            guest_rename(&g, 3, "a/b/../../f", 3, "a/b/../../../f");
        }
    }
    atomic_store(&mover.stop, true);
    pthread_join(thread, NULL);
    assert_true(opened > 0);
    assert_false(host_exists(&g, "../made"));
    assert_int_equal(host_size(&g, "../f"), 6);
    test_guest_end(&g);
}

static void a_moving_directory_does_not_let_a_guest_out(void **state)
{
    (void)state;
    race(&(struct test_setup){.writable = true});
}

static void nor_where_names_are_hidden(void **state)
{
    (void)state;
    static const char *const patterns[] = {"*.key", "/x/y"};
    race(&(struct test_setup){.hide = patterns, .n_hide = 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moving_directory_does_not_let_a_guest_out),
        cmocka_unit_test(nor_where_names_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

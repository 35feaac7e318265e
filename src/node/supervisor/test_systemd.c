/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager says is believed only if it is meant for this process, and what it hears is exact.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/supervisor/systemd.h"

static int forget(void **state)
{
    (void)state;
    const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_PID",
                                 "WATCHDOG_USEC"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    return 0;
}

static void set_to_our_pid(const char *name)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv(name, pid, 1);
}

static void sockets_are_for_the_process_they_name(void **state)
{
    (void)state;
    assert_int_equal(systemd_listeners(), 0);
    setenv("LISTEN_FDS", "1", 1);
    assert_int_equal(systemd_listeners(), 0);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(systemd_listeners(), 0);
    set_to_our_pid("LISTEN_PID");
    int given = open("/dev/null", O_RDONLY); /* the first free one */
    unsigned expected = given == SYSTEMD_FIRST_FD ? 1 : 0;
    if (expected) {
        assert_int_equal(systemd_listeners(), 1);
        assert_true(fcntl(given, F_GETFD) & FD_CLOEXEC);
    }
    close(given);
}

static void numbers_that_are_none_count_as_nothing(void **state)
{
    (void)state;
    const char *const bad[] = {"", "-1", " 1", "1 ", "1x", "99999999999999999999", "0x10"};
    set_to_our_pid("LISTEN_PID");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("LISTEN_FDS", bad[i], 1);
        assert_int_equal(systemd_listeners(), 0);
        setenv("WATCHDOG_USEC", bad[i], 1);
        assert_true(systemd_watchdog_ns() == UINT64_MAX);
    }
}

static void the_watchdog_is_fed_twice_as_often(void **state)
{
    (void)state;
    assert_true(systemd_watchdog_ns() == UINT64_MAX);
    setenv("WATCHDOG_USEC", "2000000", 1);
    assert_true(systemd_watchdog_ns() == UINT64_C(1000000000));
    setenv("WATCHDOG_PID", "1", 1);
    assert_true(systemd_watchdog_ns() == UINT64_MAX);
    set_to_our_pid("WATCHDOG_PID");
    assert_true(systemd_watchdog_ns() == UINT64_C(1000000000));
    setenv("WATCHDOG_USEC", "0", 1);
    assert_true(systemd_watchdog_ns() == UINT64_MAX);
}

static void notifications_arrive(void **state)
{
    (void)state;
    char name[64], heard[32] = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(name, sizeof(name), "@berth-notify-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)),
                     0);
    systemd_notify("READY=1"); /* nobody is named */
    assert_int_equal(recv(manager, heard, sizeof(heard), 0), -1);
    setenv("NOTIFY_SOCKET", name, 1);
    systemd_notify("READY=1");
    assert_int_equal(recv(manager, heard, sizeof(heard) - 1, 0), 7);
    assert_string_equal(heard, "READY=1");
    close(manager);
    systemd_notify("STOPPING=1"); /* nobody is there */
    setenv("NOTIFY_SOCKET", "relative", 1);
    systemd_notify("STOPPING=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sockets_are_for_the_process_they_name, forget, forget),
        cmocka_unit_test_setup_teardown(numbers_that_are_none_count_as_nothing, forget, forget),
        cmocka_unit_test_setup_teardown(the_watchdog_is_fed_twice_as_often, forget, forget),
        cmocka_unit_test_setup_teardown(notifications_arrive, forget, forget),
    };
    return cmocka_run_group_tests_name("systemd", tests, NULL, NULL);
}

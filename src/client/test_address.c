/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of nodes as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "client/address.h"

static void what_people_write_becomes_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *written, *host, *text;
        uint16_t port;
    } cases[] = {
        {"localhost", "localhost", "localhost:50051", 50051},
        {"Node.Example:7", "node.example", "node.example:7", 7},
        {"127.0.0.1:65535", "127.0.0.1", "127.0.0.1:65535", 65535},
        {"::1", "::1", "[::1]:50051", 50051},
        {"[::1]", "::1", "[::1]:50051", 50051},
        {"[FE80::1%eth0]:9", "fe80::1%eth0", "[fe80::1%eth0]:9", 9},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address;
        assert_int_equal(address_read(cases[i].written, &address), 0);
        assert_string_equal(address.host, cases[i].host);
        assert_string_equal(address.text, cases[i].text);
        assert_int_equal(address.port, cases[i].port);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",         ":1",           "host:",    "host:0", "host:65536",  "host:1x",     "host:+1",
        "host: 1",  "[::1",         "[host]:1", "[]:1",   "[::1]x",      "a b",         "a\nb:1",
        "host:1\n", "h\x1b[0m",     "ho/st:1",  "h#st",   "host:000001", "us\xc3\xa9r", "[::1]:",
        "http://h", "user@host:50",
    };
    struct address address;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(address_read(cases[i], &address), -EINVAL);
}

static void a_name_longer_than_names_are_is_refused(void **state)
{
    (void)state;
    char name[ADDRESS_HOST_CHARACTERS + 1];
    struct address address;
    memset(name, 'a', sizeof(name));
    name[ADDRESS_HOST_CHARACTERS] = '\0';
    assert_int_equal(address_read(name, &address), -EINVAL);
    name[ADDRESS_HOST_CHARACTERS - 1] = '\0';
    assert_int_equal(address_read(name, &address), 0);
    assert_int_equal(strlen(address.text), ADDRESS_HOST_CHARACTERS - 1 + strlen(":50051"));
}

static void this_machine_is_known_by_its_form(void **state)
{
    static const char *const here[] = {"127.0.0.1:1", "127.9.9.9", "[::1]:5", "localhost", "LocalHost:7"};
    static const char *const elsewhere[] = {"128.0.0.1", "[::2]", "localhost.example", "127.0.0.1.example",
                                            "node"};
    struct address address;
    (void)state;
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
        assert_int_equal(address_read(here[i], &address), 0);
        assert_true(address_is_loopback(&address));
    }
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        assert_int_equal(address_read(elsewhere[i], &address), 0);
        assert_false(address_is_loopback(&address));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_is_known_by_its_form),
        cmocka_unit_test(what_people_write_becomes_one_form),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_name_longer_than_names_are_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

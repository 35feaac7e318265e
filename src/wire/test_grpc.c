/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's own bytes, as peers may send them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "wire/grpc.h"

static void status_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(grpc_status_name(GRPC_OK), "OK");
    assert_string_equal(grpc_status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(grpc_status_name(17), "UNKNOWN");
    assert_string_equal(grpc_status_name((enum grpc_status) - 1), "UNKNOWN");
}

static void prefix_goes_both_ways(void **state)
{
    static const uint32_t sizes[] = {0, 1, 255, 256, 65536, UINT32_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t prefix[GRPC_PREFIX_BYTES];
        int compressed;
        uint32_t size;
        grpc_prefix_write(prefix, sizes[i]);
        assert_int_equal(grpc_prefix_read(prefix, &compressed, &size), 0);
        assert_int_equal(compressed, 0);
        assert_int_equal(size, sizes[i]);
    }
}

static void prefix_with_unknown_flags_is_refused(void **state)
{
    uint8_t prefix[GRPC_PREFIX_BYTES] = {1, 0, 0, 0, 7};
    int compressed;
    uint32_t size;
    (void)state;
    assert_int_equal(grpc_prefix_read(prefix, &compressed, &size), 0);
    assert_int_equal(compressed, 1);
    prefix[0] = 2;
    assert_true(grpc_prefix_read(prefix, &compressed, &size) < 0);
    prefix[0] = 0x81;
    assert_true(grpc_prefix_read(prefix, &compressed, &size) < 0);
}

static void timeout_is_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        {"1n", 1},          {"7u", 7000},         {"100m", 100000000},
        {"3S", 3000000000}, {"2M", 120000000000}, {"1H", 3600000000000},
        {"0S", 0},          {"00000001n", 1},     {"99999999H", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t ns;
        assert_int_equal(grpc_timeout_read(cases[i].text, &ns), 0);
        assert_true(ns == cases[i].ns);
    }
}

static void timeout_that_is_none_is_refused(void **state)
{
    static const char *const texts[] = {"",    "S",   "1",   "1s",   "1h",         "-1S", "+1S",
                                        " 1S", "1S ", "1 S", "1.5S", "123456789n", "1SS", "1\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint64_t ns;
        assert_true(grpc_timeout_read(texts[i], &ns) < 0);
    }
}

static void timeout_is_written_shortly_and_never_too_short(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0n"},
        {1, "1n"},
        {1500, "1500n"},
        {1000, "1u"},
        {250000000, "250m"},
        {5000000000, "5S"},
        {3600000000000, "1H"},
        {123456789, "123457u"},
        {99999999, "99999999n"},
        {100000001, "100001u"},
        {UINT64_MAX, "5124096H"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[16];
        uint64_t ns;
        grpc_timeout_write(cases[i].ns, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(grpc_timeout_read(text, &ns), 0);
        assert_true(ns >= cases[i].ns);
    }
}

static void assert_message(const char *plain, const char *encoded)
{
    struct text there = {0}, back = {0};
    grpc_message_encode(&there, plain);
    assert_string_equal(there.data, encoded);
    grpc_message_decode(&back, there.data);
    assert_string_equal(back.data, plain);
    text_done(&there);
    text_done(&back);
}

static void message_goes_both_ways(void **state)
{
    (void)state;
    assert_message("plain ~ text", "plain ~ text");
    assert_message("100%", "100%25");
    assert_message("two\nlines\r\n", "two%0Alines%0D%0A");
    assert_message("caf\xc3\xa9\x7f", "caf%C3%A9%7F");
}

static void message_with_broken_escapes_is_kept(void **state)
{
    static const char *const texts[] = {"%", "%4", "%zz", "50% off", "%00", "%%"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct text text = {0};
        grpc_message_decode(&text, texts[i]);
        assert_string_equal(text.data, texts[i]);
        text_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_has_a_name),
        cmocka_unit_test(prefix_goes_both_ways),
        cmocka_unit_test(prefix_with_unknown_flags_is_refused),
        cmocka_unit_test(timeout_is_read),
        cmocka_unit_test(timeout_that_is_none_is_refused),
        cmocka_unit_test(timeout_is_written_shortly_and_never_too_short),
        cmocka_unit_test(message_goes_both_ways),
        cmocka_unit_test(message_with_broken_escapes_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

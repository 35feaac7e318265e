/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical JSON: one text for one value, as RFC 8785 writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"

static void assert_canonical(const char *text, const char *expected)
{
    cleanup_json json_t *value = NULL;
    cleanup_free char *problem = NULL, *canonical = NULL;
    size_t length;
    assert_int_equal(json_read(text, strlen(text), &value, &problem), 0);
    assert_int_equal(json_canonical(value, &canonical, &length), expected ? 0 : -EINVAL);
    if (!expected)
        return;
    assert_string_equal(canonical, expected);
    assert_int_equal(length, strlen(expected));
}

static void keys_are_sorted_and_nothing_is_between(void **state)
{
    (void)state;
    assert_canonical(" { \"b\" : [ 1 , { } ] , \"B\" : null , \"a\" : { \"z\" : true , \"\" : false } } ",
                     "{\"B\":null,\"a\":{\"\":false,\"z\":true},\"b\":[1,{}]}");
}

static void strings_are_escaped_as_little_as_possible(void **state)
{
    (void)state;
    assert_canonical("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
                     "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
    assert_canonical("\"\\b\\t\\n\\f\\r\\u0001\\u001f\\u007f\"", "\"\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\"");
    assert_canonical("\"a\\u0000b\"", "\"a\\u0000b\"");
}

static void integers_are_exact_or_refused(void **state)
{
    (void)state;
    assert_canonical("[0,-0,-1,9007199254740991,-9007199254740991]",
                     "[0,0,-1,9007199254740991,-9007199254740991]");
    assert_canonical("9007199254740992", NULL);
    assert_canonical("-9007199254740992", NULL);
    assert_canonical("1.0", NULL);
    assert_canonical("{\"a\":[1e3]}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_sorted_and_nothing_is_between),
        cmocka_unit_test(strings_are_escaped_as_little_as_possible),
        cmocka_unit_test(integers_are_exact_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

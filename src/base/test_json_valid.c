/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not, by the grammar of RFC 8259, and that a parser of all of it agrees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static void values_of_every_kind_are_valid(void **state)
{
    static const char *const good[] = {
        "0",
        "-0",
        "12",
        "-1.5e+3",
        "1E9",
        "0.001",
        "true",
        "false",
        "null",
        "\"\"",
        " [ ] ",
        "{}",
        "[1]",
        "[1,\"a\"]",
        "{\"a\":1}",
        "{\"a\":{\"b\":[null]}}",
        "\"\\u00e9\\n\\\"\\/\"",
        "\"\xC3\xA9\"",
        "\t\r\n 1 \n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(json_is_valid(good[i], strlen(good[i])));
}

static void what_is_no_value_is_refused(void **state)
{
    static const char *const bad[] = {
        "",         " ",        "01",    "1.",       ".5",        "+1",      "1e",          "--1",
        "1 2",      "tru",      "nul",   "True",     "\"",        "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"",
        "[1,]",     "[,1]",     "[1 2]", "[",        "]",         "{\"a\"}", "{a:1}",       "{\"a\":1,}",
        "{\"a\":}", "{\"a\":1", "[1}",   "\"\xFF\"", "1,\"b\":2", "//x\n1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(json_is_valid(bad[i], strlen(bad[i])));
    assert_false(json_is_valid("1\0", 2));
}

static void nesting_is_bounded(void **state)
{
    char text[2 * JSON_NESTING_MAX + 2];
    (void)state;
    memset(text, '[', JSON_NESTING_MAX);
    memset(text + JSON_NESTING_MAX, ']', JSON_NESTING_MAX);
    assert_true(json_is_valid(text, 2 * JSON_NESTING_MAX));
    memset(text, '[', JSON_NESTING_MAX + 1);
    memset(text + JSON_NESTING_MAX + 1, ']', JSON_NESTING_MAX + 1);
    assert_false(json_is_valid(text, 2 * JSON_NESTING_MAX + 2));
    char *deep = malloc(1 << 20);
    memset(deep, '[', 1 << 20);
    assert_false(json_is_valid(deep, 1 << 20));
    free(deep);
}

/* Texts of a small alphabet, of which many are JSON: both say the same. jansson refuses numbers too large for
 * it, and escapes that are half of a pair; the alphabet has neither. */
static void a_parser_agrees_on_random_texts(void **state)
{
    static const char alphabet[] = "{}[]:,\"a1-.e0 \\n";
    uint32_t random = 7;
    size_t valid = 0;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[6];
        size_t length = 1 + random % sizeof(text);
        for (size_t k = 0; k < length; k++) {
            random = random * 1664525 + 1013904223;
            text[k] = alphabet[(random >> 16) % (sizeof(alphabet) - 1)];
        }
        random = random * 1664525 + 1013904223;
        json_t *parsed = json_loadb(text, length, JSON_DECODE_ANY, NULL);
        bool is_valid = json_is_valid(text, length);
        assert_int_equal(is_valid, parsed != NULL);
        json_decref(parsed);
        valid += is_valid;
    }
    assert_true(valid > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_valid),
        cmocka_unit_test(what_is_no_value_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_parser_agrees_on_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

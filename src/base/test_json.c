/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and TOML: hostile documents end in a sentence, honest ones come out as they went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/toml.h"

typedef int read_document(const char *text, size_t length, json_t **ret, char **reterr_message);

static void assert_refused(read_document *read, const char *text, size_t length, const char *expected)
{
    cleanup_json json_t *value = NULL;
    cleanup_free char *message = NULL;
    assert_int_equal(read(text, length, &value, &message), -EINVAL);
    assert_null(value);
    assert_non_null(message);
    assert_non_null(strstr(message, expected));
    assert_memory_equal(message, "line ", 5);
    for (const char *c = message; *c; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
}
#define ASSERT_REFUSED(read, literal, expected) assert_refused(read, literal, sizeof(literal) - 1, expected)

static void assert_reads(read_document *read, const char *text, const char *expected)
{
    cleanup_json json_t *value = NULL;
    cleanup_free char *message = NULL;
    assert_int_equal(read(text, strlen(text), &value, &message), 0);
    cleanup_free char *written = json_write(value, 0);
    assert_string_equal(written, expected);
}

static char *repeat(const char *opening, size_t times)
{
    struct text text = {0};
    for (size_t i = 0; i < times; i++)
        text_append(&text, opening);
    return text_take(&text);
}

static void values_come_out_as_they_went_in(void **state)
{
    (void)state;
    assert_reads(json_read, " {\"a\": [1, -2, 0.1, true, null, \"\\u00fc\"]}\n",
                 "{\"a\": [1, -2, 0.1, true, null, \"ü\"]}");
    assert_reads(json_read, "9223372036854775807", "9223372036854775807");
    assert_reads(json_read, "\"[[[[\"", "\"[[[[\"");
}

static void broken_json_is_named_by_line_and_column(void **state)
{
    (void)state;
    ASSERT_REFUSED(json_read, "{\n  \"a\": }", "line 2");
    ASSERT_REFUSED(json_read, "", "line 1");
    ASSERT_REFUSED(json_read, "{\"a\":1,\"a\":2}", "duplicate object key");
    ASSERT_REFUSED(json_read, "1 2", "end of file expected");
    ASSERT_REFUSED(json_read, "NaN", "invalid token");
    ASSERT_REFUSED(json_read, "1e999", "overflow");
    ASSERT_REFUSED(json_read, "9223372036854775808", "too big");
    ASSERT_REFUSED(json_read, "{\"a\0b\":1}", "line 1");
    ASSERT_REFUSED(json_read, "{\"a\\u0000b\":1}", "NUL");
}

static void hostile_bytes_in_messages_are_escaped(void **state)
{
    (void)state;
    ASSERT_REFUSED(json_read, "{\x1b[2J", "\\x1b");
    ASSERT_REFUSED(json_read, "\xff\xfe", "byte 0xff");
}

static void deep_nesting_is_refused_where_it_begins(void **state)
{
    (void)state;
    cleanup_free char *deep = repeat("[", 100000);
    assert_refused(json_read, deep, strlen(deep), "column 65: objects and arrays nest too deep");
    cleanup_free char *objects = repeat("{\"a\":", 1000);
    assert_refused(json_read, objects, strlen(objects), "nest too deep");
    cleanup_free char *tables = repeat("[", 5000);
    cleanup_text struct text toml = {0};
    text_append_format(&toml, "a = %s", tables);
    assert_refused(toml_read, toml.data, toml.length, "line 1");
}

static void a_value_at_the_nesting_limit_is_read(void **state)
{
    (void)state;
    cleanup_free char *opening = repeat("[", JSON_NESTING_MAX), *closing = repeat("]", JSON_NESTING_MAX);
    cleanup_text struct text text = {0};
    text_append_format(&text, "%s%s", opening, closing);
    assert_reads(json_read, text.data, text.data);
}

static void oversized_text_is_refused(void **state)
{
    (void)state;
    cleanup_free char *blank = repeat(" ", JSON_TEXT_MAX_BYTES + 1);
    assert_refused(json_read, blank, JSON_TEXT_MAX_BYTES + 1, "longer than 1 MiB");
    assert_refused(toml_read, blank, JSON_TEXT_MAX_BYTES + 1, "longer than 1 MiB");
}

static void a_text_with_nul_is_no_c_string(void **state)
{
    (void)state;
    cleanup_json json_t *value = NULL, *number = json_integer(1);
    cleanup_free char *message = NULL;
    assert_int_equal(json_read("\"a\\u0000b\"", 10, &value, &message), 0);
    assert_null(json_text(value));
    assert_null(json_text(number));
}

static void whole_numbers_are_written_without_a_point(void **state)
{
    (void)state;
    const double numbers[] = {1, -3, 0.25, 1e300};
    const char *const expected[] = {"1", "-3", "0.25", "1e300"};
    for (size_t i = 0; i < 4; i++) {
        cleanup_json json_t *value = json_number(numbers[i]);
        cleanup_free char *written = json_write(value, 0);
        assert_string_equal(written, expected[i]);
    }
}

static void escaped_strings_are_always_valid(void **state)
{
    (void)state;
    cleanup_json json_t *value = json_escaped("a\xff\n", 3, 100), *empty = json_escaped("", 0, 100);
    assert_string_equal(json_string_value(value), "a\\xff\\n");
    assert_string_equal(json_string_value(empty), "");
}

static void toml_becomes_the_same_tree(void **state)
{
    (void)state;
    assert_reads(toml_read, "a = 1\n[b]\nc = [0.5, \"x\"]\nd = { e = true,\n f = 2026-01-01, }\n",
                 "{\"a\": 1, \"b\": {\"c\": [0.5, \"x\"], \"d\": {\"e\": true, \"f\": \"2026-01-01\"}}}");
    assert_reads(toml_read, "", "{}");
}

static void broken_toml_is_named_by_line_and_column(void **state)
{
    (void)state;
    ASSERT_REFUSED(toml_read, "a = 1\nb = = 2", "line 2");
    ASSERT_REFUSED(toml_read, "a = 1\na = 2", "line 2");
    ASSERT_REFUSED(toml_read, "a = nan", "line 1");
    ASSERT_REFUSED(toml_read, "a = inf", "line 1");
    ASSERT_REFUSED(toml_read, "a = 9223372036854775808", "64 bits");
    ASSERT_REFUSED(toml_read, "a = \"\xff\"", "UTF-8");
    ASSERT_REFUSED(toml_read, "\0", "line 1");
    ASSERT_REFUSED(toml_read, "\"a\\u0000\" = 1", "U+0000");
}

static void toml_strings_survive_a_round_trip(void **state)
{
    (void)state;
    const char hostile[] = "q\" b\\ n\n t\t e\x1b d\x7f ü😀 ''' \"\"\"";
    cleanup_json json_t *value = NULL;
    cleanup_free char *message = NULL;
    cleanup_text struct text text = {0};
    text_append(&text, "a = ");
    toml_append_string(&text, hostile);
    assert_int_equal(toml_read(text.data, text.length, &value, &message), 0);
    assert_string_equal(json_text(json_object_get(value, "a")), hostile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_out_as_they_went_in),
        cmocka_unit_test(broken_json_is_named_by_line_and_column),
        cmocka_unit_test(hostile_bytes_in_messages_are_escaped),
        cmocka_unit_test(deep_nesting_is_refused_where_it_begins),
        cmocka_unit_test(a_value_at_the_nesting_limit_is_read),
        cmocka_unit_test(oversized_text_is_refused),
        cmocka_unit_test(a_text_with_nul_is_no_c_string),
        cmocka_unit_test(whole_numbers_are_written_without_a_point),
        cmocka_unit_test(escaped_strings_are_always_valid),
        cmocka_unit_test(toml_becomes_the_same_tree),
        cmocka_unit_test(broken_toml_is_named_by_line_and_column),
        cmocka_unit_test(toml_strings_survive_a_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

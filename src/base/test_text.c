/* SPDX-License-Identifier: Apache-2.0 */
/* Text: growth, escaping of hostile bytes, UTF-8, the nearest word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

static void assert_escaped(const char *bytes, size_t length, const char *expected)
{
    cleanup_text struct text text = {0};
    text_append_escaped(&text, bytes, length, length);
    assert_string_equal(text.data ? text.data : "", expected);
}
#define ASSERT_ESCAPED(literal, expected) assert_escaped(literal, sizeof(literal) - 1, expected)

static void grows_past_every_power_of_two(void **state)
{
    (void)state;
    cleanup_text struct text text = {0};
    for (int i = 0; i < 10000; i++)
        text_append_format(&text, "%d,", i % 10);
    assert_false(text.failed);
    assert_int_equal(text.length, 20000);
    assert_int_equal(text.data[text.length], '\0');
    assert_memory_equal(text.data + 19998, "9,", 2);
}

static void empty_text_is_taken_as_an_empty_string(void **state)
{
    (void)state;
    struct text text = {0};
    cleanup_free char *taken = text_take(&text);
    assert_string_equal(taken, "");
    assert_null(text.data);
}

static void failure_is_sticky_until_the_end(void **state)
{
    (void)state;
    struct text text = {0};
    text_append(&text, "before");
    text_append_bytes(&text, "x", SIZE_MAX - 2);
    assert_true(text.failed);
    text_append(&text, "after");
    assert_string_equal(text.data, "before");
    assert_null(text_take(&text));
    assert_false(text.failed);
}

static void nul_bytes_are_kept_by_length(void **state)
{
    (void)state;
    cleanup_text struct text text = {0};
    text_append_bytes(&text, "a\0b", 3);
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.data, "a\0b", 4);
}

static void terminal_controls_are_escaped(void **state)
{
    (void)state;
    ASSERT_ESCAPED("\x1b[2Jx", "\\x1b[2Jx");
    ASSERT_ESCAPED("a\nb\tc\rd\0e\x7f", "a\\nb\\tc\\x0dd\\x00e\\x7f");
    ASSERT_ESCAPED("C:\\x", "C:\\\\x");
    ASSERT_ESCAPED("\xc2\x9b[2J", "\\xc2\\x9b[2J"); /* the 8-bit form of ESC [ */
}

static void printable_unicode_stays(void **state)
{
    (void)state;
    ASSERT_ESCAPED("müßig – 日本 😀", "müßig – 日本 😀");
}

static void what_reorders_or_breaks_lines_is_escaped(void **state)
{
    (void)state;
    ASSERT_ESCAPED("a\u202eb", "a\\xe2\\x80\\xaeb");
    ASSERT_ESCAPED("a\u2066b", "a\\xe2\\x81\\xa6b");
    ASSERT_ESCAPED("a\u2028b", "a\\xe2\\x80\\xa8b");
}

static void malformed_utf8_is_escaped_byte_by_byte(void **state)
{
    (void)state;
    ASSERT_ESCAPED("\xc0\xaf", "\\xc0\\xaf");                   /* overlong */
    ASSERT_ESCAPED("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* surrogate */
    ASSERT_ESCAPED("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
    ASSERT_ESCAPED("\xe2\x82", "\\xe2\\x82");                   /* cut off */
    ASSERT_ESCAPED("\x80\xff", "\\x80\\xff");
}

static void a_cut_is_marked_and_splits_no_character_into_garbage(void **state)
{
    (void)state;
    cleanup_text struct text text = {0};
    text_append_escaped(&text, "abc\xc3\xa9", 5, 4);
    assert_string_equal(text.data, "abc\\xc3…");
}

static void what_is_safe_already_is_not_escaped_again(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a\\x1b stays", "a\\x1b stays"},
        {"a\\x1b with \x1b", "a\\\\x1b with \\x1b"},
        {"", ""},
        {"zwölf Zeichen", "zwölf Z…"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = {0};
        text_append(&text, "");
        text_append_escaped_once(&text, cases[i][0], strlen(cases[i][0]), i == 3 ? 8 : 100);
        assert_string_equal(text.data ? text.data : "", cases[i][1]);
        text_done(&text);
    }
}

static void utf8_is_told_from_other_bytes(void **state)
{
    (void)state;
    assert_true(text_is_utf8("", 0));
    assert_true(text_is_utf8("a\xc2\x85\xf4\x8f\xbf\xbf", 7));
    assert_true(text_is_utf8("\0", 1));
    assert_false(text_is_utf8("\xc3", 1));
    assert_false(text_is_utf8("a\xff", 2));
    assert_false(text_is_utf8("\xe0\x80\x80", 3));
}

static const char *const words[] = {"memory_mb", "wall_seconds", "fuel", "env", NULL};

static void the_nearest_word_is_found_through_typing_errors(void **state)
{
    (void)state;
    assert_string_equal(text_nearest("memroy_mb", words), "memory_mb");
    assert_string_equal(text_nearest("wall_second", words), "wall_seconds");
    assert_string_equal(text_nearest("feul", words), "fuel");
    assert_string_equal(text_nearest("env", words), "env");
}

static void nothing_near_gives_no_suggestion(void **state)
{
    (void)state;
    char long_word[5000];
    memset(long_word, 'a', sizeof(long_word));
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(text_nearest("completely", words));
    assert_null(text_nearest("", words));
    assert_null(text_nearest(long_word, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_past_every_power_of_two),
        cmocka_unit_test(empty_text_is_taken_as_an_empty_string),
        cmocka_unit_test(failure_is_sticky_until_the_end),
        cmocka_unit_test(nul_bytes_are_kept_by_length),
        cmocka_unit_test(terminal_controls_are_escaped),
        cmocka_unit_test(printable_unicode_stays),
        cmocka_unit_test(what_reorders_or_breaks_lines_is_escaped),
        cmocka_unit_test(malformed_utf8_is_escaped_byte_by_byte),
        cmocka_unit_test(a_cut_is_marked_and_splits_no_character_into_garbage),
        cmocka_unit_test(what_is_safe_already_is_not_escaped_again),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
        cmocka_unit_test(the_nearest_word_is_found_through_typing_errors),
        cmocka_unit_test(nothing_near_gives_no_suggestion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

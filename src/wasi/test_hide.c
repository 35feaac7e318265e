/* SPDX-License-Identifier: Apache-2.0 */
/* Hide patterns as text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/hide.h"

static bool hidden(const char *pattern, const char *path, enum hide_kind kind)
{
    struct hide_rules *rules;
    assert_int_equal(hide_rules_new(&pattern, 1, &rules), 0);
    bool found = hide_matches(rules, path, kind);
    hide_rules_free(rules);
    return found;
}

static void a_pattern_without_slash_matches_any_component(void **state)
{
    (void)state;
    assert_true(hidden("*.key", "a.key", HIDE_OTHER));
    assert_true(hidden("*.key", "x/y/a.key", HIDE_OTHER));
    assert_true(hidden("*.key", "a.key/below", HIDE_OTHER));
    assert_true(hidden("*.key", ".key", HIDE_DIRECTORY));
    assert_true(hidden("*.key", "A.KEY", HIDE_OTHER));
    assert_false(hidden("*.key", "a.keys", HIDE_OTHER));
    assert_false(hidden("*.key", "akey", HIDE_OTHER));
    assert_false(hidden("*", "", HIDE_DIRECTORY));
    assert_true(hidden("*", "x", HIDE_OTHER));
}

static void an_anchored_pattern_matches_from_the_root(void **state)
{
    (void)state;
    assert_true(hidden("/notes", "notes", HIDE_OTHER));
    assert_true(hidden("/notes", "notes/a/b", HIDE_OTHER));
    assert_false(hidden("/notes", "x/notes", HIDE_OTHER));
    assert_true(hidden("a/b", "a/b", HIDE_OTHER));
    assert_false(hidden("a/b", "x/a/b", HIDE_OTHER));
    assert_false(hidden("a/b", "a", HIDE_DIRECTORY));
    assert_true(hidden("a/*/c", "a/b/c", HIDE_OTHER));
    assert_false(hidden("a/*/c", "a/b/b/c", HIDE_OTHER));
    assert_true(hidden("a/**/c", "a/c", HIDE_OTHER));
    assert_true(hidden("a/**/c", "a/b/b/c", HIDE_OTHER));
    assert_true(hidden("**/c", "c", HIDE_OTHER));
    assert_true(hidden("**/c", "a/b/c", HIDE_OTHER));
    assert_true(hidden("a/**", "a/b", HIDE_OTHER));
    assert_false(hidden("a/**", "a", HIDE_DIRECTORY));
    assert_true(hidden("**/a/b/**/c/d", "a/a/b/c/c/d/e", HIDE_OTHER));
    assert_false(hidden("**/a/b/**/c/d", "a/a/c/b/c/d", HIDE_OTHER));
    assert_true(hidden("**/**/c", "c/d", HIDE_OTHER));
}

static void a_trailing_slash_means_directories(void **state)
{
    (void)state;
    assert_true(hidden("private/", "private", HIDE_DIRECTORY));
    assert_true(hidden("private/", "a/private", HIDE_DIRECTORY));
    assert_true(hidden("private/", "private", HIDE_ANY));
    assert_false(hidden("private/", "private", HIDE_OTHER));
    assert_true(hidden("private/", "private/file", HIDE_OTHER));
    assert_true(hidden("/a/private/", "a/private/file", HIDE_OTHER));
    assert_false(hidden("/a/private/", "a/private", HIDE_OTHER));
    assert_true(hidden("private/", "private/private", HIDE_OTHER));
    assert_true(hidden("**/private/", "private/private", HIDE_OTHER));
    assert_false(hidden("a/**/", "a/b", HIDE_OTHER));
    assert_true(hidden("a/**/", "a/b", HIDE_DIRECTORY));
    assert_true(hidden("a/**/", "a/b/c", HIDE_OTHER));
}

static void wildcards_match_as_in_a_shell(void **state)
{
    (void)state;
    assert_true(hidden("a?c", "abc", HIDE_OTHER));
    assert_false(hidden("a?c", "ac", HIDE_OTHER));
    assert_true(hidden("[a-c]x", "Bx", HIDE_OTHER));
    assert_false(hidden("[!a-c]x", "bx", HIDE_OTHER));
    assert_true(hidden("[!a-c]x", "dx", HIDE_OTHER));
    assert_true(hidden("[]]", "]", HIDE_OTHER));
    assert_true(hidden("[a-]", "-", HIDE_OTHER));
    assert_true(hidden("\\*", "*", HIDE_OTHER));
    assert_false(hidden("\\*", "x", HIDE_OTHER));
    assert_true(hidden("*a*b*c*", "xxaxxbxxcxx", HIDE_OTHER));
    assert_true(hidden("*ab", "aab", HIDE_OTHER));
    assert_true(hidden("\xff*", "\xff\xfe", HIDE_OTHER));
}

static void a_hostile_name_does_not_take_long(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', 255);
    name[255] = '\0';
    assert_false(hidden("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name, HIDE_OTHER));
}

static void patterns_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "/",      "//", "!x",  "a//b",  ".",   "..",
                                      "a/.", "../a/b", "[a", "a[b", "a/[/b", "a\\", "[!]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hide_rules *rules;
        assert_int_equal(hide_rules_new(&bad[i], 1, &rules), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_without_slash_matches_any_component),
        cmocka_unit_test(an_anchored_pattern_matches_from_the_root),
        cmocka_unit_test(a_trailing_slash_means_directories),
        cmocka_unit_test(wildcards_match_as_in_a_shell),
        cmocka_unit_test(a_hostile_name_does_not_take_long),
        cmocka_unit_test(patterns_that_mean_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

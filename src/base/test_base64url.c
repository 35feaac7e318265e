/* SPDX-License-Identifier: Apache-2.0 */
/* base64url: the vectors of RFC 4648 without padding, and that every byte string has one text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/base64url.h"

static void assert_decodes(const char *text, const char *expected)
{
    char bytes[16];
    size_t n = 99;
    assert_int_equal(base64url_read(text, strlen(text), bytes, sizeof(bytes), &n), 0);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(bytes, expected, n);
}

static void the_vectors_decode(void **state)
{
    (void)state;
    assert_decodes("", "");
    assert_decodes("Zg", "f");
    assert_decodes("Zm8", "fo");
    assert_decodes("Zm9v", "foo");
    assert_decodes("Zm9vYg", "foob");
    assert_decodes("Zm9vYmE", "fooba");
    assert_decodes("Zm9vYmFy", "foobar");
    assert_decodes("-_-_", "\xfb\xff\xbf");
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",     "Zg==", "Zg=", "Zm9vY",    "+/+/", "Zm 8",
                                      "Zm8\n", "Zh",   "Zm9", "\xc3\xa9", "Zm.8"};
    char bytes[16];
    size_t n;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (base64url_read(bad[i], strlen(bad[i]), bytes, sizeof(bytes), &n) != -EINVAL)
            fail_msg("\"%s\" was decoded", bad[i]);
    assert_int_equal(base64url_read("Zm\0v", 4, bytes, sizeof(bytes), &n), -EINVAL);
}

static void no_more_is_written_than_fits(void **state)
{
    (void)state;
    char bytes[4] = "....";
    size_t n;
    assert_int_equal(base64url_read("Zm9vYg", 6, bytes, 3, &n), -EINVAL);
    assert_int_equal(bytes[3], '.');
    assert_int_equal(base64url_read("Zm9v", 4, bytes, 3, &n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_decode),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(no_more_is_written_than_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What public LIOP clients check: the image id as their JavaScript computes it (values made with Node), and
 * the bytes of the receipt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "receipt/receipt.h"

/* The id of the payload is the SHA-256 of `what`. */
static void assert_id(const void *payload, size_t size, const void *what, size_t what_size)
{
    uint8_t id[RECEIPT_HASH_BYTES], expected[RECEIPT_HASH_BYTES];
    receipt_v1_image_id(payload, size, id);
    SHA256(what, what_size, expected);
    assert_memory_equal(id, expected, sizeof id);
}
#define ID(payload, what) assert_id(payload, sizeof(payload) - 1, what, sizeof(what) - 1)

static void the_id_of_a_module_is_the_hash_of_its_bytes(void **state)
{
    (void)state;
    ID("\0asm\1\0\0\0  \n", "\0asm\1\0\0\0  \n");
    ID("\0a\xff", "\0a\xff");
}

static void the_id_of_nothing_is_the_hash_of_nothing(void **state)
{
    (void)state;
    uint8_t id[RECEIPT_HASH_BYTES];
    char digits[2 * RECEIPT_HASH_BYTES + 1];
    receipt_v1_image_id(NULL, 0, id);
    hex_write(id, sizeof id, digits);
    assert_string_equal(digits, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ID("\0", "\0");
    ID(" ", "");
}

static void text_is_trimmed_as_javascript_does(void **state)
{
    (void)state;
    ID(" \t\n\v\f\r return 1 ; \r\n", "return 1 ;");
    ID("\xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8ax\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\x9f\xe3\x80"
       "\x80\xef\xbb\xbf",
       "x");
    ID("\xe2\x80\x8bx\xc2\x85", "\xe2\x80\x8bx\xc2\x85"); /* zero width space and NEL stay */
    ID("\x1cx\x1f", "\x1cx\x1f");
}

static void an_envelope_around_everything_is_taken_off(void **state)
{
    (void)state;
    ID("@LIOP{wasi_v1,A}\nreturn 1\n@END", "return 1");
    ID("\n @LIOP{wasi_v1,A}\n\n return 1 \n\n@END \n", "return 1");
    ID("@LIOP{a}return 1@END", "return 1");
    ID("@LIOP{a}\n@END", "");
    ID("@LIOP{a}@END", "");
    ID("@LIOP{a\nb}x@END", "x");
    ID("@LIOP{a}}x@END", "}x");
    ID("@LIOP{a}x@END y@END", "x@END y");
}

static void what_only_looks_like_an_envelope_stays(void **state)
{
    (void)state;
    ID("@LIOP{}x@END", "@LIOP{}x@END");
    ID("@LIOP{a}x@END;", "@LIOP{a}x@END;");
    ID("x@LIOP{a}x@END", "x@LIOP{a}x@END");
    ID("@LIOP{a x@END", "@LIOP{a x@END");
    ID("@LIOP{@END", "@LIOP{@END");
    ID("@liop{a}x@end", "@liop{a}x@end");
}

static void bytes_that_are_no_utf8_become_the_replacement_character(void **state)
{
    (void)state;
    ID("a\xff"
       "b",
       "a\xef\xbf\xbd"
       "b");
    ID("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
    ID("\xf0\x9f\x92", "\xef\xbf\xbd");                         /* cut short: one */
    ID("\xe2\x82"
       "x",
       "\xef\xbf\xbdx");
    ID("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    ID("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
    ID("\xe0\x82\xa0x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"); /* an overlong no-break space */
    ID("@LIOP{\xff}\n\xff\n@END", "\xef\xbf\xbd");
}

static void a_receipt_has_version_journal_and_seal(void **state)
{
    (void)state;
    uint8_t secret[32], image_id[RECEIPT_HASH_BYTES], output[RECEIPT_HASH_BYTES], seal[32];
    cleanup_free uint8_t *receipt = NULL;
    size_t size;
    static const char journal[] =
        "{\"image_id\":\"1111111111111111111111111111111111111111111111111111111111111111\","
        "\"output_hash\":\"2222222222222222222222222222222222222222222222222222222222222222\","
        "\"fuel\":9007199254740991,\"ts\":1790000000000}";
    memset(secret, 7, sizeof secret);
    memset(image_id, 0x11, sizeof image_id);
    memset(output, 0x22, sizeof output);
    assert_int_equal(receipt_v1_new(secret, image_id, output, UINT64_MAX, 1790000000000, &receipt, &size), 0);
    assert_int_equal(size, 3 + sizeof journal - 1 + 32);
    assert_int_equal(receipt[0], 1);
    assert_int_equal(receipt[1] << 8 | receipt[2], sizeof journal - 1);
    assert_memory_equal(receipt + 3, journal, sizeof journal - 1);
    HMAC(EVP_sha256(), secret, sizeof secret, (const uint8_t *)journal, sizeof journal - 1, seal, NULL);
    assert_memory_equal(receipt + size - 32, seal, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_of_a_module_is_the_hash_of_its_bytes),
        cmocka_unit_test(the_id_of_nothing_is_the_hash_of_nothing),
        cmocka_unit_test(text_is_trimmed_as_javascript_does),
        cmocka_unit_test(an_envelope_around_everything_is_taken_off),
        cmocka_unit_test(what_only_looks_like_an_envelope_stays),
        cmocka_unit_test(bytes_that_are_no_utf8_become_the_replacement_character),
        cmocka_unit_test(a_receipt_has_version_journal_and_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

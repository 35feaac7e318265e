/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals: the key exchange against two other implementations (values made with Go's crypto/mlkem and with
 * OpenSSL, which agree), sealed messages and the LIOP mode against values made with Python's cryptography,
 * and everything that must not open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/experimental/kem_deterministic_api.h>
#include <openssl/hkdf.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/hex.h"
#include "wire/key_cleanup.h"
#include "wire/seal.h"

static const char token[] = "00112233445566778899aabbccddeeff";

static void assert_hex(const uint8_t *bytes, size_t size_bytes, const char *expected)
{
    cleanup_free char *digits = malloc(2 * size_bytes + 1);
    hex_write(bytes, size_bytes, digits);
    assert_string_equal(digits, expected);
}

static void assert_sha256(const uint8_t *bytes, size_t size_bytes, const char *expected)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256(bytes, size_bytes, hash);
    assert_hex(hash, sizeof hash, expected);
}

static void count_up(uint8_t *bytes, size_t size_bytes, uint8_t first)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)(first + i);
}

/* ---- Key exchange -------------------------------------------------------------------------------------- */

static EVP_PKEY *key_from_counting_seed(void)
{
    uint8_t seed[64];
    size_t size = sizeof seed;
    EVP_PKEY *key = NULL;
    count_up(seed, sizeof seed, 0);
    cleanup_key_context EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_KEM, NULL);
    assert_int_equal(EVP_PKEY_CTX_kem_set_params(context, NID_MLKEM768), 1);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_keygen_deterministic(context, &key, seed, &size), 1);
    return key;
}

static void the_library_is_fips_203_and_not_round_3(void **state)
{
    (void)state;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES], ciphertext[KEM_CIPHERTEXT_BYTES], secret[KEM_SECRET_BYTES];
    uint8_t random[32], again[KEM_SECRET_BYTES];
    size_t key_size = sizeof public_key, size = sizeof ciphertext, secret_size = sizeof secret,
           random_size = sizeof random;
    count_up(random, sizeof random, 64);
    cleanup_key EVP_PKEY *key = key_from_counting_seed();
    cleanup_key_context EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, public_key, &key_size), 1);
    assert_sha256(public_key, key_size, "0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9");
    assert_int_equal(EVP_PKEY_encapsulate_deterministic(context, ciphertext, &size, secret, &secret_size,
                                                        random, &random_size),
                     1);
    assert_sha256(ciphertext, size, "dbf4e9aa48b078ad46ec1c9c47bda8c2d2fec9d0e7a21bd48d2238a2abedb856");
    assert_hex(secret, 32, "9cddd089ffe70e3996e76f7c8d06746df34d07e8657bc0fcf2bb0e1c3084aea1");
    assert_int_equal(kem_secret_round3(secret, ciphertext, again), 0);
    assert_hex(again, 32, "2d9eb5c5be43ebb74eb8d855bafd93dddce903e7b0fa890643a11ebe835013d8");
    ciphertext[5] ^= 1;
    assert_int_equal(EVP_PKEY_decapsulate(context, again, &secret_size, ciphertext, size), 1);
    assert_hex(again, 32, "dfcc47a2bb98e31150b86a5b1eace5abbf6c1039acd07e964fcdd8e8f9ba23ff");
}

static void the_bridge_is_the_documented_formula(void **state)
{
    (void)state;
    uint8_t secret[KEM_SECRET_BYTES], ciphertext[KEM_CIPHERTEXT_BYTES], round3[KEM_SECRET_BYTES];
    memset(secret, 7, sizeof secret);
    count_up(ciphertext, sizeof ciphertext, 0);
    assert_int_equal(kem_secret_round3(secret, ciphertext, round3), 0);
    /* hashlib.shake_256(secret + hashlib.sha3_256(ciphertext).digest()).hexdigest(32) */
    assert_hex(round3, 32, "4592ef312cca5dd4f4a94765452f4c9b5093e3945f554dfcbfefdeb4b36cb14e");
}

static void both_sides_get_the_same_secret(void **state)
{
    (void)state;
    cleanup_kem_key struct kem_key *key = NULL;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES], ciphertext[KEM_CIPHERTEXT_BYTES];
    uint8_t theirs[KEM_SECRET_BYTES], ours[KEM_SECRET_BYTES], other[KEM_SECRET_BYTES];
    assert_int_equal(kem_key_new(&key, public_key), 0);
    assert_int_equal(kem_encapsulate(public_key, sizeof public_key, ciphertext, theirs), 0);
    assert_int_equal(kem_decapsulate(key, ciphertext, sizeof ciphertext, ours), 0);
    assert_memory_equal(theirs, ours, sizeof ours);
    for (size_t i = 0; i < sizeof ciphertext; i += 97) {
        ciphertext[i] ^= 0x10;
        assert_int_equal(kem_decapsulate(key, ciphertext, sizeof ciphertext, other), 0);
        assert_memory_not_equal(other, ours, sizeof ours);
        ciphertext[i] ^= 0x10;
    }
}

static void two_keys_and_two_encapsulations_differ(void **state)
{
    (void)state;
    cleanup_kem_key struct kem_key *one = NULL, *two = NULL;
    uint8_t public_keys[2][KEM_PUBLIC_KEY_BYTES], ciphertexts[2][KEM_CIPHERTEXT_BYTES];
    uint8_t secrets[2][KEM_SECRET_BYTES];
    assert_int_equal(kem_key_new(&one, public_keys[0]), 0);
    assert_int_equal(kem_key_new(&two, public_keys[1]), 0);
    assert_memory_not_equal(public_keys[0], public_keys[1], KEM_PUBLIC_KEY_BYTES);
    for (int i = 0; i < 2; i++)
        assert_int_equal(kem_encapsulate(public_keys[0], KEM_PUBLIC_KEY_BYTES, ciphertexts[i], secrets[i]),
                         0);
    assert_memory_not_equal(secrets[0], secrets[1], KEM_SECRET_BYTES);
    assert_memory_not_equal(ciphertexts[0], ciphertexts[1], KEM_CIPHERTEXT_BYTES);
}

static void keys_and_ciphertexts_of_other_sizes_are_refused(void **state)
{
    (void)state;
    cleanup_kem_key struct kem_key *key = NULL;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES + 1] = {0}, ciphertext[KEM_CIPHERTEXT_BYTES + 1] = {0};
    uint8_t secret[KEM_SECRET_BYTES];
    assert_int_equal(kem_key_new(&key, public_key), 0);
    static const size_t wrong[] = {0, 1, KEM_CIPHERTEXT_BYTES - 1, KEM_CIPHERTEXT_BYTES + 1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(kem_decapsulate(key, ciphertext, wrong[i], secret), SEAL_BROKEN);
    assert_int_equal(kem_encapsulate(public_key, KEM_PUBLIC_KEY_BYTES - 1, ciphertext, secret), SEAL_BROKEN);
    assert_int_equal(kem_encapsulate(public_key, KEM_PUBLIC_KEY_BYTES + 1, ciphertext, secret), SEAL_BROKEN);
    assert_int_equal(kem_encapsulate(public_key, 0, ciphertext, secret), SEAL_BROKEN);
}

static void a_key_with_coefficients_that_are_not_reduced_is_refused(void **state)
{
    (void)state;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES], ciphertext[KEM_CIPHERTEXT_BYTES], secret[KEM_SECRET_BYTES];
    memset(public_key, 0xff, sizeof public_key);
    assert_int_equal(kem_encapsulate(public_key, sizeof public_key, ciphertext, secret), SEAL_BROKEN);
}

static void the_signed_form_of_a_key_names_session_and_capability(void **state)
{
    (void)state;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES];
    cleanup_free uint8_t *bytes = NULL;
    size_t size;
    memset(public_key, 'k', sizeof public_key);
    assert_int_equal(kem_signed_bytes("token", "logs", public_key, &bytes, &size), 0);
    static const char head[] = "berth kem key v1\0token\0logs";
    assert_int_equal(size, sizeof head + sizeof public_key);
    assert_memory_equal(bytes, head, sizeof head);
    assert_memory_equal(bytes + sizeof head, public_key, sizeof public_key);
}

static void keys_are_derived_as_rfc_5869_says(void **state)
{
    (void)state;
    uint8_t secret[22], salt[13], info[10], key[42];
    memset(secret, 0x0b, sizeof secret);
    count_up(salt, sizeof salt, 0);
    count_up(info, sizeof info, 0xf0);
    assert_int_equal(
        HKDF(key, sizeof key, EVP_sha256(), secret, sizeof secret, salt, sizeof salt, info, sizeof info), 1);
    assert_hex(key, sizeof key,
               "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

/* ---- Sealed messages ----------------------------------------------------------------------------------- */

static struct seal *seal_for(enum seal_direction direction, const char *capability)
{
    uint8_t secret[KEM_SECRET_BYTES];
    struct seal *seal = NULL;
    memset(secret, 7, sizeof secret);
    assert_int_equal(seal_new(secret, token, capability, direction, &seal), 0);
    return seal;
}

static void assert_closes_as(struct seal *seal, const char *plain, const char *expected)
{
    uint8_t out[64];
    size_t size = strlen(plain);
    assert_int_equal(seal_close(seal, (const uint8_t *)plain, size, out), 0);
    assert_hex(out, size + SEAL_TAG_BYTES, expected);
}

static void messages_are_the_bytes_of_the_protocol_page(void **state)
{
    (void)state;
    cleanup_seal struct seal *to_node = seal_for(SEAL_TO_NODE, "logs");
    cleanup_seal struct seal *to_caller = seal_for(SEAL_TO_CALLER, "logs");
    assert_closes_as(to_node, "hello", "b76dacc75e019108017faf7c4c7bdde097e11c90c5");
    assert_closes_as(to_node, "hello", "bf4dc5dae01a900ff4b02dd996aa1ae842bace9e5a");
    assert_closes_as(to_caller, "hello", "9fc19dc0c40e034b13fac749cea2ce652f9a4d6449");
    assert_closes_as(to_caller, "hello", "f8def9ec7459410a21796dbfb457b82d2ba05684bc");
}

static void what_was_closed_opens_in_order(void **state)
{
    (void)state;
    cleanup_seal struct seal *out = seal_for(SEAL_TO_CALLER, ""), *in = seal_for(SEAL_TO_CALLER, "");
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cleanup_free uint8_t *plain = malloc(sizes[i] + 1), *bytes = malloc(sizes[i] + SEAL_TAG_BYTES);
        count_up(plain, sizes[i], (uint8_t)i);
        memcpy(bytes, plain, sizes[i]);
        assert_int_equal(seal_close(out, bytes, sizes[i], bytes), 0);
        assert_int_equal(seal_open(in, bytes, sizes[i] + SEAL_TAG_BYTES, bytes), 0);
        assert_memory_equal(bytes, plain, sizes[i]);
    }
}

static void nothing_opens_with_a_bit_changed(void **state)
{
    (void)state;
    cleanup_seal struct seal *out = seal_for(SEAL_TO_NODE, "logs"), *in = seal_for(SEAL_TO_NODE, "logs");
    uint8_t closed[5 + SEAL_TAG_BYTES], opened[5];
    assert_int_equal(seal_close(out, (const uint8_t *)"hello", 5, closed), 0);
    for (size_t i = 0; i < 8 * sizeof closed; i++) {
        closed[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(seal_open(in, closed, sizeof closed, opened), SEAL_BROKEN);
        closed[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < sizeof closed; size++)
        assert_int_equal(seal_open(in, closed, size, opened), SEAL_BROKEN);
    assert_int_equal(seal_open(in, closed, sizeof closed, opened), 0);
    assert_memory_equal(opened, "hello", 5);
}

static void a_message_opens_in_its_own_session_direction_and_capability_only(void **state)
{
    (void)state;
    cleanup_seal struct seal *out = seal_for(SEAL_TO_NODE, "logs");
    cleanup_seal struct seal *other_way = seal_for(SEAL_TO_CALLER, "logs");
    cleanup_seal struct seal *other_capability = seal_for(SEAL_TO_NODE, "data");
    cleanup_seal struct seal *other_session = NULL, *other_secret = NULL;
    uint8_t secret[KEM_SECRET_BYTES], closed[5 + SEAL_TAG_BYTES], opened[5];
    memset(secret, 7, sizeof secret);
    assert_int_equal(
        seal_new(secret, "00112233445566778899aabbccddeefe", "logs", SEAL_TO_NODE, &other_session), 0);
    secret[31] ^= 1;
    assert_int_equal(seal_new(secret, token, "logs", SEAL_TO_NODE, &other_secret), 0);
    assert_int_equal(seal_close(out, (const uint8_t *)"hello", 5, closed), 0);
    struct seal *others[] = {other_way, other_capability, other_session, other_secret};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(seal_open(others[i], closed, sizeof closed, opened), SEAL_BROKEN);
}

static void replays_and_reordered_messages_do_not_open(void **state)
{
    (void)state;
    cleanup_seal struct seal *out = seal_for(SEAL_TO_NODE, "logs"), *in = seal_for(SEAL_TO_NODE, "logs");
    uint8_t closed[3][1 + SEAL_TAG_BYTES], opened[1];
    for (int i = 0; i < 3; i++)
        assert_int_equal(seal_close(out, (const uint8_t *)"abc" + i, 1, closed[i]), 0);
    assert_int_equal(seal_open(in, closed[1], sizeof closed[1], opened), SEAL_BROKEN);
    assert_int_equal(seal_open(in, closed[0], sizeof closed[0], opened), 0);
    assert_int_equal(seal_open(in, closed[0], sizeof closed[0], opened), SEAL_BROKEN);
    assert_int_equal(seal_open(in, closed[2], sizeof closed[2], opened), SEAL_BROKEN);
    assert_int_equal(seal_open(in, closed[1], sizeof closed[1], opened), 0);
    assert_int_equal(seal_open(in, closed[2], sizeof closed[2], opened), 0);
    assert_int_equal(opened[0], 'c');
}

static void what_does_not_open_is_not_shown(void **state)
{
    (void)state;
    cleanup_seal struct seal *out = seal_for(SEAL_TO_NODE, "logs"), *in = seal_for(SEAL_TO_NODE, "logs");
    uint8_t bytes[32 + SEAL_TAG_BYTES] = {0};
    static const uint8_t zeros[32];
    memset(bytes, 's', 32);
    assert_int_equal(seal_close(out, bytes, 32, bytes), 0);
    bytes[47] ^= 1;
    assert_int_equal(seal_open(in, bytes, sizeof bytes, bytes), SEAL_BROKEN);
    assert_memory_equal(bytes, zeros, sizeof zeros);
}

static void a_token_of_another_length_is_refused(void **state)
{
    (void)state;
    uint8_t secret[KEM_SECRET_BYTES] = {0};
    struct seal *seal = NULL;
    assert_int_equal(seal_new(secret, "", "logs", SEAL_TO_NODE, &seal), -EINVAL);
    assert_int_equal(seal_new(secret, "00112233445566778899aabbccddeeff0", "logs", SEAL_TO_NODE, &seal),
                     -EINVAL);
    assert_null(seal);
}

/* ---- LIOP version 1 ------------------------------------------------------------------------------------ */

static const char liop_module[] = "30ec86146865bc602dc7d800d78e1e9bc28cdf4b72878697"; /* "(module)" */
static const char liop_nothing[] = "3c2189ab60b5fe410fe7bb234b8637dc";

struct liop {
    uint8_t secret[KEM_SECRET_BYTES], nonce[SEAL_NONCE_BYTES], bytes[24];
};

static struct liop liop_of(const char *digits)
{
    struct liop liop = {0};
    memset(liop.secret, 7, sizeof liop.secret);
    count_up(liop.nonce, sizeof liop.nonce, 0);
    assert_int_equal(hex_read(digits, liop.bytes, strlen(digits) / 2), 0);
    return liop;
}

static void a_public_clients_payload_opens_in_place(void **state)
{
    (void)state;
    struct liop liop = liop_of(liop_module);
    assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, 24), 0);
    assert_memory_equal(liop.bytes, "(module)", 8);
    liop = liop_of(liop_nothing);
    assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, 16), 0);
}

static void after_the_wrong_secret_the_right_one_still_opens(void **state)
{
    (void)state;
    struct liop liop = liop_of(liop_module);
    struct liop before = liop;
    for (int i = 0; i < 3; i++) {
        uint8_t wrong[KEM_SECRET_BYTES] = {(uint8_t)i};
        assert_int_equal(liop_open(wrong, liop.nonce, 12, liop.bytes, 24), SEAL_BROKEN);
        assert_memory_equal(liop.bytes, before.bytes, 24);
    }
    assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, 24), 0);
    assert_memory_equal(liop.bytes, "(module)", 8);
}

static void no_bit_of_a_payload_can_be_changed(void **state)
{
    (void)state;
    struct liop liop = liop_of(liop_module);
    for (size_t i = 0; i < 8 * sizeof liop.bytes; i++) {
        liop.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, 24), SEAL_BROKEN);
        liop.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t i = 0; i < 8 * sizeof liop.nonce; i++) {
        liop.nonce[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, 24), SEAL_BROKEN);
        liop.nonce[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, 24), 0);
}

static void payloads_and_nonces_of_other_sizes_are_refused(void **state)
{
    (void)state;
    struct liop liop = liop_of(liop_module);
    uint8_t nonce[16] = {0};
    for (size_t size = 0; size < SEAL_TAG_BYTES; size++)
        assert_int_equal(liop_open(liop.secret, liop.nonce, 12, liop.bytes, size), SEAL_BROKEN);
    for (size_t size = 0; size <= sizeof nonce; size++)
        if (size != SEAL_NONCE_BYTES)
            assert_int_equal(liop_open(liop.secret, nonce, size, liop.bytes, 24), SEAL_BROKEN);
}

static void an_input_carries_its_nonce_in_front(void **state)
{
    (void)state;
    struct liop liop = liop_of(liop_module);
    uint8_t input[12 + 24], *plain;
    size_t size;
    memcpy(input, liop.nonce, 12);
    memcpy(input + 12, liop.bytes, 24);
    for (size_t short_size = 0; short_size < sizeof input; short_size++)
        assert_int_equal(liop_open_input(liop.secret, input, short_size, &plain, &size), SEAL_BROKEN);
    assert_int_equal(liop_open_input(liop.secret, input, sizeof input, &plain, &size), 0);
    assert_int_equal(size, 8);
    assert_memory_equal(plain, "(module)", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_is_fips_203_and_not_round_3),
        cmocka_unit_test(the_bridge_is_the_documented_formula),
        cmocka_unit_test(both_sides_get_the_same_secret),
        cmocka_unit_test(two_keys_and_two_encapsulations_differ),
        cmocka_unit_test(keys_and_ciphertexts_of_other_sizes_are_refused),
        cmocka_unit_test(a_key_with_coefficients_that_are_not_reduced_is_refused),
        cmocka_unit_test(the_signed_form_of_a_key_names_session_and_capability),
        cmocka_unit_test(keys_are_derived_as_rfc_5869_says),
        cmocka_unit_test(messages_are_the_bytes_of_the_protocol_page),
        cmocka_unit_test(what_was_closed_opens_in_order),
        cmocka_unit_test(nothing_opens_with_a_bit_changed),
        cmocka_unit_test(a_message_opens_in_its_own_session_direction_and_capability_only),
        cmocka_unit_test(replays_and_reordered_messages_do_not_open),
        cmocka_unit_test(what_does_not_open_is_not_shown),
        cmocka_unit_test(a_token_of_another_length_is_refused),
        cmocka_unit_test(a_public_clients_payload_opens_in_place),
        cmocka_unit_test(after_the_wrong_secret_the_right_one_still_opens),
        cmocka_unit_test(no_bit_of_a_payload_can_be_changed),
        cmocka_unit_test(payloads_and_nonces_of_other_sizes_are_refused),
        cmocka_unit_test(an_input_carries_its_nonce_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Identities: the vectors of RFC 8032 and of libp2p, ML-DSA-65 against OpenSSL's key from the same seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/hex.h"
#include "wire/identity.h"
#include "wire/key_cleanup.h"

static void assert_hex(const uint8_t *bytes, size_t size_bytes, const char *expected)
{
    cleanup_free char *digits = malloc(2 * size_bytes + 1);
    hex_write(bytes, size_bytes, digits);
    assert_string_equal(digits, expected);
}

/* RFC 8032, 7.1. */
static const struct {
    const char *seed, *public_key, *message, *signature;
} rfc_8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
     "0595bbe"
     "24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
     "eb4302a"
     "eeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e"
     "9716ed2"
     "8dc027beceea1ec40a"},
};

static void signatures_are_those_of_rfc_8032(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rfc_8032 / sizeof rfc_8032[0]; i++) {
        cleanup_identity struct identity *identity = NULL;
        uint8_t secret[IDENTITY_SECRET_BYTES] = {0}, message[2], signature[ED25519_SIGNATURE_BYTES];
        size_t size = strlen(rfc_8032[i].message) / 2;
        assert_int_equal(hex_read(rfc_8032[i].seed, secret, 32), 0);
        assert_int_equal(hex_read(rfc_8032[i].message, message, size), 0);
        assert_int_equal(identity_new(secret, false, &identity), 0);
        assert_hex(identity_ed25519_public_key(identity), 32, rfc_8032[i].public_key);
        assert_int_equal(identity_sign_ed25519(identity, message, size, signature), 0);
        assert_hex(signature, sizeof signature, rfc_8032[i].signature);
        assert_true(ed25519_verify(identity_ed25519_public_key(identity), message, size, signature));
    }
}

static void a_signature_with_s_above_the_order_is_refused(void **state)
{
    (void)state;
    uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES];
    static const uint8_t order[] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                    0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    assert_int_equal(hex_read(rfc_8032[0].public_key, public_key, sizeof public_key), 0);
    assert_int_equal(hex_read(rfc_8032[0].signature, signature, sizeof signature), 0);
    assert_true(ed25519_verify(public_key, "", 0, signature));
    unsigned carry = 0;
    for (size_t i = 0; i < sizeof order; i++) {
        carry += signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(ed25519_verify(public_key, "", 0, signature));
}

static void assert_peer_id(const char *public_key, const char *expected)
{
    uint8_t key[ED25519_PUBLIC_KEY_BYTES];
    char peer_id[PEER_ID_CHARACTERS];
    assert_int_equal(hex_read(public_key, key, sizeof key), 0);
    peer_id_of_ed25519(key, peer_id);
    assert_string_equal(peer_id, expected);
}

static void peer_ids_are_those_of_libp2p(void **state)
{
    (void)state;
    /* The example of the libp2p specification, which gives it as CID and as base58 text. */
    assert_peer_id("2ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b",
                   "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
    assert_peer_id("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
                   "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq");
    assert_peer_id("0000000000000000000000000000000000000000000000000000000000000000",
                   "12D3KooW9pNAk8aiBuGVQtWRdbkLmo5qVL3e2h5UxbN2Nz9ttwiw");
    assert_peer_id("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                   "12D3KooWT3gYEvLJyx1FyyHqrmvdy1tMjpgxmu9aSeKMEuafQtyC");
}

static bool ml_dsa_65_verify(const uint8_t *public_key, const void *bytes, size_t size_bytes,
                             const uint8_t *signature)
{
    cleanup_key EVP_PKEY *key =
        EVP_PKEY_pqdsa_new_raw_public_key(NID_MLDSA65, public_key, ML_DSA_65_PUBLIC_KEY_BYTES);
    cleanup_digest EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, NULL, NULL, key), 1);
    return EVP_DigestVerify(context, signature, ML_DSA_65_SIGNATURE_BYTES, bytes, size_bytes) == 1;
}

static void both_keys_come_from_one_secret(void **state)
{
    (void)state;
    cleanup_identity struct identity *identity = NULL, *again = NULL;
    uint8_t secret[IDENTITY_SECRET_BYTES], signature[ML_DSA_65_SIGNATURE_BYTES], hash[SHA256_DIGEST_LENGTH];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    assert_int_equal(identity_new(secret, true, &identity), 0);
    assert_int_equal(identity_new(secret, true, &again), 0);
    assert_string_equal(identity_peer_id(identity), "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB");
    SHA256(identity_ml_dsa_65_public_key(identity), ML_DSA_65_PUBLIC_KEY_BYTES, hash);
    assert_hex(hash, sizeof hash, "408071bcaf4fe051b0b68f8e5b2a9dbbc15dabd9440757bf197a677bbca50b9b");
    assert_int_equal(identity_sign_ml_dsa_65(again, "signed", 6, signature), 0);
    assert_true(ml_dsa_65_verify(identity_ml_dsa_65_public_key(identity), "signed", 6, signature));
    assert_false(ml_dsa_65_verify(identity_ml_dsa_65_public_key(identity), "Signed", 6, signature));
}

static void an_identity_of_a_caller_has_no_post_quantum_key(void **state)
{
    (void)state;
    cleanup_identity struct identity *identity = NULL;
    uint8_t secret[IDENTITY_SECRET_BYTES], signature[ML_DSA_65_SIGNATURE_BYTES];
    assert_int_equal(identity_secret_new(secret), 0);
    assert_int_equal(identity_new(secret, false, &identity), 0);
    assert_null(identity_ml_dsa_65_public_key(identity));
    assert_int_equal(identity_sign_ml_dsa_65(identity, "", 0, signature), -EIO);
}

static void a_proof_names_nonce_node_and_capability(void **state)
{
    (void)state;
    uint8_t nonce[IDENTITY_NONCE_BYTES], node[ED25519_PUBLIC_KEY_BYTES], proof[IDENTITY_PROOF_BYTES];
    uint8_t hash[SHA256_DIGEST_LENGTH];
    memset(nonce, 'n', sizeof nonce);
    memset(node, 'k', sizeof node);
    identity_proof_bytes(nonce, node, "logs", proof);
    assert_memory_equal(proof, "berth identity proof v1", 24);
    assert_memory_equal(proof + 24, nonce, sizeof nonce);
    assert_memory_equal(proof + 56, node, sizeof node);
    SHA256((const uint8_t *)"logs", 4, hash);
    assert_memory_equal(proof + 88, hash, sizeof hash);
    assert_int_equal(sizeof proof, 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_rfc_8032),
        cmocka_unit_test(a_signature_with_s_above_the_order_is_refused),
        cmocka_unit_test(peer_ids_are_those_of_libp2p),
        cmocka_unit_test(both_keys_come_from_one_secret),
        cmocka_unit_test(an_identity_of_a_caller_has_no_post_quantum_key),
        cmocka_unit_test(a_proof_names_nonce_node_and_capability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

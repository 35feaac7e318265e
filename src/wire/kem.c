/* SPDX-License-Identifier: Apache-2.0 */
/* The key exchange of seal.h: ML-KEM-768 by AWS-LC. */
#include "wire/seal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <stdlib.h>
#include <string.h>

#include "wire/key_cleanup.h"

struct kem_key {
    EVP_PKEY *pair;
};

static int generate(EVP_PKEY **ret)
{
    cleanup_key_context EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_KEM, NULL);
    if (!context || EVP_PKEY_CTX_kem_set_params(context, NID_MLKEM768) != 1 ||
        EVP_PKEY_keygen_init(context) != 1 || EVP_PKEY_keygen(context, ret) != 1)
        return -ENOMEM;
    return 0;
}

int kem_key_new(struct kem_key **ret, uint8_t ret_public_key[static KEM_PUBLIC_KEY_BYTES])
{
    size_t size = KEM_PUBLIC_KEY_BYTES;
    cleanup_kem_key struct kem_key *key = calloc(1, sizeof *key);
    if (!key)
        return -ENOMEM;
    int r = generate(&key->pair);
    if (r < 0)
        return r;
    if (EVP_PKEY_get_raw_public_key(key->pair, ret_public_key, &size) != 1 || size != KEM_PUBLIC_KEY_BYTES)
        return -ENOMEM;
    *ret = take_ptr(key);
    return 0;
}

void kem_key_free(struct kem_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pair);
    free(key);
}

int kem_decapsulate(const struct kem_key *key, const uint8_t *ciphertext, size_t size_bytes,
                    uint8_t ret_secret[static KEM_SECRET_BYTES])
{
    size_t secret_bytes = KEM_SECRET_BYTES;
    if (size_bytes != KEM_CIPHERTEXT_BYTES)
        return SEAL_BROKEN;
    cleanup_key_context EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key->pair, NULL);
    if (!context || EVP_PKEY_decapsulate(context, ret_secret, &secret_bytes, ciphertext, size_bytes) != 1)
        return -ENOMEM;
    return 0;
}

int kem_encapsulate(const uint8_t *public_key, size_t size_bytes,
                    uint8_t ret_ciphertext[static KEM_CIPHERTEXT_BYTES],
                    uint8_t ret_secret[static KEM_SECRET_BYTES])
{
    size_t ciphertext_bytes = KEM_CIPHERTEXT_BYTES, secret_bytes = KEM_SECRET_BYTES;
    if (size_bytes != KEM_PUBLIC_KEY_BYTES)
        return SEAL_BROKEN;
    cleanup_key EVP_PKEY *key = EVP_PKEY_kem_new_raw_public_key(NID_MLKEM768, public_key, size_bytes);
    cleanup_key_context EVP_PKEY_CTX *context = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (!context)
        return -ENOMEM;
    /* Checks the key as FIPS 203, 7.2 asks for: coefficients that are not reduced are refused. */
    if (EVP_PKEY_encapsulate(context, ret_ciphertext, &ciphertext_bytes, ret_secret, &secret_bytes) != 1)
        return SEAL_BROKEN;
    return 0;
}

int kem_secret_round3(const uint8_t secret[static KEM_SECRET_BYTES],
                      const uint8_t ciphertext[static KEM_CIPHERTEXT_BYTES],
                      uint8_t ret_secret[static KEM_SECRET_BYTES])
{
    uint8_t both[KEM_SECRET_BYTES + 32];
    memcpy(both, secret, KEM_SECRET_BYTES);
    EVP_MD_CTX *shake = EVP_MD_CTX_new();
    bool done = shake &&
                EVP_Digest(ciphertext, KEM_CIPHERTEXT_BYTES, both + KEM_SECRET_BYTES, NULL, EVP_sha3_256(),
                           NULL) == 1 &&
                EVP_DigestInit_ex(shake, EVP_shake256(), NULL) == 1 &&
                EVP_DigestUpdate(shake, both, sizeof both) == 1 &&
                EVP_DigestFinalXOF(shake, ret_secret, KEM_SECRET_BYTES) == 1;
    EVP_MD_CTX_free(shake);
    OPENSSL_cleanse(both, sizeof both);
    return done ? 0 : -ENOMEM;
}

int kem_signed_bytes(const char *session_token, const char *capability,
                     const uint8_t public_key[static KEM_PUBLIC_KEY_BYTES], uint8_t **ret,
                     size_t *ret_size_bytes)
{
    static const char label[] = "berth kem key v1";
    size_t token_bytes = strlen(session_token) + 1, capability_bytes = strlen(capability) + 1;
    uint8_t *bytes = malloc(sizeof label + token_bytes + capability_bytes + KEM_PUBLIC_KEY_BYTES);
    if (!bytes)
        return -ENOMEM;
    uint8_t *end = mempcpy(bytes, label, sizeof label); /* each with its NUL */
    end = mempcpy(end, session_token, token_bytes);
    end = mempcpy(end, capability, capability_bytes);
    end = mempcpy(end, public_key, KEM_PUBLIC_KEY_BYTES);
    *ret = bytes;
    *ret_size_bytes = (size_t)(end - bytes);
    return 0;
}

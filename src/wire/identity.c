/* SPDX-License-Identifier: Apache-2.0 */
/* See identity.h. */
#include "wire/identity.h"

#include <errno.h>
#include <openssl/curve25519.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "wire/key_cleanup.h"

enum {
    SEED_BYTES = 32, /* of either key */
};

struct identity {
    uint8_t ed25519_private_key[ED25519_PRIVATE_KEY_LEN];
    uint8_t ed25519_public_key[ED25519_PUBLIC_KEY_BYTES];
    char peer_id[PEER_ID_CHARACTERS];
    EVP_PKEY *ml_dsa_65; /* or NULL */
    uint8_t ml_dsa_65_public_key[ML_DSA_65_PUBLIC_KEY_BYTES];
};

int identity_secret_new(uint8_t ret_secret[static IDENTITY_SECRET_BYTES])
{
    return RAND_bytes(ret_secret, IDENTITY_SECRET_BYTES) == 1 ? 0 : -EIO;
}

int identity_new(const uint8_t secret[static IDENTITY_SECRET_BYTES], bool post_quantum, struct identity **ret)
{
    size_t size = ML_DSA_65_PUBLIC_KEY_BYTES;
    cleanup_identity struct identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return -ENOMEM;
    ED25519_keypair_from_seed(identity->ed25519_public_key, identity->ed25519_private_key, secret);
    peer_id_of_ed25519(identity->ed25519_public_key, identity->peer_id);
    if (post_quantum) {
        identity->ml_dsa_65 =
            EVP_PKEY_pqdsa_new_raw_private_key(NID_MLDSA65, secret + SEED_BYTES, SEED_BYTES);
        if (!identity->ml_dsa_65 ||
            EVP_PKEY_get_raw_public_key(identity->ml_dsa_65, identity->ml_dsa_65_public_key, &size) != 1)
            return -ENOMEM;
    }
    *ret = take_ptr(identity);
    return 0;
}

void identity_free(struct identity *identity)
{
    if (!identity)
        return;
    EVP_PKEY_free(identity->ml_dsa_65);
    OPENSSL_cleanse(identity, sizeof *identity);
    free(identity);
}

const uint8_t *identity_ed25519_public_key(const struct identity *identity)
{
    return identity->ed25519_public_key;
}

const uint8_t *identity_ml_dsa_65_public_key(const struct identity *identity)
{
    return identity->ml_dsa_65 ? identity->ml_dsa_65_public_key : NULL;
}

const char *identity_peer_id(const struct identity *identity)
{
    return identity->peer_id;
}

int identity_sign_ed25519(const struct identity *identity, const void *bytes, size_t size_bytes,
                          uint8_t ret_signature[static ED25519_SIGNATURE_BYTES])
{
    return ED25519_sign(ret_signature, bytes, size_bytes, identity->ed25519_private_key) == 1 ? 0 : -ENOMEM;
}

int identity_sign_ml_dsa_65(const struct identity *identity, const void *bytes, size_t size_bytes,
                            uint8_t ret_signature[static ML_DSA_65_SIGNATURE_BYTES])
{
    size_t size = ML_DSA_65_SIGNATURE_BYTES;
    cleanup_digest EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context)
        return -ENOMEM;
    if (!identity->ml_dsa_65 || EVP_DigestSignInit(context, NULL, NULL, NULL, identity->ml_dsa_65) != 1 ||
        EVP_DigestSign(context, ret_signature, &size, bytes, size_bytes) != 1)
        return -EIO;
    return 0;
}

bool ed25519_verify(const uint8_t public_key[static ED25519_PUBLIC_KEY_BYTES], const void *bytes,
                    size_t size_bytes, const uint8_t signature[static ED25519_SIGNATURE_BYTES])
{
    return ED25519_verify(bytes, size_bytes, signature, public_key) == 1;
}

void identity_proof_bytes(const uint8_t nonce[static IDENTITY_NONCE_BYTES],
                          const uint8_t node_public_key[static ED25519_PUBLIC_KEY_BYTES],
                          const char *capability, uint8_t ret[static IDENTITY_PROOF_BYTES])
{
    static const char label[] = "berth identity proof v1";
    uint8_t *end = mempcpy(ret, label, sizeof label); /* with its NUL */
    end = mempcpy(end, nonce, IDENTITY_NONCE_BYTES);
    end = mempcpy(end, node_public_key, ED25519_PUBLIC_KEY_BYTES);
    SHA256((const uint8_t *)capability, strlen(capability), end);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See p256.h. A struct p256_key is the library's EC_KEY by another name. */
#include "wire/p256.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/sha.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(EC_KEY *, EC_KEY_free)
DEFINE_CLEANUP(BIGNUM *, BN_free)
DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free)

int p256_key_new(const uint8_t x[static P256_COORDINATE_BYTES], const uint8_t y[static P256_COORDINATE_BYTES],
                 struct p256_key **ret)
{
    cleanup(EC_KEY_free_cleanup) EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    cleanup(BN_free_cleanup) BIGNUM *x_number = BN_bin2bn(x, P256_COORDINATE_BYTES, NULL);
    cleanup(BN_free_cleanup) BIGNUM *y_number = BN_bin2bn(y, P256_COORDINATE_BYTES, NULL);
    if (!key || !x_number || !y_number)
        return -ENOMEM;
    if (EC_KEY_set_public_key_affine_coordinates(key, x_number, y_number) != 1)
        return -EINVAL;
    *ret = (struct p256_key *)take_ptr(key);
    return 0;
}

void p256_key_free(struct p256_key *key)
{
    EC_KEY_free((EC_KEY *)key);
}

bool p256_verify(const struct p256_key *key, const void *bytes, size_t size_bytes,
                 const uint8_t signature[static P256_SIGNATURE_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    cleanup(ECDSA_SIG_free_cleanup) ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, P256_COORDINATE_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + P256_COORDINATE_BYTES, P256_COORDINATE_BYTES, NULL);
    if (!numbers || !r || !s || ECDSA_SIG_set0(numbers, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return false;
    }
    SHA256(bytes, size_bytes, digest);
    return ECDSA_do_verify(digest, sizeof(digest), numbers, (const EC_KEY *)key) == 1;
}

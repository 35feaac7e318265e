/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens from hostile callers, also those who hold a right key: nothing crashes, a token that nobody
 * signed is never valid, and a valid one has a subject and a future.
 *
 * The input is a header, a line break and a payload, which are signed here. It is also tried as a token, as a
 * JWK set and as a list of revocations.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/access/jwt.h"
#include "node/access/revocations.h"
#include "wire/identity.h"

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void append_base64url(struct text *text, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t bit = 0; bit < size * 8; bit += 6) {
        unsigned two = (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < size ? bytes[bit / 8 + 1] : 0U);
        text_append_bytes(text, &digits[two >> (10 - bit % 8) & 63], 1);
    }
}

static struct jwt_keys *keys_of(const struct identity *identity)
{
    cleanup_text struct text jwks = {0};
    struct jwt_keys *keys = NULL;
    char *message = NULL;
    text_append(&jwks, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"");
    append_base64url(&jwks, identity_ed25519_public_key(identity), ED25519_PUBLIC_KEY_BYTES);
    text_append(&jwks, "\"}]}");
    must(jwt_keys_parse(jwks.data, jwks.length, &keys, &message) == 0);
    return keys;
}

static void try_token(const struct jwt_keys *keys, const char *token, bool is_signed)
{
    const struct jwt_expected expected = {.audience = "us", .scope = "run", .now_s = 1000, .leeway_s = 5};
    struct jwt_claims claims;
    int r = jwt_verify(keys, token, &expected, &claims);
    must(r >= 0 && *jwt_outcome_name((enum jwt_outcome)r) != '\0');
    must(is_signed || (r != JWT_VALID && r <= JWT_WRONG_SIGNATURE));
    if (r == JWT_VALID)
        must(*claims.subject != '\0' && claims.expires_s > 995 && jwt_looks_like(token));
}

static void try_signed(const struct identity *identity, const struct jwt_keys *keys, const uint8_t *data,
                       size_t size)
{
    cleanup_text struct text token = {0};
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    if (!line)
        return;
    append_base64url(&token, data, (size_t)(line - data));
    text_append(&token, ".");
    append_base64url(&token, line + 1, size - (size_t)(line + 1 - data));
    must(identity_sign_ed25519(identity, token.data, token.length, signature) == 0);
    text_append(&token, ".");
    append_base64url(&token, signature, sizeof(signature));
    try_token(keys, token.data, true);
}

static void try_documents(const char *text, size_t size)
{
    struct jwt_keys *keys = NULL;
    struct revocations *revocations = NULL;
    cleanup_free char *keys_message = NULL;
    cleanup_free char *revocations_message = NULL;
    int r = jwt_keys_parse(text, size, &keys, &keys_message);
    must(r == 0 ? keys != NULL : r == -EINVAL && keys_message);
    r = revocations_parse(text, size, &revocations, &revocations_message);
    must(r == 0 ? revocations != NULL : r == -EINVAL && revocations_message);
    jwt_keys_unref(keys);
    revocations_free(revocations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t secret[IDENTITY_SECRET_BYTES] = {1};
    cleanup_identity struct identity *identity = NULL;
    cleanup_free char *text = strndup((const char *)data, size);
    must(identity_new(secret, false, &identity) == 0);
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(identity);
    try_signed(identity, keys, data, size);
    try_token(keys, text, false);
    try_documents((const char *)data, size);
    return 0;
}

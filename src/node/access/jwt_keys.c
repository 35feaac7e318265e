/* SPDX-License-Identifier: Apache-2.0 */
/* See jwt_keys.h. */
#include "node/access/jwt_keys.h"

#include <errno.h>
#include <string.h>

#include "base/base64url.h"
#include "base/json.h"
#include "base/text.h"
#include "wire/identity.h"
#include "wire/p256.h"

enum { COORDINATE_BYTES = 32, ID_MAX_BYTES = 255, INVALID = 1, SKIPPED = 2 };

struct jwt_key {
    enum jwt_algorithm algorithm;
    char *id; /* may be NULL */
    uint8_t ed25519[ED25519_PUBLIC_KEY_BYTES];
    struct p256_key *p256;
};

struct jwt_keys {
    unsigned references;
    size_t n;
    struct jwt_key keys[JWT_KEYS_MAX];
};

struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys)
{
    if (keys)
        keys->references++;
    return keys;
}

void jwt_keys_unref(struct jwt_keys *keys)
{
    if (!keys || --keys->references > 0)
        return;
    for (size_t i = 0; i < keys->n; i++) {
        free(keys->keys[i].id);
        p256_key_free(keys->keys[i].p256);
    }
    free(keys);
}

static int refuse(struct text *problem, const char *sentence)
{
    text_append(problem, sentence);
    return INVALID;
}

static bool is_text(const json_t *jwk, const char *name, const char *value)
{
    const char *text = json_text(json_object_get(jwk, name));
    return text && strcmp(text, value) == 0;
}

static bool read_coordinate(const json_t *jwk, const char *name, uint8_t ret[static COORDINATE_BYTES])
{
    size_t size_bytes;
    const char *text = json_text(json_object_get(jwk, name));
    return text && base64url_read(text, strlen(text), ret, COORDINATE_BYTES, &size_bytes) == 0 &&
           size_bytes == COORDINATE_BYTES;
}

static bool may_verify(const json_t *jwk)
{
    size_t i;
    json_t *operation;
    const json_t *operations = json_object_get(jwk, "key_ops");
    if (json_object_get(jwk, "use") && !is_text(jwk, "use", "sig"))
        return false;
    json_array_foreach(operations, i, operation)
    {
        const char *text = json_text(operation);
        if (text && strcmp(text, "verify") == 0)
            return true;
    }
    return !operations;
}

/* What kind it is by type and curve, and that "alg" agrees. */
static int read_algorithm(const json_t *jwk, enum jwt_algorithm *ret)
{
    if (is_text(jwk, "kty", "OKP") && is_text(jwk, "crv", "Ed25519"))
        *ret = JWT_EDDSA;
    else if (is_text(jwk, "kty", "EC") && is_text(jwk, "crv", "P-256"))
        *ret = JWT_ES256;
    else
        return SKIPPED;
    bool named = json_object_get(jwk, "alg") != NULL;
    bool agrees = *ret == JWT_ES256 ? is_text(jwk, "alg", "ES256")
                                    : is_text(jwk, "alg", "EdDSA") || is_text(jwk, "alg", "Ed25519");
    return named && !agrees ? SKIPPED : 0;
}

static int read_point(const json_t *jwk, struct jwt_key *key, struct text *problem)
{
    uint8_t x[COORDINATE_BYTES], y[COORDINATE_BYTES];
    if (!read_coordinate(jwk, "x", x))
        return refuse(problem, "x must be 32 bytes in base64url");
    if (key->algorithm == JWT_EDDSA) {
        memcpy(key->ed25519, x, sizeof(x));
        return 0;
    }
    if (!read_coordinate(jwk, "y", y))
        return refuse(problem, "y must be 32 bytes in base64url");
    int r = p256_key_new(x, y, &key->p256);
    return r == -EINVAL ? refuse(problem, "x and y are no point of P-256") : r;
}

static int read_key(const json_t *jwk, struct jwt_key *key, struct text *problem)
{
    if (!json_is_object(jwk))
        return refuse(problem, "it must be an object");
    if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
        return refuse(problem, "it is a secret key, which nobody but its owner should have");
    const json_t *id = json_object_get(jwk, "kid");
    if (id && (!json_text(id) || json_string_length(id) > ID_MAX_BYTES))
        return refuse(problem, "kid must be text of at most 255 bytes");
    int r = read_algorithm(jwk, &key->algorithm);
    if (r == 0 && !may_verify(jwk))
        return SKIPPED;
    if (r == 0)
        r = read_point(jwk, key, problem);
    if (r == 0 && id && !(key->id = strdup(json_text(id))))
        return -ENOMEM;
    return r;
}

static bool is_same(const struct jwt_key *a, const struct jwt_key *b)
{
    return a->algorithm == b->algorithm && a->id && b->id && strcmp(a->id, b->id) == 0;
}

static int add_key(struct jwt_keys *keys, const json_t *jwk, size_t number, struct text *problem)
{
    cleanup_text struct text detail = {0};
    if (keys->n == JWT_KEYS_MAX)
        return refuse(problem, "there are more than 64 keys");
    struct jwt_key *key = &keys->keys[keys->n];
    int r = read_key(jwk, key, &detail);
    for (size_t i = 0; i < keys->n && r == 0; i++)
        if (is_same(&keys->keys[i], key))
            r = refuse(&detail, "an earlier key has the same kid");
    if (r == 0) {
        keys->n++;
        return 0;
    }
    free(key->id);
    p256_key_free(key->p256);
    *key = (struct jwt_key){0};
    if (r == INVALID)
        text_append_format(problem, "key %zu: %s", number, detail.data ? detail.data : "");
    return r == SKIPPED ? 0 : r;
}

static int read_set(json_t *document, struct jwt_keys *keys, struct text *problem)
{
    size_t i;
    json_t *jwk;
    const json_t *list = json_object_get(document, "keys");
    if (!json_is_array(list))
        return refuse(problem, "a JWK set is an object with a list \"keys\"");
    json_array_foreach(list, i, jwk)
    {
        int r = add_key(keys, jwk, i + 1, problem);
        if (r)
            return r;
    }
    return keys->n ? 0 : refuse(problem, "there is no Ed25519 or P-256 key for signatures in it");
}

int jwt_keys_parse(const char *json, size_t size_bytes, struct jwt_keys **ret, char **reterr_message)
{
    cleanup_json json_t *document = NULL;
    cleanup_text struct text problem = {0};
    *reterr_message = NULL;
    int r = json_read(json, size_bytes, &document, reterr_message);
    if (r < 0)
        return r;
    cleanup_jwt_keys struct jwt_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    keys->references = 1;
    r = read_set(document, keys, &problem);
    if (r == INVALID) {
        *reterr_message = text_take(&problem);
        return *reterr_message ? -EINVAL : -ENOMEM;
    }
    if (r == 0)
        *ret = take_ptr(keys);
    return r;
}

const struct jwt_key *jwt_keys_find(const struct jwt_keys *keys, enum jwt_algorithm algorithm, const char *id)
{
    const struct jwt_key *found = NULL;
    for (size_t i = 0; i < keys->n; i++) {
        const struct jwt_key *key = &keys->keys[i];
        if (key->algorithm != algorithm || (id && (!key->id || strcmp(key->id, id) != 0)))
            continue;
        if (found)
            return NULL;
        found = key;
    }
    return found;
}

bool jwt_key_verify(const struct jwt_key *key, const void *bytes, size_t size_bytes,
                    const uint8_t signature[static 64])
{
    return key->algorithm == JWT_EDDSA ? ed25519_verify(key->ed25519, bytes, size_bytes, signature)
                                       : p256_verify(key->p256, bytes, size_bytes, signature);
}

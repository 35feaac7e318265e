/* SPDX-License-Identifier: Apache-2.0 */
/* See test_access_fixture.h. */
#include "node/access/test_access_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/text.h"
#include "wire/hash.h"

static struct settings *read_toml(const char *toml)
{
    struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_new(&settings), 0);
    if (settings_read(settings, toml, strlen(toml), "berth.toml", &error) != BERTH_OK ||
        settings_complete(settings, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return settings;
}

static struct identity *identity(uint8_t first)
{
    const uint8_t secret[IDENTITY_SECRET_BYTES] = {first};
    struct identity *identity = NULL;
    assert_int_equal(identity_new(secret, false, &identity), 0);
    return identity;
}

void fixture_init(struct fixture *fixture, const char *toml)
{
    cleanup_error berth_error *error = NULL;
    *fixture = (struct fixture){.settings = read_toml(toml), .node = identity(1), .other = identity(2)};
    if (access_new(fixture->settings, identity_ed25519_public_key(fixture->node), NULL, &fixture->access,
                   &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
}

void fixture_done(struct fixture *fixture)
{
    access_free(fixture->access);
    settings_free(fixture->settings);
    identity_free(fixture->node);
    identity_free(fixture->other);
}

void fixture_reload(struct fixture *fixture, const char *toml)
{
    struct settings *settings = read_toml(toml);
    struct access *access = NULL;
    assert_int_equal(
        access_new(settings, identity_ed25519_public_key(fixture->node), fixture->access, &access, NULL),
        BERTH_OK);
    access_free(fixture->access);
    settings_free(fixture->settings);
    fixture->access = access;
    fixture->settings = settings;
}

static int authenticate(struct fixture *fixture, const char *token, struct principal **ret,
                        struct refusal *refusal)
{
    cleanup_text struct text header = {0};
    text_append_format(&header, "Bearer %s", token ? token : "");
    const struct credentials shown = {.address = "127.0.0.1", .authorization = token ? header.data : NULL};
    return access_authenticate(fixture->access, &shown, NOW_NS, NOW_S, ret, refusal);
}

const char *who(struct fixture *fixture, const char *token, struct refusal *ret_refusal)
{
    struct principal *principal = NULL;
    struct refusal ignored;
    int r = authenticate(fixture, token, &principal, ret_refusal ? ret_refusal : &ignored);
    assert_in_range(r, 0, 1);
    return r == 0 ? principal_name(principal) : NULL;
}

struct principal *caller(struct fixture *fixture, const char *token)
{
    struct principal *principal = NULL;
    struct refusal refusal = {0};
    if (authenticate(fixture, token, &principal, &refusal) != 0)
        fail_msg("%s", refusal.sentence);
    return principal;
}

const char *sha256_of(const char *token, char ret[static 65])
{
    uint8_t digest[HASH_BYTES];
    hash_of(token, strlen(token), digest);
    hex_write(digest, sizeof(digest), ret);
    return ret;
}

char *base64url(const void *bytes, size_t size_bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *from = bytes;
    struct text text = {0};
    for (size_t bit = 0; bit < size_bytes * 8; bit += 6) {
        unsigned two = (unsigned)from[bit / 8] << 8 | (bit / 8 + 1 < size_bytes ? from[bit / 8 + 1] : 0);
        text_append_bytes(&text, &digits[two >> (10 - bit % 8) & 63], 1);
    }
    text_append(&text, "");
    return text_take(&text);
}

char *sign(const struct fixture *fixture, const char *header, const char *payload)
{
    cleanup_free char *first = base64url(header, strlen(header));
    cleanup_free char *second = base64url(payload, strlen(payload));
    struct text token = {0};
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    text_append_format(&token, "%s.%s", first, second);
    assert_int_equal(identity_sign_ed25519(fixture->other, token.data, token.length, signature), 0);
    cleanup_free char *third = base64url(signature, sizeof(signature));
    text_append_format(&token, ".%s", third);
    return text_take(&token);
}

char *jwks_of(const struct identity *identity, const char *id)
{
    cleanup_free char *x = base64url(identity_ed25519_public_key(identity), ED25519_PUBLIC_KEY_BYTES);
    struct text text = {0};
    text_append_format(
        &text, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\",\"x\":\"%s\"}]}", id, x);
    return text_take(&text);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See jwt.h. */
#include "node/access/jwt.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/base64url.h"
#include "base/json.h"

enum { SIGNATURE_BYTES = 64 };

struct part {
    const char *text;
    size_t length;
};

/* header.payload.signature, none of them empty. */
static bool split(const char *token, struct part ret_parts[3])
{
    if (strnlen(token, JWT_MAX_BYTES + 1) > JWT_MAX_BYTES)
        return false;
    for (size_t i = 0; i < 3; i++) {
        size_t length = strcspn(token, ".");
        ret_parts[i] = (struct part){token, length};
        if (length == 0 || token[length] != (i < 2 ? '.' : '\0'))
            return false;
        token += length + 1;
    }
    return true;
}

bool jwt_looks_like(const char *token)
{
    struct part parts[3];
    return split(token, parts);
}

/* 0; JWT_MALFORMED; -ENOMEM. */
static int decode(const struct part *part, char **ret, size_t *ret_bytes)
{
    cleanup_free char *bytes = malloc(part->length + 1);
    if (!bytes)
        return -ENOMEM;
    if (base64url_read(part->text, part->length, bytes, part->length, ret_bytes) < 0)
        return JWT_MALFORMED;
    *ret = take_ptr(bytes);
    return 0;
}

/* A JSON object; names that appear twice are refused, so nobody can read it in two ways. */
static int read_object(const char *json, size_t size_bytes, json_t **ret)
{
    cleanup_free char *ignored = NULL;
    int r = json_read(json, size_bytes, ret, &ignored);
    if (r == -EINVAL || (r == 0 && !json_is_object(*ret)))
        return JWT_MALFORMED;
    return r;
}

/* ---- Header ------------------------------------------------------------------------------------ */

/* The algorithm only chooses among keys of that algorithm: a token cannot give a key another one. */
static int read_algorithm(const json_t *header, enum jwt_algorithm *ret)
{
    const char *name = json_text(json_object_get(header, "alg"));
    if (!name)
        return JWT_MALFORMED;
    if (strcmp(name, "EdDSA") == 0)
        *ret = JWT_EDDSA;
    else if (strcmp(name, "ES256") == 0)
        *ret = JWT_ES256;
    else
        return JWT_NO_KEY;
    return 0;
}

static bool is_right_type(const json_t *header)
{
    const json_t *type = json_object_get(header, "typ");
    const char *text = json_text(type);
    return !type || (text && (strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0 ||
                              strcasecmp(text, "application/at+jwt") == 0));
}

static int choose_key(const struct jwt_keys *keys, const struct part *part, const struct jwt_key **ret)
{
    cleanup_json json_t *header = NULL;
    cleanup_free char *text = NULL;
    size_t size_bytes;
    enum jwt_algorithm algorithm;
    int r = decode(part, &text, &size_bytes);
    if (r == 0)
        r = read_object(text, size_bytes, &header);
    if (r)
        return r;
    const json_t *id = json_object_get(header, "kid");
    if (json_object_get(header, "crit") || json_object_get(header, "b64") || json_object_get(header, "zip") ||
        !is_right_type(header) || (id && !json_text(id)))
        return JWT_MALFORMED;
    r = read_algorithm(header, &algorithm);
    if (r)
        return r;
    *ret = jwt_keys_find(keys, algorithm, json_text(id));
    return *ret ? 0 : JWT_NO_KEY;
}

int jws_open(const struct jwt_keys *keys, const char *token, char **ret_payload, size_t *ret_bytes)
{
    struct part parts[3];
    const struct jwt_key *key = NULL;
    uint8_t signature[SIGNATURE_BYTES];
    size_t signature_bytes;
    if (!split(token, parts) ||
        base64url_read(parts[2].text, parts[2].length, signature, sizeof(signature), &signature_bytes) < 0 ||
        signature_bytes != SIGNATURE_BYTES)
        return JWT_MALFORMED;
    int r = choose_key(keys, &parts[0], &key);
    if (r)
        return r;
    size_t signed_bytes = (size_t)(parts[1].text + parts[1].length - token);
    if (!jwt_key_verify(key, token, signed_bytes, signature))
        return JWT_WRONG_SIGNATURE;
    return decode(&parts[1], ret_payload, ret_bytes);
}

/* ---- Claims ------------------------------------------------------------------------------------ */

/* A NumericDate; *ret is NAN if it is absent. */
static bool read_date(const json_t *claims, const char *name, double *ret)
{
    const double latest = 9007199254740992.0; /* 2^53 */
    const json_t *date = json_object_get(claims, name);
    *ret = NAN;
    if (!date)
        return true;
    *ret = json_number_value(date);
    return json_is_number(date) && *ret >= 0 && *ret <= latest;
}

static int check_dates(const json_t *claims, const struct jwt_expected *expected, double *ret_expires_s)
{
    double not_before, issued, now = (double)expected->now_s, leeway = (double)expected->leeway_s;
    if (!read_date(claims, "exp", ret_expires_s) || isnan(*ret_expires_s) ||
        !read_date(claims, "nbf", &not_before) || !read_date(claims, "iat", &issued))
        return JWT_MALFORMED;
    if (now >= *ret_expires_s + leeway)
        return JWT_EXPIRED;
    if (now < not_before - leeway || now < issued - leeway) /* false for NAN */
        return JWT_NOT_YET_VALID;
    return 0;
}

static bool is_audience(const json_t *audience, const char *expected)
{
    size_t i;
    json_t *one;
    if (json_is_string(audience))
        return json_text(audience) && strcmp(json_text(audience), expected) == 0;
    json_array_foreach(audience, i, one)
    {
        if (json_text(one) && strcmp(json_text(one), expected) == 0)
            return true;
    }
    return false;
}

/* Whether the word is one of those between spaces (RFC 8693, section 4.2). */
static bool has_scope(const char *scopes, const char *word)
{
    size_t length = strlen(word);
    while (scopes && *scopes) {
        size_t here = strcspn(scopes, " ");
        if (here == length && memcmp(scopes, word, length) == 0)
            return true;
        scopes += here + strspn(scopes + here, " ");
    }
    return false;
}

static int read_subject(const json_t *claims, char ret[static JWT_SUBJECT_MAX_BYTES + 1])
{
    const char *subject = json_text(json_object_get(claims, "sub"));
    size_t length = subject ? strlen(subject) : 0;
    if (length == 0 || length > JWT_SUBJECT_MAX_BYTES)
        return JWT_MALFORMED;
    memcpy(ret, subject, length + 1);
    return 0;
}

static int check_claims(const json_t *claims, const struct jwt_expected *expected, struct jwt_claims *ret)
{
    const char *issuer = json_text(json_object_get(claims, "iss"));
    int r = read_subject(claims, ret->subject);
    if (r == 0)
        r = check_dates(claims, expected, &ret->expires_s);
    if (r)
        return r;
    if (expected->issuer && (!issuer || strcmp(issuer, expected->issuer) != 0))
        return JWT_WRONG_ISSUER;
    if (expected->audience && !is_audience(json_object_get(claims, "aud"), expected->audience))
        return JWT_WRONG_AUDIENCE;
    if (expected->scope && !has_scope(json_text(json_object_get(claims, "scope")), expected->scope))
        return JWT_NO_SCOPE;
    return JWT_VALID;
}

int jwt_verify(const struct jwt_keys *keys, const char *token, const struct jwt_expected *expected,
               struct jwt_claims *ret)
{
    cleanup_json json_t *claims = NULL;
    cleanup_free char *payload = NULL;
    size_t size_bytes;
    int r = jws_open(keys, token, &payload, &size_bytes);
    if (r == 0)
        r = read_object(payload, size_bytes, &claims);
    return r ? r : check_claims(claims, expected, ret);
}

const char *jwt_outcome_name(enum jwt_outcome outcome)
{
    static const char *const names[] = {
        [JWT_VALID] = "valid",
        [JWT_MALFORMED] = "malformed",
        [JWT_NO_KEY] = "signed with an unknown key",
        [JWT_WRONG_SIGNATURE] = "wrong signature",
        [JWT_EXPIRED] = "expired",
        [JWT_NOT_YET_VALID] = "not yet valid",
        [JWT_WRONG_ISSUER] = "wrong issuer",
        [JWT_WRONG_AUDIENCE] = "wrong audience",
        [JWT_NO_SCOPE] = "scope missing",
    };
    return names[outcome];
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JWTs: the vectors of the RFCs, the attacks of RFC 8725, and every claim at its boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/text.h"
#include "node/access/jwt.h"
#include "node/access/test_access_fixture.h"

/* RFC 8037, appendix A. */
static const char ed25519_jwks[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
                                   "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
static const char ed25519_jws[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_"
                                  "MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4"
                                  "ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/* RFC 7515, appendix A.3. */
#define P256_XY                                                                     \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_" \
    "tue659LNpXW6pCyStikYjKIWI5a0\""
static const char p256_jwks[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_XY "}]}";
static const char p256_jws[] =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn"
    "VlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static struct jwt_keys *keys_of(const char *json)
{
    struct jwt_keys *keys = NULL;
    cleanup_free char *message = NULL;
    if (jwt_keys_parse(json, strlen(json), &keys, &message) < 0)
        fail_msg("%s", message);
    return keys;
}

static int open_jws(const struct jwt_keys *keys, const char *token)
{
    cleanup_free char *payload = NULL;
    size_t size_bytes;
    return jws_open(keys, token, &payload, &size_bytes);
}

/* ---- Signatures -------------------------------------------------------------------------------- */

static void the_vector_of_rfc_8037_verifies(void **state)
{
    (void)state;
    static const char expected[] = "Example of Ed25519 signing";
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(ed25519_jwks);
    cleanup_free char *payload = NULL;
    size_t size_bytes;
    assert_int_equal(jws_open(keys, ed25519_jws, &payload, &size_bytes), JWT_VALID);
    assert_int_equal(size_bytes, strlen(expected));
    assert_memory_equal(payload, expected, size_bytes);
}

static void the_vector_of_rfc_7515_verifies(void **state)
{
    (void)state;
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(p256_jwks);
    assert_int_equal(open_jws(keys, p256_jws), JWT_VALID);
}

static void no_character_of_a_token_can_change(void **state)
{
    (void)state;
    const char *const vectors[][2] = {{ed25519_jwks, ed25519_jws}, {p256_jwks, p256_jws}};
    for (size_t i = 0; i < 2; i++) {
        cleanup_jwt_keys struct jwt_keys *keys = keys_of(vectors[i][0]);
        for (size_t j = 0; vectors[i][1][j]; j++) {
            cleanup_free char *token = strdup(vectors[i][1]);
            token[j] = token[j] == 'A' ? 'B' : 'A';
            if (open_jws(keys, token) == JWT_VALID)
                fail_msg("character %zu of vector %zu does not count", j, i);
        }
    }
}

static void no_cut_of_a_token_is_good(void **state)
{
    (void)state;
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(ed25519_jwks);
    for (size_t length = 0; length < strlen(ed25519_jws); length++) {
        cleanup_free char *token = strndup(ed25519_jws, length);
        assert_int_not_equal(open_jws(keys, token), JWT_VALID);
    }
}

static void a_key_of_another_algorithm_is_not_tried(void **state)
{
    (void)state;
    cleanup_jwt_keys struct jwt_keys *p256 = keys_of(p256_jwks), *ed25519 = keys_of(ed25519_jwks);
    assert_int_equal(open_jws(p256, ed25519_jws), JWT_NO_KEY);
    assert_int_equal(open_jws(ed25519, p256_jws), JWT_NO_KEY);
}

/* ---- Headers ----------------------------------------------------------------------------------- */

static struct fixture *fixture_of(void **state)
{
    return *state;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_init(fixture, "");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_done(*state);
    free(*state);
    return 0;
}

static int open_header(struct fixture *fixture, const char *header)
{
    cleanup_free char *jwks = jwks_of(fixture->other, "k1");
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(jwks);
    cleanup_free char *token = sign(fixture, header, "{}");
    return open_jws(keys, token);
}

static void good_headers_are_taken(void **state)
{
    static const char *const good[] = {"{\"alg\":\"EdDSA\"}", "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}",
                                       "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}",
                                       "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}",
                                       "{\"alg\":\"EdDSA\",\"jku\":\"https://evil.example\",\"kid\":\"k1\"}"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_int_equal(open_header(fixture_of(state), good[i]), JWT_VALID);
}

static void bad_headers_are_refused(void **state)
{
    static const struct {
        const char *header;
        int outcome;
    } bad[] = {
        {"{\"alg\":\"none\"}", JWT_NO_KEY},
        {"{\"alg\":\"None\"}", JWT_NO_KEY},
        {"{\"alg\":\"HS256\"}", JWT_NO_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"k1\"}", JWT_NO_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"k1\"}", JWT_NO_KEY},
        {"{\"alg\":\"eddsa\"}", JWT_NO_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"k2\"}", JWT_NO_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"../../dev/null\"}", JWT_NO_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"\"}", JWT_NO_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":1}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"kid\":\"k1\\u0000\"}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"crit\":[]}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"crit\":[\"exp\"],\"exp\":1}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"b64\":false,\"crit\":[\"b64\"]}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"b64\":true}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"zip\":\"DEF\"}", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"typ\":\"secevent+jwt\"}", JWT_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"EdDSA\"}", JWT_MALFORMED},
        {"{\"alg\":[\"EdDSA\"]}", JWT_MALFORMED},
        {"{}", JWT_MALFORMED},
        {"[]", JWT_MALFORMED},
        {"\"EdDSA\"", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\"", JWT_MALFORMED},
        {"{\"alg\":\"EdDSA\"}x", JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (open_header(fixture_of(state), bad[i].header) != bad[i].outcome)
            fail_msg("%s: %s", bad[i].header,
                     jwt_outcome_name((enum jwt_outcome)open_header(*state, bad[i].header)));
}

/* A key that the token brings itself is never looked at. */
static void an_embedded_key_is_not_used(void **state)
{
    struct fixture *fixture = fixture_of(state);
    cleanup_free char *x = base64url(identity_ed25519_public_key(fixture->other), ED25519_PUBLIC_KEY_BYTES);
    cleanup_text struct text header = {0};
    text_append_format(&header,
                       "{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}}", x);
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(ed25519_jwks);
    cleanup_free char *token = sign(fixture, header.data, "{}");
    assert_int_equal(open_jws(keys, token), JWT_WRONG_SIGNATURE);
}

static void tokens_of_another_shape_are_refused(void **state)
{
    (void)state;
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(ed25519_jwks);
    cleanup_text struct text padded = {0}, huge = {0}, spaced = {0};
    static const char *const bad[] = {
        "", ".", "..", "...", "a.b", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30.", "e30.e30.e30"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(open_jws(keys, bad[i]), JWT_MALFORMED);
    text_append_format(&padded, "%s==", ed25519_jws);
    assert_int_equal(open_jws(keys, padded.data), JWT_MALFORMED);
    text_append_format(&spaced, " %s", ed25519_jws);
    assert_int_equal(open_jws(keys, spaced.data), JWT_MALFORMED);
    while (huge.length <= JWT_MAX_BYTES)
        text_append(&huge, "e30.");
    assert_false(jwt_looks_like(huge.data));
}

/* ---- Claims ------------------------------------------------------------------------------------ */

static int verify(struct fixture *fixture, const char *claims, const struct jwt_expected *expected,
                  struct jwt_claims *ret)
{
    cleanup_free char *jwks = jwks_of(fixture->other, "k1");
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(jwks);
    cleanup_free char *token = sign(fixture, "{\"alg\":\"EdDSA\"}", claims);
    return jwt_verify(keys, token, expected, ret);
}

static const struct jwt_expected expected = {
    .issuer = "https://id", .audience = "us", .scope = "run", .now_s = 1000, .leeway_s = 5};

/* Outcome of good claims with one more or another one; JSON text without braces. */
static int outcome(struct fixture *fixture, const char *dates, const char *issuer, const char *audience,
                   const char *scope, const char *subject)
{
    cleanup_text struct text claims = {0};
    struct jwt_claims ignored;
    text_append_format(&claims, "{\"iss\":%s,\"aud\":%s,\"scope\":%s,\"sub\":%s,%s}", issuer, audience, scope,
                       subject, dates);
    return verify(fixture, claims.data, &expected, &ignored);
}

#define GOOD "\"https://id\"", "\"us\"", "\"run\"", "\"ana\""

static void dates_are_held_with_the_leeway(void **state)
{
    static const struct {
        const char *dates;
        int outcome;
    } rows[] = {
        {"\"exp\":2000", JWT_VALID},
        {"\"exp\":996", JWT_VALID},
        {"\"exp\":995.5", JWT_VALID},
        {"\"exp\":995", JWT_EXPIRED},
        {"\"exp\":0", JWT_EXPIRED},
        {"\"exp\":2000,\"nbf\":1005", JWT_VALID},
        {"\"exp\":2000,\"nbf\":1006", JWT_NOT_YET_VALID},
        {"\"exp\":2000,\"iat\":1005", JWT_VALID},
        {"\"exp\":2000,\"iat\":1006", JWT_NOT_YET_VALID},
        {"\"nbf\":1", JWT_MALFORMED},
        {"\"exp\":\"2000\"", JWT_MALFORMED},
        {"\"exp\":-1", JWT_MALFORMED},
        {"\"exp\":1e300", JWT_MALFORMED},
        {"\"exp\":null", JWT_MALFORMED},
        {"\"exp\":2000,\"nbf\":\"0\"", JWT_MALFORMED},
        {"\"exp\":2000,\"iat\":[]", JWT_MALFORMED},
        {"\"exp\":1,\"exp\":2000", JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (outcome(*state, rows[i].dates, GOOD) != rows[i].outcome)
            fail_msg("%s: %s", rows[i].dates,
                     jwt_outcome_name((enum jwt_outcome)outcome(*state, rows[i].dates, GOOD)));
}

static void issuer_audience_and_scope_must_fit(void **state)
{
    static const struct {
        const char *issuer, *audience, *scope, *subject;
        int outcome;
    } rows[] = {
        {GOOD, JWT_VALID},
        {"\"https://id\"", "[\"them\",\"us\"]", "\"read run write\"", "\"ana\"", JWT_VALID},
        {"\"https://id/\"", "\"us\"", "\"run\"", "\"ana\"", JWT_WRONG_ISSUER},
        {"null", "\"us\"", "\"run\"", "\"ana\"", JWT_WRONG_ISSUER},
        {"\"https://id\\u0000\"", "\"us\"", "\"run\"", "\"ana\"", JWT_WRONG_ISSUER},
        {"\"https://id\"", "\"them\"", "\"run\"", "\"ana\"", JWT_WRONG_AUDIENCE},
        {"\"https://id\"", "[\"them\"]", "\"run\"", "\"ana\"", JWT_WRONG_AUDIENCE},
        {"\"https://id\"", "[[\"us\"]]", "\"run\"", "\"ana\"", JWT_WRONG_AUDIENCE},
        {"\"https://id\"", "{\"us\":1}", "\"run\"", "\"ana\"", JWT_WRONG_AUDIENCE},
        {"\"https://id\"", "null", "\"run\"", "\"ana\"", JWT_WRONG_AUDIENCE},
        {"\"https://id\"", "\"us\"", "\"running\"", "\"ana\"", JWT_NO_SCOPE},
        {"\"https://id\"", "\"us\"", "\"ru n\"", "\"ana\"", JWT_NO_SCOPE},
        {"\"https://id\"", "\"us\"", "\"\"", "\"ana\"", JWT_NO_SCOPE},
        {"\"https://id\"", "\"us\"", "[\"run\"]", "\"ana\"", JWT_NO_SCOPE},
        {"\"https://id\"", "\"us\"", "\"run\"", "\"\"", JWT_MALFORMED},
        {"\"https://id\"", "\"us\"", "\"run\"", "7", JWT_MALFORMED},
        {"\"https://id\"", "\"us\"", "\"run\"", "\"a\\u0000b\"", JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (outcome(*state, "\"exp\":2000", rows[i].issuer, rows[i].audience, rows[i].scope,
                    rows[i].subject) != rows[i].outcome)
            fail_msg("row %zu is not %s", i, jwt_outcome_name((enum jwt_outcome)rows[i].outcome));
}

static void what_is_not_expected_is_not_looked_at(void **state)
{
    struct jwt_claims claims;
    const struct jwt_expected nothing = {.now_s = 1000};
    assert_int_equal(verify(*state, "{\"sub\":\"ana\",\"exp\":1001}", &nothing, &claims), JWT_VALID);
    assert_string_equal(claims.subject, "ana");
    assert_int_equal(verify(*state, "{\"exp\":1001}", &nothing, &claims), JWT_MALFORMED);
    assert_int_equal(verify(*state, "[]", &nothing, &claims), JWT_MALFORMED);
    assert_int_equal(verify(*state, "not json", &nothing, &claims), JWT_MALFORMED);
}

/* ---- Key sets ---------------------------------------------------------------------------------- */

static void assert_keys_refused(const char *json, const char *sentence)
{
    struct jwt_keys *keys = NULL;
    cleanup_free char *message = NULL;
    assert_int_equal(jwt_keys_parse(json, strlen(json), &keys, &message), -EINVAL);
    assert_null(keys);
    if (!strstr(message, sentence))
        fail_msg("\"%s\" is not in \"%s\"", sentence, message);
}

#define X   "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OKP "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," X

static void bad_key_sets_are_refused(void **state)
{
    (void)state;
    assert_keys_refused("", "line 1");
    assert_keys_refused("[]", "list \"keys\"");
    assert_keys_refused("{\"keys\":{}}", "list \"keys\"");
    assert_keys_refused("{\"keys\":[]}", "no Ed25519");
    assert_keys_refused("{\"keys\":[1]}", "key 1");
    assert_keys_refused("{\"keys\":[" OKP ",\"d\":\"AA\"}]}", "secret");
    assert_keys_refused("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}", "secret");
    assert_keys_refused("{\"keys\":[" OKP ",\"kid\":7}]}", "kid");
    assert_keys_refused("{\"keys\":[" OKP ",\"kid\":\"a\"}," OKP ",\"kid\":\"a\"}]}", "same kid");
    assert_keys_refused("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", "32 bytes");
    assert_keys_refused("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"," X ","
                        "\"y\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
                        "no point");
    assert_keys_refused("{\"keys\":[" OKP ",\"use\":\"enc\"}]}", "no Ed25519");
    assert_keys_refused("{\"keys\":[" OKP ",\"key_ops\":[\"sign\"]}]}", "no Ed25519");
    assert_keys_refused("{\"keys\":[" OKP ",\"alg\":\"HS256\"}]}", "no Ed25519");
    assert_keys_refused("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\"}]}", "no Ed25519");
}

static void keys_of_other_kinds_are_passed_over(void **state)
{
    (void)state;
    cleanup_jwt_keys struct jwt_keys *keys = keys_of(
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\":\"P-384\"}," OKP
        ",\"alg\":\"EdDSA\",\"use\":\"sig\",\"key_ops\":[\"verify\"]}]}");
    assert_int_equal(open_jws(keys, ed25519_jws), JWT_VALID);
}

static void without_an_id_there_must_be_one_key(void **state)
{
    (void)state;
    cleanup_jwt_keys struct jwt_keys *keys =
        keys_of("{\"keys\":[" OKP ",\"kid\":\"a\"}," OKP ",\"kid\":\"b\"}]}");
    assert_int_equal(open_jws(keys, ed25519_jws), JWT_NO_KEY);
}

static void there_are_at_most_64_keys(void **state)
{
    (void)state;
    cleanup_text struct text set = {0};
    text_append(&set, "{\"keys\":[");
    for (int i = 0; i < 65; i++)
        text_append_format(&set, "%s" OKP ",\"kid\":\"%d\"}", i ? "," : "", i);
    text_append(&set, "]}");
    assert_keys_refused(set.data, "more than 64");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_rfc_8037_verifies),
        cmocka_unit_test(the_vector_of_rfc_7515_verifies),
        cmocka_unit_test(no_character_of_a_token_can_change),
        cmocka_unit_test(no_cut_of_a_token_is_good),
        cmocka_unit_test(a_key_of_another_algorithm_is_not_tried),
        WITH(good_headers_are_taken),
        WITH(bad_headers_are_refused),
        WITH(an_embedded_key_is_not_used),
        cmocka_unit_test(tokens_of_another_shape_are_refused),
        WITH(dates_are_held_with_the_leeway),
        WITH(issuer_audience_and_scope_must_fit),
        WITH(what_is_not_expected_is_not_looked_at),
        cmocka_unit_test(bad_key_sets_are_refused),
        cmocka_unit_test(keys_of_other_kinds_are_passed_over),
        cmocka_unit_test(without_an_id_there_must_be_one_key),
        cmocka_unit_test(there_are_at_most_64_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

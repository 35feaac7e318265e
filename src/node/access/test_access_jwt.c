/* SPDX-License-Identifier: Apache-2.0 */
/* JWTs as credentials: what each setting of [jwt] holds back, whose a subject is, and revocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "node/access/test_access_fixture.h"

struct scene {
    struct fixture fixture;
    char directory[64];
};

static void write_file(const struct scene *scene, const char *name, const char *contents)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", scene->directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(contents, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* berth.toml with keys.json and revoked.json beside it, and more lines in [jwt]. */
static char *toml(const struct scene *scene, const char *jwt)
{
    struct text text = {0};
    text_append_format(&text, "[jwt]\nkeys = \"%s/keys.json\"\nrevoked = \"%s/revoked.json\"\n%s\n",
                       scene->directory, scene->directory, jwt);
    text_append(&text, "[[capability]]\nname = \"c\"\n"
                       "[[principal]]\nname = \"ana\"\ncapabilities = [\"c\"]\njwt_subject = \"ana@x\"\n"
                       "[[principal]]\nname = \"all\"\ncapabilities = [\"c\"]\njwt_subject = \"*\"\n");
    return text_take(&text);
}

static void reload(struct scene *scene, const char *jwt)
{
    cleanup_free char *text = toml(scene, jwt);
    fixture_reload(&scene->fixture, text);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    snprintf(scene->directory, sizeof(scene->directory), "/tmp/berth-jwt-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    fixture_init(&scene->fixture, "");
    cleanup_free char *jwks = jwks_of(scene->fixture.other, "k");
    write_file(scene, "keys.json", jwks);
    write_file(scene, "revoked.json", "[]");
    reload(scene, "");
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"keys.json", "revoked.json"};
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", scene->directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(scene->directory), 0);
    fixture_done(&scene->fixture);
    free(scene);
    return 0;
}

/* A token that is right by default, for this subject, audience and scope, and that issuer. */
static char *token_of(struct scene *scene, const char *subject, const char *audience, const char *scope,
                      long age_s)
{
    cleanup_text struct text claims = {0};
    text_append_format(&claims,
                       "{\"iss\":\"https://id\",\"sub\":\"%s\",\"aud\":\"%s\",\"scope\":\"%s\",\"exp\":%ld}",
                       subject, audience, scope, (long)NOW_S - age_s);
    return sign(&scene->fixture, "{\"alg\":\"EdDSA\",\"kid\":\"k\"}", claims.data);
}

#define AUDIENCE "urn:liop:mesh:api"
#define SCOPE    "liop:tools:call"

static void assert_reason(struct scene *scene, const char *token, enum grpc_status status, const char *reason)
{
    struct refusal refusal = {0};
    assert_null(who(&scene->fixture, token, &refusal));
    assert_string_equal(refusal.reason, reason);
    assert_int_equal(refusal.status, status);
}

static void a_subject_is_its_principal(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, "read " SCOPE, -60);
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
}

static void any_subject_has_budgets_of_its_own(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *bob = token_of(scene, "bob", AUDIENCE, SCOPE, -60);
    cleanup_free char *eve = token_of(scene, "eve", AUDIENCE, SCOPE, -60);
    const struct grant *grant;
    struct refusal refusal;
    reload(scene, "[limits]\nconcurrency = 1");
    assert_string_equal(who(&scene->fixture, bob, NULL), "all/bob");
    assert_int_equal(access_begin_run(scene->fixture.access, caller(&scene->fixture, bob), NOW_NS, &refusal),
                     0);
    assert_int_equal(access_begin_run(scene->fixture.access, caller(&scene->fixture, bob), NOW_NS, &refusal),
                     1);
    assert_int_equal(access_begin_run(scene->fixture.access, caller(&scene->fixture, eve), NOW_NS, &refusal),
                     0);
    assert_int_equal(access_grant(scene->fixture.access, caller(&scene->fixture, bob), "c", &grant, &refusal),
                     0);
    assert_ptr_equal(access_principal(scene->fixture.access, "all/bob"), caller(&scene->fixture, bob));
}

static void a_subject_cannot_name_itself_as_it_likes(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[] = {"a b", "a\\u001bb", "a\\\\b", "\\u00e9", "a\\nb"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cleanup_free char *token = token_of(scene, bad[i], AUDIENCE, SCOPE, -60);
        assert_reason(scene, token, GRPC_UNAUTHENTICATED, "unknown subject");
    }
    cleanup_free char *star = token_of(scene, "*", AUDIENCE, SCOPE, -60);
    assert_string_equal(who(&scene->fixture, star, NULL), "all/*");
}

static void only_keys_of_the_set_count(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, SCOPE, -60);
    cleanup_free char *jwks = jwks_of(scene->fixture.node, "k");
    write_file(scene, "keys.json", jwks);
    reload(scene, "");
    assert_reason(scene, token, GRPC_UNAUTHENTICATED, "wrong signature");
    cleanup_free char *right = jwks_of(scene->fixture.other, "k");
    assert_int_equal(access_set_jwks(scene->fixture.access, right, strlen(right), NULL), BERTH_OK);
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
    assert_int_equal(access_set_jwks(scene->fixture.access, "{}", 2, NULL), BERTH_INVALID);
    assert_string_equal(who(&scene->fixture, token, NULL), "ana"); /* the old ones stay */
}

static void another_issuer_is_refused(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, SCOPE, -60);
    reload(scene, "issuer = \"https://id\"");
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
    reload(scene, "issuer = \"https://other\"");
    assert_reason(scene, token, GRPC_UNAUTHENTICATED, "wrong issuer");
}

static void another_audience_is_refused(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", "mail", SCOPE, -60);
    assert_reason(scene, token, GRPC_UNAUTHENTICATED, "wrong audience");
    reload(scene, "audience = \"mail\"");
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
}

static void a_token_without_the_scope_is_refused(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, "mail", -60);
    assert_reason(scene, token, GRPC_PERMISSION_DENIED, "scope missing");
    reload(scene, "scope = \"mail\"");
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
    reload(scene, "scope = \"\"");
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
}

static void clocks_may_differ_by_the_leeway(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, SCOPE, 10);
    assert_reason(scene, token, GRPC_UNAUTHENTICATED, "expired");
    reload(scene, "leeway_seconds = 11");
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
    reload(scene, "leeway_seconds = 10");
    assert_reason(scene, token, GRPC_UNAUTHENTICATED, "expired");
}

static void a_revoked_token_counts_no_more(void **state)
{
    struct scene *scene = *state;
    char digits[65];
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, SCOPE, -60);
    cleanup_free char *other = token_of(scene, "ana@x", AUDIENCE, SCOPE, -61);
    cleanup_text struct text list = {0};
    text_append_format(&list, "[\"%064d\", \"%s\", \"%064d\"]", 0, sha256_of(token, digits), 1);
    write_file(scene, "revoked.json", list.data);
    reload(scene, "");
    assert_reason(scene, token, GRPC_UNAUTHENTICATED, "revoked token");
    assert_string_equal(who(&scene->fixture, other, NULL), "ana");
}

static void a_list_of_revocations_that_cannot_be_read_stops_the_start(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[] = {"", "{}", "[1]", "[\"aa\"]", "[\"zz\"", "null"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cleanup_error berth_error *error = NULL;
        struct access *access = NULL;
        write_file(scene, "revoked.json", bad[i]);
        assert_int_equal(access_new(scene->fixture.settings, identity_ed25519_public_key(scene->fixture.node),
                                    NULL, &access, &error),
                         BERTH_INVALID);
        assert_null(access);
        assert_non_null(strstr(berth_error_message(error), "revoked.json"));
    }
}

static void keys_of_a_url_are_awaited(void **state)
{
    struct scene *scene = *state;
    cleanup_free char *token = token_of(scene, "ana@x", AUDIENCE, SCOPE, -60);
    cleanup_free char *jwks = jwks_of(scene->fixture.other, "k");
    static const char url[] =
        "[jwt]\nkeys = \"https://id.example/jwks\"\n[[capability]]\nname = \"c\"\n"
        "[[principal]]\nname = \"ana\"\ncapabilities = [\"c\"]\njwt_subject = \"ana@x\"\n";
    assert_null(access_jwks_url(scene->fixture.access));
    fixture_reload(&scene->fixture, url);
    assert_string_equal(access_jwks_url(scene->fixture.access), "https://id.example/jwks");
    assert_reason(scene, token, GRPC_UNAVAILABLE, "no keys");
    assert_int_equal(access_set_jwks(scene->fixture.access, jwks, strlen(jwks), NULL), BERTH_OK);
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
    fixture_reload(&scene->fixture, url);
    assert_string_equal(who(&scene->fixture, token, NULL), "ana");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(a_subject_is_its_principal),
        WITH(any_subject_has_budgets_of_its_own),
        WITH(a_subject_cannot_name_itself_as_it_likes),
        WITH(only_keys_of_the_set_count),
        WITH(another_issuer_is_refused),
        WITH(another_audience_is_refused),
        WITH(a_token_without_the_scope_is_refused),
        WITH(clocks_may_differ_by_the_leeway),
        WITH(a_revoked_token_counts_no_more),
        WITH(a_list_of_revocations_that_cannot_be_read_stops_the_start),
        WITH(keys_of_a_url_are_awaited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

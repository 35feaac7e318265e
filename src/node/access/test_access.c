/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: each kind of credential right and wrong, what is granted, and what a reload changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/text.h"
#include "node/access/test_access_fixture.h"
#include "wire/hash.h"

#define CERTIFICATE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define CAPABILITIES                                                       \
    "[[mount]]\nname = \"tmp\"\nhost = \"/tmp\"\n"                         \
    "[[capability]]\nname = \"look\"\nmounts = [\"tmp\"]\nevents = true\n" \
    "[[capability]]\nname = \"none\"\n"

/* A berth.toml with the principals ana (token "ana") and bob (certificate, key of fixture->other). */
static char *toml(void)
{
    char digits[65];
    cleanup(identity_free_cleanup) struct identity *bob = NULL;
    const uint8_t secret[IDENTITY_SECRET_BYTES] = {2};
    assert_int_equal(identity_new(secret, false, &bob), 0);
    struct text text = {0};
    text_append(&text, CAPABILITIES);
    text_append_format(&text,
                       "[[principal]]\nname = \"ana\"\ncapabilities = [\"look\"]\ntoken_sha256 = \"%s\"\n",
                       sha256_of("ana", digits));
    text_append(&text, "[principal.contract.limits]\nmemory_mb = 2\n");
    text_append_format(&text,
                       "[[principal]]\nname = \"bob\"\ncapabilities = [\"none\", \"look\"]\n"
                       "certificate_sha256 = \"%s\"\ned25519 = \"%s\"\n",
                       CERTIFICATE, identity_peer_id(bob));
    return text_take(&text);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    cleanup_free char *text = toml();
    fixture_init(fixture, text);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_done(*state);
    free(*state);
    return 0;
}

/* ---- Credentials ------------------------------------------------------------------------------- */

static void assert_refused(struct fixture *fixture, const struct credentials *shown, enum grpc_status status,
                           const char *reason)
{
    struct principal *principal = NULL;
    struct refusal refusal = {0};
    assert_int_equal(access_authenticate(fixture->access, shown, NOW_NS, NOW_S, &principal, &refusal), 1);
    assert_null(principal);
    assert_int_equal(refusal.status, status);
    assert_string_equal(refusal.reason, reason);
    assert_true(strlen(refusal.sentence) > 0);
}

static const char *accepted(struct fixture *fixture, const struct credentials *shown)
{
    struct principal *principal = NULL;
    struct refusal refusal = {0};
    if (access_authenticate(fixture->access, shown, NOW_NS, NOW_S, &principal, &refusal) != 0)
        fail_msg("%s", refusal.sentence);
    return principal_name(principal);
}

static void a_token_is_its_principal(void **state)
{
    assert_string_equal(who(*state, "ana", NULL), "ana");
    assert_string_equal(accepted(*state, &(struct credentials){.authorization = "bEARER   ana"}), "ana");
}

static void a_wrong_token_is_nobody(void **state)
{
    char digits[65];
    static const char *const wrong[] = {"an", "anaa", "Ana", "bob", "a.b.c", "0"};
    struct refusal refusal;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_null(who(*state, wrong[i], &refusal));
        assert_int_equal(refusal.status, GRPC_UNAUTHENTICATED);
        assert_string_equal(refusal.reason, "unknown token");
    }
    assert_null(who(*state, sha256_of("ana", digits), NULL)); /* the hash is no credential */
}

static void a_header_of_another_form_is_refused(void **state)
{
    cleanup_text struct text huge = {0};
    static const char *const wrong[] = {"",
                                        "ana",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearerana",
                                        "Basic ana",
                                        "Bearer\tana",
                                        "Bearer a na",
                                        "Bearer ana ",
                                        "Bearer \xff",
                                        "Bearer ana,ana"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_refused(*state, &(struct credentials){.authorization = wrong[i]}, GRPC_UNAUTHENTICATED,
                       "malformed token");
    text_append(&huge, "Bearer ");
    while (huge.length <= 9000)
        text_append(&huge, "a");
    assert_refused(*state, &(struct credentials){.authorization = huge.data}, GRPC_UNAUTHENTICATED,
                   "malformed token");
}

static void nobody_is_refused_without_a_credential(void **state)
{
    assert_refused(*state, &(struct credentials){.address = "127.0.0.1"}, GRPC_UNAUTHENTICATED,
                   "no credential");
    assert_false(access_admits_anyone(((struct fixture *)*state)->access));
}

static void a_certificate_is_its_principal(void **state)
{
    uint8_t bytes[HASH_BYTES];
    assert_int_equal(hex_read(CERTIFICATE, bytes, sizeof(bytes)), 0);
    assert_string_equal(accepted(*state, &(struct credentials){.certificate_sha256 = bytes}), "bob");
    bytes[31] ^= 1;
    assert_refused(*state, &(struct credentials){.certificate_sha256 = bytes}, GRPC_UNAUTHENTICATED,
                   "unknown certificate");
    /* It may serve the connection alone while a token says who it is. */
    assert_string_equal(
        accepted(*state, &(struct credentials){.certificate_sha256 = bytes, .authorization = "Bearer ana"}),
        "ana");
}

static void credentials_of_two_principals_are_refused(void **state)
{
    uint8_t bytes[HASH_BYTES];
    assert_int_equal(hex_read(CERTIFICATE, bytes, sizeof(bytes)), 0);
    assert_refused(*state, &(struct credentials){.certificate_sha256 = bytes, .authorization = "Bearer ana"},
                   GRPC_UNAUTHENTICATED, "two principals");
}

static void a_wrong_token_is_not_made_good_by_a_certificate(void **state)
{
    uint8_t bytes[HASH_BYTES];
    assert_int_equal(hex_read(CERTIFICATE, bytes, sizeof(bytes)), 0);
    assert_refused(*state, &(struct credentials){.certificate_sha256 = bytes, .authorization = "Bearer x"},
                   GRPC_UNAUTHENTICATED, "unknown token");
}

struct proof {
    uint8_t nonce[IDENTITY_NONCE_BYTES], signature[ED25519_SIGNATURE_BYTES];
};

static struct credentials prove(const struct fixture *fixture, const struct identity *who_signs,
                                const struct identity *for_node, const char *capability, struct proof *proof)
{
    uint8_t bytes[IDENTITY_PROOF_BYTES];
    (void)fixture;
    memset(proof->nonce, 7, sizeof(proof->nonce));
    identity_proof_bytes(proof->nonce, identity_ed25519_public_key(for_node), capability, bytes);
    assert_int_equal(identity_sign_ed25519(who_signs, bytes, sizeof(bytes), proof->signature), 0);
    return (struct credentials){.proof_public_key = identity_ed25519_public_key(who_signs),
                                .proof_nonce = proof->nonce,
                                .proof_signature = proof->signature,
                                .capability = capability};
}

static void a_proof_is_its_principal(void **state)
{
    const struct fixture *fixture = *state;
    struct proof proof;
    struct credentials shown = prove(fixture, fixture->other, fixture->node, "look", &proof);
    assert_string_equal(accepted(*state, &shown), "bob");
}

static void a_proof_holds_for_one_nonce_node_and_capability(void **state)
{
    const struct fixture *fixture = *state;
    struct proof proof;
    struct credentials shown = prove(fixture, fixture->other, fixture->node, "look", &proof);
    shown.capability = "none";
    assert_refused(*state, &shown, GRPC_UNAUTHENTICATED, "wrong proof");
    shown = prove(fixture, fixture->other, fixture->node, "look", &proof);
    proof.nonce[0] ^= 1;
    assert_refused(*state, &shown, GRPC_UNAUTHENTICATED, "wrong proof");
    shown = prove(fixture, fixture->other, fixture->other, "look", &proof);
    assert_refused(*state, &shown, GRPC_UNAUTHENTICATED, "wrong proof");
    for (size_t i = 0; i < ED25519_SIGNATURE_BYTES; i += 9) {
        shown = prove(fixture, fixture->other, fixture->node, "look", &proof);
        proof.signature[i] ^= 0x10;
        assert_refused(*state, &shown, GRPC_UNAUTHENTICATED, "wrong proof");
    }
    shown = prove(fixture, fixture->node, fixture->node, "look", &proof);
    assert_refused(*state, &shown, GRPC_UNAUTHENTICATED, "unknown key");
}

static void answers_to_wrong_credentials_tell_nothing(void **state)
{
    struct refusal refusal, other;
    assert_null(who(*state, "never-a-token", &refusal));
    assert_null(who(*state, "aaaa.bbbb.cccc", &other));
    assert_string_equal(refusal.sentence, other.sentence);
    assert_null(strstr(refusal.sentence, "ana"));
}

/* ---- Grants ------------------------------------------------------------------------------------ */

static void a_grant_has_the_contract_and_the_mounts(void **state)
{
    struct fixture *fixture = *state;
    const struct grant *grant = NULL, *again = NULL;
    struct refusal refusal;
    assert_int_equal(access_grant(fixture->access, caller(fixture, "ana"), "look", &grant, &refusal), 0);
    assert_int_equal(berth_contract_limits(grant->contract)->memory_bytes, 2 << 20);
    const struct berth_grants *grants = berth_contract_grants(grant->contract);
    assert_int_equal(grants->n_mounts, 1);
    assert_string_equal(grants->mounts[0].guest, "/tmp");
    assert_true(grants->events && !grants->watch);
    assert_false(grant->exclusive);
    assert_int_equal(access_grant(fixture->access, caller(fixture, "ana"), "", &again, &refusal), 0);
    assert_ptr_equal(again, grant);
    assert_string_equal(again->capability, "look");
}

static void what_is_not_granted_and_what_does_not_exist_look_the_same(void **state)
{
    struct fixture *fixture = *state;
    const struct grant *grant = NULL;
    struct refusal there, absent;
    static const char *const absent_names[] = {"nothing", "look/", "../look", "LOOK", "look\n"};
    assert_int_equal(access_grant(fixture->access, caller(fixture, "ana"), "none", &grant, &there), 1);
    assert_int_equal(there.status, GRPC_PERMISSION_DENIED);
    for (size_t i = 0; i < sizeof(absent_names) / sizeof(*absent_names); i++) {
        assert_int_equal(
            access_grant(fixture->access, caller(fixture, "ana"), absent_names[i], &grant, &absent), 1);
        assert_memory_equal(&absent, &there, sizeof(there));
    }
}

static void a_quota_asks_for_one_worker(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct grant *grant = NULL;
    struct refusal refusal;
    fixture_init(&fixture, "[[mount]]\nname = \"t\"\nhost = \"/tmp\"\nmode = \"write\"\nquota_mb = 1\n"
                           "[[capability]]\nname = \"c\"\nmounts = [\"t\"]\n"
                           "[[principal]]\nname = \"p\"\ncapabilities = [\"c\"]\nanyone = true\n");
    assert_int_equal(access_grant(fixture.access, caller(&fixture, NULL), "", &grant, &refusal), 0);
    assert_true(grant->exclusive);
    fixture_done(&fixture);
}

/* ---- Anyone and once --------------------------------------------------------------------------- */

static void anyone_is_who_shows_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    struct refusal refusal;
    fixture_init(&fixture,
                 CAPABILITIES "[[principal]]\nname = \"guest\"\ncapabilities = [\"none\"]\nanyone = true\n");
    assert_true(access_admits_anyone(fixture.access));
    assert_string_equal(who(&fixture, NULL, NULL), "guest");
    assert_null(who(&fixture, "wrong", &refusal));
    assert_string_equal(refusal.reason, "unknown token");
    fixture_done(&fixture);
}

static void a_once_token_is_good_for_one_session(void **state)
{
    (void)state;
    struct fixture fixture;
    struct refusal refusal = {0};
    char digits[65];
    cleanup_text struct text text = {0};
    text_append_format(&text,
                       CAPABILITIES
                       "[[principal]]\nname = \"guest\"\ncapabilities = [\"none\"]\nonce = true\n"
                       "token_sha256 = \"%s\"\n",
                       sha256_of("ticket", digits));
    fixture_init(&fixture, text.data);
    struct principal *first = caller(&fixture, "ticket");
    assert_string_equal(who(&fixture, "ticket", NULL), "guest"); /* looking around does not use it up */
    assert_int_equal(access_charge_handshake(fixture.access, first, NULL, NOW_NS, &refusal), 0);
    assert_null(who(&fixture, "ticket", &refusal));
    assert_string_equal(refusal.reason, "used token");
    fixture_reload(&fixture, text.data);
    assert_null(who(&fixture, "ticket", &refusal));
    assert_string_equal(refusal.reason, "used token");
    fixture_done(&fixture);
}

/* ---- Reload ------------------------------------------------------------------------------------ */

static void a_reload_keeps_principals_and_changes_grants(void **state)
{
    struct fixture *fixture = *state;
    const struct grant *grant = NULL;
    struct refusal refusal;
    char digits[65];
    cleanup_text struct text text = {0};
    struct principal *ana = caller(fixture, "ana");
    text_append_format(&text,
                       CAPABILITIES
                       "[[principal]]\nname = \"ana\"\ncapabilities = [\"none\"]\ntoken_sha256 = \"%s\"\n",
                       sha256_of("new", digits));
    fixture_reload(fixture, text.data);
    assert_null(who(fixture, "ana", NULL));
    assert_ptr_equal(caller(fixture, "new"), ana);
    assert_int_equal(access_grant(fixture->access, ana, "look", &grant, &refusal), 1);
    assert_int_equal(access_grant(fixture->access, ana, "none", &grant, &refusal), 0);
}

static void who_is_no_longer_configured_may_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct grant *grant = NULL;
    struct refusal refusal;
    struct principal *ana = caller(fixture, "ana");
    assert_ptr_equal(access_principal(fixture->access, "ana"), ana);
    fixture_reload(fixture, CAPABILITIES);
    assert_int_equal(access_grant(fixture->access, ana, "look", &grant, &refusal), 1);
    assert_int_equal(access_begin_run(fixture->access, ana, NOW_NS, &refusal), 1);
    assert_int_equal(refusal.status, GRPC_PERMISSION_DENIED);
    assert_null(access_principal(fixture->access, "ana"));
    assert_null(access_principal(fixture->access, "ana/x"));
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(a_token_is_its_principal),
        WITH(a_wrong_token_is_nobody),
        WITH(a_header_of_another_form_is_refused),
        WITH(nobody_is_refused_without_a_credential),
        WITH(a_certificate_is_its_principal),
        WITH(credentials_of_two_principals_are_refused),
        WITH(a_wrong_token_is_not_made_good_by_a_certificate),
        WITH(a_proof_is_its_principal),
        WITH(a_proof_holds_for_one_nonce_node_and_capability),
        WITH(answers_to_wrong_credentials_tell_nothing),
        WITH(a_grant_has_the_contract_and_the_mounts),
        WITH(what_is_not_granted_and_what_does_not_exist_look_the_same),
        cmocka_unit_test(a_quota_asks_for_one_worker),
        cmocka_unit_test(anyone_is_who_shows_nothing),
        cmocka_unit_test(a_once_token_is_good_for_one_session),
        WITH(a_reload_keeps_principals_and_changes_grants),
        WITH(who_is_no_longer_configured_may_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

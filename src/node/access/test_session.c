/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and nonces: once, in time, and no more than there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "node/access/session.h"
#include "node/access/test_access_fixture.h"

static const char two_principals[] =
    "[[capability]]\nname = \"c\"\n"
    "[[principal]]\nname = \"a\"\ncapabilities = [\"c\"]\nanyone = true\n"
    "[[principal]]\nname = \"b\"\ncapabilities = [\"c\"]\n"
    "token_sha256 = \"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d\"\n"; /* "b" */

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_init(fixture, two_principals);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_done(*state);
    free(*state);
    return 0;
}

static struct session_table *table_of(uint32_t max, uint32_t max_per_principal)
{
    struct session_table *table = NULL;
    assert_int_equal(session_table_new(max, max_per_principal, &table), 0);
    return table;
}

static int open_session(struct session_table *table, struct principal *principal, uint64_t now_ns,
                        uint64_t lifetime_ns, const struct session **ret)
{
    struct kem_key *key = NULL;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES];
    assert_int_equal(kem_key_new(&key, public_key), 0);
    return session_open(table, principal, "c", true, key, now_ns, lifetime_ns, ret);
}

static void a_session_is_taken_once(void **state)
{
    struct session_table *table = table_of(10, 10);
    const struct session *opened = NULL;
    struct principal *principal = caller(*state, NULL);
    assert_int_equal(open_session(table, principal, 100, 50, &opened), 0);
    char token[SESSION_TOKEN_CHARACTERS];
    memcpy(token, opened->token, sizeof(token));
    assert_int_equal(strspn(token, "0123456789abcdef"), 32);
    assert_true(session_lives(table, token, 149));
    cleanup_session struct session *taken = session_take(table, token, 149);
    assert_ptr_equal(taken, opened);
    assert_ptr_equal(taken->principal, principal);
    assert_string_equal(taken->capability, "c");
    assert_non_null(taken->key);
    assert_null(session_take(table, token, 149));
    assert_false(session_lives(table, token, 149));
    assert_int_equal(session_count(table), 0);
    session_table_free(table);
}

static void a_session_ends_on_time(void **state)
{
    struct session_table *table = table_of(10, 10);
    const struct session *opened = NULL;
    char token[SESSION_TOKEN_CHARACTERS];
    assert_int_equal(open_session(table, caller(*state, NULL), 100, 50, &opened), 0);
    memcpy(token, opened->token, sizeof(token));
    assert_false(session_lives(table, token, 150));
    assert_null(session_take(table, token, 150));
    assert_int_equal(session_count(table), 0);
    session_table_free(table);
}

static void tokens_that_are_none_find_nothing(void **state)
{
    struct session_table *table = table_of(10, 10);
    const struct session *opened = NULL;
    char token[SESSION_TOKEN_CHARACTERS + 1] = {0};
    static const char *const none[] = {"", "0", "00000000000000000000000000000000",
                                       "000000000000000000000000000000000"};
    assert_int_equal(open_session(table, caller(*state, NULL), 100, 50, &opened), 0);
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_null(session_take(table, none[i], 100));
    for (size_t i = 0; i < 32; i++) {
        memcpy(token, opened->token, sizeof(opened->token));
        token[i] = token[i] == '0' ? '1' : '0';
        assert_null(session_take(table, token, 100));
    }
    memcpy(token, opened->token, sizeof(opened->token));
    token[32] = '0';
    assert_null(session_take(table, token, 100));
    assert_int_equal(session_count(table), 1);
    session_table_free(table);
}

static void the_table_has_an_end(void **state)
{
    struct session_table *table = table_of(5, 3);
    struct principal *a = caller(*state, NULL), *b = caller(*state, "b");
    const struct session *opened = NULL;
    for (int i = 0; i < 3; i++)
        assert_int_equal(open_session(table, a, 100, 50, &opened), 0);
    assert_int_equal(open_session(table, a, 100, 50, &opened), 1); /* its share */
    for (int i = 0; i < 2; i++)
        assert_int_equal(open_session(table, b, 100, 60, &opened), 0);
    assert_int_equal(open_session(table, b, 100, 60, &opened), 1); /* the table */
    assert_int_equal(open_session(table, b, 150, 60, &opened), 0); /* those of a have expired */
    assert_int_equal(session_count(table), 3);
    assert_int_equal(*principal_sessions(a), 0);
    assert_int_equal(*principal_sessions(b), 3);
    session_table_free(table);
}

static void a_taken_session_gives_its_place_back(void **state)
{
    struct session_table *table = table_of(1, 1);
    const struct session *opened = NULL;
    struct principal *a = caller(*state, NULL);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(open_session(table, a, 100, 50, &opened), 0);
        session_free(session_take(table, opened->token, 100));
    }
    assert_int_equal(*principal_sessions(a), 0);
    session_table_free(table);
}

static void expiry_goes_by_time_whatever_the_lifetimes(void **state)
{
    struct session_table *table = table_of(100, 100);
    const struct session *opened = NULL;
    struct principal *a = caller(*state, NULL);
    static const uint64_t lifetimes[] = {50, 10, 30, 20, 40, 10};
    assert_int_equal(session_expire(table, 0), UINT64_MAX);
    for (size_t i = 0; i < sizeof(lifetimes) / sizeof(*lifetimes); i++)
        assert_int_equal(open_session(table, a, 0, lifetimes[i], &opened), 0);
    assert_int_equal(session_expire(table, 9), 10);
    assert_int_equal(session_expire(table, 10), 20);
    assert_int_equal(session_count(table), 4);
    assert_int_equal(session_expire(table, 39), 40);
    assert_int_equal(session_expire(table, 1000), UINT64_MAX);
    assert_int_equal(session_count(table), 0);
    session_table_free(table);
}

static void smaller_limits_hold_at_once(void **state)
{
    struct session_table *table = table_of(10, 10);
    const struct session *opened = NULL;
    struct principal *a = caller(*state, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(open_session(table, a, 0, 50, &opened), 0);
    session_table_set_limits(table, 4, 4);
    assert_int_equal(open_session(table, a, 0, 50, &opened), 1);
    session_table_set_limits(table, 100, 100);
    for (int i = 0; i < 90; i++)
        assert_int_equal(open_session(table, a, 0, 50, &opened), 0);
    session_table_free(table);
}

/* ---- Nonces ------------------------------------------------------------------------------------ */

static struct nonce_table *nonces_of(uint32_t max)
{
    struct nonce_table *table = NULL;
    assert_int_equal(nonce_table_new(max, &table), 0);
    return table;
}

static void a_nonce_is_redeemed_once_and_in_time(void **state)
{
    (void)state;
    struct nonce_table *table = nonces_of(4);
    uint8_t first[32], second[32];
    assert_int_equal(nonce_issue(table, 100, 50, first), 0);
    assert_int_equal(nonce_issue(table, 100, 50, second), 0);
    assert_memory_not_equal(first, second, sizeof(first));
    assert_true(nonce_redeem(table, first, 149));
    assert_false(nonce_redeem(table, first, 149));
    assert_false(nonce_redeem(table, second, 150));
    assert_false(nonce_redeem(table, second, 149)); /* it was used up by the attempt */
    nonce_table_free(table);
}

static void a_nonce_of_nobody_is_refused(void **state)
{
    (void)state;
    struct nonce_table *table = nonces_of(4);
    uint8_t nonce[32] = {0};
    assert_false(nonce_redeem(table, nonce, 1));
    assert_int_equal(nonce_issue(table, 1, 50, nonce), 0);
    for (size_t i = 0; i < sizeof(nonce); i++) {
        nonce[i] ^= 1;
        assert_false(nonce_redeem(table, nonce, 1));
        nonce[i] ^= 1;
    }
    assert_true(nonce_redeem(table, nonce, 1));
    nonce_table_free(table);
}

static void the_oldest_nonce_makes_room(void **state)
{
    (void)state;
    enum { MAX = 7, ISSUED = 1000 };
    struct nonce_table *table = nonces_of(MAX);
    uint8_t nonces[ISSUED][32];
    for (size_t i = 0; i < ISSUED; i++) {
        assert_int_equal(nonce_issue(table, 1, 50, nonces[i]), 0);
        if (i % 3 == 0)
            assert_true(nonce_redeem(table, nonces[i], 1));
    }
    for (size_t i = 0; i < ISSUED; i++)
        assert_int_equal(nonce_redeem(table, nonces[i], 1), i >= ISSUED - MAX && i % 3 != 0);
    nonce_table_free(table);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(a_session_is_taken_once),
        WITH(a_session_ends_on_time),
        WITH(tokens_that_are_none_find_nothing),
        WITH(the_table_has_an_end),
        WITH(a_taken_session_gives_its_place_back),
        WITH(expiry_goes_by_time_whatever_the_lifetimes),
        WITH(smaller_limits_hold_at_once),
        cmocka_unit_test(a_nonce_is_redeemed_once_and_in_time),
        cmocka_unit_test(a_nonce_of_nobody_is_refused),
        cmocka_unit_test(the_oldest_nonce_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

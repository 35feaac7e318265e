/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets: what each limit of settings.def holds back, from whom, and that it outlives a reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/text.h"
#include "node/access/test_access_fixture.h"

/* Principals "a" and "b", whose tokens are their names, and a [limits] table. */
static char *toml(const char *limits, const char *of_a)
{
    char digits[65];
    struct text text = {0};
    text_append_format(&text, "[limits]\n%s\n[[capability]]\nname = \"c\"\n", limits);
    text_append_format(&text,
                       "[[principal]]\nname = \"a\"\ncapabilities = [\"c\"]\ntoken_sha256 = \"%s\"\n%s\n",
                       sha256_of("a", digits), of_a);
    text_append_format(&text, "[[principal]]\nname = \"b\"\ncapabilities = [\"c\"]\ntoken_sha256 = \"%s\"\n",
                       sha256_of("b", digits));
    return text_take(&text);
}

static void set_up(struct fixture *fixture, const char *limits, const char *of_a)
{
    cleanup_free char *text = toml(limits, of_a);
    fixture_init(fixture, text);
}

static int begin(struct fixture *fixture, const char *name, uint64_t now_ns)
{
    struct refusal refusal = {0};
    int r = access_begin_run(fixture->access, caller(fixture, name), now_ns, &refusal);
    if (r == 1)
        assert_int_equal(refusal.status, GRPC_RESOURCE_EXHAUSTED);
    return r;
}

static void runs_of_one_principal_have_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "concurrency = 2", "");
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "a", NOW_NS), 1);
    assert_int_equal(begin(&fixture, "b", NOW_NS), 0);
    access_end_run(fixture.access, caller(&fixture, "a"));
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "a", NOW_NS), 1);
    fixture_done(&fixture);
}

static void a_principal_can_have_limits_of_its_own(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "concurrency = 5", "concurrency = 1\nruns_per_minute = 2");
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "a", NOW_NS), 1);
    access_end_run(fixture.access, caller(&fixture, "a"));
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    access_end_run(fixture.access, caller(&fixture, "a"));
    assert_int_equal(begin(&fixture, "a", NOW_NS), 1);
    assert_int_equal(begin(&fixture, "a", NOW_NS + 30 * NS_PER_S), 0);
    fixture_done(&fixture);
}

static void runs_of_all_principals_have_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "max_runs = 2", "");
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "b", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "a", NOW_NS), 1);
    access_end_run(fixture.access, caller(&fixture, "b"));
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    fixture_done(&fixture);
}

static void runs_a_minute_have_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "runs_per_minute = 3", "");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
        access_end_run(fixture.access, caller(&fixture, "a"));
    }
    assert_int_equal(begin(&fixture, "a", NOW_NS + 20 * NS_PER_S - 1), 1);
    assert_int_equal(begin(&fixture, "b", NOW_NS), 0);
    assert_int_equal(begin(&fixture, "a", NOW_NS + 20 * NS_PER_S), 0);
    fixture_done(&fixture);
}

static int shake_hands(struct fixture *fixture, const char *name, const char *address, uint64_t now_ns)
{
    struct refusal refusal = {0};
    int r = access_charge_handshake(fixture->access, caller(fixture, name), address, now_ns, &refusal);
    if (r == 1)
        assert_int_equal(refusal.status, GRPC_RESOURCE_EXHAUSTED);
    return r;
}

static void handshakes_of_one_principal_have_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "handshakes_per_minute = 2", "");
    assert_int_equal(shake_hands(&fixture, "a", "10.0.0.1", NOW_NS), 0);
    assert_int_equal(shake_hands(&fixture, "a", "10.0.0.2", NOW_NS), 0);
    assert_int_equal(shake_hands(&fixture, "a", "10.0.0.3", NOW_NS), 1);
    assert_int_equal(shake_hands(&fixture, "b", "10.0.0.1", NOW_NS), 0);
    assert_int_equal(shake_hands(&fixture, "a", "10.0.0.3", NOW_NS + 30 * NS_PER_S), 0);
    fixture_done(&fixture);
}

static void handshakes_from_one_address_have_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "handshakes_per_address = 2", "");
    assert_int_equal(shake_hands(&fixture, "a", "2001:db8::1", NOW_NS), 0);
    assert_int_equal(shake_hands(&fixture, "b", "2001:db8::ffff:1", NOW_NS), 0); /* the same /64 */
    assert_int_equal(shake_hands(&fixture, "a", "2001:db8::2", NOW_NS), 1);
    assert_int_equal(shake_hands(&fixture, "a", "2001:db8:0:1::2", NOW_NS), 0);
    assert_int_equal(shake_hands(&fixture, "b", "10.0.0.1", NOW_NS), 0);
    fixture_done(&fixture);
}

/* Status of a token from an address; 0: it was right. */
static int status_of(struct fixture *fixture, const char *authorization, const char *address, uint64_t now_ns)
{
    struct principal *principal;
    struct refusal refusal = {0};
    const struct credentials shown = {.address = address, .authorization = authorization};
    return access_authenticate(fixture->access, &shown, now_ns, NOW_S, &principal, &refusal) == 0
               ? 0
               : (int)refusal.status;
}

static void wrong_credentials_from_one_address_have_a_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "failures_per_address = 3", "");
    for (int i = 0; i < 3; i++)
        assert_int_equal(status_of(&fixture, "Bearer x", "10.0.0.1", NOW_NS), GRPC_UNAUTHENTICATED);
    assert_int_equal(status_of(&fixture, "Bearer x", "10.0.0.1", NOW_NS), GRPC_RESOURCE_EXHAUSTED);
    /* A right guess is not told from a wrong one any more. */
    assert_int_equal(status_of(&fixture, "Bearer a", "10.0.0.1", NOW_NS), GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(status_of(&fixture, "Bearer a", "10.0.0.2", NOW_NS), 0);
    assert_int_equal(status_of(&fixture, "Bearer a", "10.0.0.1", NOW_NS + 20 * NS_PER_S), 0);
    fixture_done(&fixture);
}

static void a_token_that_was_right_from_there_is_not_locked_out(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "failures_per_address = 3", "");
    assert_int_equal(status_of(&fixture, "Bearer a", "10.0.0.1", NOW_NS), 0);
    for (int i = 0; i < 5; i++)
        status_of(&fixture, "Bearer x", "10.0.0.1", NOW_NS);
    assert_int_equal(status_of(&fixture, "Bearer a", "10.0.0.1", NOW_NS), 0);
    assert_int_equal(status_of(&fixture, "Bearer b", "10.0.0.1", NOW_NS), GRPC_RESOURCE_EXHAUSTED);
    fixture_done(&fixture);
}

static void showing_nothing_is_no_failure(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "failures_per_address = 1", "");
    for (int i = 0; i < 5; i++)
        assert_int_equal(status_of(&fixture, NULL, "10.0.0.1", NOW_NS), GRPC_UNAUTHENTICATED);
    assert_int_equal(status_of(&fixture, "Bearer a", "10.0.0.1", NOW_NS), 0);
    fixture_done(&fixture);
}

static void zero_is_off(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "failures_per_address = 0", "");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(status_of(&fixture, "Bearer x", "10.0.0.1", NOW_NS), GRPC_UNAUTHENTICATED);
        assert_int_equal(shake_hands(&fixture, "a", "10.0.0.1", NOW_NS), 0);
        assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
        access_end_run(fixture.access, caller(&fixture, "a"));
    }
    fixture_done(&fixture);
}

static void a_reload_gives_nothing_back(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "concurrency = 1\nhandshakes_per_minute = 1\nfailures_per_address = 1", "");
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    assert_int_equal(shake_hands(&fixture, "a", "10.0.0.1", NOW_NS), 0);
    status_of(&fixture, "Bearer x", "10.0.0.1", NOW_NS);
    cleanup_free char *text =
        toml("concurrency = 1\nhandshakes_per_minute = 1\nfailures_per_address = 1", "");
    fixture_reload(&fixture, text);
    assert_int_equal(begin(&fixture, "a", NOW_NS), 1);
    assert_int_equal(shake_hands(&fixture, "a", "10.0.0.1", NOW_NS), 1);
    assert_int_equal(status_of(&fixture, "Bearer x", "10.0.0.1", NOW_NS), GRPC_RESOURCE_EXHAUSTED);
    access_end_run(fixture.access, caller(&fixture, "a"));
    assert_int_equal(begin(&fixture, "a", NOW_NS), 0);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_one_principal_have_a_limit),
        cmocka_unit_test(a_principal_can_have_limits_of_its_own),
        cmocka_unit_test(runs_of_all_principals_have_a_limit),
        cmocka_unit_test(runs_a_minute_have_a_limit),
        cmocka_unit_test(handshakes_of_one_principal_have_a_limit),
        cmocka_unit_test(handshakes_from_one_address_have_a_limit),
        cmocka_unit_test(wrong_credentials_from_one_address_have_a_limit),
        cmocka_unit_test(a_token_that_was_right_from_there_is_not_locked_out),
        cmocka_unit_test(showing_nothing_is_no_failure),
        cmocka_unit_test(zero_is_off),
        cmocka_unit_test(a_reload_gives_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

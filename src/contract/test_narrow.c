/* SPDX-License-Identifier: Apache-2.0 */
/* Narrowing: over many pairs of contracts, the result never gives more than either side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "contract/contract.h"

enum { PAIRS = 2000 };

/* A small generator of pseudo-random numbers (xorshift64), the same on every machine. */
static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint64_t any_value(const struct contract_key *key, uint64_t *seed)
{
    if (key->kind == KIND_FLAG)
        return next(seed) % 2;
    if (key->kind == KIND_CHOICE)
        return next(seed) % 3;
    if (key->zero_is_off && next(seed) % 3 == 0)
        return 0;
    uint64_t steps = (key->maximum - key->minimum) / key->step + 1;
    /* Often equal, often at an end: few different values. */
    return key->minimum + (next(seed) % 4) * ((steps - 1) / 3) * key->step;
}

static berth_contract *any_contract(uint64_t *seed)
{
    static const char *const names[] = {"A", "B", "C"};
    static const char *const guests[] = {"/a", "/b", "/c"};
    static const char *const hides[] = {"x", "y/", "*.z"};
    static const char *const hosts[] = {"/one", "/two"};
    berth_contract *contract = NULL;
    assert_int_equal(berth_contract_new(&contract, NULL), BERTH_OK);
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (contract_keys[i].section != SECTION_MOUNT && contract_key_is_scalar(&contract_keys[i]))
            contract_key_set(&contract_keys[i], contract, any_value(&contract_keys[i], seed));
    for (size_t i = 0; i < 3; i++) {
        if (next(seed) % 2)
            assert_int_equal(berth_contract_add_env(contract, names[i], "env", NULL), BERTH_OK);
        if (next(seed) % 2)
            continue;
        bool writable = next(seed) % 2;
        const struct berth_mount mount = {.guest = guests[i],
                                          .host = hosts[next(seed) % 2],
                                          .writable = writable,
                                          .hide = hides,
                                          .n_hide = next(seed) % 4,
                                          .quota_bytes = writable ? next(seed) % 3 : 0};
        assert_int_equal(berth_contract_add_mount(contract, &mount, "mount", NULL), BERTH_OK);
    }
    return contract;
}

static berth_contract *narrow(const berth_contract *request, const berth_contract *policy)
{
    berth_contract *result = NULL;
    assert_int_equal(berth_contract_narrow(request, policy, &result, NULL), BERTH_OK);
    return result;
}

static char *file_of(const berth_contract *contract)
{
    char *toml = NULL;
    assert_int_equal(berth_contract_explain(contract, BERTH_FORMAT_TOML, &toml, NULL), BERTH_OK);
    return toml;
}

static bool within(uint64_t value, uint64_t cap)
{
    return cap == 0 || (value != 0 && value <= cap);
}

static bool has(const char *const *list, size_t n, const char *string)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], string) == 0)
            return true;
    return false;
}

static void assert_mount_within(const struct berth_mount *mount, const berth_contract *cap)
{
    const struct berth_grants *grants = berth_contract_grants(cap);
    for (size_t i = 0; i < grants->n_mounts; i++) {
        const struct berth_mount *allowed = &grants->mounts[i];
        if (strcmp(allowed->guest, mount->guest) != 0)
            continue;
        assert_true(!mount->writable || allowed->writable);
        assert_true(!mount->writable || within(mount->quota_bytes, allowed->quota_bytes));
        for (size_t j = 0; j < allowed->n_hide; j++)
            assert_true(has(mount->hide, mount->n_hide, allowed->hide[j]));
        return;
    }
    fail_msg("%s was granted by one side only", mount->guest);
}

/* Written against the public structs and not against the rows, so that a wrong row is found. */
static void assert_within(const berth_contract *result, const berth_contract *cap)
{
    const struct berth_limits *got = berth_contract_limits(result), *most = berth_contract_limits(cap);
    const struct berth_grants *given = berth_contract_grants(result), *allowed = berth_contract_grants(cap);
    assert_true(got->memory_bytes <= most->memory_bytes);
    assert_true(within(got->wall_ms, most->wall_ms));
    assert_true(got->cpu_percent <= most->cpu_percent);
    assert_true(within(got->fuel, most->fuel));
    assert_true(within(got->output_bytes, most->output_bytes));
    assert_true(got->open_files <= most->open_files);
    assert_true(
        most->host_calls_per_second == 0 ||
        (got->host_calls_per_second > 0 && got->host_calls_per_second <= most->host_calls_per_second));
    assert_true(given->args <= allowed->args);
    assert_true(given->log <= allowed->log);
    assert_true(given->simd <= allowed->simd);
    assert_true(given->events <= allowed->events);
    assert_true(given->watch <= allowed->watch);
    assert_true(given->clock <= allowed->clock);
    assert_true(given->random <= allowed->random);
    assert_true(berth_contract_deterministic(result) >= berth_contract_deterministic(cap));
    for (size_t i = 0; i < given->n_env; i++)
        assert_true(has(allowed->env, allowed->n_env, given->env[i]));
    for (size_t i = 0; i < given->n_mounts; i++)
        assert_mount_within(&given->mounts[i], cap);
}

static void the_result_never_exceeds_either_side(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15;
    for (int i = 0; i < PAIRS; i++) {
        cleanup_contract berth_contract *request = any_contract(&seed), *policy = any_contract(&seed);
        cleanup_contract berth_contract *result = narrow(request, policy);
        assert_within(result, request);
        assert_within(result, policy);
    }
}

static void narrowing_again_changes_nothing(void **state)
{
    (void)state;
    uint64_t seed = 0xfeedface;
    for (int i = 0; i < PAIRS; i++) {
        cleanup_contract berth_contract *request = any_contract(&seed), *policy = any_contract(&seed);
        cleanup_contract berth_contract *once = narrow(request, policy);
        cleanup_contract berth_contract *twice = narrow(once, policy);
        cleanup_contract berth_contract *same = narrow(policy, policy);
        cleanup_free char *first = file_of(once), *second = file_of(twice);
        cleanup_free char *itself = file_of(policy), *unchanged = file_of(same);
        assert_string_equal(first, second);
        assert_string_equal(itself, unchanged);
    }
}

static void limits_and_grants_do_not_depend_on_the_order_of_sides(void **state)
{
    (void)state;
    uint64_t seed = 0xc0ffee;
    for (int i = 0; i < PAIRS; i++) {
        cleanup_contract berth_contract *a = any_contract(&seed), *b = any_contract(&seed);
        cleanup_contract berth_contract *ab = narrow(a, b), *ba = narrow(b, a);
        for (size_t j = 0; j < CONTRACT_KEYS; j++) {
            const struct contract_key *key = &contract_keys[j];
            if (key->section != SECTION_MOUNT && contract_key_is_scalar(key))
                assert_int_equal(contract_key_get(key, ab), contract_key_get(key, ba));
        }
    }
}

static berth_contract *parse(const char *text, const char *source)
{
    berth_contract *contract = NULL;
    assert_int_equal(berth_contract_parse(text, strlen(text), source, &contract, NULL), BERTH_OK);
    return contract;
}

static void no_limit_is_wider_than_any_limit(void **state)
{
    (void)state;
    cleanup_contract berth_contract *off =
        parse("[limits]\nwall_seconds = 0\nfuel = 0\noutput_mb = 0\n", "a");
    cleanup_contract berth_contract *on = parse("[limits]\nwall_seconds = 9\nfuel = 8\noutput_mb = 7\n", "b");
    cleanup_contract berth_contract *result = narrow(off, on);
    assert_int_equal(berth_contract_limits(result)->wall_ms, 9000);
    assert_int_equal(berth_contract_limits(result)->fuel, 8);
    assert_int_equal(berth_contract_limits(result)->output_bytes, 7 << 20);
}

static void each_value_keeps_the_origin_that_decided(void **state)
{
    (void)state;
    cleanup_contract berth_contract *request = parse("[limits]\nfuel = 5\nopen_files = 60\n", "request.toml");
    cleanup_contract berth_contract *policy = parse("[limits]\nfuel = 9\nopen_files = 6\n", "policy.toml");
    cleanup_contract berth_contract *result = narrow(request, policy);
    assert_string_equal(contract_origin(result, "limits.fuel"), "request.toml");
    assert_string_equal(contract_origin(result, "limits.open_files"), "policy.toml");
    assert_string_equal(contract_origin(result, "limits.memory_mb"), "default");
}

static void the_policy_says_which_host_path_a_mount_is(void **state)
{
    (void)state;
    cleanup_contract berth_contract *request =
        parse("[[grants.mount]]\nguest = \"/logs\"\nhost = \"/etc\"\nmode = \"write\"\nhide = [\"mine\"]\n"
              "[[grants.mount]]\nguest = \"/etc\"\nhost = \"/etc\"\n",
              "request.toml");
    cleanup_contract berth_contract *policy = parse(
        "[[grants.mount]]\nguest = \"/logs\"\nhost = \"/var/log\"\nhide = [\"*.key\"]\n", "policy.toml");
    cleanup_contract berth_contract *result = narrow(request, policy);
    const struct berth_grants *grants = berth_contract_grants(result);
    assert_int_equal(grants->n_mounts, 1);
    assert_string_equal(grants->mounts[0].host, "/var/log");
    assert_false(grants->mounts[0].writable);
    assert_int_equal(grants->mounts[0].n_hide, 2);
    assert_string_equal(grants->mounts[0].hide[0], "*.key");
    assert_string_equal(grants->mounts[0].hide[1], "mine");
    assert_string_equal(contract_origin(result, "grants.mount"), "policy.toml");
}

static void the_result_outlives_both_sides(void **state)
{
    (void)state;
    berth_contract *request = parse("[grants]\nenv = [\"LANG\"]\n", "request.toml");
    berth_contract *policy = parse("[grants]\nenv = [\"LANG\", \"HOME\"]\n", "policy.toml");
    cleanup_contract berth_contract *result = narrow(request, policy);
    berth_contract_unref(request);
    berth_contract_unref(policy);
    assert_int_equal(berth_contract_grants(result)->n_env, 1);
    assert_string_equal(berth_contract_grants(result)->env[0], "LANG");
    assert_string_equal(contract_origin(result, "grants.env"), "request.toml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_never_exceeds_either_side),
        cmocka_unit_test(narrowing_again_changes_nothing),
        cmocka_unit_test(limits_and_grants_do_not_depend_on_the_order_of_sides),
        cmocka_unit_test(no_limit_is_wider_than_any_limit),
        cmocka_unit_test(each_value_keeps_the_origin_that_decided),
        cmocka_unit_test(the_policy_says_which_host_path_a_mount_is),
        cmocka_unit_test(the_result_outlives_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

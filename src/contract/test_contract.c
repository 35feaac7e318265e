/* SPDX-License-Identifier: Apache-2.0 */
/* The rows, the defaults, single values, mounts and names, origins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "contract/contract.h"

static berth_contract *defaults(void)
{
    berth_contract *contract = NULL;
    assert_int_equal(berth_contract_new(&contract, NULL), BERTH_OK);
    return contract;
}

static void assert_set(const char *key, const char *value)
{
    cleanup_contract berth_contract *contract = defaults();
    assert_int_equal(berth_contract_set(contract, key, value, "--flag", NULL), BERTH_OK);
    assert_string_equal(contract_origin(contract, key), "--flag");
}

static void assert_set_refused(const char *key, const char *value, const char *expected)
{
    cleanup_contract berth_contract *contract = defaults();
    cleanup_error berth_error *error = NULL;
    assert_int_equal(berth_contract_set(contract, key, value, "--flag", &error), BERTH_INVALID);
    assert_string_equal(berth_error_message(error), expected);
    if (contract_origin(contract, key))
        assert_string_equal(contract_origin(contract, key), "default");
}

static void defaults_are_those_of_the_documentation(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = defaults();
    const struct berth_limits *limits = berth_contract_limits(contract);
    const struct berth_grants *grants = berth_contract_grants(contract);
    assert_false(berth_contract_deterministic(contract));
    assert_int_equal(limits->memory_bytes, UINT64_C(256) << 20);
    assert_int_equal(limits->wall_ms, 300000);
    assert_int_equal(limits->cpu_percent, 100);
    assert_int_equal(limits->fuel, 0);
    assert_int_equal(limits->output_bytes, UINT64_C(64) << 20);
    assert_int_equal(limits->open_files, 64);
    assert_true(limits->host_calls_per_second == 0);
    assert_true(grants->args);
    assert_true(grants->log);
    assert_false(grants->simd);
    assert_false(grants->events);
    assert_false(grants->watch);
    assert_int_equal(grants->clock, BERTH_CLOCK_COARSE);
    assert_int_equal(grants->random, BERTH_RANDOM_OS);
    assert_int_equal(grants->n_env, 0);
    assert_int_equal(grants->n_mounts, 0);
}

static void every_row_can_be_found_and_holds_its_default(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        assert_ptr_equal(contract_key_find(key->path), key);
        assert_ptr_equal(contract_key_find_in(key->section, key->name), key);
        assert_true(strlen(key->doc) > 10);
        if (key->kind == KIND_NUMBER) {
            assert_true(key->minimum <= key->maximum);
            assert_int_equal(key->minimum % key->step, 0);
            assert_int_equal(key->maximum % key->step, 0);
        }
    }
}

static void both_ends_of_every_range_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        if (key->kind != KIND_NUMBER || key->section == SECTION_MOUNT)
            continue;
        assert_set(key->path, key->minimum_text);
        assert_set(key->path, key->maximum_text);
        assert_set(key->path, key->default_text);
    }
}

static void beyond_every_range_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"-1",
                                      "-0.5",
                                      "1e300",
                                      "1e999",
                                      "nan",
                                      "inf",
                                      "0x10",
                                      "1_000",
                                      "12abc",
                                      "",
                                      " ",
                                      "--",
                                      "1,5",
                                      "true",
                                      "null",
                                      "[1]",
                                      "{}",
                                      "\"1\"",
                                      "\xff",
                                      "1\n2",
                                      "+1",
                                      "1e",
                                      "0.0000000001",
                                      "99999999999999999999999999999999999"};
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        if (key->kind != KIND_NUMBER || key->section == SECTION_MOUNT)
            continue;
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            cleanup_contract berth_contract *contract = defaults();
            uint64_t before = contract_key_get(key, contract);
            cleanup_error berth_error *error = NULL;
            assert_int_equal(berth_contract_set(contract, key->path, bad[j], "--flag", &error),
                             BERTH_INVALID);
            assert_non_null(strstr(berth_error_message(error), key->path));
            assert_int_equal(contract_key_get(key, contract), before);
        }
    }
}

static void values_have_the_units_of_their_members(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = defaults();
    const struct berth_limits *limits = berth_contract_limits(contract);
    assert_int_equal(berth_contract_set(contract, "limits.memory_mb", "0.07", NULL, NULL), BERTH_OK);
    assert_int_equal(limits->memory_bytes, 65536); /* whole pages, never more than was said */
    assert_int_equal(berth_contract_set(contract, "limits.memory_mb", "4096", NULL, NULL), BERTH_OK);
    assert_int_equal(limits->memory_bytes, UINT64_C(1) << 32);
    assert_int_equal(berth_contract_set(contract, "limits.wall_seconds", "1.001", NULL, NULL), BERTH_OK);
    assert_int_equal(limits->wall_ms, 1001);
    assert_int_equal(berth_contract_set(contract, "limits.wall_seconds", ".5", NULL, NULL), BERTH_OK);
    assert_int_equal(limits->wall_ms, 500);
    assert_int_equal(berth_contract_set(contract, "limits.output_mb", "0.000001", NULL, NULL), BERTH_OK);
    assert_int_equal(limits->output_bytes, 1);
    assert_int_equal(berth_contract_set(contract, "limits.fuel", "9223372036854775807", NULL, NULL),
                     BERTH_OK);
    assert_true(limits->fuel == INT64_MAX);
    assert_int_equal(berth_contract_set(contract, "limits.fuel", "1e6", NULL, NULL), BERTH_OK);
    assert_int_equal(limits->fuel, 1000000);
    assert_int_equal(berth_contract_set(contract, "limits.host_calls_per_second", "2.5", NULL, NULL),
                     BERTH_OK);
    assert_true(limits->host_calls_per_second == 2.5);
    assert_int_equal(berth_contract_set(contract, "grants.clock", "fine", NULL, NULL), BERTH_OK);
    assert_int_equal(berth_contract_grants(contract)->clock, BERTH_CLOCK_FINE);
    assert_int_equal(berth_contract_set(contract, "deterministic", "true", NULL, NULL), BERTH_OK);
    assert_true(berth_contract_deterministic(contract));
}

static void a_refusal_names_key_finding_and_remedy(void **state)
{
    (void)state;
    assert_set_refused("limits.memory_mb", "-5",
                       "--flag: limits.memory_mb is -5; it must be a number from 0.0625 to 4096 (MiB)");
    assert_set_refused("limits.memory_mb", "0",
                       "--flag: limits.memory_mb is 0; it must be a number from 0.0625 to 4096 (MiB)");
    assert_set_refused("limits.cpu_percent", "50.5",
                       "--flag: limits.cpu_percent is 50.5; it must be a whole number from 1 to 100 (%)");
    assert_set_refused(
        "limits.wall_seconds", "soon",
        "--flag: limits.wall_seconds is \"soon\"; it must be 0 (off) or a number from 0.001 to "
        "31536000 (s)");
    assert_set_refused("grants.clock", "fin",
                       "--flag: grants.clock is \"fin\"; it must be \"none\", \"coarse\" or \"fine\"");
    assert_set_refused("grants.simd", "yes", "--flag: grants.simd is \"yes\"; it must be true or false");
    assert_set_refused("grants.clock", "\x1b[2J",
                       "--flag: grants.clock is \"\\x1b[2J\"; it must be \"none\", \"coarse\" or \"fine\"");
}

static void an_unknown_key_names_the_nearest(void **state)
{
    (void)state;
    assert_set_refused("limits.memroy_mb", "1",
                       "--flag: unknown key \"limits.memroy_mb\"; did you mean \"limits.memory_mb\"?");
    assert_set_refused("fuel", "1", "--flag: unknown key \"fuel\"; did you mean \"limits.fuel\"?");
    assert_set_refused("grants.env", "LANG",
                       "--flag: grants.env is no single value; names and mounts are added one by one");
    assert_set_refused(
        "grants.mount.quota_mb", "1",
        "--flag: grants.mount.quota_mb is no single value; names and mounts are added one by one");
}

static void assert_mount_refused(struct berth_mount mount, const char *expected)
{
    cleanup_contract berth_contract *contract = defaults();
    cleanup_error berth_error *error = NULL;
    assert_int_equal(berth_contract_add_mount(contract, &mount, "--dir", &error), BERTH_INVALID);
    assert_non_null(strstr(berth_error_message(error), expected));
    assert_int_equal(berth_contract_grants(contract)->n_mounts, 0);
}

static void a_mount_is_copied_deeply(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = defaults();
    char guest[] = "/logs/", host[] = "/var/log", pattern[] = "*.key";
    const char *hide[] = {pattern, "private/"};
    const struct berth_mount mount = {
        .guest = guest, .host = host, .writable = true, .hide = hide, .n_hide = 2, .quota_bytes = 7};
    assert_int_equal(berth_contract_add_mount(contract, &mount, "--dir-write", NULL), BERTH_OK);
    memset(guest, 'x', sizeof(guest) - 1);
    memset(host, 'x', sizeof(host) - 1);
    memset(pattern, 'x', sizeof(pattern) - 1);
    hide[1] = NULL;
    const struct berth_mount *copy = &berth_contract_grants(contract)->mounts[0];
    assert_int_equal(berth_contract_grants(contract)->n_mounts, 1);
    assert_string_equal(copy->guest, "/logs");
    assert_string_equal(copy->host, "/var/log");
    assert_string_equal(copy->hide[0], "*.key");
    assert_string_equal(copy->hide[1], "private/");
    assert_int_equal(copy->quota_bytes, 7);
    assert_true(copy->writable);
    assert_string_equal(contract_origin(contract, "grants.mount"), "--dir-write");
}

static void guest_paths_that_could_escape_or_confuse_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "logs",  "./logs", "/..",  "/a/../b", "/a/..",
                                      "//",    "//a",   "/a//b",  "/a//", "/.",      "/a/./b",
                                      "/a\nb", "/\x7f", "/\xff",  "/a/."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_mount_refused((struct berth_mount){.guest = bad[i], .host = "/h"}, "grants.mount.guest is");
    assert_mount_refused((struct berth_mount){.host = "/h"}, "grants.mount.guest is missing");
}

static void honest_guest_paths_are_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/a", "/a/b/", "/...", "/.hidden", "/..a", "/ü b"};
    cleanup_contract berth_contract *contract = defaults();
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const struct berth_mount mount = {.guest = good[i], .host = "."};
        assert_int_equal(berth_contract_add_mount(contract, &mount, "--dir", NULL), BERTH_OK);
    }
}

static void honest_patterns_are_accepted(void **state)
{
    (void)state;
    const char *const good[] = {"*.key",  "private/", "/top",  "/top/", "a/*.b", "**/c/**",
                                "[a-z]?", "[]]",      "[!]a]", "\\!x",  "...",   "ü*"};
    const size_t n_good = sizeof(good) / sizeof(good[0]);
    cleanup_contract berth_contract *contract = defaults();
    const struct berth_mount mount = {.guest = "/a", .host = ".", .hide = good, .n_hide = n_good};
    assert_int_equal(berth_contract_add_mount(contract, &mount, "--dir", NULL), BERTH_OK);
    assert_int_equal(berth_contract_grants(contract)->mounts[0].n_hide, n_good);
}

static void host_paths_and_patterns_must_mean_something(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/",   "//",    "//a", "..",    "a/../b", "/..",
                                      "a//b", "a//", ".",     "./a", "!a",    "[",      "[a",
                                      "[]",   "[!]", "[a/b]", "a\\", "a\\/b", "\xff"};
    assert_mount_refused((struct berth_mount){.guest = "/a"}, "grants.mount.host is missing");
    assert_mount_refused((struct berth_mount){.guest = "/a", .host = ""}, "grants.mount.host is \"\"");
    assert_mount_refused((struct berth_mount){.guest = "/a", .host = "/\xff"},
                         "grants.mount.host is \"/\\xff\"");
    assert_mount_refused((struct berth_mount){.guest = "/a", .host = "/h", .n_hide = 1}, "grants.mount.hide");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_mount_refused((struct berth_mount){.guest = "/a", .host = "/h", .hide = &bad[i], .n_hide = 1},
                             "grants.mount.hide is");
}

static void a_quota_needs_a_writable_mount(void **state)
{
    (void)state;
    assert_mount_refused((struct berth_mount){.guest = "/a", .host = "/h", .quota_bytes = 1048576},
                         "grants.mount.quota_mb is 1 for a mount with mode \"read\"");
}

static void two_mounts_never_share_a_guest_path(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = defaults();
    cleanup_error berth_error *error = NULL;
    struct berth_mount mount = {.guest = "/a", .host = "/h"};
    assert_int_equal(berth_contract_add_mount(contract, &mount, "--dir", NULL), BERTH_OK);
    mount.guest = "/a/";
    assert_int_equal(berth_contract_add_mount(contract, &mount, "--dir", &error), BERTH_INVALID);
    assert_string_equal(berth_error_message(error),
                        "--dir: grants.mount.guest is \"/a\" in two mounts; each needs a path of its own");
}

static void lists_are_bounded(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = defaults();
    char name[16];
    for (int i = 0; i < CONTRACT_MOUNTS_MAX; i++) {
        snprintf(name, sizeof(name), "/m%d", i);
        const struct berth_mount mount = {.guest = name, .host = "/h"};
        assert_int_equal(berth_contract_add_mount(contract, &mount, NULL, NULL), BERTH_OK);
    }
    const struct berth_mount one_more = {.guest = "/more", .host = "/h"};
    assert_int_equal(berth_contract_add_mount(contract, &one_more, NULL, NULL), BERTH_INVALID);
    for (int i = 0; i < CONTRACT_ENV_MAX; i++) {
        snprintf(name, sizeof(name), "N%d", i);
        assert_int_equal(berth_contract_add_env(contract, name, NULL, NULL), BERTH_OK);
    }
    assert_int_equal(berth_contract_add_env(contract, "MORE", NULL, NULL), BERTH_INVALID);
}

static void names_of_variables_are_checked_and_kept_once(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "A=B", "=", "A\nB", "\x01", "\xff", "A\x7f"};
    cleanup_contract berth_contract *contract = defaults();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(berth_contract_add_env(contract, bad[i], "--env", NULL), BERTH_INVALID);
    assert_int_equal(berth_contract_add_env(contract, NULL, "--env", NULL), BERTH_INVALID);
    assert_int_equal(berth_contract_add_env(contract, "LANG", "--env", NULL), BERTH_OK);
    assert_int_equal(berth_contract_add_env(contract, "LANG", "again", NULL), BERTH_OK);
    assert_int_equal(berth_contract_add_env(contract, "with-dash.and.dot", "--env", NULL), BERTH_OK);
    assert_int_equal(berth_contract_grants(contract)->n_env, 2);
    assert_string_equal(berth_contract_grants(contract)->env[0], "LANG");
}

static void origins_are_safe_to_print_and_outlive_their_text(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = defaults();
    char origin[400];
    memset(origin, 'o', sizeof(origin));
    origin[0] = '\x1b';
    origin[sizeof(origin) - 1] = '\0';
    assert_int_equal(berth_contract_set(contract, "limits.fuel", "1", origin, NULL), BERTH_OK);
    memset(origin, 0, sizeof(origin));
    const char *kept = contract_origin(contract, "limits.fuel");
    assert_memory_equal(kept, "\\x1boooo", 8);
    assert_true(strlen(kept) < 300);
    assert_string_equal(contract_origin(contract, "limits.memory_mb"), "default");
    assert_null(contract_origin(contract, "limits.nothing"));
}

static void assert_line(const char *path, uint64_t value, const char *expected)
{
    cleanup_free char *line = contract_line(path, value);
    assert_string_equal(line, expected);
}

static void a_remedy_line_allows_at_least_what_was_asked(void **state)
{
    (void)state;
    assert_line("limits.memory_mb", UINT64_C(512) << 20, "memory_mb = 512");
    assert_line("limits.memory_mb", (UINT64_C(32) << 20) + 1, "memory_mb = 33");
    assert_line("limits.memory_mb", 65537, "memory_mb = 0.125");
    assert_line("limits.memory_mb", UINT64_MAX, "memory_mb = 4096");
    assert_line("limits.wall_seconds", 1500, "wall_seconds = 2");
    assert_line("limits.wall_seconds", 0, "wall_seconds = 0");
    assert_line("limits.host_calls_per_second", 500, "host_calls_per_second = 0.5");
    assert_line("limits.fuel", UINT64_MAX, "fuel = 9223372036854775807");
    assert_line("limits.open_files", 0, "open_files = 1");
    assert_line("grants.simd", true, "simd = true");
    assert_line("grants.clock", BERTH_CLOCK_FINE, "clock = \"fine\"");
    assert_null(contract_line("grants.env", 0));
    assert_null(contract_line("no.such.key", 0));
}

static void a_reference_keeps_the_contract(void **state)
{
    (void)state;
    berth_contract *contract = defaults();
    assert_ptr_equal(berth_contract_ref(contract), contract);
    berth_contract_unref(contract);
    assert_int_equal(berth_contract_limits(contract)->open_files, 64);
    berth_contract_unref(contract);
    berth_contract_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_documentation),
        cmocka_unit_test(every_row_can_be_found_and_holds_its_default),
        cmocka_unit_test(both_ends_of_every_range_are_accepted),
        cmocka_unit_test(beyond_every_range_is_refused),
        cmocka_unit_test(values_have_the_units_of_their_members),
        cmocka_unit_test(a_refusal_names_key_finding_and_remedy),
        cmocka_unit_test(an_unknown_key_names_the_nearest),
        cmocka_unit_test(a_mount_is_copied_deeply),
        cmocka_unit_test(guest_paths_that_could_escape_or_confuse_are_refused),
        cmocka_unit_test(honest_guest_paths_are_accepted),
        cmocka_unit_test(honest_patterns_are_accepted),
        cmocka_unit_test(host_paths_and_patterns_must_mean_something),
        cmocka_unit_test(a_quota_needs_a_writable_mount),
        cmocka_unit_test(two_mounts_never_share_a_guest_path),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(names_of_variables_are_checked_and_kept_once),
        cmocka_unit_test(origins_are_safe_to_print_and_outlive_their_text),
        cmocka_unit_test(a_remedy_line_allows_at_least_what_was_asked),
        cmocka_unit_test(a_reference_keeps_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

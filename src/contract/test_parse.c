/* SPDX-License-Identifier: Apache-2.0 */
/* Contract files: what they may say in either format, and one clear sentence for everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "contract/contract.h"

static berth_contract *parse(const char *text)
{
    berth_contract *contract = NULL;
    berth_error *error = NULL;
    if (berth_contract_parse(text, strlen(text), "contract.toml", &contract, &error))
        fail_msg("%s", berth_error_message(error));
    assert_null(error);
    return contract;
}

static void assert_refused_bytes(const char *text, size_t length, const char *expected)
{
    cleanup_error berth_error *error = NULL;
    berth_contract *contract = NULL;
    assert_int_equal(berth_contract_parse(text, length, "contract.toml", &contract, &error), BERTH_INVALID);
    assert_null(contract);
    const char *message = berth_error_message(error);
    if (strncmp(message, "contract.toml: ", 15) != 0 || !strstr(message, expected))
        fail_msg("\"%s\" is not in \"%s\"", expected, message);
    assert_true(strlen(message) < 600);
    for (const char *c = message; *c; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
}
#define ASSERT_REFUSED(literal, expected) assert_refused_bytes(literal, sizeof(literal) - 1, expected)

static const char every_key_toml[] = "deterministic = true\n"
                                     "[limits]\n"
                                     "memory_mb = 64\n"
                                     "wall_seconds = 0.25\n"
                                     "cpu_percent = 50\n"
                                     "fuel = 1_000_000\n"
                                     "output_mb = 1.5\n"
                                     "open_files = 8\n"
                                     "host_calls_per_second = 0.5\n"
                                     "[grants]\n"
                                     "args = false\n"
                                     "env = [\"LANG\", \"HOME\"]\n"
                                     "clock = \"none\"\n"
                                     "random = \"seeded\"\n"
                                     "log = false\n"
                                     "simd = true\n"
                                     "events = true\n"
                                     "watch = true\n"
                                     "[[grants.mount]]\n"
                                     "guest = \"/logs\"\n"
                                     "host = \"/var/log\"\n"
                                     "hide = [\"*.key\", \"private/\"]\n"
                                     "[[grants.mount]]\n"
                                     "guest = \"/out\"\n"
                                     "host = \"./out\"\n"
                                     "mode = \"write\"\n"
                                     "quota_mb = 10\n";

static const char every_key_json[] =
    "\n\t {\"deterministic\": true, \"limits\": {\"memory_mb\": 64, \"wall_seconds\": 0.25, \"cpu_percent\": "
    "50,"
    "\"fuel\": 1000000, \"output_mb\": 1.5, \"open_files\": 8, \"host_calls_per_second\": 0.5},"
    "\"grants\": {\"args\": false, \"env\": [\"LANG\", \"HOME\"], \"clock\": \"none\", \"random\": "
    "\"seeded\","
    "\"log\": false, \"simd\": true, \"events\": true, \"watch\": true, \"mount\": ["
    "{\"guest\": \"/logs\", \"host\": \"/var/log\", \"hide\": [\"*.key\", \"private/\"]},"
    "{\"guest\": \"/out\", \"host\": \"./out\", \"mode\": \"write\", \"quota_mb\": 10}]}}";

static void assert_every_key(const berth_contract *contract)
{
    const struct berth_limits *limits = berth_contract_limits(contract);
    const struct berth_grants *grants = berth_contract_grants(contract);
    assert_true(berth_contract_deterministic(contract));
    assert_int_equal(limits->memory_bytes, 64 << 20);
    assert_int_equal(limits->wall_ms, 250);
    assert_int_equal(limits->cpu_percent, 50);
    assert_int_equal(limits->fuel, 1000000);
    assert_int_equal(limits->output_bytes, 3 << 19);
    assert_int_equal(limits->open_files, 8);
    assert_true(limits->host_calls_per_second == 0.5);
    assert_false(grants->args);
    assert_false(grants->log);
    assert_true(grants->simd);
    assert_true(grants->events);
    assert_true(grants->watch);
    assert_int_equal(grants->clock, BERTH_CLOCK_NONE);
    assert_int_equal(grants->random, BERTH_RANDOM_SEEDED);
    assert_int_equal(grants->n_env, 2);
    assert_string_equal(grants->env[1], "HOME");
    assert_int_equal(grants->n_mounts, 2);
    assert_string_equal(grants->mounts[0].hide[1], "private/");
    assert_false(grants->mounts[0].writable);
    assert_true(grants->mounts[1].writable);
    assert_int_equal(grants->mounts[1].quota_bytes, 10 << 20);
}

static void every_key_is_read_from_toml(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse(every_key_toml);
    assert_every_key(contract);
}

static void every_key_is_read_from_json(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse(every_key_json);
    assert_every_key(contract);
}

static void what_is_not_mentioned_keeps_its_default(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           "# nothing\n",     "{}",
                                        "[limits]\n", "{\"grants\":{}}", "[grants]\nmount = []\nenv = []\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cleanup_contract berth_contract *contract = parse(texts[i]);
        assert_int_equal(berth_contract_limits(contract)->memory_bytes, 256 << 20);
        assert_int_equal(berth_contract_grants(contract)->clock, BERTH_CLOCK_COARSE);
    }
    cleanup_contract berth_contract *partial = parse("[limits]\nfuel = 7\n");
    assert_int_equal(berth_contract_limits(partial)->fuel, 7);
    assert_int_equal(berth_contract_limits(partial)->wall_ms, 300000);
}

static void text_may_be_null_when_it_is_empty(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = NULL;
    assert_int_equal(berth_contract_parse(NULL, 0, NULL, &contract, NULL), BERTH_OK);
}

static void origins_tell_file_from_default(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse("[limits]\nfuel = 7\n[grants]\nenv = []\n");
    assert_string_equal(contract_origin(contract, "limits.fuel"), "contract.toml");
    assert_string_equal(contract_origin(contract, "grants.env"), "contract.toml");
    assert_string_equal(contract_origin(contract, "grants.mount"), "default");
    assert_string_equal(contract_origin(contract, "limits.memory_mb"), "default");
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    ASSERT_REFUSED("[limits]\nmemroy_mb = 1",
                   "unknown key \"memroy_mb\" in limits; did you mean \"memory_mb\"?");
    ASSERT_REFUSED("[limit]\n", "unknown key \"limit\"; did you mean \"limits\"?");
    ASSERT_REFUSED("memory_mb = 1", "unknown key \"memory_mb\"; did you mean \"limits.memory_mb\"?");
    ASSERT_REFUSED("[limits]\nclock = \"fine\"", "did you mean \"grants.clock\"?");
    ASSERT_REFUSED("[[grants.mount]]\ngest = \"/\"",
                   "unknown key \"gest\" in grants.mount; did you mean \"guest\"?");
    ASSERT_REFUSED("[grants]\nxyzxyz = 1", "unknown key \"xyzxyz\" in grants; the keys are args, env, clock");
    ASSERT_REFUSED("{\"\": 1}",
                   "unknown key \"\"; the keys are deterministic and the tables limits and grants");
    ASSERT_REFUSED("{\"\\u001b[2J\": 1}", "unknown key \"\\x1b[2J\"");
}

static void wrong_types_say_what_would_be_right(void **state)
{
    (void)state;
    ASSERT_REFUSED("limits = 1", "limits is 1; it must be a table");
    ASSERT_REFUSED("limits = []", "limits is a list; it must be a table");
    ASSERT_REFUSED("{\"grants\": null}", "grants is null; it must be a table");
    ASSERT_REFUSED("[limits]\nmemory_mb = \"64\"", "limits.memory_mb is \"64\"; it must be a number from");
    ASSERT_REFUSED("[limits]\nmemory_mb = true", "limits.memory_mb is true; it must be a number");
    ASSERT_REFUSED("[limits.fuel]\n", "limits.fuel is a table; it must be 0 (off) or a whole number");
    ASSERT_REFUSED("[grants]\nenv = \"LANG\"", "grants.env is \"LANG\"; it must be a list of texts");
    ASSERT_REFUSED("[grants]\nenv = [1]", "a name in grants.env is 1; it must be text in quotes");
    ASSERT_REFUSED("[grants]\nenv = [\"A\\u0000B\"]", "a name in grants.env is \"A\\x00B\"");
    ASSERT_REFUSED("[grants]\nenv = [\"A=B\"]", "grants.env has \"A=B\"");
    ASSERT_REFUSED("[grants]\nargs = 1", "grants.args is 1; it must be true or false");
    ASSERT_REFUSED("[grants]\nclock = 2026-01-01", "grants.clock is \"2026-01-01\"");
    ASSERT_REFUSED("[grants]\nclock = \"fine\\u0000\"", "grants.clock is \"fine\\x00\"");
    ASSERT_REFUSED("[grants]\nmount = \"/logs\"", "it must be a list of tables, [[grants.mount]]");
    ASSERT_REFUSED("[grants.mount]\nguest = \"/\"", "it must be a list of tables, [[grants.mount]]");
    ASSERT_REFUSED("[grants]\nmount = [1]", "an entry of grants.mount is 1; it must be a table");
}

static void impossible_numbers_are_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED("[limits]\nmemory_mb = -5",
                   "limits.memory_mb is -5; it must be a number from 0.0625 to 4096 (MiB)");
    ASSERT_REFUSED("[limits]\nmemory_mb = 4097", "limits.memory_mb is 4097;");
    ASSERT_REFUSED("[limits]\nmemory_mb = 0.01", "limits.memory_mb is 0.01;");
    ASSERT_REFUSED("[limits]\nopen_files = 4294967297", "limits.open_files is 4294967297;");
    ASSERT_REFUSED("[limits]\nfuel = -1", "limits.fuel is -1;");
    ASSERT_REFUSED("[limits]\nfuel = 1.5", "it must be 0 (off) or a whole number");
    ASSERT_REFUSED("[limits]\nfuel = 1e19", "limits.fuel is 1e19;");
    ASSERT_REFUSED("[limits]\nwall_seconds = 1e300", "limits.wall_seconds is 1e300;");
    ASSERT_REFUSED("[limits]\nwall_seconds = 0.0001", "limits.wall_seconds is 0.0001;");
    ASSERT_REFUSED("[limits]\noutput_mb = 9223372036854775807", "limits.output_mb is 9223372036854775807;");
    ASSERT_REFUSED("[limits]\nfuel = 99999999999999999999", "line 2");
    ASSERT_REFUSED("[limits]\nwall_seconds = nan", "line 2");
    ASSERT_REFUSED("{\"limits\": {\"wall_seconds\": 1e999}}", "line 1");
}

static void mounts_that_cannot_be_meant_are_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED("[[grants.mount]]\n", "grants.mount.guest is missing");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"", "grants.mount.host is missing");
    ASSERT_REFUSED("[[grants.mount]]\nguest = 1", "grants.mount.guest is 1; it must be text in quotes");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\\u0000b\"", "grants.mount.guest is \"/a\\x00b\"");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"logs\"\nhost = \"/h\"",
                   "grants.mount.guest is \"logs\"; it must be an absolute path");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a/../b\"\nhost = \"/h\"",
                   "it must be an absolute path without");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"\nhost = \"\"", "grants.mount.host is \"\"");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"\nhost = \"/h\"\nmode = \"rw\"",
                   "grants.mount.mode is \"rw\"; it must be \"read\" or \"write\"");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"\nhost = \"/h\"\nhide = \"*.key\"",
                   "grants.mount.hide is \"*.key\"; it must be a list of texts");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"\nhost = \"/h\"\nhide = [\"a\", 2]",
                   "a pattern in grants.mount.hide is 2");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"\nhost = \"/h\"\nhide = [\"../a\"]",
                   "grants.mount.hide is \"../a\"; it must be a pattern");
    ASSERT_REFUSED("[[grants.mount]]\nguest = \"/a\"\nhost = \"/h\"\nquota_mb = 1",
                   "a quota needs mode = \"write\"");
    ASSERT_REFUSED(
        "[[grants.mount]]\nguest = \"/a\"\nhost = \"/h\"\n[[grants.mount]]\nguest = \"/a/\"\nhost = \"/i\"",
        "grants.mount.guest is \"/a\" in two mounts");
}

static void broken_text_is_named_by_line(void **state)
{
    (void)state;
    ASSERT_REFUSED("[limits]\nfuel = = 1", "line 2, column");
    ASSERT_REFUSED("{\"limits\": \n{]}", "line 2, column");
    ASSERT_REFUSED("{\"limits\": {}, \"limits\": {}}", "duplicate");
    ASSERT_REFUSED("[limits]\nfuel = 1\nfuel = 2", "line 3");
    ASSERT_REFUSED("\xff\xfe", "line 1");
    ASSERT_REFUSED("\0asm", "line 1");
    ASSERT_REFUSED("[1]", "unknown key \"1\"");
    ASSERT_REFUSED("{} {}", "line 1");
}

static void long_values_are_cut_in_messages(void **state)
{
    (void)state;
    cleanup_text struct text text = {0};
    text_append(&text, "[grants]\nclock = \"");
    for (int i = 0; i < 10000; i++)
        text_append(&text, "\\u001b");
    text_append(&text, "\"");
    assert_refused_bytes(text.data, text.length, "…\"; it must be \"none\"");
}

static void every_cut_of_a_file_is_refused_or_read_without_harm(void **state)
{
    (void)state;
    const char *const texts[] = {every_key_toml, every_key_json};
    for (size_t i = 0; i < 2; i++)
        for (size_t length = 0; length <= strlen(texts[i]); length++) {
            cleanup_contract berth_contract *contract = NULL;
            cleanup_error berth_error *error = NULL;
            /* In memory of exactly that size, so that a sanitizer sees any read past the end. */
            cleanup_free char *cut = malloc(length ? length : 1);
            memcpy(cut, texts[i], length);
            berth_status status = berth_contract_parse(cut, length, "cut", &contract, &error);
            assert_true(status == BERTH_OK || status == BERTH_INVALID);
            assert_int_equal(status == BERTH_OK, contract != NULL);
        }
}

static void a_hostile_source_name_is_escaped(void **state)
{
    (void)state;
    cleanup_error berth_error *error = NULL;
    berth_contract *contract = NULL;
    assert_int_equal(berth_contract_parse("x", 1, "a\nb\x1b", &contract, &error), BERTH_INVALID);
    assert_memory_equal(berth_error_message(error), "a\\nb\\x1b: ", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read_from_toml),
        cmocka_unit_test(every_key_is_read_from_json),
        cmocka_unit_test(what_is_not_mentioned_keeps_its_default),
        cmocka_unit_test(text_may_be_null_when_it_is_empty),
        cmocka_unit_test(origins_tell_file_from_default),
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(wrong_types_say_what_would_be_right),
        cmocka_unit_test(impossible_numbers_are_refused),
        cmocka_unit_test(mounts_that_cannot_be_meant_are_refused),
        cmocka_unit_test(broken_text_is_named_by_line),
        cmocka_unit_test(long_values_are_cut_in_messages),
        cmocka_unit_test(every_cut_of_a_file_is_refused_or_read_without_harm),
        cmocka_unit_test(a_hostile_source_name_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: every row of settings.def in one loop, tables, what follows from them, and both files that come
 * out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "node/settings/settings_rows.h"
#include "node/settings/settings_tables.h"
#include "node/settings/settings_tests.h"

/* ---- Rows -------------------------------------------------------------------------------------- */

static berth_status read_into(struct settings *settings, const char *text, berth_error **reterr)
{
    return settings_read(settings, text, strlen(text), "/etc/berth/berth.toml", reterr);
}

/* "[limits]\nmax_runs = VALUE\n" over the defaults. */
static berth_status read_row(const struct setting_row *row, const char *value, struct settings **ret,
                             berth_error **reterr)
{
    cleanup_text struct text text = {0};
    assert_int_equal(settings_new(ret), 0);
    text_append_format(&text, "[%s]\n%s = %s\n", row->group, row->name, value);
    return read_into(*ret, text.data, reterr);
}

static void assert_row_refused(const struct setting_row *row, const char *value)
{
    cleanup_settings struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    cleanup_text struct text requirement = {0};
    assert_int_equal(read_row(row, value, &settings, &error), BERTH_INVALID);
    setting_row_append_requirement(row, &requirement);
    assert_non_null(strstr(berth_error_message(error), row->key));
    assert_non_null(strstr(berth_error_message(error), requirement.data));
    assert_memory_equal(berth_error_message(error), "/etc/berth/berth.toml: ", 23);
}

static void assert_row_is(const struct setting_row *row, const struct settings *settings,
                          const char *expected)
{
    cleanup_json json_t *value = setting_row_write(row, settings);
    cleanup_free char *written = json_write(value, 0);
    assert_string_equal(written, expected);
}

static void assert_row_read(const struct setting_row *row, const char *value)
{
    cleanup_settings struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    if (read_row(row, value, &settings, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    assert_row_is(row, settings, value);
}

static void every_row_has_its_default(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = NULL;
    assert_int_equal(settings_new(&settings), 0);
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        cleanup_text struct text expected = {0};
        setting_row_append_default(&setting_rows[i], &expected);
        assert_row_is(&setting_rows[i], settings, expected.data);
    }
}

static void every_number_holds_its_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        char number[32];
        if (row->kind != SETTING_KIND_NUMBER)
            continue;
        assert_true(row->minimum <= row->default_number && row->default_number <= row->maximum);
        snprintf(number, sizeof(number), "%" PRIu64, row->minimum);
        assert_row_read(row, number);
        snprintf(number, sizeof(number), "%" PRIu64, row->maximum);
        assert_row_read(row, number);
        snprintf(number, sizeof(number), "%" PRIu64, row->maximum + 1);
        assert_row_refused(row, number);
        snprintf(number, sizeof(number), "%lld", (long long)row->minimum - 1);
        assert_row_refused(row, number);
    }
}

static void every_row_refuses_other_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        assert_row_refused(row, "[]");
        assert_row_refused(row, "1.5");
        assert_row_refused(row, row->kind == SETTING_KIND_BOOL ? "1" : "true");
        if (row->kind == SETTING_KIND_NUMBER || row->kind == SETTING_KIND_CHOICE)
            assert_row_refused(row, "\"many\"");
    }
}

static void texts_and_choices_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        if (row->kind == SETTING_KIND_TEXT || row->kind == SETTING_KIND_PATH)
            assert_row_read(row, "\"/some/text\"");
        if (row->kind == SETTING_KIND_BOOL)
            assert_row_read(row, row->default_number ? "false" : "true");
        for (size_t j = 0; row->kind == SETTING_KIND_CHOICE && row->words[j]; j++) {
            cleanup_text struct text word = {0};
            text_append_format(&word, "\"%s\"", row->words[j]);
            assert_row_read(row, word.data);
        }
    }
}

static void paths_are_relative_to_the_file(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = NULL;
    assert_int_equal(read_row(&setting_rows[SETTING_jwt_keys], "\"keys/jwks.json\"", &settings, NULL),
                     BERTH_OK);
    assert_string_equal(settings->jwt_keys, "/etc/berth/keys/jwks.json");
    settings_free(take_ptr(settings));
    assert_int_equal(
        read_row(&setting_rows[SETTING_jwt_keys], "\"https://id.example/jwks\"", &settings, NULL), BERTH_OK);
    assert_string_equal(settings->jwt_keys, "https://id.example/jwks");
}

static void a_flag_sets_every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        cleanup_settings struct settings *settings = NULL;
        cleanup_error berth_error *error = NULL;
        char number[32];
        snprintf(number, sizeof(number), "%" PRIu64, row->maximum);
        const char *value = row->kind == SETTING_KIND_BOOL     ? "true"
                            : row->kind == SETTING_KIND_NUMBER ? number
                            : row->kind == SETTING_KIND_CHOICE ? row->words[1]
                                                               : "/x";
        assert_int_equal(settings_new(&settings), 0);
        assert_int_equal(settings_set(settings, row->key, value, "--flag", &error), BERTH_OK);
        assert_string_equal(settings->origins[i], "--flag");
        if (row->kind != SETTING_KIND_TEXT && row->kind != SETTING_KIND_PATH) {
            assert_int_equal(settings_set(settings, row->key, "perhaps", "--flag", &error), BERTH_INVALID);
            assert_memory_equal(berth_error_message(error), "--flag: ", 8);
        }
    }
}

/* The name of the test that fails if the setting is not enforced. */
static const struct {
    const char *key, *test;
} enforced_by[] = SETTINGS_TESTS;

static void every_row_names_the_test_that_holds_it(void **state)
{
    (void)state;
    const size_t n = sizeof(enforced_by) / sizeof(*enforced_by);
    assert_int_equal(n, SETTINGS_ROWS);
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        size_t j = 0;
        while (j < n && strcmp(enforced_by[j].key, setting_rows[i].key) != 0)
            j++;
        if (j == n)
            fail_msg("%s has no test", setting_rows[i].key);
    }
}

/* ---- Documents --------------------------------------------------------------------------------- */

static const char full[] =
    "[limits]\nmax_runs = 12\n"
    "[contract.limits]\nmemory_mb = 128\nwall_seconds = 3600\n"
    "[contract.grants]\nenv = [\"LANG\", \"TZ\"]\nclock = \"fine\"\n"
    "[[listener]]\naddress = \"[::1]:0\"\n"
    "[[listener]]\naddress = \"0.0.0.0:50051\"\ncertificate = \"node.pem\"\nkey = \"/k/node.key\"\n"
    "client_ca = \"ca.pem\"\nclient_required = true\n"
    "[[mount]]\nname = \"tmp\"\nhost = \"/tmp\"\n"
    "[[mount]]\nname = \"work\"\nhost = \"/var\"\nguest = \"/data/\u00e9\"\nmode = \"write\"\nquota_mb = "
    "1.5\n"
    "hide = [\"*.key\", \"a\\\"b\\\\c\\td\"]\n"
    "[[capability]]\nname = \"look\"\nmounts = [\"tmp\"]\nevents = true\n"
    "[[capability]]\nname = \"all\"\nmounts = [\"tmp\", \"work\"]\nwatch = true\ndetach = "
    "true\nsurvive_restart = true\n"
    "[[principal]]\nname = \"ana\"\ncapabilities = [\"look\", \"all\"]\n"
    "token_sha256 = \"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\"\n"
    "ed25519 = [\"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN\"]\n"
    "certificate_sha256 = "
    "[\"aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:"
    "88:99\"]\n"
    "concurrency = 3\nruns_per_minute = 60\nonce = true\n"
    "[principal.contract.limits]\nmemory_mb = 64\nwall_seconds = 0\n"
    "[principal.contract.grants]\nenv = [\"TZ\", \"HOME\"]\n"
    "[[principal]]\nname = \"guest\"\ncapabilities = [\"look\"]\nanyone = true\n";

static struct settings *read_settings(const char *text)
{
    struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_new(&settings), 0);
    if (read_into(settings, text, &error) != BERTH_OK || settings_complete(settings, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return settings;
}

static void a_full_file_is_read(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings(full);
    assert_int_equal(settings->limits_max_runs, 12);
    assert_int_equal(settings->n_listeners, 2);
    assert_string_equal(settings->listeners[0].host, "::1");
    assert_int_equal(settings->listeners[0].port, 0);
    assert_string_equal(settings->listeners[1].certificate, "/etc/berth/node.pem");
    assert_string_equal(settings->listeners[1].key, "/k/node.key");
    assert_true(settings->listeners[1].client_required);
    assert_string_equal(settings->mounts[0].guest, "/tmp");
    assert_true(settings->mounts[1].writable);
    assert_int_equal(settings->mounts[1].quota_bytes, 1572864);
    assert_int_equal(settings->mounts[1].n_hide, 2);
    assert_string_equal(settings->mounts[1].hide[1], "a\"b\\c\td");
    assert_true(settings->capabilities[0].events && !settings->capabilities[0].watch);
    assert_true(settings->capabilities[1].detach && settings->capabilities[1].survive_restart);
    assert_int_equal(settings->capabilities[1].n_mounts, 2);
    const struct settings_principal *ana = &settings->principals[0];
    assert_int_equal(ana->n_credentials, 3);
    assert_int_equal(ana->concurrency, 3);
    assert_int_equal(ana->runs_per_minute, 60);
    assert_true(ana->once && !ana->anyone);
    assert_true(settings->principals[1].anyone);
}

static void credentials_come_in_the_forms_that_tools_print(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings(full);
    for (size_t i = 0; i < settings->principals[0].n_credentials; i++) {
        const struct settings_credential *credential = &settings->principals[0].credentials[i];
        assert_int_equal(strlen(credential->value), 64);
        assert_int_equal(strspn(credential->value, "0123456789abcdef"), 64);
        if (credential->kind == CREDENTIAL_CERTIFICATE_SHA256)
            assert_memory_equal(credential->value, "aabbccddeeff0011", 16);
        if (credential->kind == CREDENTIAL_TOKEN_SHA256)
            assert_memory_equal(credential->value, "e3b0c442", 8);
    }
}

static void a_principal_gets_the_nodes_contract_narrowed(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings(full);
    const berth_contract *ana = settings->principals[0].contract, *guest = settings->principals[1].contract;
    assert_int_equal(berth_contract_limits(ana)->memory_bytes, 64 << 20);
    assert_int_equal(berth_contract_limits(ana)->wall_ms, 3600000); /* 0 would be wider */
    assert_int_equal(berth_contract_grants(ana)->clock, BERTH_CLOCK_FINE);
    assert_int_equal(berth_contract_grants(ana)->n_env, 1);
    assert_string_equal(berth_contract_grants(ana)->env[0], "TZ");
    assert_int_equal(berth_contract_limits(guest)->memory_bytes, 128 << 20);
    assert_int_equal(berth_contract_grants(guest)->n_env, 2);
}

static void a_flag_narrows_every_principal(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings(full);
    assert_int_equal(settings_set(settings, "contract.limits.memory_mb", "32", "--memory-mb", NULL),
                     BERTH_OK);
    assert_int_equal(berth_contract_limits(settings->principals[0].contract)->memory_bytes, 32 << 20);
    assert_int_equal(berth_contract_limits(settings->principals[1].contract)->memory_bytes, 32 << 20);
}

static char *write_settings(const struct settings *settings, berth_format format)
{
    char *text = NULL;
    cleanup_error berth_error *error = NULL;
    if (settings_write(settings, format, &text, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return text;
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings(full);
    cleanup_free char *json = write_settings(settings, BERTH_FORMAT_JSON);
    for (int format = BERTH_FORMAT_JSON; format <= BERTH_FORMAT_TOML; format++) {
        cleanup_free char *written = write_settings(settings, (berth_format)format);
        cleanup_settings struct settings *again = read_settings(written);
        cleanup_free char *json_again = write_settings(again, BERTH_FORMAT_JSON);
        assert_string_equal(json_again, json);
    }
}

static void what_is_written_shows_where_it_came_from(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings(full);
    assert_int_equal(settings_set(settings, "sessions.max", "9", "--sessions\nmax", NULL), BERTH_OK);
    cleanup_free char *written = write_settings(settings, BERTH_FORMAT_TOML);
    assert_non_null(strstr(written, "max_runs = 12 # /etc/berth/berth.toml\n"));
    assert_non_null(strstr(written, "concurrency = 100 # default\n"));
    assert_non_null(strstr(written, "max = 9 # --sessions\\nmax\n"));
    assert_non_null(strstr(written, "memory_mb = 128 # /etc/berth/berth.toml\n"));
    assert_non_null(strstr(written, "open_files = 64 # default\n"));
    assert_non_null(strstr(written, "[[mount]] # /etc/berth/berth.toml\n"));
}

static void nothing_at_all_serves_loopback(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = read_settings("");
    assert_int_equal(settings->n_listeners, 1);
    assert_string_equal(settings->listeners[0].host, "127.0.0.1");
    assert_int_equal(settings->listeners[0].port, 50051);
    assert_int_equal(settings->n_capabilities, 1);
    assert_string_equal(settings->capabilities[0].name, "default");
    assert_int_equal(settings_complete(settings, NULL), BERTH_OK);
    assert_int_equal(settings->n_listeners, 1);
}

static void flags_make_mounts_and_capabilities(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = NULL;
    assert_int_equal(settings_new(&settings), 0);
    assert_int_equal(settings_add_mount(settings, "/tmp::/logs", NULL), BERTH_OK);
    assert_int_equal(settings_add_mount(settings, "/var/::/a/logs::write", NULL), BERTH_OK);
    assert_int_equal(settings_add_mount(settings, "/usr/lib/", NULL), BERTH_OK);
    assert_int_equal(settings_add_capability(settings, "search=logs,lib", NULL), BERTH_OK);
    assert_int_equal(settings_add_listener(settings, "localhost:0", NULL), BERTH_OK);
    assert_int_equal(settings_complete(settings, NULL), BERTH_OK);
    assert_string_equal(settings->mounts[0].name, "logs");
    assert_string_equal(settings->mounts[1].name, "logs-2");
    assert_true(settings->mounts[1].writable && !settings->mounts[0].writable);
    assert_string_equal(settings->mounts[2].guest, "/lib");
    assert_int_equal(settings->n_capabilities, 1);
    assert_int_equal(settings->capabilities[0].n_mounts, 2);
    assert_string_equal(settings->listeners[0].host, "127.0.0.1");
}

static void addresses_have_one_meaning(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"127.0.0.1:1", "127.0.0.1", 1},
        {"127.0.0.1", "127.0.0.1", 7},
        {"[::1]:65535", "::1", 65535},
        {"[::]", "::", 7},
        {"::1", "::1", 7},
        {"localhost:0", "127.0.0.1", 0},
        {"2001:db8::5", "2001:db8::5", 7},
    };
    static const char *const bad[] = {"",
                                      ":1",
                                      "1.2.3.4:",
                                      "1.2.3.4:65536",
                                      "1.2.3.4:-1",
                                      "1.2.3.4:+1",
                                      "1.2.3:1",
                                      "[1.2.3.4]:1",
                                      "[::1",
                                      "[::1]1",
                                      "[::1]:",
                                      "example.com:1",
                                      "*:1",
                                      "1.2.3.4:1 ",
                                      "[localhost]:1",
                                      "1.2.3.4:000001",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1"};
    char host[46];
    uint16_t port;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(settings_address_read(good[i].text, 7, host, &port), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (settings_address_read(bad[i], 7, host, &port) == 0)
            fail_msg("\"%s\" was taken for %s", bad[i], host);
    assert_true(settings_address_is_loopback("127.1.2.3") && settings_address_is_loopback("::1"));
    assert_false(settings_address_is_loopback("0.0.0.0") || settings_address_is_loopback("::") ||
                 settings_address_is_loopback("128.0.0.1") ||
                 settings_address_is_loopback("::ffff:10.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_default),
        cmocka_unit_test(every_number_holds_its_bounds),
        cmocka_unit_test(every_row_refuses_other_types),
        cmocka_unit_test(texts_and_choices_are_taken),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(a_flag_sets_every_row),
        cmocka_unit_test(every_row_names_the_test_that_holds_it),
        cmocka_unit_test(a_full_file_is_read),
        cmocka_unit_test(credentials_come_in_the_forms_that_tools_print),
        cmocka_unit_test(a_principal_gets_the_nodes_contract_narrowed),
        cmocka_unit_test(a_flag_narrows_every_principal),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(what_is_written_shows_where_it_came_from),
        cmocka_unit_test(nothing_at_all_serves_loopback),
        cmocka_unit_test(flags_make_mounts_and_capabilities),
        cmocka_unit_test(addresses_have_one_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

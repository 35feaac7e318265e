/* SPDX-License-Identifier: Apache-2.0 */
/* Explaining: every key in all three forms, and a file that gives the same contract again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <locale.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/json.h"
#include "contract/contract.h"

static berth_contract *parse(const char *text, const char *source)
{
    berth_contract *contract = NULL;
    berth_error *error = NULL;
    if (berth_contract_parse(text, strlen(text), source, &contract, &error))
        fail_msg("%s in %s", berth_error_message(error), text);
    return contract;
}

static char *explain(const berth_contract *contract, berth_format format)
{
    char *text = NULL;
    assert_int_equal(berth_contract_explain(contract, format, &text, NULL), BERTH_OK);
    return text;
}

static const char sample[] = "[limits]\nmemory_mb = 512\nwall_seconds = 0\n"
                             "[grants]\nenv = [\"LANG\"]\nclock = \"fine\"\n"
                             "[[grants.mount]]\nguest = \"/logs\"\nhost = \"/var/log\"\n"
                             "mode = \"write\"\nhide = [\"*.key\"]\nquota_mb = 2.5\n";

static void text_has_a_line_for_every_key(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse(sample, "contract.toml");
    cleanup_free char *text = explain(contract, BERTH_FORMAT_TEXT);
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (contract_keys[i].section != SECTION_MOUNT)
            assert_non_null(strstr(text, contract_keys[i].path));
    assert_non_null(strstr(text, "512 MiB"));
    assert_non_null(strstr(text, "off"));
    assert_non_null(strstr(text, "reads and writes /var/log; hides *.key; adds at most 2.5 MiB"));
}

static void columns_of_text_are_aligned(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse(sample, "contract.toml");
    cleanup_free char *text = explain(contract, BERTH_FORMAT_TEXT);
    char *rest = text;
    const char *line = strsep(&rest, "\n"), *head = strstr(line, "from");
    assert_non_null(head);
    size_t column = (size_t)(head - line);
    for (line = strsep(&rest, "\n"); *line; line = strsep(&rest, "\n")) {
        assert_true(strncmp(line + column, "default ", 8) == 0 ||
                    strncmp(line + column, "contract.toml ", 14) == 0);
        assert_int_equal(line[column - 1], ' ');
    }
}

static void text_shows_no_control_characters(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract =
        parse("[[grants.mount]]\nguest = \"/a\"\nhost = \"/\\u001b[2J\\n\"\nhide = [\"\\u0007\"]\n", "a\nb");
    cleanup_free char *text = explain(contract, BERTH_FORMAT_TEXT);
    for (const char *c = text; *c; c++)
        assert_true((unsigned char)*c >= 0x20 || *c == '\n');
    assert_non_null(strstr(text, "/\\x1b[2J\\n"));
}

static void json_has_value_origin_and_meaning_of_every_key(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse(sample, "contract.toml");
    assert_int_equal(berth_contract_set(contract, "limits.fuel", "9007199254740993", "--fuel", NULL),
                     BERTH_OK);
    cleanup_free char *text = explain(contract, BERTH_FORMAT_JSON);
    cleanup_free char *message = NULL;
    cleanup_json json_t *root = NULL;
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(json_read(text, strlen(text), &root, &message), 0);
    json_t *const sections[] = {root, json_object_get(root, "limits"), json_object_get(root, "grants")};
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        if (contract_keys[i].section == SECTION_MOUNT)
            continue;
        json_t *entry = json_object_get(sections[contract_keys[i].section], contract_keys[i].name);
        assert_non_null(json_object_get(entry, "value"));
        assert_string_equal(json_text(json_object_get(entry, "origin")), contract->origins[i]);
        assert_string_equal(json_text(json_object_get(entry, "doc")), contract_keys[i].doc);
    }
    json_t *fuel = json_object_get(sections[1], "fuel");
    assert_true(json_integer_value(json_object_get(fuel, "value")) == INT64_C(9007199254740993));
    assert_string_equal(json_text(json_object_get(fuel, "origin")), "--fuel");
    json_t *mount = json_array_get(json_object_get(json_object_get(sections[2], "mount"), "value"), 0);
    assert_string_equal(json_text(json_object_get(mount, "mode")), "write");
    assert_true(json_real_value(json_object_get(mount, "quota_mb")) == 2.5);
}

static void assert_round_trip(const berth_contract *contract)
{
    cleanup_free char *first = explain(contract, BERTH_FORMAT_TOML);
    cleanup_contract berth_contract *again = parse(first, "again");
    cleanup_free char *second = explain(again, BERTH_FORMAT_TOML);
    assert_string_equal(first, second);
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (contract_keys[i].section != SECTION_MOUNT && contract_key_is_scalar(&contract_keys[i]))
            assert_int_equal(contract_key_get(&contract_keys[i], contract),
                             contract_key_get(&contract_keys[i], again));
}

static void a_toml_file_gives_the_same_contract_again(void **state)
{
    (void)state;
    cleanup_contract berth_contract *standard = parse("", "empty");
    cleanup_contract berth_contract *contract = parse(sample, "contract.toml");
    assert_round_trip(standard);
    assert_round_trip(contract);
}

static void hostile_text_survives_the_round_trip(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse("", "empty");
    const char *hide[] = {"\" ]\n[limits]", "back\\slash", "\x7f\x01", "ü😀"};
    const struct berth_mount mount = {.guest = "/q\"\\ ü", .host = "a\n\t\x1b", .hide = hide, .n_hide = 4};
    assert_int_equal(berth_contract_add_mount(contract, &mount, NULL, NULL), BERTH_OK);
    assert_int_equal(berth_contract_add_env(contract, "Q\"\\'''", NULL, NULL), BERTH_OK);
    assert_round_trip(contract);
    cleanup_free char *toml = explain(contract, BERTH_FORMAT_TOML);
    cleanup_contract berth_contract *again = parse(toml, "again");
    const struct berth_mount *copy = &berth_contract_grants(again)->mounts[0];
    assert_string_equal(copy->guest, mount.guest);
    assert_string_equal(copy->host, mount.host);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(copy->hide[i], hide[i]);
    assert_string_equal(berth_contract_grants(again)->env[0], "Q\"\\'''");
}

static void odd_numbers_survive_the_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        if (key->kind != KIND_NUMBER || key->section == SECTION_MOUNT)
            continue;
        for (uint64_t n = 0; n < 64; n++) {
            cleanup_contract berth_contract *contract = parse("", "empty");
            uint64_t below = n * key->step * 1001;
            uint64_t value = n % 2 ? key->minimum + below : key->maximum - below;
            if (value < key->minimum || value > key->maximum)
                continue;
            contract_key_set(key, contract, value);
            assert_int_equal(contract_key_get(key, contract), value);
            assert_round_trip(contract);
        }
    }
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    static const char *const with_comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof(with_comma) / sizeof(with_comma[0]); i++)
        if (setlocale(LC_NUMERIC, with_comma[i]))
            break;
    cleanup_contract berth_contract *contract = parse("[limits]\nwall_seconds = 0.1\n", "half.toml");
    assert_int_equal(berth_contract_set(contract, "limits.output_mb", "1.5", NULL, NULL), BERTH_OK);
    cleanup_free char *toml = explain(contract, BERTH_FORMAT_TOML);
    assert_non_null(strstr(toml, "wall_seconds = 0.1\n"));
    assert_non_null(strstr(toml, "output_mb = 1.5\n"));
    setlocale(LC_NUMERIC, "C");
}

static void an_unknown_format_is_an_error(void **state)
{
    (void)state;
    cleanup_contract berth_contract *contract = parse("", "empty");
    char *text = NULL;
    assert_int_equal(berth_contract_explain(contract, (berth_format)99, &text, NULL), BERTH_INVALID);
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_a_line_for_every_key),
        cmocka_unit_test(columns_of_text_are_aligned),
        cmocka_unit_test(text_shows_no_control_characters),
        cmocka_unit_test(json_has_value_origin_and_meaning_of_every_key),
        cmocka_unit_test(a_toml_file_gives_the_same_contract_again),
        cmocka_unit_test(hostile_text_survives_the_round_trip),
        cmocka_unit_test(odd_numbers_survive_the_round_trip),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(an_unknown_format_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

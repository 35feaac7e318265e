/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations that cannot be meant: one sentence each, with the file, the key, what was found and what is
 * right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "node/settings/settings.h"

static void assert_printable(const char *sentence)
{
    assert_true(strlen(sentence) > 0 && strlen(sentence) < 1200);
    assert_true(text_is_utf8(sentence, strlen(sentence)));
    for (const char *c = sentence; *c; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void assert_says(const berth_error *error, const char *expected)
{
    const char *sentence = berth_error_message(error);
    assert_printable(sentence);
    if (!strstr(sentence, expected))
        fail_msg("\"%s\" is not in \"%s\"", expected, sentence);
}

static void refused(const char *text, const char *expected)
{
    cleanup_settings struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_new(&settings), 0);
    if (settings_read(settings, text, strlen(text), "berth.toml", &error) != BERTH_INVALID)
        fail_msg("this was read: %s", text);
    assert_memory_equal(berth_error_message(error), "berth.toml: ", 12);
    assert_says(error, expected);
}

static void incomplete(const char *text, berth_status status, const char *expected)
{
    cleanup_settings struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_new(&settings), 0);
    if (settings_read(settings, text, strlen(text), "berth.toml", &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    assert_int_equal(settings_complete(settings, &error), status);
    assert_says(error, expected);
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    refused("[node]\nworker = 1", "unknown key \"worker\" in node; did you mean \"workers\"?");
    refused("[node]\nmax_runs = 1", "did you mean \"limits.max_runs\"?");
    refused("[limit]\nmax_runs = 1", "unknown key \"limit\"; did you mean \"limits\"?");
    refused("max_runs = 1", "did you mean \"limits.max_runs\"?");
    refused("[[mounts]]\nname = \"x\"", "did you mean \"mount\"?");
    refused("[[mount]]\nname = \"x\"\nhost = \"/tmp\"\nhidden = []",
            "mount \"x\": unknown key \"hidden\" in mount");
    refused("[[principal]]\nname = \"x\"\ncapabilities = []\ntokens_sha256 = []",
            "did you mean \"token_sha256\"?");
    refused("[contract.limits]\nmemory = 1", "berth.toml: unknown key \"memory\" in limits");
    refused("[zzz]\nq = 1", "unknown key \"zzz\"");
    refused("[limits]\n\"a\\nb\\u001b\" = 1", "a\\nb\\x1b");
}

static void wrong_values_say_what_would_be_right(void **state)
{
    (void)state;
    refused("[limits]\nmax_runs = \"many\"",
            "limits.max_runs is \"many\"; it must be a whole number from 1 to 15000");
    refused("limits = 3", "limits is 3; it must be a table");
    refused("mount = 3", "mount is 3; it must be a list of tables, [[mount]]");
    refused("mount = [3]", "it must be a table");
    refused("contract = []", "contract is a list; it must be a table");
    refused("[audit]\nsync = \"always\"", "it must be \"normal\" or \"full\"");
    refused("[[mount]]\nname = \"a b\"\nhost = \"/tmp\"",
            "mount \"a b\": name is \"a b\"; it must be a name of at most 64");
    refused("[[mount]]\nname = \"\"\nhost = \"/tmp\"", "name is \"\"");
    refused("[[mount]]\nname = \"a/b\"\nhost = \"/tmp\"", "letters, digits");
    refused("[[mount]]\nname = \"a\"", "host must be given, a path in quotes");
    refused("[[mount]]\nname = \"a\"\nhost = \"\"", "host is \"\"");
    refused("[[mount]]\nhost = \"/tmp\"", "mount number 1: name must be given");
    refused("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\nmode = \"rw\"",
            "mode is \"rw\"; it must be \"read\" or \"write\"");
    refused("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\nquota_mb = -1", "a number from 0");
    refused("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\nquota_mb = 1e-9", "a number from 0");
    refused("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\nhide = [1]", "hide has 1; it must be text in quotes");
    refused("[[mount]]\nname = \"a\"\nhost = \"/tmp\\u0000x\"", "host is");
    refused("[[listener]]\naddress = \"example.com:1\"",
            "address is \"example.com:1\"; it must be an address and a port");
    refused("[[capability]]\nname = \"c\"\nwatch = 1", "watch is 1; it must be true or false");
    refused("[[principal]]\nname = \"p\"\ncapabilities = []\nconcurrency = -1", "a whole number from 0");
    refused("[[principal]]\nname = \"p\"\ncapabilities = []\nconcurrency = 4294967296",
            "a whole number from 0");
}

static void credentials_that_cannot_be_right_are_refused(void **state)
{
    (void)state;
#define PRINCIPAL "[[principal]]\nname = \"p\"\ncapabilities = []\n"
    refused(PRINCIPAL "token_sha256 = \"secret\"",
            "token_sha256 has \"secret\"; it must be 64 hex digits, a SHA-256");
    refused(PRINCIPAL "token_sha256 = \"" /* 63 digits */
                      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\"",
            "64 hex digits");
    refused(PRINCIPAL
            "certificate_sha256 = \":3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
            "64 hex digits");
    refused(PRINCIPAL "ed25519 = \"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTM\"0", "line 4");
    refused(PRINCIPAL "ed25519 = \"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXT\"", "peer id");
    refused(PRINCIPAL "ed25519 = \"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N\"", "peer id");
    refused(PRINCIPAL "ed25519 = \"\"", "peer id");
    refused(PRINCIPAL "jwt_subject = \"\"", "jwt_subject has \"\"");
    refused(PRINCIPAL "jwt_subject = [[\"a\"]]", "jwt_subject has a list");
}

static void contracts_of_a_node_have_no_mounts(void **state)
{
    (void)state;
    refused("[[contract.grants.mount]]\nguest = \"/x\"\nhost = \"/\"", "grants.mount has no place");
    refused("[contract.grants]\nevents = true", "grants.events has no place");
    refused(PRINCIPAL "[principal.contract.grants]\nwatch = true", "grants.watch has no place");
    refused(PRINCIPAL "[principal.contract.limits]\nmemory_mb = 0",
            "berth.toml: principal p: limits.memory_mb is 0");
    refused(PRINCIPAL "contract = 1", "contract is 1; it must be a table with limits and grants");
}

static void broken_text_is_named_by_line(void **state)
{
    (void)state;
    refused("[limits]\nmax_runs = \n", "line 2");
    refused("{\"limits\": ", "line 1");
    refused("[limits]\nmax_runs = 1\nmax_runs = 2", "line 3");
    refused("{\"limits\": {}, \"limits\": {}}", "limits");
}

#define CAPABILITY "[[capability]]\nname = \"c\"\n"
#define TOKEN      "token_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n"

static void names_must_refer_to_something(void **state)
{
    (void)state;
    incomplete("[[mount]]\nname = \"logs\"\nhost = \"/tmp\"\n" CAPABILITY "mounts = [\"log\"]", BERTH_INVALID,
               "capability \"c\" names the mount \"log\", which does not exist; did you mean \"logs\"?");
    incomplete("[[mount]]\nname = \"l\"\nhost = \"/tmp\"\n" CAPABILITY "mounts = [\"l\", \"l\"]",
               BERTH_INVALID, "twice");
    incomplete(CAPABILITY CAPABILITY, BERTH_INVALID, "more than one capability");
    incomplete("[[principal]]\nname = \"p\"\ncapabilities = [\"d\"]\n" TOKEN CAPABILITY, BERTH_INVALID,
               "names the capability \"d\"");
    incomplete("[[principal]]\nname = \"p\"\ncapabilities = []\n" TOKEN, BERTH_INVALID, "has no capability");
    incomplete("[[principal]]\nname = \"p\"\ncapabilities = [\"c\"]\n" CAPABILITY, BERTH_INVALID,
               "has no credential");
}

static void a_credential_is_of_one_principal(void **state)
{
    (void)state;
    incomplete(CAPABILITY "[[principal]]\nname = \"p\"\ncapabilities = [\"c\"]\n" TOKEN
                          "[[principal]]\nname = \"q\"\ncapabilities = [\"c\"]\n" TOKEN,
               BERTH_INVALID, "principals \"p\" and \"q\" have the same token_sha256");
    incomplete(CAPABILITY "[[principal]]\nname = \"p\"\ncapabilities = [\"c\"]\nanyone = true\n"
                          "[[principal]]\nname = \"q\"\ncapabilities = [\"c\"]\nanyone = true\n",
               BERTH_INVALID, "only one principal can be anyone");
    incomplete(CAPABILITY "[[principal]]\nname = \"p\"\ncapabilities = [\"c\"]\njwt_subject = \"*\"\n",
               BERTH_INVALID, "jwt_subject needs jwt.keys");
    incomplete(CAPABILITY "[[principal]]\nname = \"p\"\ncapabilities = [\"c\"]\nanyone = true\nonce = true\n",
               BERTH_INVALID, "once needs token_sha256");
}

static void mounts_must_be_directories(void **state)
{
    (void)state;
    incomplete("[[mount]]\nname = \"a\"\nhost = \"/does/not/exist\"", BERTH_NOT_FOUND,
               "mount \"a\": /does/not/exist");
    incomplete("[[mount]]\nname = \"a\"\nhost = \"/dev/null\"", BERTH_INVALID, "is no directory");
    incomplete("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\nquota_mb = 1", BERTH_INVALID,
               "quota_mb needs mode");
    incomplete("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\nguest = \"a\"\n" CAPABILITY "mounts = [\"a\"]",
               BERTH_INVALID, "capability \"c\"");
    incomplete("[[mount]]\nname = \"a\"\nhost = \"/tmp\"\n[[mount]]\nname = \"b\"\nhost = \"/usr\"\nguest = "
               "\"/a\"\n" CAPABILITY "mounts = [\"a\", \"b\"]",
               BERTH_INVALID, "capability \"c\"");
    incomplete(CAPABILITY "survive_restart = true", BERTH_INVALID, "needs detach");
}

static void listeners_beyond_this_machine_need_tls(void **state)
{
    (void)state;
    incomplete("[[listener]]\naddress = \"0.0.0.0:1\"", BERTH_INVALID, "plain_anywhere");
    incomplete("[[listener]]\naddress = \"[::]:1\"", BERTH_INVALID, "plain_anywhere");
    incomplete("[[listener]]\naddress = \"127.0.0.1:1\"\ncertificate = \"x\"", BERTH_INVALID,
               "belong together");
    incomplete("[[listener]]\naddress = \"127.0.0.1:1\"\nclient_ca = \"x\"", BERTH_INVALID,
               "client_ca needs");
    incomplete("[[listener]]\naddress = \"127.0.0.1:1\"\nclient_required = true", BERTH_INVALID,
               "client_required needs");
    incomplete("[[listener]]\naddress = \"127.0.0.1:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"",
               BERTH_INVALID, "twice");
    incomplete("[node]\nhealth_listen = \"everywhere\"", BERTH_INVALID, "node.health_listen");
}

static void jwts_need_a_trusted_source_and_an_audience(void **state)
{
    (void)state;
    incomplete("[jwt]\nkeys = \"http://id.example/jwks\"", BERTH_INVALID, "https");
    incomplete("[jwt]\nkeys = \"https://id.example/jwks\"\naudience = \"\"", BERTH_INVALID, "jwt.audience");
}

static void flags_that_cannot_be_meant_are_refused(void **state)
{
    (void)state;
    static const char *const mounts[] = {"",        "::/x", "/tmp::", "/tmp::x", "/tmp::x::write",
                                         "::write", "a\xff"};
    static const char *const capabilities[] = {"", "c", "=x", "a b=x", "c=x y", "c\xff=x"};
    for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
        cleanup_settings struct settings *settings = NULL;
        cleanup_error berth_error *error = NULL;
        assert_int_equal(settings_new(&settings), 0);
        if (settings_add_mount(settings, mounts[i], &error) != BERTH_INVALID)
            fail_msg("--mount \"%s\" was taken", mounts[i]);
        assert_says(error, "--mount");
    }
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++) {
        cleanup_settings struct settings *settings = NULL;
        cleanup_error berth_error *error = NULL;
        assert_int_equal(settings_new(&settings), 0);
        if (settings_add_capability(settings, capabilities[i], &error) != BERTH_INVALID)
            fail_msg("--capability \"%s\" was taken", capabilities[i]);
        assert_says(error, "--capability");
    }
}

static void a_flag_names_the_nearest_setting(void **state)
{
    (void)state;
    cleanup_settings struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_new(&settings), 0);
    assert_int_equal(settings_set(settings, "limits.max_run", "1", "--x", &error), BERTH_INVALID);
    assert_says(error, "did you mean \"limits.max_runs\"?");
    assert_int_equal(settings_set(settings, "contract.grants.events", "true", "--x", &error), BERTH_INVALID);
    assert_says(error, "grants.events has no place");
    assert_int_equal(settings_set(settings, "jwt.issuer", "\xff", "--x", &error), BERTH_INVALID);
    assert_says(error, "UTF-8");
}

static void there_is_an_end_to_everything(void **state)
{
    (void)state;
    cleanup_text struct text principals = {0}, credentials = {0}, huge = {0};
    for (int i = 0; i < 1025; i++)
        text_append_format(&principals, "[[principal]]\nname = \"p%d\"\ncapabilities = []\n", i);
    refused(principals.data, "more than 1024");
    text_append(&credentials, PRINCIPAL "jwt_subject = [");
    for (int i = 0; i < 257; i++)
        text_append_format(&credentials, "\"s%d\",", i);
    text_append(&credentials, "]");
    refused(credentials.data, "at most 256");
    while (huge.length <= 1 << 20)
        text_append(&huge, "# a comment that goes on\n");
    refused(huge.data, "1 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(wrong_values_say_what_would_be_right),
        cmocka_unit_test(credentials_that_cannot_be_right_are_refused),
        cmocka_unit_test(contracts_of_a_node_have_no_mounts),
        cmocka_unit_test(broken_text_is_named_by_line),
        cmocka_unit_test(names_must_refer_to_something),
        cmocka_unit_test(a_credential_is_of_one_principal),
        cmocka_unit_test(mounts_must_be_directories),
        cmocka_unit_test(listeners_beyond_this_machine_need_tls),
        cmocka_unit_test(jwts_need_a_trusted_source_and_an_audience),
        cmocka_unit_test(flags_that_cannot_be_meant_are_refused),
        cmocka_unit_test(a_flag_names_the_nearest_setting),
        cmocka_unit_test(there_is_an_end_to_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

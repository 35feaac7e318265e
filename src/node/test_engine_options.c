/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the settings for the engine, and that it fits every contract in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "node/engine_options.h"

static struct settings *settings_of(const char *toml)
{
    struct settings *settings;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_new(&settings), 0);
    if (settings_read(settings, toml, strlen(toml), "/etc/berth.toml", &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return settings;
}

static void test_every_setting_of_compiling_reaches_the_engine(void **state)
{
    cleanup_settings struct settings *settings =
        settings_of("[limits]\nmax_request_mb = 5\nmax_runs = 17\n[cache]\ndirectory = \"/cache\"\n"
                    "[compile]\nwall_seconds = 7\nmemory_mb = 128\nat_a_time = 3\n");
    struct berth_engine_options options;
    (void)state;
    node_engine_options(settings, &options);
    assert_int_equal(options.max_module_size_bytes, 5 << 20);
    assert_int_equal(options.max_instances, 17);
    assert_string_equal(options.cache_directory, "/cache");
    assert_int_equal(options.compile_wall_seconds, 7);
    assert_int_equal(options.compile_cpu_seconds, 7);
    assert_int_equal(options.compile_memory_mb, 128);
    assert_int_equal(options.compile_at_a_time, 3);
    assert_int_equal(options.compile, BERTH_COMPILE_IN_CHILD);
}

static void test_slots_are_as_large_as_the_largest_contract(void **state)
{
    struct berth_engine_options options;
    cleanup_settings struct settings *settings = settings_of("[contract.limits]\nmemory_mb = 64\n");
    (void)state;
    node_engine_options(settings, &options);
    assert_int_equal(options.max_memory_bytes, 64 << 20);
    assert_false(options.fuel);
    assert_false(options.simd);
}

static void test_what_one_principal_needs_the_engine_has(void **state)
{
    static const char token[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char toml[512];
    struct berth_engine_options options;
    (void)state;
    snprintf(toml, sizeof(toml),
             "[[principal]]\nname = \"a\"\ncapabilities = [\"x\"]\ntoken_sha256 = "
             "[\"%s\"]\n[principal.contract.limits]\nfuel = 1000\n",
             token);
    cleanup_settings struct settings *settings = settings_of(toml);
    node_engine_options(settings, &options);
    assert_true(options.fuel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting_of_compiling_reaches_the_engine),
        cmocka_unit_test(test_slots_are_as_large_as_the_largest_contract),
        cmocka_unit_test(test_what_one_principal_needs_the_engine_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

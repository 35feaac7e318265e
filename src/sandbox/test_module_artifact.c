/* SPDX-License-Identifier: Apache-2.0 */
/* Modules that go from one process to another, come from the cache by their hash, and are given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sandbox/test_place.h"

static int export_of(const berth_module *module)
{
    cleanup_error berth_error *error = NULL;
    int descriptor = -1;
    if (berth_module_export(module, &descriptor, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return descriptor;
}

static void assert_not_imported(berth_engine *engine, int descriptor, berth_status status, const char *words)
{
    cleanup_error berth_error *error = NULL;
    cleanup_module berth_module *module = NULL;
    assert_int_equal(berth_module_import(engine, descriptor, "filter.wasm", &module, &error), status);
    if (!strstr(berth_error_message(error), words))
        fail_msg("\"%s\" instead of \"%s\"", berth_error_message(error), words);
}

/* ---- Artifacts ---------------------------------------------------------------------------------- */

static void test_an_artifact_becomes_the_same_module_in_another_engine(void **state)
{
    struct berth_engine_options options = options_for(*state);
    cleanup_close int first = -1, second = -1;
    char sha256[65];
    struct stat one, two;
    berth_engine *maker = start_with(&options);
    berth_module *made = load(maker, wasm_command());
    snprintf(sha256, sizeof(sha256), "%s", berth_module_sha256(made));
    first = export_of(made);
    berth_module_unref(made);
    berth_engine_unref(maker);

    options.cache = false;
    options.compiler = "/nonexistent";
    cleanup_engine berth_engine *engine = start_with(&options);
    cleanup_module berth_module *module = NULL;
    assert_int_equal(berth_module_import(engine, first, "visitor.wasm", &module, NULL), BERTH_OK);
    assert_string_equal(berth_module_sha256(module), sha256);
    assert_string_equal(berth_module_name(module), "visitor.wasm");
    assert_true(berth_module_from_cache(module));
    cleanup_module berth_module *again = NULL;
    assert_int_equal(berth_module_import(engine, first, "again.wasm", &again, NULL), BERTH_OK);
    second = export_of(again);
    assert_int_equal(fstat(first, &one), 0);
    assert_int_equal(fstat(second, &two), 0);
    assert_int_equal(one.st_size, two.st_size);
}

static void test_an_artifact_is_sealed(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_module berth_module *module = load(engine, wasm_command());
    cleanup_close int descriptor = export_of(module);
    assert_int_equal(pwrite(descriptor, "x", 1, 0), -1);
    assert_int_equal(ftruncate(descriptor, 0), -1);
    assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
}

/* A copy of the first bytes, with one of them changed if `at` is in it. */
static int copy_of(int descriptor, size_t size_bytes, size_t at, bool sealed)
{
    int copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    cleanup_free char *bytes = malloc(size_bytes + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(descriptor, bytes, size_bytes, 0), size_bytes);
    if (at < size_bytes)
        bytes[at] ^= 1;
    assert_int_equal(write(copy, bytes, size_bytes), size_bytes);
    if (sealed)
        assert_int_equal(fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
                         0);
    return copy;
}

static void test_what_is_not_quite_an_artifact_is_refused(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_module berth_module *module = load(engine, wasm_command());
    cleanup_close int good = export_of(module);
    struct stat status;
    assert_int_equal(fstat(good, &status), 0);
    const size_t size = (size_t)status.st_size;
    const struct {
        size_t size_bytes, at;
        bool sealed;
        const char *words;
    } cases[] = {
        {size, SIZE_MAX, false, "it is not a sealed memory file"},
        {size, 0, true, "it is no module"},
        {size, 72, true, "another version, or for another processor"},
        {size, 104, true, "other engine settings"},
        {size, 168, true, "its lengths are wrong"},
        {size - 1, SIZE_MAX, true, "its lengths are wrong"},
        {100, SIZE_MAX, true, "it is cut off"},
        {0, SIZE_MAX, true, "it is cut off"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup_close int bad = copy_of(good, cases[i].size_bytes, cases[i].at, cases[i].sealed);
        assert_not_imported(engine, bad, BERTH_INVALID, cases[i].words);
    }
    cleanup_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_not_imported(engine, null, BERTH_INVALID, "sealed");
    assert_not_imported(engine, -1, BERTH_INVALID, "sealed");
}

static void test_an_artifact_of_an_engine_with_other_settings_is_refused(void **state)
{
    struct berth_engine_options options = options_for(*state);
    berth_engine *plain = start_with(&options);
    berth_module *module = load(plain, wasm_command());
    cleanup_close int descriptor = export_of(module);
    berth_module_unref(module);
    berth_engine_unref(plain);
    options.fuel = true;
    cleanup_engine berth_engine *engine = start_with(&options);
    assert_not_imported(engine, descriptor, BERTH_INVALID, "other engine settings");
}

static void test_an_artifact_whose_memory_no_slot_holds_is_refused(void **state)
{
    struct berth_engine_options options = options_for(*state);
    struct wasm wasm = {0};
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_MEMORIES, "\1\0\x20"); /* 2 MiB */
    berth_engine *large = start_with(&options);
    berth_module *module = load(large, wasm);
    cleanup_close int descriptor = export_of(module);
    berth_module_unref(module);
    berth_engine_unref(large);
    options.max_memory_bytes = 1 << 20;
    cleanup_engine berth_engine *engine = start_with(&options);
    assert_not_imported(engine, descriptor, BERTH_REFUSED, "it declares 2 MiB of memory");
}

/* ---- By hash ------------------------------------------------------------------------------------ */

static void sha256_of(const berth_module *module, uint8_t *ret)
{
    for (int i = 0; i < 32; i++)
        assert_int_equal(sscanf(berth_module_sha256(module) + 2 * i, "%2hhx", &ret[i]), 1);
}

static void test_a_module_is_found_by_its_hash_once_it_was_compiled(void **state)
{
    uint8_t sha256[32];
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_module berth_module *module = load(engine, wasm_command());
    cleanup_module berth_module *found = NULL;
    sha256_of(module, sha256);
    assert_int_equal(berth_module_load_cached(engine, sha256, "by-hash", &found, NULL), BERTH_OK);
    assert_string_equal(berth_module_sha256(found), berth_module_sha256(module));
    assert_string_equal(berth_module_name(found), "by-hash");
    sha256[0] ^= 1;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(berth_module_load_cached(engine, sha256, "by-hash", &found, &error), BERTH_NOT_FOUND);
    assert_non_null(strstr(berth_error_message(error), "is not in the cache"));
}

static void test_without_a_cache_no_hash_is_known(void **state)
{
    uint8_t sha256[32];
    struct berth_engine_options options = options_for(*state);
    options.cache = false;
    cleanup_engine berth_engine *engine = start_with(&options);
    cleanup_module berth_module *module = load(engine, wasm_command());
    cleanup_module berth_module *found = NULL;
    sha256_of(module, sha256);
    assert_int_equal(berth_module_load_cached(engine, sha256, NULL, &found, NULL), BERTH_NOT_FOUND);
}

/* ---- Giving up ---------------------------------------------------------------------------------- */

/* Far more than the compiler does in the time limits of the engine's default. */
static struct wasm endless(void)
{
    return wasm_heavy(200, 20000);
}

struct loader {
    pthread_t thread;
    berth_engine *engine;
    struct wasm wasm;
    int cancel;
    berth_status status;
};

static void *load_on_thread(void *argument)
{
    struct loader *loader = argument;
    struct berth_module_load_options options;
    cleanup_module berth_module *module = NULL;
    berth_module_load_options_init(&options);
    options.cancel_descriptor = loader->cancel;
    loader->status = berth_module_load_cancellable(loader->engine, loader->wasm.bytes,
                                                   loader->wasm.size_bytes, "x", &options, &module, NULL);
    return NULL;
}

static void begin(struct loader *loader, berth_engine *engine, struct wasm wasm)
{
    *loader = (struct loader){.engine = engine, .wasm = wasm, .cancel = eventfd(0, EFD_CLOEXEC)};
    assert_int_equal(pthread_create(&loader->thread, NULL, load_on_thread, loader), 0);
}

static void cancel(const struct loader *loader)
{
    const uint64_t one = 1;
    assert_int_equal(write(loader->cancel, &one, sizeof(one)), sizeof(one));
}

static berth_status end(struct loader *loader)
{
    pthread_join(loader->thread, NULL);
    close(loader->cancel);
    wasm_done(&loader->wasm);
    return loader->status;
}

static bool has_child(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void await_child(bool wanted)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    while (has_child() != wanted)
        nanosleep(&moment, NULL);
}

static void test_a_load_that_is_given_up_kills_its_compiler(void **state)
{
    struct berth_engine_options options = options_for(*state);
    cleanup_engine berth_engine *engine = start_with(&options);
    struct loader loader;
    begin(&loader, engine, endless());
    await_child(true);
    cancel(&loader);
    assert_int_equal(end(&loader), BERTH_CANCELLED);
    assert_false(has_child());
    /* It is not held against the module. */
    cleanup_module berth_module *module = load(engine, wasm_command());
    assert_false(berth_module_from_cache(module));
}

static void test_a_load_that_was_given_up_before_does_not_begin(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    struct berth_module_load_options options;
    cleanup_wasm struct wasm wasm = wasm_command();
    cleanup_close int cancelled = eventfd(1, EFD_CLOEXEC);
    cleanup_module berth_module *module = NULL;
    cleanup_error berth_error *error = NULL;
    berth_module_load_options_init(&options);
    options.cancel_descriptor = cancelled;
    assert_int_equal(
        berth_module_load_cancellable(engine, wasm.bytes, wasm.size_bytes, "x", &options, &module, &error),
        BERTH_CANCELLED);
    assert_string_equal(berth_error_message(error), "x was given up while it was loaded");
}

static void test_compilations_wait_for_their_turn_and_can_be_given_up_there(void **state)
{
    struct berth_engine_options options = options_for(*state);
    options.compile_at_a_time = 1;
    cleanup_engine berth_engine *engine = start_with(&options);
    struct loader first, second, third;
    begin(&first, engine, endless());
    await_child(true);
    begin(&second, engine, wasm_command());
    begin(&third, engine, wasm_heavy(1, 1));
    cancel(&second);
    assert_int_equal(end(&second), BERTH_CANCELLED);
    cancel(&first);
    assert_int_equal(end(&first), BERTH_CANCELLED);
    /* Its turn has come. */
    assert_int_equal(end(&third), BERTH_OK);
}

static void test_load_options_of_another_version_are_refused(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_wasm struct wasm wasm = wasm_command();
    const struct berth_module_load_options options = {0};
    cleanup_module berth_module *module = NULL;
    assert_int_equal(
        berth_module_load_cancellable(engine, wasm.bytes, wasm.size_bytes, "x", &options, &module, NULL),
        BERTH_INVALID);
}

#define artifact_test(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        artifact_test(test_an_artifact_becomes_the_same_module_in_another_engine),
        artifact_test(test_an_artifact_is_sealed),
        artifact_test(test_what_is_not_quite_an_artifact_is_refused),
        artifact_test(test_an_artifact_of_an_engine_with_other_settings_is_refused),
        artifact_test(test_an_artifact_whose_memory_no_slot_holds_is_refused),
        artifact_test(test_a_module_is_found_by_its_hash_once_it_was_compiled),
        artifact_test(test_without_a_cache_no_hash_is_known),
        artifact_test(test_a_load_that_is_given_up_kills_its_compiler),
        artifact_test(test_a_load_that_was_given_up_before_does_not_begin),
        artifact_test(test_compilations_wait_for_their_turn_and_can_be_given_up_there),
        artifact_test(test_load_options_of_another_version_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

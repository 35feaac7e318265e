/* SPDX-License-Identifier: Apache-2.0 */
/* Modules through the public interface: loaded, refused, taken from the cache, checked and described. */
#include <berth/berth.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "sandbox/compile.h"
#include "sandbox/module.h"
#include "sandbox/test_place.h"
#include "sandbox/test_wasm.h"

static void assert_not_loaded(berth_engine *engine, struct wasm wasm, berth_status status,
                              const char *sentence)
{
    cleanup_error berth_error *error = NULL;
    cleanup_module berth_module *module = NULL;
    assert_int_equal(berth_module_load(engine, wasm.bytes, wasm.size_bytes, "filter.wasm", &module, &error),
                     status);
    assert_int_equal(berth_error_status(error), status);
    const char *found = strstr(berth_error_message(error), sentence);
    if (!found || strstr(found + 1, sentence))
        fail_msg("\"%s\" instead of \"%s\"", berth_error_message(error), sentence);
    wasm_done(&wasm);
}

static berth_contract *contract_of(const char *toml)
{
    cleanup_error berth_error *error = NULL;
    berth_contract *contract = NULL;
    if (berth_contract_parse(toml, strlen(toml), "test", &contract, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return contract;
}

/* ---- Loading ------------------------------------------------------------------------------------ */

static void test_the_first_load_compiles_and_the_second_does_not(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_module berth_module *first = load(engine, wasm_command());
    cleanup_module berth_module *second = load(engine, wasm_command());
    assert_false(berth_module_from_cache(first));
    assert_true(berth_module_from_cache(second));
    assert_string_equal(berth_module_name(first), "filter.wasm");
    assert_int_equal(strlen(berth_module_sha256(first)), 64);
    assert_string_equal(berth_module_sha256(first), berth_module_sha256(second));
}

static void test_another_engine_finds_what_the_first_compiled(void **state)
{
    berth_engine *engine = start(*state);
    berth_module_unref(load(engine, wasm_command()));
    berth_engine_unref(engine);
    engine = start(*state);
    cleanup_module berth_module *module = load(engine, wasm_command());
    berth_engine_unref(engine);
    assert_true(berth_module_from_cache(module));
}

static void test_without_a_cache_each_load_compiles_and_nothing_is_written(void **state)
{
    const struct place *place = *state;
    struct berth_engine_options options = options_for(place);
    options.cache = false;
    cleanup_engine berth_engine *engine = start_with(&options);
    berth_module_unref(load(engine, wasm_command()));
    cleanup_module berth_module *module = load(engine, wasm_command());
    assert_false(berth_module_from_cache(module));
    assert_int_equal(access(place->cache, F_OK), -1);
}

static void test_compiling_in_process_fills_the_same_cache(void **state)
{
    struct berth_engine_options options = options_for(*state);
    options.compile = BERTH_COMPILE_IN_PROCESS;
    options.compiler = "/nowhere";
    berth_engine *engine = start_with(&options);
    berth_module_unref(load(engine, wasm_command()));
    berth_engine_unref(engine);
    engine = start(*state);
    cleanup_module berth_module *module = load(engine, wasm_command());
    berth_engine_unref(engine);
    assert_true(berth_module_from_cache(module));
}

/* Every combination of settings must come out of the process as the engine wants it. */
static void test_code_for_all_settings_loads_into_an_engine_with_a_pool(void **state)
{
    for (unsigned bits = 0; bits < 8; bits++) {
        struct berth_engine_options options = options_for(*state);
        options.fuel = bits & 1;
        options.deterministic = bits & 2;
        options.simd = bits & 4;
        cleanup_engine berth_engine *engine = start_with(&options);
        cleanup_module berth_module *module = load(engine, wasm_heavy(2, 50));
        assert_non_null(module);
    }
}

static void test_a_damaged_entry_is_compiled_again(void **state)
{
    const struct place *place = *state;
    cleanup_engine berth_engine *engine = start(place);
    berth_module_unref(load(engine, wasm_command()));
    DIR *stream = opendir(place->cache);
    for (const struct dirent *item; (item = readdir(stream));)
        if (strlen(item->d_name) == 64) {
            int fd = openat(dirfd(stream), item->d_name, O_WRONLY | O_CLOEXEC);
            assert_int_equal(pwrite(fd, "X", 1, 300), 1);
            close(fd);
        }
    closedir(stream);
    cleanup_module berth_module *again = load(engine, wasm_command());
    cleanup_module berth_module *then = load(engine, wasm_command());
    assert_false(berth_module_from_cache(again));
    assert_true(berth_module_from_cache(then));
}

static void test_a_cache_that_others_may_write_stops_the_engine(void **state)
{
    const struct place *place = *state;
    const struct berth_engine_options options = options_for(place);
    cleanup_error berth_error *error = NULL;
    cleanup_engine berth_engine *engine = NULL;
    mode_t mask = umask(0);
    assert_int_equal(mkdir(place->cache, 0777), 0);
    umask(mask);
    assert_int_equal(berth_engine_new(&options, &engine, &error), BERTH_IO);
    assert_non_null(strstr(berth_error_message(error), place->cache));
    assert_non_null(strstr(berth_error_message(error), "--no-cache"));
}

static void test_a_cache_that_cannot_be_written_is_done_without(void **state)
{
    struct berth_engine_options options = options_for(*state);
    options.cache_directory = "/proc/self/comm/cache";
    cleanup_engine berth_engine *engine = start_with(&options);
    cleanup_module berth_module *module = load(engine, wasm_command());
    assert_false(berth_module_from_cache(module));
}

/* ---- Refusals ----------------------------------------------------------------------------------- */

static struct wasm text_of(const char *text)
{
    struct wasm wasm = {0};
    wasm_bytes(&wasm, text, strlen(text));
    return wasm;
}

static void test_refusals_name_the_module_and_the_reason(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    assert_not_loaded(engine, (struct wasm){0}, BERTH_REFUSED, "filter.wasm is refused: the module is empty");
    assert_not_loaded(engine, text_of("hello"), BERTH_REFUSED, "filter.wasm is refused: this is text");
    assert_not_loaded(engine, wasm_importer("env", "system", "\0\1", 2), BERTH_REFUSED,
                      "filter.wasm is refused: it imports env.system, which berth does not offer");
}

static void test_a_name_from_outside_is_escaped(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_error berth_error *error = NULL;
    berth_module *module = NULL;
    assert_int_equal(berth_module_load(engine, "x", 1, "a\x1b[2J\nb", &module, &error), BERTH_REFUSED);
    assert_non_null(strstr(berth_error_message(error), "a\\x1b[2J\\nb is refused"));
}

static void test_a_module_above_the_size_is_refused(void **state)
{
    struct berth_engine_options options = options_for(*state);
    options.max_module_size_bytes = 16;
    cleanup_engine berth_engine *engine = start_with(&options);
    assert_not_loaded(engine, wasm_command(), BERTH_REFUSED, "at most 16 bytes are allowed");
}

/* A module of one memory with so many pages, or one table with so many entries. */
static struct wasm with_minimum(uint8_t section, uint32_t minimum)
{
    struct wasm wasm = {0};
    cleanup_wasm struct wasm contents = {0};
    wasm_header(&wasm);
    wasm_byte(&contents, 1);
    if (section == WASM_TABLES)
        wasm_byte(&contents, 0x70);
    wasm_byte(&contents, 0);
    wasm_number(&contents, minimum);
    wasm_section(&wasm, section, contents.bytes, contents.size_bytes);
    return wasm;
}

static void test_what_no_slot_can_hold_is_refused(void **state)
{
    struct berth_engine_options options = options_for(*state);
    options.max_memory_bytes = 2 << 20;
    cleanup_engine berth_engine *engine = start_with(&options);
    berth_module_unref(load(engine, with_minimum(WASM_MEMORIES, 32)));
    assert_not_loaded(engine, with_minimum(WASM_MEMORIES, 33), BERTH_REFUSED, "to allow it: memory_mb = 3");
    assert_not_loaded(engine, with_minimum(WASM_TABLES, TABLE_ELEMENTS_MAX + 1), BERTH_REFUSED,
                      "20001 entries");
}

static void test_what_an_earlier_engine_cached_is_checked_again(void **state)
{
    struct berth_engine_options options = options_for(*state);
    berth_engine *engine = start_with(&options);
    berth_module_unref(load(engine, with_minimum(WASM_MEMORIES, 33)));
    berth_engine_unref(engine);
    options.max_memory_bytes = 2 << 20;
    engine = start_with(&options);
    for (int i = 0; i < 2; i++)
        assert_not_loaded(
            engine, with_minimum(WASM_MEMORIES, 33), BERTH_REFUSED,
            "filter.wasm is refused: it declares 2.062 MiB of memory, and the largest contract here "
            "allows 2 MiB; to allow it: memory_mb = 3");
    berth_engine_unref(engine);
}

static void test_a_missing_compiler_is_an_error_that_names_it(void **state)
{
    struct berth_engine_options options = options_for(*state);
    options.compiler = "/nowhere/berth-compiler";
    cleanup_engine berth_engine *engine = start_with(&options);
    assert_not_loaded(
        engine, wasm_command(), BERTH_IO,
        "filter.wasm cannot be loaded: the compiler program /nowhere/berth-compiler does not start");
}

/* A compiler that refuses, and leaves a mark each time it is started. */
static void write_refusing_compiler(const struct place *place, char *path, size_t capacity)
{
    const struct compile_report report = {.kind = COMPILE_REPORT_SIGNAL, .signal = SIGSEGV};
    char script[256];
    snprintf(path, capacity, "%s/report", place->root);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, &report, sizeof(report)), sizeof(report));
    close(fd);
    snprintf(path, capacity, "%s/compiler", place->root);
    int length = snprintf(script, sizeof(script), "#!/bin/sh\necho >>%s/starts\ncat %s/report\n", place->root,
                          place->root);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, script, (size_t)length), length);
    close(fd);
}

static void test_the_same_bomb_costs_once(void **state)
{
    const struct place *place = *state;
    struct berth_engine_options options = options_for(place);
    char compiler[96], starts[96];
    struct stat status;
    write_refusing_compiler(place, compiler, sizeof(compiler));
    options.compiler = compiler;
    cleanup_engine berth_engine *engine = start_with(&options);
    for (int i = 0; i < 5; i++)
        assert_not_loaded(engine, wasm_command(), BERTH_REFUSED, "the compiler crashed on it (signal 11)");
    snprintf(starts, sizeof(starts), "%s/starts", place->root);
    assert_int_equal(stat(starts, &status), 0);
    assert_int_equal(status.st_size, 1);
}

/* ---- Files -------------------------------------------------------------------------------------- */

static void write_file(const struct place *place, struct wasm wasm)
{
    int fd = open(place->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, wasm.bytes, wasm.size_bytes), wasm.size_bytes);
    close(fd);
    wasm_done(&wasm);
}

static void assert_file_status(berth_engine *engine, const char *path, berth_status status,
                               const char *clause)
{
    cleanup_error berth_error *error = NULL;
    cleanup_module berth_module *module = NULL;
    assert_int_equal(berth_module_load_file(engine, path, &module, &error), status);
    if (clause && !strstr(berth_error_message(error), clause))
        fail_msg("\"%s\" instead of \"%s\"", berth_error_message(error), clause);
    if (status == BERTH_OK)
        assert_string_equal(berth_module_name(module), "filter.wasm");
}

static void test_a_file_is_loaded_under_its_base_name(void **state)
{
    const struct place *place = *state;
    cleanup_engine berth_engine *engine = start(place);
    write_file(place, wasm_command());
    assert_file_status(engine, place->file, BERTH_OK, NULL);
    write_file(place, text_of("hello"));
    assert_file_status(engine, place->file, BERTH_REFUSED, "filter.wasm is refused: this is text");
}

static void test_what_is_no_file_is_said_to_be_none(void **state)
{
    const struct place *place = *state;
    struct berth_engine_options options = options_for(place);
    options.max_module_size_bytes = 1 << 20;
    cleanup_engine berth_engine *engine = start_with(&options);
    assert_file_status(engine, place->file, BERTH_NOT_FOUND, "filter.wasm cannot be opened: No such file");
    assert_file_status(engine, place->root, BERTH_IO, "is not a regular file");
    assert_file_status(engine, "/dev/zero", BERTH_IO, "is not a regular file");
    assert_file_status(engine, "", BERTH_NOT_FOUND, NULL);
    assert_int_equal(mkfifo(place->file, 0600), 0);
    assert_file_status(engine, place->file, BERTH_IO, "is not a regular file");
    assert_int_equal(unlink(place->file), 0);
    write_file(place, wasm_command());
    assert_int_equal(truncate(place->file, (1 << 20) + 1), 0);
    assert_file_status(engine, place->file, BERTH_REFUSED, "at most 1 MiB are allowed");
}

/* ---- Against a contract, and for people --------------------------------------------------------- */

static void assert_check(const berth_module *module, const char *toml, const char *clause)
{
    cleanup_contract berth_contract *contract = contract_of(toml);
    cleanup_error berth_error *error = NULL;
    berth_status wanted = clause ? BERTH_REFUSED : BERTH_OK;
    assert_int_equal(berth_module_check(module, contract, &error), wanted);
    if (clause && !strstr(berth_error_message(error), clause))
        fail_msg("\"%s\" instead of \"%s\"", berth_error_message(error), clause);
}

static void test_declared_memory_is_checked_against_the_contract(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_module berth_module *module = load(engine, with_minimum(WASM_MEMORIES, 160));
    assert_check(module, "[limits]\nmemory_mb = 10\n", NULL);
    assert_check(
        module, "[limits]\nmemory_mb = 9\n",
        "filter.wasm is refused: it declares 10 MiB of memory, and limits.memory_mb allows 9 MiB; to allow "
        "it: memory_mb = 10");
}

static void test_vector_instructions_are_checked_against_the_contract(void **state)
{
    static const char body[] = "\1\x15\0\xfd\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1a\x0b";
    struct berth_engine_options options = options_for(*state);
    struct wasm wasm = {0};
    options.simd = true;
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_section_of(&wasm, WASM_CODE, body);
    cleanup_engine berth_engine *engine = start_with(&options);
    cleanup_module berth_module *module = load(engine, wasm);
    assert_check(module, "[grants]\nsimd = true\n", NULL);
    assert_check(module, "[grants]\nsimd = false\n", "to allow it: simd = true");
}

static void test_parameters_of_exports_are_told(void **state)
{
    cleanup_engine berth_engine *engine = start(*state);
    cleanup_error berth_error *error = NULL;
    struct wasm wasm = {0};
    berth_value_kind kinds[2] = {0};
    size_t n_kinds = 0;
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\3\x7f\x7e\x7c\0");
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_section_of(&wasm, WASM_EXPORTS, "\1\7measure\0\0");
    wasm_section_of(&wasm, WASM_CODE, "\1\2\0\x0b");
    cleanup_module berth_module *module = load(engine, wasm);
    assert_int_equal(berth_module_parameters(module, "measure", kinds, 2, &n_kinds, NULL), BERTH_OK);
    assert_int_equal(n_kinds, 3);
    assert_int_equal(kinds[0], BERTH_VALUE_I32);
    assert_int_equal(kinds[1], BERTH_VALUE_I64);
    assert_int_equal(berth_module_parameters(module, "mesure", kinds, 2, &n_kinds, &error), BERTH_NOT_FOUND);
    assert_string_equal(berth_error_message(error),
                        "filter.wasm exports no function mesure; the nearest is measure");
}

static char *inspect(struct wasm wasm, const char *toml, berth_format format, bool wanted_refused)
{
    cleanup_contract berth_contract *contract = toml ? contract_of(toml) : NULL;
    char *text = NULL;
    bool refused = !wanted_refused;
    assert_int_equal(berth_module_inspect(wasm.bytes, wasm.size_bytes, "filter.wasm", contract, format,
                                          &refused, &text, NULL),
                     BERTH_OK);
    assert_int_equal(refused, wanted_refused);
    for (const char *c = text; *c; c++)
        assert_true((unsigned char)*c >= ' ' || *c == '\n');
    wasm_done(&wasm);
    return text;
}

static void assert_says(struct wasm wasm, const char *toml, bool refused, const char *clause)
{
    cleanup_free char *text = inspect(wasm, toml, BERTH_FORMAT_TEXT, refused);
    if (!strstr(text, clause))
        fail_msg("no \"%s\" in:\n%s", clause, text);
}

static void test_inspect_tells_what_a_module_is(void **state)
{
    (void)state;
    assert_says(wasm_command(), NULL, false, "a command: a program that starts and ends");
    assert_says(wasm_heavy(1, 1), NULL, false, "a library");
    assert_says(wasm_command(), NULL, false, "64 KiB to start with, no maximum of its own");
    assert_says(wasm_importer("wasi_snapshot_preview1", "fd_write", "\0\2", 2), NULL, false, "always there");
}

static void test_inspect_tells_what_a_contract_says(void **state)
{
    (void)state;
    assert_says(with_minimum(WASM_MEMORIES, 160), "[limits]\nmemory_mb = 9\n", true, "memory_mb = 10");
    assert_says(with_minimum(WASM_MEMORIES, 160), "[limits]\nmemory_mb = 10\n", false, "lets it in");
}

static void test_inspect_describes_what_berth_refuses(void **state)
{
    (void)state;
    assert_says(wasm_importer("env", "sys\x1btem", "\0\1", 2), NULL, true,
                "env.sys\\x1btem  berth does not offer it");
    assert_says(text_of("hello"), NULL, true, "berth would refuse it: this is text");
    assert_says((struct wasm){0}, NULL, true, "0 bytes");
}

static void test_inspect_writes_json(void **state)
{
    (void)state;
    cleanup_free char *good = inspect(wasm_command(), "", BERTH_FORMAT_JSON, false);
    cleanup_free char *bad =
        inspect(wasm_importer("env", "sys\x1btem", "\0\1", 2), NULL, BERTH_FORMAT_JSON, true);
    cleanup_json json_t *good_json = json_loads(good, 0, NULL);
    cleanup_json json_t *bad_json = json_loads(bad, 0, NULL);
    assert_non_null(good_json);
    assert_non_null(bad_json);
    assert_string_equal(json_string_value(json_object_get(good_json, "kind")), "command");
    assert_false(json_is_true(json_object_get(good_json, "refused")));
    assert_true(json_is_true(json_object_get(bad_json, "refused")));
    assert_non_null(json_string_value(json_object_get(bad_json, "reason")));
}

#define module_test(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        module_test(test_the_first_load_compiles_and_the_second_does_not),
        module_test(test_another_engine_finds_what_the_first_compiled),
        module_test(test_without_a_cache_each_load_compiles_and_nothing_is_written),
        module_test(test_compiling_in_process_fills_the_same_cache),
        module_test(test_code_for_all_settings_loads_into_an_engine_with_a_pool),
        module_test(test_a_damaged_entry_is_compiled_again),
        module_test(test_a_cache_that_others_may_write_stops_the_engine),
        module_test(test_a_cache_that_cannot_be_written_is_done_without),
        module_test(test_refusals_name_the_module_and_the_reason),
        module_test(test_a_name_from_outside_is_escaped),
        module_test(test_a_module_above_the_size_is_refused),
        module_test(test_what_no_slot_can_hold_is_refused),
        module_test(test_what_an_earlier_engine_cached_is_checked_again),
        module_test(test_a_missing_compiler_is_an_error_that_names_it),
        module_test(test_the_same_bomb_costs_once),
        module_test(test_a_file_is_loaded_under_its_base_name),
        module_test(test_what_is_no_file_is_said_to_be_none),
        module_test(test_declared_memory_is_checked_against_the_contract),
        module_test(test_vector_instructions_are_checked_against_the_contract),
        module_test(test_parameters_of_exports_are_told),
        module_test(test_inspect_tells_what_a_module_is),
        module_test(test_inspect_tells_what_a_contract_says),
        module_test(test_inspect_describes_what_berth_refuses),
        module_test(test_inspect_writes_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

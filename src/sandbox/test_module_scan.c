/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/module_scan.h"
#include "sandbox/test_wasm.h"

static const struct module_scan_options plain = {.max_size_bytes = 64 << 20};

/* The outcome of scan, facts and import check together. */
static int scan_with(const struct module_scan_options *options, const void *bytes, size_t size_bytes,
                     struct text *reason)
{
    cleanup_module_scan char *json = NULL;
    cleanup_module_facts struct module_facts facts = {0};
    int r = module_scan(bytes, size_bytes, options, &json, reason);
    if (r == 0)
        r = module_facts_parse(json, strlen(json), &facts);
    return r == 0 ? module_scan_imports(&facts, reason) : r;
}

static void assert_refused(const void *bytes, size_t size_bytes, const char *clause)
{
    cleanup_text struct text reason = {0};
    assert_int_equal(scan_with(&plain, bytes, size_bytes, &reason), MODULE_SCAN_REFUSED);
    assert_non_null(reason.data);
    if (!strstr(reason.data, clause))
        fail_msg("\"%s\" does not say \"%s\"", reason.data, clause);
}

static void assert_wasm_refused(struct wasm wasm, const char *clause)
{
    assert_refused(wasm.bytes, wasm.size_bytes, clause);
    wasm_done(&wasm);
}

static void assert_accepted(struct wasm wasm)
{
    cleanup_text struct text reason = {0};
    if (scan_with(&plain, wasm.bytes, wasm.size_bytes, &reason) != 0)
        fail_msg("refused: %s", reason.data);
    wasm_done(&wasm);
}

#define assert_bytes_refused(literal, clause) assert_refused((literal), sizeof(literal) - 1, (clause))

/* ---- Files of other kinds ----------------------------------------------------------------------- */

static void test_each_kind_of_wrong_file_has_its_sentence(void **state)
{
    (void)state;
    assert_refused(NULL, 0, "empty");
    assert_bytes_refused("\0", "truncated");
    assert_bytes_refused("\0asm\1\0\0", "truncated");
    assert_bytes_refused("hello, world\n", "text");
    assert_bytes_refused("(module)", "wat2wasm");
    assert_bytes_refused("\x1f\x8b\x08\0\0", "gzip");
    assert_bytes_refused("PK\3\4----", "zip");
    assert_bytes_refused("\x7f"
                         "ELF\2\1\1",
                         "machine code");
    assert_bytes_refused("\0asm\x0d\0\1\0", "component");
    assert_bytes_refused("\0asm\2\0\0\0", "version 2");
}

/* ---- Hostile bytes ------------------------------------------------------------------------------ */

static struct wasm good_module(void)
{
    struct wasm wasm = wasm_importer("wasi_snapshot_preview1", "fd_write", "\0\2", 2);
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_section_of(&wasm, WASM_TABLES, "\1\x70\0\1");
    wasm_section_of(&wasm, WASM_MEMORIES, "\1\1\1\2");
    wasm_section_of(&wasm, WASM_GLOBALS, "\1\x7f\1\x41\0\x0b");
    wasm_section_of(&wasm, WASM_EXPORTS, "\2\6memory\2\0\6_start\0\1");
    wasm_section_of(&wasm, WASM_CODE, "\1\x05\1\1\x7f\1\x0b");
    wasm_custom(&wasm, "name", 3);
    return wasm;
}

static void assert_some_outcome(const uint8_t *bytes, size_t size_bytes)
{
    cleanup_text struct text reason = {0};
    int r = scan_with(&plain, bytes, size_bytes, &reason);
    assert_true(r == 0 || (r == MODULE_SCAN_REFUSED && reason.length > 0));
}

static void test_a_good_module_cut_anywhere_is_refused_or_whole(void **state)
{
    (void)state;
    cleanup_wasm struct wasm wasm = good_module();
    for (size_t i = 0; i < wasm.size_bytes; i++) {
        /* A copy of exactly that size, so that a sanitizer sees the end. */
        cleanup_free uint8_t *cut = malloc(i + !i);
        assert_non_null(cut);
        memcpy(cut, wasm.bytes, i);
        assert_some_outcome(cut, i);
    }
    assert_accepted(good_module());
}

static void test_every_flipped_bit_has_some_outcome(void **state)
{
    (void)state;
    cleanup_wasm struct wasm wasm = good_module();
    for (size_t i = 0; i < wasm.size_bytes * 8; i++) {
        wasm.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_some_outcome(wasm.bytes, wasm.size_bytes);
        wasm.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_counts_of_four_thousand_million_are_refused(void **state)
{
    (void)state;
    for (uint8_t id = WASM_TYPES; id <= WASM_CODE; id++) {
        cleanup_wasm struct wasm wasm = {0};
        wasm_header(&wasm);
        wasm_section_of(&wasm, id, "\xff\xff\xff\xff\x0f");
        assert_refused(wasm.bytes, wasm.size_bytes, "");
    }
}

static void test_eight_kilobytes_of_fifty_million_locals_are_refused(void **state)
{
    (void)state;
    cleanup_wasm struct wasm functions = {0}, code = {0};
    wasm_number(&functions, 1000);
    wasm_number(&code, 1000);
    for (int i = 0; i < 1000; i++) {
        wasm_byte(&functions, 0);
        wasm_bytes(&code, "\6\1\xd0\x86\3\x7f\x0b", 7);
    }
    struct wasm wasm = {0};
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section(&wasm, WASM_FUNCTIONS, functions.bytes, functions.size_bytes);
    wasm_section(&wasm, WASM_CODE, code.bytes, code.size_bytes);
    assert_wasm_refused(wasm, "locals");
}

static void test_a_module_above_the_size_is_refused(void **state)
{
    (void)state;
    const struct module_scan_options small = {.max_size_bytes = 16};
    cleanup_wasm struct wasm wasm = wasm_command();
    cleanup_text struct text reason = {0};
    assert_int_equal(scan_with(&small, wasm.bytes, wasm.size_bytes, &reason), MODULE_SCAN_REFUSED);
    assert_non_null(strstr(reason.data, " 16"));
}

/* ---- Features that berth does not offer --------------------------------------------------------- */

/* A program that does nothing, with a section more, or a body. */
static struct wasm with_section(uint8_t id, const char *contents, size_t size_bytes)
{
    struct wasm wasm = {0};
    wasm_header(&wasm);
    wasm_section(&wasm, id, contents, size_bytes);
    return wasm;
}

static struct wasm with_body(const char *body, size_t size_bytes)
{
    struct wasm wasm = {0};
    cleanup_wasm struct wasm code = {0};
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_number(&code, 1);
    wasm_number(&code, (uint32_t)size_bytes);
    wasm_bytes(&code, body, size_bytes);
    wasm_section(&wasm, WASM_CODE, code.bytes, code.size_bytes);
    return wasm;
}

#define section(id, literal) with_section((id), (literal), sizeof(literal) - 1)
#define body(literal)        with_body((literal), sizeof(literal) - 1)
#define SIMD_BODY            "\0\xfd\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1a\x0b"

static void test_features_that_are_off_are_refused_by_name(void **state)
{
    (void)state;
    assert_wasm_refused(section(WASM_MEMORIES, "\1\4\1"), "memory64");
    assert_wasm_refused(section(WASM_MEMORIES, "\1\3\1\2"), "threads");
    assert_wasm_refused(section(WASM_MEMORIES, "\2\0\1\0\1"), "multi-memory");
    assert_wasm_refused(section(WASM_TABLES, "\1\x6f\0\1"), "externref");
    assert_wasm_refused(section(WASM_TAGS, "\1\0\0"), "exception");
    assert_wasm_refused(body("\0\x12\0\x0b"), "tail-call");
}

static void test_vector_instructions_are_granted_or_refused_with_the_line(void **state)
{
    (void)state;
    const struct module_scan_options granted = {.max_size_bytes = 1 << 20, .simd = true};
    cleanup_wasm struct wasm wasm = body(SIMD_BODY);
    cleanup_text struct text reason = {0};
    assert_int_equal(scan_with(&granted, wasm.bytes, wasm.size_bytes, &reason), 0);
    assert_refused(wasm.bytes, wasm.size_bytes, "simd = true");
}

/* ---- Imports ------------------------------------------------------------------------------------ */

#define importer(module, name, literal) wasm_importer((module), (name), (literal), sizeof(literal) - 1)

static void test_an_import_that_berth_has_is_accepted(void **state)
{
    (void)state;
    assert_accepted(importer("wasi_snapshot_preview1", "fd_write", "\0\2"));
    assert_accepted(importer("wasi_snapshot_preview1", "proc_exit", "\0\1"));
}

static void test_an_unknown_import_is_named(void **state)
{
    (void)state;
    assert_wasm_refused(importer("env", "system", "\0\1"),
                        "it imports env.system, which berth does not offer");
    assert_wasm_refused(importer("wasi_snapshot_preview1", "fd_raed", "\0\2"), "the nearest is fd_read");
    assert_wasm_refused(importer("wasi_snapshot_preview2", "fd_read", "\0\2"),
                        "the nearest module is wasi_snapshot_preview1");
    assert_wasm_refused(importer("wasi_unstable", "fd_read", "\0\2"), "before 2020");
    assert_wasm_refused(importer("env", "abort", "\0\2"), "AssemblyScript");
}

static void test_an_import_of_the_wrong_type_is_told_the_right_one(void **state)
{
    (void)state;
    assert_wasm_refused(importer("wasi_snapshot_preview1", "fd_write", "\0\1"),
                        "fd_write as (i32)->(), but it is (i32,i32,i32,i32)->(i32)");
    assert_wasm_refused(importer("wasi_snapshot_preview1", "proc_exit", "\0\0"), "but it is (i32)->()");
}

static void test_imports_that_are_no_functions_are_refused(void **state)
{
    (void)state;
    assert_wasm_refused(importer("env", "memory", "\2\0\1"), "a memory (env.memory)");
    assert_wasm_refused(importer("env", "table", "\1\x70\0\1"), "a table (env.table)");
    assert_wasm_refused(importer("env", "base", "\3\x7f\0"), "a global (env.base)");
    assert_wasm_refused(importer("wasi_snapshot_preview1", "fd_write", "\2\0\1"), "a memory");
}

static void test_names_of_a_module_are_escaped_and_bounded(void **state)
{
    (void)state;
    assert_wasm_refused(importer("e\x1b[31mnv", "a\nb", "\0\1"), "it imports e\\x1b[31mnv.a\\nb,");
    char name[1001];
    memset(name, 'n', 1000);
    name[1000] = '\0';
    cleanup_wasm struct wasm wasm = importer("env", name, "\0\1");
    cleanup_text struct text reason = {0};
    assert_int_equal(scan_with(&plain, wasm.bytes, wasm.size_bytes, &reason), MODULE_SCAN_REFUSED);
    assert_true(reason.length < 200);
}

static void test_a_name_with_a_nul_is_not_the_name_before_it(void **state)
{
    (void)state;
    cleanup_wasm struct wasm wasm = {0}, imports = {0};
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\1\x7f\0");
    wasm_number(&imports, 1);
    wasm_name(&imports, "wasi_snapshot_preview1");
    wasm_bytes(&imports, "\x0eproc_exit\0evil\0\0", 17);
    wasm_section(&wasm, WASM_IMPORTS, imports.bytes, imports.size_bytes);
    assert_refused(wasm.bytes, wasm.size_bytes, "proc_exit\\\\x00evil");
}

/* ---- Facts and strip ---------------------------------------------------------------------------- */

static void test_facts_say_what_the_module_declares(void **state)
{
    (void)state;
    cleanup_wasm struct wasm wasm = good_module();
    cleanup_text struct text reason = {0};
    cleanup_module_scan char *json = NULL;
    cleanup_module_facts struct module_facts facts = {0};
    assert_int_equal(module_scan(wasm.bytes, wasm.size_bytes, &plain, &json, &reason), 0);
    assert_int_equal(module_facts_parse(json, strlen(json), &facts), 0);
    assert_int_equal(facts.n_imports, 1);
    assert_string_equal(facts.imports[0].type, "(i32,i32,i32,i32)->(i32)");
    assert_int_equal(facts.n_exports, 2);
    assert_true(facts.has_memory);
    assert_int_equal(facts.memory_min_pages, 1);
    assert_int_equal(facts.memory_max_pages, 2);
    assert_int_equal(facts.table_min_elements, 1);
    assert_false(facts.has_start_function);
    assert_string_equal(module_facts_export(&facts, "_start", MODULE_FUNCTION)->type, "()->()");
    assert_null(module_facts_export(&facts, "_start", MODULE_MEMORY));
    assert_null(module_facts_export(&facts, "start", MODULE_FUNCTION));
}

static void test_facts_that_are_none_are_an_error(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "[]", "null", "{}", "{\"imports\": 1}", "{\"imports\": [{}]}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct module_facts facts;
        assert_int_equal(module_facts_parse(texts[i], strlen(texts[i]), &facts), -EINVAL);
    }
}

static void test_custom_sections_are_cut_off_but_for_names(void **state)
{
    (void)state;
    cleanup_wasm struct wasm wasm = wasm_command(), wanted = wasm_command();
    wasm_custom(&wasm, ".debug_info", 5000);
    wasm_custom(&wasm, "name", 100);
    wasm_custom(&wasm, "producers", 100);
    wasm_custom(&wanted, "name", 100);
    cleanup_module_scan uint8_t *stripped = NULL;
    size_t stripped_bytes = 0;
    assert_int_equal(module_scan_strip(wasm.bytes, wasm.size_bytes, &stripped, &stripped_bytes), 0);
    assert_int_equal(stripped_bytes, wanted.size_bytes);
    assert_memory_equal(stripped, wanted.bytes, wanted.size_bytes);
}

static void test_a_huge_section_of_names_is_cut_off(void **state)
{
    (void)state;
    cleanup_wasm struct wasm wasm = {0}, contents = {0};
    wasm_header(&wasm);
    wasm_name(&contents, "name");
    for (int i = 0; i < 1 << 11; i++)
        wasm_bytes(&contents, (const char[1024]){0}, 1024);
    wasm_section(&wasm, WASM_CUSTOM, contents.bytes, contents.size_bytes);
    cleanup_module_scan uint8_t *stripped = NULL;
    size_t stripped_bytes = 0;
    assert_int_equal(module_scan_strip(wasm.bytes, wasm.size_bytes, &stripped, &stripped_bytes), 0);
    assert_int_equal(stripped_bytes, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_of_wrong_file_has_its_sentence),
        cmocka_unit_test(test_a_good_module_cut_anywhere_is_refused_or_whole),
        cmocka_unit_test(test_every_flipped_bit_has_some_outcome),
        cmocka_unit_test(test_counts_of_four_thousand_million_are_refused),
        cmocka_unit_test(test_eight_kilobytes_of_fifty_million_locals_are_refused),
        cmocka_unit_test(test_a_module_above_the_size_is_refused),
        cmocka_unit_test(test_features_that_are_off_are_refused_by_name),
        cmocka_unit_test(test_vector_instructions_are_granted_or_refused_with_the_line),
        cmocka_unit_test(test_an_import_that_berth_has_is_accepted),
        cmocka_unit_test(test_an_unknown_import_is_named),
        cmocka_unit_test(test_an_import_of_the_wrong_type_is_told_the_right_one),
        cmocka_unit_test(test_imports_that_are_no_functions_are_refused),
        cmocka_unit_test(test_names_of_a_module_are_escaped_and_bounded),
        cmocka_unit_test(test_a_name_with_a_nul_is_not_the_name_before_it),
        cmocka_unit_test(test_facts_say_what_the_module_declares),
        cmocka_unit_test(test_facts_that_are_none_are_an_error),
        cmocka_unit_test(test_custom_sections_are_cut_off_but_for_names),
        cmocka_unit_test(test_a_huge_section_of_names_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

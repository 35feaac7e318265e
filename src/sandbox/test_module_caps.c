/* SPDX-License-Identifier: Apache-2.0 */
/* Each cap of the scan: a module at the cap is taken, one above it is refused for that reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/module_scan.h"
#include "sandbox/test_wasm.h"

static const struct module_scan_options options = {.max_size_bytes = 64 << 20};

/* ---- Modules with so many of something ------------------------------------------------------- */

static void append_section(struct wasm *wasm, uint8_t id, struct wasm contents)
{
    wasm_section(wasm, id, contents.bytes, contents.size_bytes);
    wasm_done(&contents);
}

/* A section of `count` times the same bytes. */
static void append_repeated(struct wasm *wasm, uint8_t id, uint32_t count, const char *item,
                            size_t item_bytes)
{
    struct wasm contents = {0};
    wasm_number(&contents, count);
    for (uint32_t i = 0; i < count; i++)
        wasm_bytes(&contents, item, item_bytes);
    append_section(wasm, id, contents);
}

#define append_items(wasm, id, count, literal) \
    append_repeated((wasm), (id), (count), (literal), sizeof(literal) - 1)

static struct wasm begin(void)
{
    struct wasm wasm = {0};
    wasm_header(&wasm);
    return wasm;
}

/* One function of type ()->() with this body, which holds everything between its size and its end. */
static struct wasm one_function(struct wasm body)
{
    struct wasm wasm = begin(), code = {0};
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_byte(&body, 0x0b);
    wasm_number(&code, 1);
    wasm_number(&code, (uint32_t)body.size_bytes);
    wasm_bytes(&code, body.bytes, body.size_bytes);
    wasm_done(&body);
    append_section(&wasm, WASM_CODE, code);
    return wasm;
}

static struct wasm with_types(uint32_t count)
{
    struct wasm wasm = begin();
    append_items(&wasm, WASM_TYPES, count, "\x60\0\0");
    return wasm;
}

static struct wasm with_values(uint32_t n_parameters, uint32_t n_results)
{
    struct wasm wasm = begin(), types = {0};
    wasm_bytes(&types, "\1\x60", 2);
    wasm_number(&types, n_parameters);
    for (uint32_t i = 0; i < n_parameters; i++)
        wasm_byte(&types, 0x7f);
    wasm_number(&types, n_results);
    for (uint32_t i = 0; i < n_results; i++)
        wasm_byte(&types, 0x7f);
    append_section(&wasm, WASM_TYPES, types);
    return wasm;
}

static struct wasm with_parameters(uint32_t count)
{
    return with_values(count, 0);
}

static struct wasm with_results(uint32_t count)
{
    return with_values(0, count);
}

static struct wasm with_imports(uint32_t count)
{
    static const char import[] = "\x16wasi_snapshot_preview1\x09proc_exit\0\0";
    struct wasm wasm = begin();
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\1\x7f\0");
    append_items(&wasm, WASM_IMPORTS, count, import);
    return wasm;
}

static struct wasm with_functions(uint32_t count)
{
    struct wasm wasm = begin();
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    append_items(&wasm, WASM_FUNCTIONS, count, "\0");
    append_items(&wasm, WASM_CODE, count, "\2\0\x0b");
    return wasm;
}

static struct wasm with_tables(uint32_t count)
{
    struct wasm wasm = begin();
    append_items(&wasm, WASM_TABLES, count, "\x70\0\1");
    return wasm;
}

static struct wasm with_globals(uint32_t count)
{
    struct wasm wasm = begin();
    append_items(&wasm, WASM_GLOBALS, count, "\x7f\0\x41\0\x0b");
    return wasm;
}

/* Names must differ: numbers, as `digits` letters. */
static struct wasm with_named_exports(uint32_t count, uint32_t digits)
{
    struct wasm wasm = begin(), exports = {0};
    wasm_section_of(&wasm, WASM_MEMORIES, "\1\0\1");
    wasm_number(&exports, count);
    for (uint32_t i = 0; i < count; i++) {
        wasm_number(&exports, digits);
        for (uint32_t digit = 0, rest = i; digit < digits; digit++, rest /= 26)
            wasm_byte(&exports, (uint8_t)('a' + rest % 26));
        wasm_bytes(&exports, "\2\0", 2);
    }
    append_section(&wasm, WASM_EXPORTS, exports);
    return wasm;
}

static struct wasm with_exports(uint32_t count)
{
    return with_named_exports(count, 6);
}

static struct wasm with_name_bytes(uint32_t count)
{
    return with_named_exports(count / 1024, 1024);
}

static struct wasm with_element_segments(uint32_t count)
{
    struct wasm wasm = begin();
    wasm_section_of(&wasm, WASM_TABLES, "\1\x70\0\1");
    append_items(&wasm, 9, count, "\0\x41\0\x0b\0");
    return wasm;
}

static struct wasm with_elements(uint32_t count)
{
    struct wasm wasm = begin(), elements = {0};
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_bytes(&elements, "\1\1\0", 3);
    wasm_number(&elements, count);
    for (uint32_t i = 0; i < count; i++)
        wasm_byte(&elements, 0);
    append_section(&wasm, 9, elements);
    wasm_section_of(&wasm, WASM_CODE, "\1\2\0\x0b");
    return wasm;
}

static struct wasm with_data_segments(uint32_t count)
{
    struct wasm wasm = begin();
    append_items(&wasm, 11, count, "\1\0");
    return wasm;
}

static struct wasm with_body(uint32_t size_bytes)
{
    struct wasm body = {0};
    wasm_byte(&body, 0);
    while (body.size_bytes + 1 < size_bytes)
        wasm_byte(&body, 0x01); /* nop */
    return one_function(body);
}

static struct wasm with_locals(uint32_t count)
{
    struct wasm body = {0};
    wasm_byte(&body, 1);
    wasm_number(&body, count);
    wasm_byte(&body, 0x7f);
    return one_function(body);
}

static struct wasm with_all_locals(uint32_t count)
{
    enum { LOCALS_EACH = 10000 };
    const uint32_t n_functions = (count + LOCALS_EACH - 1) / LOCALS_EACH;
    struct wasm wasm = begin(), code = {0};
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    append_items(&wasm, WASM_FUNCTIONS, n_functions, "\0");
    wasm_number(&code, n_functions);
    for (uint32_t i = 0; i < n_functions; i++) {
        struct wasm body = {0};
        uint32_t left = count - i * LOCALS_EACH;
        wasm_byte(&body, 1);
        wasm_number(&body, left < LOCALS_EACH ? left : LOCALS_EACH);
        wasm_bytes(&body, "\x7f\x0b", 2);
        wasm_number(&code, (uint32_t)body.size_bytes);
        wasm_bytes(&code, body.bytes, body.size_bytes);
        wasm_done(&body);
    }
    append_section(&wasm, WASM_CODE, code);
    return wasm;
}

static void append_br_table(struct wasm *body, uint32_t n_targets)
{
    wasm_bytes(body, "\x02\x40\x41\0\x0e", 5);
    wasm_number(body, n_targets - 1);
    for (uint32_t i = 0; i < n_targets; i++)
        wasm_byte(body, 0);
    wasm_byte(body, 0x0b);
}

static struct wasm with_br_table(uint32_t n_targets)
{
    struct wasm body = {0};
    wasm_byte(&body, 0);
    append_br_table(&body, n_targets);
    return one_function(body);
}

static struct wasm with_nesting(uint32_t depth)
{
    struct wasm body = {0};
    wasm_byte(&body, 0);
    for (uint32_t i = 0; i < depth; i++)
        wasm_bytes(&body, "\x02\x40", 2);
    for (uint32_t i = 0; i < depth; i++)
        wasm_byte(&body, 0x0b);
    return one_function(body);
}

static struct wasm with_name_section(uint32_t size_bytes)
{
    struct wasm wasm = begin(), contents = {0};
    wasm_name(&contents, "name");
    for (uint32_t i = 0; i < size_bytes; i++)
        wasm_byte(&contents, 0);
    append_section(&wasm, WASM_CUSTOM, contents);
    return wasm;
}

/* ---- Caps --------------------------------------------------------------------------------------- */

static const struct cap {
    struct wasm (*make)(uint32_t count);
    uint32_t cap, above;
    const char *clause;
} caps[] = {
    {with_types, 20000, 20001, "types"},
    {with_parameters, 128, 129, "parameters"},
    {with_results, 32, 33, "results"},
    {with_imports, 1000, 1001, "imports"},
    {with_functions, 100000, 100001, "functions"},
    {with_tables, 1, 2, "tables"},
    {with_globals, 20000, 20001, "globals"},
    {with_exports, 20000, 20001, "exports"},
    {with_name_bytes, 4 << 20, (4 << 20) + 1024, "names"},
    {with_element_segments, 10000, 10001, "element segments"},
    {with_elements, 200000, 200001, "element segments"},
    {with_data_segments, 100000, 100001, "data segments"},
    {with_body, 2 << 20, (2 << 20) + 1, "bytes"},
    {with_locals, 20000, 20001, "locals"},
    {with_all_locals, 2000000, 2000001, "locals"},
    {with_br_table, 20000, 20001, "br_table"},
    {with_nesting, 9999, 10000, "blocks"}, /* the body is one, too */
    {with_name_section, 16 << 20, (16 << 20) + 1, "name section"},
};

static int scan(struct wasm wasm, struct text *reason)
{
    cleanup_module_scan char *json = NULL;
    int r = module_scan(wasm.bytes, wasm.size_bytes, &options, &json, reason);
    wasm_done(&wasm);
    return r;
}

static void test_a_module_at_each_cap_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        cleanup_text struct text reason = {0};
        if (scan(caps[i].make(caps[i].cap), &reason) != 0)
            fail_msg("%s: %s", caps[i].clause, reason.data);
    }
}

static void test_a_module_above_each_cap_is_refused_for_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        cleanup_text struct text reason = {0};
        int r = scan(caps[i].make(caps[i].above), &reason);
        if (r != MODULE_SCAN_REFUSED || !strstr(reason.data, caps[i].clause))
            fail_msg("%s: %d %s", caps[i].clause, r, reason.data ? reason.data : "");
    }
}

static void test_more_br_tables_than_one_function_may_have_are_refused(void **state)
{
    struct wasm wasm = begin(), functions = {0}, code = {0}, body = {0};
    enum { FUNCTIONS = 101 };
    cleanup_text struct text reason = {0};
    (void)state;
    wasm_byte(&body, 0);
    append_br_table(&body, 20000);
    wasm_byte(&body, 0x0b);
    wasm_number(&functions, FUNCTIONS);
    wasm_number(&code, FUNCTIONS);
    for (int i = 0; i < FUNCTIONS; i++) {
        wasm_byte(&functions, 0);
        wasm_number(&code, (uint32_t)body.size_bytes);
        wasm_bytes(&code, body.bytes, body.size_bytes);
    }
    wasm_done(&body);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    append_section(&wasm, WASM_FUNCTIONS, functions);
    append_section(&wasm, WASM_CODE, code);
    assert_int_equal(scan(wasm, &reason), MODULE_SCAN_REFUSED);
    assert_non_null(strstr(reason.data, "br_table"));
}

/* Two bytes of code can move 128 operands: a megabyte of calls is hours of work for a compiler that is not
 * told. */
static void test_calls_that_pass_too_many_operands_are_refused(void **state)
{
    struct wasm wasm = begin(), types = {0}, code = {0}, body = {0};
    cleanup_text struct text reason = {0};
    (void)state;
    wasm_bytes(&types, "\2\x60\0\0\x60\x20", 6);
    for (int i = 0; i < 32; i++)
        wasm_byte(&types, 0x7f);
    wasm_byte(&types, 32);
    for (int i = 0; i < 32; i++)
        wasm_byte(&types, 0x7f);
    wasm_byte(&body, 0);
    for (int i = 0; i < 32; i++)
        wasm_bytes(&body, "\x41\0", 2);
    while (body.size_bytes < 2000000)
        wasm_bytes(&body, "\x10\1", 2);
    for (int i = 0; i < 32; i++)
        wasm_byte(&body, 0x1a);
    wasm_byte(&body, 0x0b);
    enum { CALLERS = 4 };
    wasm_number(&code, CALLERS + 1);
    for (int i = 0; i < CALLERS + 1; i++) {
        if (i == 1) {
            wasm_bytes(&code, "\3\0\0\x0b", 4); /* unreachable: any results */
            continue;
        }
        wasm_number(&code, (uint32_t)body.size_bytes);
        wasm_bytes(&code, body.bytes, body.size_bytes);
    }
    wasm_done(&body);
    append_section(&wasm, WASM_TYPES, types);
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\5\0\1\0\0\0");
    append_section(&wasm, WASM_CODE, code);
    assert_int_equal(scan(wasm, &reason), MODULE_SCAN_REFUSED);
    assert_non_null(strstr(reason.data, "operands"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_module_at_each_cap_is_taken),
        cmocka_unit_test(test_a_module_above_each_cap_is_refused_for_it),
        cmocka_unit_test(test_more_br_tables_than_one_function_may_have_are_refused),
        cmocka_unit_test(test_calls_that_pass_too_many_operands_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

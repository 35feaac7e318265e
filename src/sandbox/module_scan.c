/* SPDX-License-Identifier: Apache-2.0 */
/* See module_scan.h. The parser is Rust's wasmparser behind berth_native.h; here are the numbers and the
 * rules. */
#include "sandbox/module_scan.h"

#include <berth_native.h>
#include <string.h>

#include "sandbox/module_check.h"
#include "wasi/wasi.h"

enum {
    NAME_BYTES_SHOWN = 64,
    /* Function names make traps readable; more of them is a debug build or an attack on the engine's tables.
     */
    NAME_SECTION_KEPT_BYTES = 1 << 20,
};

/*
 * A number is refused when it is above its cap. What honest programs have was measured: one of Rust's
 * standard library with debug information (7.5 MB) 1,013 functions, of which the largest has 7 KB; SQLite
 * 2,216 of up to 34 KB; a web server in Go (11 MB) 6,307 of up to 45 KB and a table of 10,403 entries;
 * esbuild, also Go, a function of 195 KB. The caps are an order of magnitude above that where one is
 * possible, and low enough that a module at one of them is compiled or given up within the limits of the
 * compiler process.
 */
static struct berth_native_scan_caps caps_for(const struct module_scan_options *options)
{
    return (struct berth_native_scan_caps){
        .module_max_bytes = options->max_size_bytes,
        .types_max = 20000,
        /* Each call moves all of them: two bytes of code for a thousand moves. */
        .params_max = 128,
        .results_max = 32,
        /* berth offers 46 functions; some linkers import one several times. */
        .imports_max = 1000,
        /* Each costs the compiler 0.15 ms, even if it does nothing. */
        .functions_max = 100000,
        /* One of each is what a slot of the pool holds. */
        .tables_max = 1,
        .memories_max = 1,
        .globals_max = 20000,
        .exports_max = 20000,
        /* The facts hold every name, escaped, which can be six times as long. */
        .names_max_bytes = 4 << 20,
        .element_segments_max = 10000,
        /* A table has 20,000 entries at most, and each entry costs the compiler kilobytes. */
        .elements_max = 200000,
        /* Go makes one for each run of bytes that are not zero: esbuild has 87,172. */
        .data_segments_max = 100000,
        /* No more than the file itself can hold: named so that it is a decision. */
        .data_max_bytes = options->max_size_bytes,
        /* Register allocation is worse than linear; above a few MB the compiler is known to panic. */
        .body_max_bytes = 2 << 20,
        /* A local costs two bytes of file for 50,000 of them; each costs the compiler a variable. */
        .locals_max = 20000,
        .locals_total_max = 2000000,
        .br_table_max = 20000,
        /* Go enters every function through one: esbuild has 249,343. */
        .br_table_total_max = 2000000,
        /* Every open block is a frame of the compiler's recursion somewhere. */
        .nesting_max = 10000,
        .operand_moves_max = 200000000,
        /* Debug information is often larger than the code. It is cut off, so only the reading of it counts.
         */
        .custom_max_bytes = options->max_size_bytes,
        .name_section_max_bytes = 16 << 20,
        .allow_simd = options->simd,
    };
}

/* A feature that the owner may grant, unlike the others. */
static bool needs_simd_only(const void *bytes, size_t size_bytes, const struct berth_native_scan_caps *caps)
{
    struct berth_native_scan_caps with_simd = *caps;
    char *facts_json = NULL, *message = NULL;
    with_simd.allow_simd = true;
    int r = berth_native_module_scan(bytes, size_bytes, &with_simd, &facts_json, &message);
    berth_native_free(facts_json);
    berth_native_free(message);
    return r == 0;
}

int module_scan(const void *bytes, size_t size_bytes, const struct module_scan_options *options,
                char **ret_facts_json, struct text *reason)
{
    const struct berth_native_scan_caps caps = caps_for(options);
    char *message = NULL;
    int r = berth_native_module_scan(size_bytes ? bytes : NULL, size_bytes, &caps, ret_facts_json, &message);
    if (r == BERTH_NATIVE_REFUSED_FEATURE && !options->simd && needs_simd_only(bytes, size_bytes, &caps))
        module_check_append_simd(reason);
    else if (r > 0 && message)
        text_append(reason, message);
    berth_native_free(message);
    return r > 0 ? MODULE_SCAN_REFUSED : r;
}

int module_scan_strip(const void *bytes, size_t size_bytes, uint8_t **ret_bytes, size_t *ret_size_bytes)
{
    int r = berth_native_module_strip(bytes, size_bytes, NAME_SECTION_KEPT_BYTES, ret_bytes, ret_size_bytes);
    return r > 0 ? -EINVAL : r;
}

void module_scan_free(void *returned)
{
    berth_native_free(returned);
}

/* ---- Imports ------------------------------------------------------------------------------------ */

/* What people meet when they bring a module of another world. The first row that fits speaks. */
static const struct {
    const char *module, *name; /* prefixes */
    const char *hint;
} hints[] = {
    {"wasi_unstable", "",
     "it was built for the WASI of before 2020, and berth offers wasi_snapshot_preview1"},
    {"wasi:", "", "it was built for WASI 0.2; build it for wasm32-wasip1"},
    {"wasi", "thread-spawn", "berth runs no threads"},
    {"__wbindgen", "", "it was built for JavaScript by wasm-bindgen; build it for wasm32-wasip1"},
    {"wbg", "", "it was built for JavaScript by wasm-bindgen; build it for wasm32-wasip1"},
    {"gojs", "", "it was built for JavaScript by Go; build it with GOOS=wasip1"},
    {"go", "runtime.", "it was built for JavaScript by Go; build it with GOOS=wasip1"},
    {"env", "abort", "AssemblyScript leaves it out with --use abort= or its wasi-shim"},
    {"env", "emscripten_", "link it with -sSTANDALONE_WASM"},
    {"env", "invoke_", "link it with -sSTANDALONE_WASM"},
    {"env", "__syscall_", "link it with -sSTANDALONE_WASM"},
};

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void append_hint(struct text *reason, const struct module_import *import)
{
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (has_prefix(import->module, hints[i].module) && has_prefix(import->name, hints[i].name)) {
            text_append_format(reason, "; %s", hints[i].hint);
            return;
        }
    }
}

static void append_name(struct text *reason, const struct module_import *import)
{
    text_append_escaped(reason, import->module, strlen(import->module), NAME_BYTES_SHOWN);
    text_append(reason, ".");
    text_append_escaped(reason, import->name, strlen(import->name), NAME_BYTES_SHOWN);
}

static const struct wasi_function_info *find_function(const char *module, const char *name)
{
    for (size_t i = 0; i < WASI_N_FUNCTIONS; i++)
        if (strcmp(wasi_functions[i].module, module) == 0 && strcmp(wasi_functions[i].name, name) == 0)
            return &wasi_functions[i];
    return NULL;
}

/* The functions of the module that was asked for; failing that, the modules there are. */
static void append_nearest(struct text *reason, const struct module_import *import)
{
    const char *functions[WASI_N_FUNCTIONS + 1] = {0}, *modules[WASI_N_FUNCTIONS + 1] = {0};
    size_t n_functions = 0;
    for (size_t i = 0; i < WASI_N_FUNCTIONS; i++) {
        modules[i] = wasi_functions[i].module;
        if (strcmp(modules[i], import->module) == 0)
            functions[n_functions++] = wasi_functions[i].name;
    }
    const char *nearest =
        n_functions ? text_nearest(import->name, functions) : text_nearest(import->module, modules);
    if (nearest)
        text_append_format(reason, "; the nearest %sis %s", n_functions ? "" : "module ", nearest);
}

static int refuse_unknown(const struct module_import *import, struct text *reason)
{
    text_append(reason, "it imports ");
    append_name(reason, import);
    text_append(reason, ", which berth does not offer");
    size_t hintless = reason->length;
    append_hint(reason, import);
    if (reason->length == hintless)
        append_nearest(reason, import);
    return MODULE_SCAN_REFUSED;
}

static void append_type(struct text *type, const struct wasi_function_info *info)
{
    text_append(type, "(");
    for (const char *letter = info->parameters; *letter; letter++)
        text_append_format(type, "%s%s", letter == info->parameters ? "" : ",",
                           *letter == 'I' ? "i64" : "i32");
    text_append(type, info->returns ? ")->(i32)" : ")->()");
}

static int check_type(const struct module_import *import, const struct wasi_function_info *info,
                      struct text *reason)
{
    cleanup_text struct text type = {0};
    append_type(&type, info);
    if (type.failed)
        return -ENOMEM;
    if (strcmp(type.data, import->type) == 0)
        return 0;
    text_append(reason, "it imports ");
    append_name(reason, import);
    text_append(reason, " as ");
    text_append_escaped(reason, import->type, strlen(import->type), NAME_BYTES_SHOWN);
    text_append_format(reason, ", but it is %s", type.data);
    return MODULE_SCAN_REFUSED;
}

static int refuse_kind(const struct module_import *import, struct text *reason)
{
    text_append_format(reason, "it imports a %s (", module_extern_kind_name(import->kind));
    append_name(reason, import);
    text_append(reason, "), and berth offers functions only");
    if (import->kind == MODULE_MEMORY)
        text_append(reason, "; link it without --import-memory");
    return MODULE_SCAN_REFUSED;
}

static int check_import(const struct module_import *import, struct text *reason)
{
    if (import->kind != MODULE_FUNCTION)
        return refuse_kind(import, reason);
    const struct wasi_function_info *info = find_function(import->module, import->name);
    return info ? check_type(import, info, reason) : refuse_unknown(import, reason);
}

bool module_scan_offers(const struct module_import *import)
{
    cleanup_text struct text reason = {0};
    return check_import(import, &reason) == 0;
}

int module_scan_imports(const struct module_facts *facts, struct text *reason)
{
    for (size_t i = 0; i < facts->n_imports; i++) {
        int r = check_import(&facts->imports[i], reason);
        if (r != 0)
            return r;
    }
    return 0;
}

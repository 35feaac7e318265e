/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a module is, for people and for programs: found out by the scan alone, then written as text or JSON.
 * Every name in the output is escaped and bounded, and so are the lists.
 */
#include <berth/module.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "sandbox/module_check.h"
#include "sandbox/module_facts.h"
#include "sandbox/module_scan.h"
#include "sandbox/words.h"

enum {
    NAME_BYTES_SHOWN = 64,
    TYPE_BYTES_SHOWN = 80,
    LINES_SHOWN = 200,
    NAME_COLUMN = 14,
    INSPECT_MAX_BYTES = 64 << 20,
};

struct inspection {
    const char *name;
    size_t size_bytes;
    char sha256[2 * SHA256_DIGEST_LENGTH + 1];
    bool readable; /* there are facts */
    struct module_facts facts;
    const berth_contract *contract; /* may be NULL */
    bool refused;
    struct text reason;
};

static void inspection_done(struct inspection *inspection)
{
    module_facts_done(&inspection->facts);
    text_done(&inspection->reason);
}

/* ---- What imports need -------------------------------------------------------------------------- */

enum need {
    NEED_NOTHING,
    NEED_OTHER_HOST,
    NEED_ARGS,
    NEED_ENV,
    NEED_CLOCK,
    NEED_RANDOM,
    NEED_MOUNT,
    NEED_WRITE,
    NEED_EVENTS,
    NEED_WATCH,
    NEED_NEVER,
    N_NEEDS
};

static const struct {
    const char *grant; /* NULL: none */
    const char *note;
} needs[N_NEEDS] = {
    [NEED_NOTHING] = {NULL, "always there"},
    [NEED_OTHER_HOST] = {NULL, "berth does not offer it"},
    [NEED_ARGS] = {"grants.args", "args = true"},
    [NEED_ENV] = {"grants.env", "env = [\"NAME\"]"},
    [NEED_CLOCK] = {"grants.clock", "clock = \"coarse\""},
    [NEED_RANDOM] = {"grants.random", "random = \"os\""},
    [NEED_MOUNT] = {"grants.mount", "a [[grants.mount]]"},
    [NEED_WRITE] = {"grants.mount", "a [[grants.mount]] with mode = \"write\""},
    [NEED_EVENTS] = {"grants.events", "events = true"},
    [NEED_WATCH] = {"grants.watch", "watch = true"},
    [NEED_NEVER] = {NULL, "fails: no contract grants sockets"},
};

/* The first row whose prefix fits. */
static const struct {
    const char *prefix;
    enum need need;
} needs_of_functions[] = {
    {"args_", NEED_ARGS},
    {"environ_", NEED_ENV},
    {"clock_", NEED_CLOCK},
    {"random_get", NEED_RANDOM},
    {"sock_", NEED_NEVER},
    {"path_open", NEED_MOUNT},
    {"path_filestat_get", NEED_MOUNT},
    {"path_readlink", NEED_MOUNT},
    {"path_", NEED_WRITE},
    {"fd_readdir", NEED_MOUNT},
    {"fd_prestat_", NEED_MOUNT},
    {"fd_allocate", NEED_WRITE},
    {"fd_filestat_set_", NEED_WRITE},
    {"fd_pwrite", NEED_WRITE},
    {"push_event", NEED_EVENTS},
    {"wait_for_change", NEED_WATCH},
};

static enum need need_of(const struct module_import *import)
{
    if (!module_scan_offers(import))
        return NEED_OTHER_HOST;
    for (size_t i = 0; i < sizeof(needs_of_functions) / sizeof(needs_of_functions[0]); i++)
        if (strncmp(import->name, needs_of_functions[i].prefix, strlen(needs_of_functions[i].prefix)) == 0)
            return needs_of_functions[i].need;
    return NEED_NOTHING;
}

static bool has_writable_mount(const struct berth_grants *grants)
{
    for (size_t i = 0; i < grants->n_mounts; i++)
        if (grants->mounts[i].writable)
            return true;
    return false;
}

static bool grants_need(const berth_contract *contract, enum need need)
{
    const struct berth_grants *grants = berth_contract_grants(contract);
    switch (need) {
    case NEED_ARGS:
        return grants->args;
    case NEED_ENV:
        return grants->n_env > 0;
    case NEED_CLOCK:
        return grants->clock != BERTH_CLOCK_NONE;
    case NEED_RANDOM:
        return grants->random != BERTH_RANDOM_NONE;
    case NEED_MOUNT:
        return grants->n_mounts > 0;
    case NEED_WRITE:
        return has_writable_mount(grants);
    case NEED_EVENTS:
        return grants->events;
    case NEED_WATCH:
        return grants->watch;
    case NEED_NEVER:
    case NEED_OTHER_HOST:
        return false;
    default:
        return true;
    }
}

/* ---- Finding out -------------------------------------------------------------------------------- */

static int find_out(struct inspection *inspection, const void *bytes)
{
    static const struct module_scan_options options = {.max_size_bytes = INSPECT_MAX_BYTES, .simd = true};
    cleanup_module_scan char *facts_json = NULL;
    int r = module_scan(bytes, inspection->size_bytes, &options, &facts_json, &inspection->reason);
    if (r != 0)
        return r;
    r = module_facts_parse(facts_json, strlen(facts_json), &inspection->facts);
    if (r < 0)
        return r;
    inspection->readable = true;
    r = module_scan_imports(&inspection->facts, &inspection->reason);
    if (r == 0 && inspection->contract)
        r = module_check(&inspection->facts, inspection->contract, &inspection->reason);
    return r;
}

static const char *kind_of(const struct module_facts *facts)
{
    if (module_facts_export(facts, "_start", MODULE_FUNCTION))
        return "command";
    return module_facts_export(facts, "_initialize", MODULE_FUNCTION) ? "reactor" : "library";
}

static const char *kind_in_words(const char *kind)
{
    if (strcmp(kind, "command") == 0)
        return "a command: a program that starts and ends (_start)";
    if (strcmp(kind, "reactor") == 0)
        return "a reactor: set up once (_initialize), then called";
    return "a library: its exports are called";
}

/* ---- Text --------------------------------------------------------------------------------------- */

static size_t width_of(const char *text, size_t length)
{
    size_t width = 0;
    for (size_t i = 0; i < length; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

/* The width of the text, escaped. */
static size_t shown_width(const char *string, size_t maximum)
{
    cleanup_text struct text shown = {0};
    text_append_escaped(&shown, string, strlen(string), maximum);
    return shown.failed ? 0 : width_of(shown.data, shown.length);
}

/* The text, escaped, padded with blanks to a column. */
static void append_column(struct text *out, const char *string, size_t maximum, size_t width)
{
    size_t before = out->length;
    text_append_escaped(out, string, strlen(string), maximum);
    size_t used = out->failed ? width : width_of(out->data + before, out->length - before);
    text_append_format(out, "%*s", used < width ? (int)(width - used) : 0, "");
}

static void append_heading(struct text *out, const char *heading)
{
    text_append_format(out, "  %-*s", NAME_COLUMN, heading);
}

static void append_memory(struct text *out, const struct module_facts *facts)
{
    char minimum[32], maximum[32];
    append_heading(out, "memory");
    if (!facts->has_memory) {
        text_append(out, "none\n");
        return;
    }
    words_bytes(facts->memory_min_pages * WASM_PAGE_BYTES, minimum, sizeof(minimum));
    text_append_format(out, "%s to start with, ", minimum);
    if (facts->memory_max_pages == UINT64_MAX) {
        text_append(out, "no maximum of its own\n");
        return;
    }
    words_bytes(facts->memory_max_pages * WASM_PAGE_BYTES, maximum, sizeof(maximum));
    text_append_format(out, "at most %s\n", maximum);
}

static void append_producers(struct text *out, const struct module_facts *facts)
{
    for (size_t i = 0; facts->producers[i]; i++) {
        append_heading(out, i == 0 ? "made by" : "");
        text_append_escaped(out, facts->producers[i], strlen(facts->producers[i]), 2 * NAME_BYTES_SHOWN);
        text_append(out, "\n");
    }
}

static void append_amount(struct text *out, const char *heading, uint64_t bytes, const char *what)
{
    char amount[32];
    words_bytes(bytes, amount, sizeof(amount));
    append_heading(out, heading);
    text_append_format(out, "%s%s\n", amount, what);
}

static void append_facts(struct text *out, const struct module_facts *facts)
{
    char largest[32];
    words_bytes(facts->largest_body_bytes, largest, sizeof(largest));
    append_heading(out, "kind");
    text_append_format(out, "%s\n", kind_in_words(kind_of(facts)));
    append_producers(out, facts);
    if (facts->n_functions > 0) {
        append_heading(out, "functions");
        text_append_format(out, "%" PRIu64 ", the largest has %s\n", facts->n_functions, largest);
    }
    if (facts->data_bytes > 0)
        append_amount(out, "data", facts->data_bytes, "");
    if (facts->custom_bytes > 0)
        append_amount(out, "extra", facts->custom_bytes, " of names and debug information");
    append_memory(out, facts);
    if (facts->n_tables > 0) {
        append_heading(out, "table");
        text_append_format(out, "%" PRIu64 " entries\n", facts->table_min_elements);
    }
    if (facts->has_start_function) {
        append_heading(out, "start");
        text_append(out, "code runs as soon as it is instantiated\n");
    }
    if (facts->uses_simd) {
        append_heading(out, "vectors");
        text_append(out, "128-bit vector instructions: needs simd = true\n");
    }
}

static void append_more(struct text *out, size_t total)
{
    if (total > LINES_SHOWN)
        text_append_format(out, "  and %zu more\n", total - LINES_SHOWN);
}

static void append_need(struct text *out, const struct inspection *inspection, enum need need)
{
    text_append(out, needs[need].note);
    if (inspection->contract && needs[need].grant)
        text_append(out, grants_need(inspection->contract, need) ? ": granted" : ": not granted");
}

static size_t import_width(const struct module_import *import)
{
    return shown_width(import->module, NAME_BYTES_SHOWN) + 1 + shown_width(import->name, NAME_BYTES_SHOWN);
}

static void append_imports(struct text *out, const struct inspection *inspection)
{
    const struct module_facts *facts = &inspection->facts;
    size_t widest = 0;
    for (size_t i = 0; i < facts->n_imports && i < LINES_SHOWN; i++) {
        size_t width = import_width(&facts->imports[i]);
        widest = width > widest ? width : widest;
    }
    text_append_format(out, "\nimports%s\n", facts->n_imports ? "" : ": none");
    for (size_t i = 0; i < facts->n_imports && i < LINES_SHOWN; i++) {
        const struct module_import *import = &facts->imports[i];
        text_append(out, "  ");
        text_append_escaped(out, import->module, strlen(import->module), NAME_BYTES_SHOWN);
        text_append(out, ".");
        text_append_escaped(out, import->name, strlen(import->name), NAME_BYTES_SHOWN);
        text_append_format(out, "%*s", (int)(widest + 2 - import_width(import)), "");
        append_need(out, inspection, need_of(import));
        text_append(out, "\n");
    }
    append_more(out, facts->n_imports);
}

static void append_exports(struct text *out, const struct module_facts *facts)
{
    size_t widest = 0;
    for (size_t i = 0; i < facts->n_exports && i < LINES_SHOWN; i++) {
        size_t width = shown_width(facts->exports[i].name, NAME_BYTES_SHOWN);
        widest = width > widest ? width : widest;
    }
    text_append_format(out, "\nexports%s\n", facts->n_exports ? "" : ": none");
    for (size_t i = 0; i < facts->n_exports && i < LINES_SHOWN; i++) {
        const struct module_export *export = &facts->exports[i];
        text_append(out, "  ");
        append_column(out, export->name, NAME_BYTES_SHOWN, widest + 2);
        append_column(out, module_extern_kind_name(export->kind), NAME_BYTES_SHOWN, sizeof("function  ") - 1);
        text_append_escaped(out, export->type, strlen(export->type), TYPE_BYTES_SHOWN);
        text_append(out, "\n");
    }
    append_more(out, facts->n_exports);
}

static char *write_text(const struct inspection *inspection)
{
    cleanup_text struct text out = {0};
    char size[32];
    words_bytes(inspection->size_bytes, size, sizeof(size));
    text_append_escaped(&out, inspection->name, strlen(inspection->name), 4 * NAME_BYTES_SHOWN);
    text_append(&out, "\n");
    append_heading(&out, "size");
    text_append_format(&out, "%s\n", size);
    append_heading(&out, "sha-256");
    text_append_format(&out, "%s\n", inspection->sha256);
    if (inspection->readable) {
        append_facts(&out, &inspection->facts);
        append_imports(&out, inspection);
        append_exports(&out, &inspection->facts);
    }
    if (inspection->refused)
        text_append_format(&out, "\nberth would refuse it: %s\n", inspection->reason.data);
    else if (inspection->contract)
        text_append(&out, "\nThis contract lets it in.\n");
    else
        text_append(&out, "\nberth can run it.\n");
    return text_take(&out);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static json_t *escaped(const char *string, size_t maximum)
{
    return json_escaped(string, strlen(string), maximum);
}

/* jansson takes NULL for a value as a failure and passes it on, so that one check at the end is enough. */
static bool set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static json_t *import_to_json(const struct inspection *inspection, const struct module_import *import)
{
    cleanup_json json_t *object = json_object();
    const enum need need = need_of(import);
    const char *grant = needs[need].grant;
    bool good = set(object, "module", escaped(import->module, NAME_BYTES_SHOWN)) &&
                set(object, "name", escaped(import->name, NAME_BYTES_SHOWN)) &&
                set(object, "kind", json_string(module_extern_kind_name(import->kind))) &&
                set(object, "type", escaped(import->type, TYPE_BYTES_SHOWN)) &&
                set(object, "grant", grant ? json_string(grant) : json_null());
    if (good && inspection->contract)
        good = set(object, "granted", json_boolean(grants_need(inspection->contract, need)));
    return good ? take_ptr(object) : NULL;
}

static json_t *imports_to_json(const struct inspection *inspection)
{
    cleanup_json json_t *list = json_array();
    for (size_t i = 0; i < inspection->facts.n_imports; i++)
        if (json_array_append_new(list, import_to_json(inspection, &inspection->facts.imports[i])) < 0)
            return NULL;
    return take_ptr(list);
}

static json_t *exports_to_json(const struct module_facts *facts)
{
    cleanup_json json_t *list = json_array();
    for (size_t i = 0; i < facts->n_exports; i++) {
        const struct module_export *export = &facts->exports[i];
        cleanup_json json_t *object = json_object();
        if (!set(object, "name", escaped(export->name, NAME_BYTES_SHOWN)) ||
            !set(object, "kind", json_string(module_extern_kind_name(export->kind))) ||
            !set(object, "type", escaped(export->type, TYPE_BYTES_SHOWN)) ||
            json_array_append(list, object) < 0)
            return NULL;
    }
    return take_ptr(list);
}

static json_t *integer(uint64_t number)
{
    return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

static json_t *memory_to_json(const struct module_facts *facts)
{
    if (!facts->has_memory)
        return json_null();
    cleanup_json json_t *object = json_object();
    const bool bounded = facts->memory_max_pages != UINT64_MAX;
    if (!set(object, "min_pages", integer(facts->memory_min_pages)) ||
        !set(object, "max_pages", bounded ? integer(facts->memory_max_pages) : json_null()))
        return NULL;
    return take_ptr(object);
}

static json_t *producers_to_json(const struct module_facts *facts)
{
    cleanup_json json_t *list = json_array();
    for (size_t i = 0; facts->producers[i]; i++)
        if (json_array_append_new(list, escaped(facts->producers[i], 2 * NAME_BYTES_SHOWN)) < 0)
            return NULL;
    return take_ptr(list);
}

static bool set_facts(json_t *object, const struct inspection *inspection)
{
    const struct module_facts *facts = &inspection->facts;
    return set(object, "kind", json_string(kind_of(facts))) &&
           set(object, "producers", producers_to_json(facts)) &&
           set(object, "functions", integer(facts->n_functions)) &&
           set(object, "globals", integer(facts->n_globals)) &&
           set(object, "largest_body_bytes", integer(facts->largest_body_bytes)) &&
           set(object, "data_bytes", integer(facts->data_bytes)) &&
           set(object, "custom_bytes", integer(facts->custom_bytes)) &&
           set(object, "memory", memory_to_json(facts)) && set(object, "tables", integer(facts->n_tables)) &&
           set(object, "table_entries", integer(facts->table_min_elements)) &&
           set(object, "start_function", json_boolean(facts->has_start_function)) &&
           set(object, "simd", json_boolean(facts->uses_simd)) &&
           set(object, "imports", imports_to_json(inspection)) &&
           set(object, "exports", exports_to_json(facts));
}

static char *write_json(const struct inspection *inspection)
{
    cleanup_json json_t *object = json_object();
    const char *reason = inspection->reason.data;
    if (!set(object, "name", escaped(inspection->name, 4 * NAME_BYTES_SHOWN)) ||
        !set(object, "size_bytes", integer(inspection->size_bytes)) ||
        !set(object, "sha256", json_string(inspection->sha256)) ||
        (inspection->readable && !set_facts(object, inspection)) ||
        !set(object, "refused", json_boolean(inspection->refused)) ||
        !set(object, "reason", inspection->refused ? json_string(reason) : json_null()))
        return NULL;
    cleanup_free char *written = json_write(object, 2);
    cleanup_text struct text line = {0};
    if (!written)
        return NULL;
    text_append_format(&line, "%s\n", written);
    return text_take(&line);
}

/* ---- Both --------------------------------------------------------------------------------------- */

berth_status berth_module_inspect(const void *bytes, size_t size_bytes, const char *name,
                                  const berth_contract *contract, berth_format format, bool *ret_refused,
                                  char **ret, berth_error **reterr)
{
    cleanup(inspection_done) struct inspection inspection = {
        .name = name ? name : "module", .size_bytes = size_bytes, .contract = contract};
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256(bytes, size_bytes, hash);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(inspection.sha256 + 2 * i, 3, "%02x", hash[i]);
    int r = find_out(&inspection, bytes);
    if (r < 0 || inspection.reason.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    inspection.refused = r > 0;
    char *written = format == BERTH_FORMAT_JSON ? write_json(&inspection) : write_text(&inspection);
    if (!written)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    *ret = written;
    if (ret_refused)
        *ret_refused = inspection.refused;
    return BERTH_OK;
}

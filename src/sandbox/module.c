/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a module: a list of steps, from bytes that may be anything to code that is bound to host functions.
 * See module.h for their order. Each step appends a reason about the module if it refuses it; here it becomes
 * a sentence.
 */
#include "sandbox/module.h"
#include "contract/contract.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "sandbox/compile.h"
#include "sandbox/function_type.h"
#include "sandbox/module_cache.h"
#include "sandbox/module_check.h"
#include "sandbox/module_scan.h"
#include "sandbox/words.h"

enum {
    NAME_BYTES_SHOWN = 128,
};

/* What the steps work on. */
struct loading {
    berth_module *module;
    const void *bytes;
    size_t size_bytes;
    int cancel; /* see berth_module_load_options */
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    char *facts_json; /* as module_scan() gave it; NULL after a cache hit */
    struct text reason;
};

static void loading_done(struct loading *loading)
{
    module_scan_free(loading->facts_json);
    text_done(&loading->reason);
}

berth_status module_conclude(const berth_module *module, int r, const struct text *reason,
                             berth_error **reterr)
{
    cleanup_text struct text sentence = {0};
    if (r == -ENOMEM || reason->failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    text_append_escaped(&sentence, module->name, strlen(module->name), NAME_BYTES_SHOWN);
    if (r == COMPILE_CANCELLED) {
        text_append(&sentence, " was given up while it was loaded");
        return error_set(reterr, sentence.failed ? BERTH_NO_MEMORY : BERTH_CANCELLED, "%s",
                         sentence.failed ? "out of memory" : sentence.data);
    }
    text_append(&sentence, r > 0 ? " is refused: " : " cannot be loaded: ");
    text_append(&sentence, reason->data ? reason->data : "an unexpected error");
    if (sentence.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return error_set(reterr, r > 0 ? BERTH_REFUSED : BERTH_IO, "%s", sentence.data);
}

/* ---- Steps -------------------------------------------------------------------------------------- */

void module_append_engine_error(struct text *reason, wasmtime_error_t *error)
{
    wasm_byte_vec_t message;
    wasmtime_error_message(error, &message);
    compile_append_message(reason, message.data, message.size);
    wasm_byte_vec_delete(&message);
    wasmtime_error_delete(error);
}

static int check_size(struct loading *loading)
{
    char observed[32], allowed[32];
    uint64_t max_bytes = loading->module->engine->options.max_module_size_bytes;
    if (loading->size_bytes <= max_bytes)
        return 0;
    words_bytes(loading->size_bytes, observed, sizeof(observed));
    words_bytes(max_bytes, allowed, sizeof(allowed));
    text_append_format(&loading->reason, "it has %s; at most %s are allowed (max_module_size_bytes)",
                       observed, allowed);
    return MODULE_SCAN_REFUSED;
}

int module_take_facts(berth_module *module, const char *json, size_t length)
{
    int r = module_facts_parse(json, length, &module->facts);
    if (r < 0)
        return r;
    module->facts_json = strndup(json, length);
    return module->facts_json ? 0 : -ENOMEM;
}

int module_check_slot(const berth_module *module, struct text *reason)
{
    const struct module_facts *facts = &module->facts;
    const uint64_t max_bytes = module->engine->options.max_memory_bytes;
    char observed[32], allowed[32];
    if (facts->has_memory && facts->memory_min_pages > max_bytes / WASM_PAGE_BYTES) {
        words_bytes(facts->memory_min_pages * WASM_PAGE_BYTES, observed, sizeof(observed));
        words_bytes(max_bytes, allowed, sizeof(allowed));
        cleanup_free char *remedy =
            contract_line("limits.memory_mb", facts->memory_min_pages * WASM_PAGE_BYTES);
        text_append_format(
            reason, "it declares %s of memory, and the largest contract here allows %s; to allow it: %s",
            observed, allowed, remedy ? remedy : "memory_mb");
        return MODULE_SCAN_REFUSED;
    }
    if (facts->table_min_elements > TABLE_ELEMENTS_MAX) {
        text_append_format(reason, "its table has %" PRIu64 " entries; at most %d are allowed",
                           facts->table_min_elements, TABLE_ELEMENTS_MAX);
        return MODULE_SCAN_REFUSED;
    }
    return 0;
}

static void forget_facts(berth_module *module)
{
    module_facts_done(&module->facts);
    free(module->facts_json);
    module->facts_json = NULL;
}

/* True with facts if there is a verified entry that this build understands. */
static bool find_in_cache(struct loading *loading, struct module_cache_entry *entry)
{
    berth_module *module = loading->module;
    const struct module_cache *cache = module->engine->cache;
    return cache && module_cache_look_up(cache, loading->sha256, entry) == 0 &&
           module_take_facts(module, entry->facts, entry->facts_bytes) == 0;
}

static bool use_entry(struct loading *loading, const struct module_cache_entry *entry)
{
    berth_module *module = loading->module;
    wasmtime_error_t *error =
        wasmtime_module_deserialize(module->engine->wasm, entry->code, entry->code_bytes, &module->code);
    module->from_cache = !error;
    if (!error)
        return true;
    wasmtime_error_delete(error);
    forget_facts(module);
    module_cache_forget(module->engine->cache, loading->sha256);
    return false;
}

static int scan(struct loading *loading)
{
    const struct berth_engine *engine = loading->module->engine;
    const struct module_scan_options options = {.max_size_bytes = engine->options.max_module_size_bytes,
                                                .simd = engine->settings.simd};
    int r =
        module_scan(loading->bytes, loading->size_bytes, &options, &loading->facts_json, &loading->reason);
    if (r != 0)
        return r;
    r = module_take_facts(loading->module, loading->facts_json, strlen(loading->facts_json));
    if (r < 0) {
        text_append(&loading->reason, "the scan's findings cannot be read");
        return r;
    }
    r = module_scan_imports(&loading->module->facts, &loading->reason);
    return r != 0 ? r : module_check_slot(loading->module, &loading->reason);
}

static int compile(struct loading *loading)
{
    berth_module *module = loading->module;
    berth_engine *engine = module->engine;
    cleanup_module_scan uint8_t *stripped = NULL;
    size_t stripped_bytes = 0;
    int r = module_scan_strip(loading->bytes, loading->size_bytes, &stripped, &stripped_bytes);
    if (r < 0)
        return r;
    cleanup_machine_code struct machine_code code = {0};
    r = compiler_run(engine->compiler, engine->wasm, loading->sha256, stripped, stripped_bytes,
                     loading->cancel, &code, &loading->reason);
    if (r != 0)
        return r;
    wasmtime_error_t *error =
        wasmtime_module_deserialize(engine->wasm, code.bytes, code.size_bytes, &module->code);
    if (error) {
        text_append(&loading->reason, "the engine does not take its machine code: ");
        module_append_engine_error(&loading->reason, error);
        if (!loading->reason.failed)
            compiler_remember(engine->compiler, loading->sha256, loading->reason.data);
        return COMPILE_REFUSED;
    }
    if (engine->cache)
        module_cache_store(engine->cache, loading->sha256, loading->facts_json, code.bytes, code.size_bytes);
    return 0;
}

static int bind_to(const berth_module *module, wasmtime_linker_t *linker, wasmtime_instance_pre_t **ret,
                   struct text *reason)
{
    wasmtime_error_t *error = wasmtime_linker_instantiate_pre(linker, module->code, ret);
    if (!error)
        return 0;
    text_append(reason, "its imports cannot be bound: ");
    module_append_engine_error(reason, error);
    return MODULE_SCAN_REFUSED;
}

int module_bind(berth_module *module, struct text *reason)
{
    int r = bind_to(module, module->engine->linker, &module->bound, reason);
    return r != 0 ? r : bind_to(module, module->engine->metered_linker, &module->bound_metered, reason);
}

/* 0, or MODULE_SCAN_REFUSED with a reason. */
static int load_from_cache(struct loading *loading, bool *ret_found)
{
    cleanup_module_cache_entry struct module_cache_entry entry = {0};
    *ret_found = false;
    if (!find_in_cache(loading, &entry))
        return 0;
    int r = module_check_slot(loading->module, &loading->reason);
    if (r == 0)
        *ret_found = use_entry(loading, &entry);
    return r;
}

static int load(struct loading *loading)
{
    bool found;
    int r = check_size(loading);
    if (r != 0)
        return r;
    SHA256(loading->bytes, loading->size_bytes, loading->sha256);
    module_set_sha256(loading->module, loading->sha256);
    if (compiler_remembers(loading->module->engine->compiler, loading->sha256, &loading->reason))
        return COMPILE_REFUSED;
    r = load_from_cache(loading, &found);
    if (r == 0 && !found) {
        r = scan(loading);
        if (r == 0)
            r = compile(loading);
    }
    return r != 0 ? r : module_bind(loading->module, &loading->reason);
}

/* ---- Modules ------------------------------------------------------------------------------------ */

berth_module *module_new(berth_engine *engine, const char *name)
{
    cleanup_module berth_module *module = calloc(1, sizeof(*module));
    if (!module)
        return NULL;
    atomic_init(&module->references, 1);
    module->engine = berth_engine_ref(engine);
    module->name = strdup(name ? name : "module");
    return module->name ? take_ptr(module) : NULL;
}

void module_set_sha256(berth_module *module, const uint8_t *sha256)
{
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(module->sha256 + 2 * i, 3, "%02x", sha256[i]);
}

void berth_module_load_options_init(struct berth_module_load_options *options)
{
    *options = (struct berth_module_load_options){.size = sizeof(*options), .cancel_descriptor = -1};
}

berth_status berth_module_load_cancellable(berth_engine *engine, const void *bytes, size_t size_bytes,
                                           const char *name, const struct berth_module_load_options *options,
                                           berth_module **ret, berth_error **reterr)
{
    if (options->size != sizeof(*options))
        return error_set(
            reterr, BERTH_INVALID,
            "the load options were not made by berth_module_load_options_init() of this version");
    cleanup_module berth_module *module = module_new(engine, name);
    if (!module)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    cleanup(loading_done) struct loading loading = {
        .module = module, .bytes = bytes, .size_bytes = size_bytes, .cancel = options->cancel_descriptor};
    int r = load(&loading);
    if (r != 0)
        return module_conclude(module, r, &loading.reason, reterr);
    *ret = take_ptr(module);
    return BERTH_OK;
}

berth_status berth_module_load(berth_engine *engine, const void *bytes, size_t size_bytes, const char *name,
                               berth_module **ret, berth_error **reterr)
{
    struct berth_module_load_options options;
    berth_module_load_options_init(&options);
    return berth_module_load_cancellable(engine, bytes, size_bytes, name, &options, ret, reterr);
}

berth_status berth_module_load_cached(berth_engine *engine, const uint8_t *sha256, const char *name,
                                      berth_module **ret, berth_error **reterr)
{
    cleanup_module berth_module *module = module_new(engine, name);
    bool found = false;
    if (!module)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    cleanup(loading_done) struct loading loading = {.module = module, .cancel = -1};
    memcpy(loading.sha256, sha256, sizeof(loading.sha256));
    module_set_sha256(module, sha256);
    int r = compiler_remembers(engine->compiler, sha256, &loading.reason) ? COMPILE_REFUSED
                                                                          : load_from_cache(&loading, &found);
    if (r == 0 && !found)
        return error_set(reterr, BERTH_NOT_FOUND, "the module %s is not in the cache", module->sha256);
    if (r == 0)
        r = module_bind(module, &loading.reason);
    if (r != 0)
        return module_conclude(module, r, &loading.reason, reterr);
    *ret = take_ptr(module);
    return BERTH_OK;
}

berth_module *berth_module_ref(berth_module *module)
{
    atomic_fetch_add(&module->references, 1);
    return module;
}

void berth_module_unref(berth_module *module)
{
    if (!module || atomic_fetch_sub(&module->references, 1) != 1)
        return;
    if (module->bound)
        wasmtime_instance_pre_delete(module->bound);
    if (module->bound_metered)
        wasmtime_instance_pre_delete(module->bound_metered);
    if (module->code)
        wasmtime_module_delete(module->code);
    module_facts_done(&module->facts);
    free(module->facts_json);
    berth_engine_unref(module->engine);
    free(module->name);
    free(module);
}

const char *berth_module_sha256(const berth_module *module)
{
    return module->sha256;
}

const char *berth_module_name(const berth_module *module)
{
    return module->name;
}

bool berth_module_from_cache(const berth_module *module)
{
    return module->from_cache;
}

/* ---- Files -------------------------------------------------------------------------------------- */

/* Reads a regular file whole. One that grows meanwhile is read up to the size it had. */
static berth_status read_file(const char *path, const char *shown, uint64_t max_bytes, uint8_t **ret_bytes,
                              size_t *ret_size_bytes, berth_error **reterr)
{
    struct stat status;
    char observed[32], allowed[32];
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set_errno(reterr, -errno, "%s cannot be opened", shown);
    if (!S_ISREG(status.st_mode))
        return error_set(reterr, BERTH_IO, "%s is not a regular file", shown);
    if ((uint64_t)status.st_size > max_bytes) {
        words_bytes((uint64_t)status.st_size, observed, sizeof(observed));
        words_bytes(max_bytes, allowed, sizeof(allowed));
        return error_set(reterr, BERTH_REFUSED,
                         "%s is refused: it has %s; at most %s are allowed (max_module_size_bytes)", shown,
                         observed, allowed);
    }
    size_t size_bytes = (size_t)status.st_size, done = 0;
    cleanup_free uint8_t *bytes = malloc(size_bytes + 1);
    if (!bytes)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    while (done < size_bytes) {
        ssize_t n = read(fd, bytes + done, size_bytes - done);
        if (n < 0 && errno != EINTR)
            return error_set_errno(reterr, -errno, "%s cannot be read", shown);
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    *ret_bytes = take_ptr(bytes);
    *ret_size_bytes = done;
    return BERTH_OK;
}

berth_status berth_module_load_file(berth_engine *engine, const char *path, berth_module **ret,
                                    berth_error **reterr)
{
    cleanup_text struct text shown = {0};
    cleanup_free uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    const char *slash = strrchr(path, '/');
    text_append_escaped(&shown, path, strlen(path), PATH_MAX);
    if (shown.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    berth_status status = read_file(path, shown.length ? shown.data : "\"\"",
                                    engine->options.max_module_size_bytes, &bytes, &size_bytes, reterr);
    if (status != BERTH_OK)
        return status;
    return berth_module_load(engine, bytes, size_bytes, slash ? slash + 1 : path, ret, reterr);
}

/* ---- Against a contract ------------------------------------------------------------------------- */

berth_status berth_module_check(const berth_module *module, const berth_contract *contract,
                                berth_error **reterr)
{
    cleanup_text struct text sentence = {0};
    cleanup_text struct text reason = {0};
    int r = module_check(&module->facts, contract, &reason);
    if (r == 0)
        return BERTH_OK;
    text_append_escaped(&sentence, module->name, strlen(module->name), NAME_BYTES_SHOWN);
    text_append_format(&sentence, " is refused: %s", reason.data ? reason.data : "");
    if (reason.failed || sentence.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return error_set(reterr, BERTH_REFUSED, "%s", sentence.data);
}

berth_status module_error_no_export(const berth_module *module, const char *function, berth_error **reterr)
{
    const struct module_facts *facts = &module->facts;
    cleanup_text struct text sentence = {0};
    cleanup_free const char **names = calloc(facts->n_exports + 1, sizeof(*names));
    size_t n_names = 0;
    if (!names)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < facts->n_exports; i++)
        if (facts->exports[i].kind == MODULE_FUNCTION)
            names[n_names++] = facts->exports[i].name;
    const char *nearest = text_nearest(function, names);
    text_append_escaped(&sentence, module->name, strlen(module->name), NAME_BYTES_SHOWN);
    text_append(&sentence, " exports no function ");
    text_append_escaped(&sentence, function, strlen(function), NAME_BYTES_SHOWN);
    if (nearest) {
        text_append(&sentence, "; the nearest is ");
        text_append_escaped(&sentence, nearest, strlen(nearest), NAME_BYTES_SHOWN);
    }
    if (sentence.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return error_set(reterr, BERTH_NOT_FOUND, "%s", sentence.data);
}

berth_status berth_module_parameters(const berth_module *module, const char *function,
                                     berth_value_kind *kinds, size_t capacity, size_t *ret_n_kinds,
                                     berth_error **reterr)
{
    cleanup_text struct text shown = {0};
    struct function_type type;
    const struct module_export *export = module_facts_export(&module->facts, function, MODULE_FUNCTION);
    text_append_escaped(&shown, function, strlen(function), NAME_BYTES_SHOWN);
    if (shown.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (!export)
        return module_error_no_export(module, function, reterr);
    if (function_type_parse(export->type, &type) < 0)
        return error_set(reterr, BERTH_INVALID, "%s takes or returns something other than numbers: %s",
                         shown.data, export->type);
    for (size_t i = 0; i < type.n_parameters && i < capacity; i++)
        kinds[i] = type.parameters[i];
    *ret_n_kinds = type.n_parameters;
    return BERTH_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and ending the one engine. Order matters: checks of the host, configuration with the pool, engine,
 * linkers with all host functions, ticker; each is undone by engine_free() in reverse.
 */
#include "sandbox/engine.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked_math.h"
#include "base/error.h"
#include "sandbox/compile.h"
#include "sandbox/host_function.h"
#include "sandbox/module_cache.h"
#include "sandbox/trap.h"
#include "wasi/wasi.h"

/* One engine per process: machine code of one must never meet the types of another. */
static atomic_bool engine_exists;

enum {
    MIB = 1 << 20,
    /* Pages of a slot that are wiped and kept instead of given back to the kernel: the largest lever for
     * short runs, and what bounds the memory of an idle slot. */
    KEEP_RESIDENT_BYTES = 64 << 10,
    KEEP_STACK_BYTES = 16 << 10,
    KEEP_TABLE_BYTES = 16 << 10,
    SLOT_EXTRA_BYTES = 64 << 20,
};

static const uint64_t largest_memory_bytes = UINT64_C(4) << 30;

void berth_engine_options_init(struct berth_engine_options *options)
{
    *options = (struct berth_engine_options){
        .size = sizeof(*options),
        .max_instances = 1000,
        .max_memory_bytes = UINT64_C(256) * MIB,
        .compile = BERTH_COMPILE_IN_CHILD,
        .compile_memory_mb = 2048,
        .compile_cpu_seconds = 60,
        .compile_wall_seconds = 120,
        .cache = true,
        .max_module_size_bytes = UINT64_C(64) * MIB,
    };
}

void berth_engine_options_admit(struct berth_engine_options *options, const berth_contract *contract)
{
    const struct berth_limits *limits = berth_contract_limits(contract);
    options->fuel |= limits->fuel > 0;
    options->deterministic |= berth_contract_deterministic(contract);
    options->simd |= berth_contract_grants(contract)->simd;
    if (options->max_memory_bytes < limits->memory_bytes)
        options->max_memory_bytes = limits->memory_bytes;
}

/* The engine ends the process when it cannot reserve its pool, so the room is tried before: what a slot takes
 * is the 4 GiB that a module can address, guards, a table and a stack. */
static bool has_address_space(uint32_t slots)
{
    size_t size;
    if (!checked_mul_size(slots, (size_t)largest_memory_bytes + SLOT_EXTRA_BYTES, &size))
        return false;
    void *room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return room != MAP_FAILED && munmap(room, size) == 0;
}

static void add_pool(wasm_config_t *config, const struct berth_engine_options *options)
{
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    uint32_t slots = options->max_instances;
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, slots);
    wasmtime_pooling_allocation_config_total_memories_set(pool, slots);
    wasmtime_pooling_allocation_config_total_tables_set(pool, slots);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, slots);
    wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, 1 * MIB);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(pool, 1);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, 1);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, options->max_memory_bytes);
    wasmtime_pooling_allocation_config_table_elements_set(pool, TABLE_ELEMENTS_MAX);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, KEEP_RESIDENT_BYTES);
    wasmtime_pooling_allocation_config_async_stack_keep_resident_set(pool, KEEP_STACK_BYTES);
    wasmtime_pooling_allocation_config_table_keep_resident_set(pool, KEEP_TABLE_BYTES);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
}

/* A file-size limit or a closed pipe is an errno for a guest, not the end of the embedder. */
static void ignore_if_default(int signal_number)
{
    struct sigaction action;
    if (sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        sigaction(signal_number, &action, NULL);
    }
}

static berth_status check_options(const struct berth_engine_options *options, berth_error **reterr)
{
    if (options->size != sizeof(*options))
        return error_set(reterr, BERTH_INVALID,
                         "the engine options were not made by berth_engine_options_init() of this version");
    if (options->max_instances == 0)
        return error_set(reterr, BERTH_INVALID, "max_instances must be at least 1");
    if (options->max_memory_bytes > largest_memory_bytes)
        return error_set(reterr, BERTH_INVALID,
                         "max_memory_bytes is above 4 GiB, the most that a module can address");
    return BERTH_OK;
}

static void engine_free(berth_engine *engine)
{
    ticker_stop(&engine->ticker);
    module_cache_free(engine->cache);
    compiler_free(engine->compiler);
    if (engine->metered_linker)
        wasmtime_linker_delete(engine->metered_linker);
    if (engine->linker)
        wasmtime_linker_delete(engine->linker);
    if (engine->wasm)
        wasm_engine_delete(engine->wasm);
    close_keeping_errno(engine->proc_descriptor);
    free((char *)(uintptr_t)engine->options.compiler);
    free((char *)(uintptr_t)engine->options.cache_directory);
    free(engine);
    atomic_store(&engine_exists, false);
}
DEFINE_CLEANUP(berth_engine *, engine_free)

static berth_status copy_string(const char **string, berth_error **reterr)
{
    if (*string && !(*string = strdup(*string)))
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return BERTH_OK;
}

/* A cache that cannot be had is done without; one that could feed us a stranger's code is not. */
static berth_status open_cache(berth_engine *engine, berth_error **reterr)
{
    cleanup_text struct text reason = {0};
    int r = module_cache_new(engine->options.cache_directory, &engine->settings, &engine->cache, &reason);
    if (r == -ENOMEM || reason.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return r == MODULE_CACHE_UNSAFE ? error_set(reterr, BERTH_IO, "%s", reason.data) : BERTH_OK;
}

static berth_status start(berth_engine *engine, berth_error **reterr)
{
    berth_status status = engine->options.cache ? open_cache(engine, reterr) : BERTH_OK;
    if (status != BERTH_OK)
        return status;
    if (compiler_new(&engine->options, &engine->settings, &engine->compiler) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (!has_address_space(engine->options.max_instances))
        return error_set(
            reterr, BERTH_NO_MEMORY,
            "there is no address space for %u instances of 4 GiB each; is it limited (ulimit -v)?",
            engine->options.max_instances);
    wasm_config_t *config = engine_config_new(&engine->settings);
    if (!config)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    /* A single slot is mapped faster than a pool of one. */
    if (engine->options.max_instances > 1)
        add_pool(config, &engine->options);
    engine->wasm = wasm_engine_new_with_config(config);
    engine->linker = wasmtime_linker_new(engine->wasm);
    engine->metered_linker = wasmtime_linker_new(engine->wasm);
    if (host_functions_define(engine->linker, false) < 0 ||
        host_functions_define(engine->metered_linker, true) < 0)
        return error_set(reterr, BERTH_INTERNAL, "the host functions cannot be defined");
    int r = ticker_start(&engine->ticker, engine->wasm);
    if (r < 0)
        return error_set_errno(reterr, r, "the clock thread does not start");
    return BERTH_OK;
}

berth_status berth_engine_new(const struct berth_engine_options *options, berth_engine **ret,
                              berth_error **reterr)
{
    berth_status status = check_options(options, reterr);
    if (status != BERTH_OK)
        return status;
    if (wasi_host_check() < 0)
        return error_set(
            reterr, BERTH_UNSUPPORTED,
            "this kernel has no openat2(2), which confines visitors to their directories (Linux 5.6)");
    if (atomic_exchange(&engine_exists, true))
        return error_set(reterr, BERTH_BUSY, "this process has an engine already; share it");
    cleanup(engine_free_cleanup) berth_engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        atomic_store(&engine_exists, false);
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    }
    atomic_init(&engine->references, 1);
    engine->proc_descriptor = -1;
    /* Without it there are no mounts with hidden names; who has some hears of it then. */
    (void)wasi_host_open_proc(&engine->proc_descriptor);
    engine->options = *options;
    const char *compiler = options->compiler, *directory = options->cache_directory;
    engine->options.compiler = engine->options.cache_directory = NULL;
    if (copy_string(&compiler, reterr) != BERTH_OK)
        return BERTH_NO_MEMORY;
    engine->options.compiler = compiler;
    if (copy_string(&directory, reterr) != BERTH_OK)
        return BERTH_NO_MEMORY;
    engine->options.cache_directory = directory;
    engine->settings = (struct engine_settings){.fuel = options->fuel || options->deterministic,
                                                .deterministic = options->deterministic,
                                                .simd = options->simd};
    ignore_if_default(SIGXFSZ);
    ignore_if_default(SIGPIPE);
    status = start(engine, reterr);
    if (status != BERTH_OK)
        return status;
    *ret = take_ptr(engine);
    return BERTH_OK;
}

berth_engine *berth_engine_ref(berth_engine *engine)
{
    atomic_fetch_add(&engine->references, 1);
    return engine;
}

void berth_engine_unref(berth_engine *engine)
{
    if (engine && atomic_fetch_sub(&engine->references, 1) == 1)
        engine_free(engine);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same as instances.c on the bare C API of the engine: a pool, epochs on, and no limit at all. What berth
 * costs more than this is the price of its contract. Prints one JSON object.
 *
 *   bare GUESTS-DIRECTORY pool|parked COUNT
 */
#include <string.h>

#include <wasmtime.h>

#include "process.h"

enum { BLOCKS = 20, WARM_UP = 2000, PARKED_SLOTS_EXTRA = 10 };

static wasm_engine_t *engine;
static wasmtime_linker_t *linker;

static void must(wasmtime_error_t *error, wasm_trap_t *trap)
{
    wasm_byte_vec_t message;
    if (!error && !trap)
        return;
    if (error)
        wasmtime_error_message(error, &message);
    else
        wasm_trap_message(trap, &message);
    fprintf(stderr, "bare: %.*s\n", (int)message.size, message.data);
    exit(1);
}

static bool never(void *environment)
{
    (void)environment;
    return false;
}

static void sleeps(void *environment, wasmtime_caller_t *caller, const wasmtime_val_t *arguments,
                   size_t n_arguments, wasmtime_val_t *results, size_t n_results, wasm_trap_t **trap,
                   wasmtime_async_continuation_t *continuation)
{
    (void)environment, (void)caller, (void)arguments, (void)n_arguments, (void)results, (void)n_results,
        (void)trap;
    continuation->callback = never;
    continuation->env = NULL;
    continuation->finalizer = NULL;
}

static void open_host(uint32_t slots)
{
    wasm_config_t *config = wasm_config_new();
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_async_stack_size_set(config, 1 << 20);
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, slots);
    wasmtime_pooling_allocation_config_total_memories_set(pool, slots);
    wasmtime_pooling_allocation_config_total_tables_set(pool, slots);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, slots);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, 64 << 10);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
    engine = wasm_engine_new_with_config(config);
    linker = wasmtime_linker_new(engine);
    wasm_valtype_t *parameters[] = {wasm_valtype_new_i32(), wasm_valtype_new_i32(), wasm_valtype_new_i32(),
                                    wasm_valtype_new_i32()};
    wasm_valtype_t *results[] = {wasm_valtype_new_i32()};
    wasm_valtype_vec_t takes, gives;
    wasm_valtype_vec_new(&takes, 4, parameters);
    wasm_valtype_vec_new(&gives, 1, results);
    wasm_functype_t *type = wasm_functype_new(&takes, &gives);
    static const char space[] = "wasi_snapshot_preview1", name[] = "poll_oneoff";
    must(wasmtime_linker_define_async_func(linker, space, strlen(space), name, strlen(name), type, sleeps,
                                           NULL, NULL),
         NULL);
    wasm_functype_delete(type);
}

static wasmtime_instance_pre_t *load(const char *guests, const char *name)
{
    char path[512];
    static unsigned char bytes[65536];
    wasmtime_module_t *module;
    wasmtime_instance_pre_t *prepared;
    snprintf(path, sizeof(path), "%s/%s.wasm", guests, name);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
    if (file)
        fclose(file);
    must(wasmtime_module_new(engine, bytes, size, &module), NULL);
    must(wasmtime_linker_instantiate_pre(linker, module, &prepared), NULL);
    wasmtime_module_delete(module);
    return prepared;
}

static wasmtime_func_t export_of(wasmtime_context_t *context, const wasmtime_instance_t *instance,
                                 const char *name)
{
    wasmtime_extern_t item;
    if (!wasmtime_instance_export_get(context, instance, name, strlen(name), &item))
        abort();
    return item.of.func;
}

static void call(const wasmtime_instance_pre_t *prepared)
{
    wasmtime_store_t *store = wasmtime_store_new(engine, NULL, NULL);
    wasmtime_context_t *context = wasmtime_store_context(store);
    wasmtime_instance_t instance;
    wasm_trap_t *trap = NULL;
    wasmtime_context_set_epoch_deadline(context, 1000000);
    must(wasmtime_instance_pre_instantiate(prepared, context, &instance, &trap), trap);
    wasmtime_func_t start = export_of(context, &instance, "_start");
    must(wasmtime_func_call(context, &start, NULL, 0, NULL, 0, &trap), trap);
    wasmtime_store_delete(store);
}

/* What one visit needs until its future is gone. */
struct fiber {
    wasmtime_store_t *store;
    wasmtime_call_future_t *future;
    wasmtime_instance_t instance;
    wasmtime_func_t start;
    wasm_trap_t *trap;
    wasmtime_error_t *error;
};

/* True if the call has ended. */
static bool fiber_start(struct fiber *fiber, const wasmtime_instance_pre_t *prepared)
{
    *fiber = (struct fiber){.store = wasmtime_store_new(engine, NULL, NULL)};
    wasmtime_context_t *context = wasmtime_store_context(fiber->store);
    wasmtime_context_set_epoch_deadline(context, 1000000);
    wasmtime_call_future_t *future = wasmtime_instance_pre_instantiate_async(
        prepared, context, &fiber->instance, &fiber->trap, &fiber->error);
    while (!wasmtime_call_future_poll(future))
        ;
    wasmtime_call_future_delete(future);
    must(fiber->error, fiber->trap);
    fiber->start = export_of(context, &fiber->instance, "_start");
    fiber->future =
        wasmtime_func_call_async(context, &fiber->start, NULL, 0, NULL, 0, &fiber->trap, &fiber->error);
    return wasmtime_call_future_poll(fiber->future);
}

static void fiber_free(struct fiber *fiber)
{
    wasmtime_call_future_delete(fiber->future);
    wasmtime_store_delete(fiber->store);
}

static void call_on_fiber(const wasmtime_instance_pre_t *prepared)
{
    struct fiber fiber;
    if (!fiber_start(&fiber, prepared))
        abort();
    fiber_free(&fiber);
}

static double measure(void (*subject)(const wasmtime_instance_pre_t *),
                      const wasmtime_instance_pre_t *prepared, long count)
{
    double blocks[BLOCKS];
    for (int i = 0; i < WARM_UP; i++)
        subject(prepared);
    for (int i = 0; i < BLOCKS; i++) {
        double start = now_us();
        for (long j = 0; j < count / BLOCKS; j++)
            subject(prepared);
        blocks[i] = (now_us() - start) / (double)(count / BLOCKS);
    }
    return median(blocks, BLOCKS);
}

static void pool(const char *guests, long count)
{
    open_host(100);
    wasmtime_instance_pre_t *prepared = load(guests, "returns_at_once");
    double plain = measure(call, prepared, count), fiber = measure(call_on_fiber, prepared, count);
    printf("{\"call_us\": %.2f, \"fiber_us\": %.2f}\n", plain, fiber);
    wasmtime_instance_pre_delete(prepared);
}

static void parked(const char *guests, long count)
{
    open_host((uint32_t)count + PARKED_SLOTS_EXTRA);
    wasmtime_instance_pre_t *prepared = load(guests, "sleeps");
    struct fiber *fibers = calloc((size_t)count, sizeof(*fibers));
    long resident_before = resident_bytes();
    double start = now_us();
    for (long i = 0; i < count; i++)
        fiber_start(&fibers[i], prepared);
    double took_us = now_us() - start;
    printf("{\"start_us\": %.2f, \"resident_kib\": %.2f}\n", took_us / (double)count,
           (double)(resident_bytes() - resident_before) / 1024 / (double)count);
    for (long i = 0; i < count; i++)
        fiber_free(&fibers[i]);
    free(fibers);
    wasmtime_instance_pre_delete(prepared);
}

int main(int argc, char **argv)
{
    long count = argc > 3 ? atol(argv[3]) : 0;
    if (count < BLOCKS) {
        fprintf(stderr, "usage: bare GUESTS-DIRECTORY pool|parked COUNT\n");
        return 64;
    }
    if (strcmp(argv[2], "pool") == 0)
        pool(argv[1], count);
    else
        parked(argv[1], count);
    wasmtime_linker_delete(linker);
    wasm_engine_delete(engine);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and ending an instance. Everything that limits a guest is armed here, before any of its code can
 * run: the growth of memory and tables, the epoch that makes it yield, the descriptors, the rates. Times and
 * fuel are armed per run (run.c).
 */
#include "sandbox/instance.h"

#include <errno.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"
#include "sandbox/denial.h"
#include "sandbox/engine.h"
#include "sandbox/mounts.h"

enum { WASM_PAGE_BYTES = 64 << 10, TABLE_ENTRY_BYTES = 8 };

void berth_instance_options_init(struct berth_instance_options *options)
{
    *options = (struct berth_instance_options){.size = sizeof(*options)};
}

/* ---- Memory ------------------------------------------------------------------------------------- */

struct wasi_memory instance_memory(berth_instance *instance, wasmtime_caller_t *caller)
{
    if (!instance->memory_known) {
        wasmtime_extern_t item;
        /* While a start function runs, there is no instance yet to ask. */
        bool found =
            instance->instantiated
                ? wasmtime_instance_export_get(instance->context, &instance->handle, "memory", 6, &item)
                : caller && wasmtime_caller_export_get(caller, "memory", 6, &item);
        if (!found || item.kind != WASMTIME_EXTERN_MEMORY)
            return (struct wasi_memory){0};
        instance->memory = item.of.memory;
        instance->memory_known = true;
    }
    return (struct wasi_memory){wasmtime_memory_data(instance->context, &instance->memory),
                                wasmtime_memory_data_size(instance->context, &instance->memory)};
}

static bool account_growth(berth_instance *instance, uint64_t *used_bytes, uint64_t desired_bytes,
                           const char *what)
{
    struct memory_account *account = &instance->memory_account;
    uint64_t other_bytes = account->memory_bytes + account->table_bytes - *used_bytes;
    uint64_t total_bytes = saturating_add_u64(other_bytes, desired_bytes);
    if (total_bytes > account->limit_bytes) {
        account->refused = true;
        account->refused_bytes = total_bytes;
        denial_report_memory(instance, what, *used_bytes, desired_bytes);
        return false;
    }
    *used_bytes = desired_bytes;
    if (total_bytes > account->peak_bytes)
        account->peak_bytes = total_bytes;
    return true;
}

static bool memory_growing(void *payload, uint64_t current_bytes, uint64_t desired_bytes,
                           uint64_t maximum_bytes)
{
    berth_instance *instance = payload;
    (void)current_bytes;
    if (desired_bytes > maximum_bytes)
        return false;
    return account_growth(instance, &instance->memory_account.memory_bytes, desired_bytes, "memory.grow");
}

static bool table_growing(void *payload, uint64_t current, uint64_t desired, uint64_t maximum)
{
    berth_instance *instance = payload;
    (void)current;
    if (desired > maximum || desired > TABLE_ELEMENTS_MAX)
        return false;
    return account_growth(instance, &instance->memory_account.table_bytes, desired * TABLE_ENTRY_BYTES,
                          "table.grow");
}

static void memory_grow_failed(void *payload, uint64_t current_bytes, uint64_t desired_bytes)
{
    berth_instance *instance = payload;
    (void)desired_bytes;
    instance->memory_account.memory_bytes = current_bytes;
}

static void table_grow_failed(void *payload, uint64_t current, uint64_t desired)
{
    berth_instance *instance = payload;
    (void)desired;
    instance->memory_account.table_bytes = current * TABLE_ENTRY_BYTES;
}

/* ---- Strings ------------------------------------------------------------------------------------ */

static bool is_granted(const struct berth_grants *grants, const char *variable)
{
    size_t length = strcspn(variable, "=");
    for (size_t i = 0; i < grants->n_env; i++)
        if (strlen(grants->env[i]) == length && memcmp(grants->env[i], variable, length) == 0)
            return variable[length] == '=';
    return false;
}

struct string_sizes {
    size_t n_args, n_env, bytes;
};

static struct string_sizes measure(const char *const *args, const char *const *env,
                                   const struct berth_grants *grants)
{
    struct string_sizes sizes = {0};
    for (; args[sizes.n_args] && (sizes.n_args == 0 || grants->args); sizes.n_args++)
        sizes.bytes += strlen(args[sizes.n_args]) + 1;
    for (; env && *env; env++)
        if (is_granted(grants, *env)) {
            sizes.n_env++;
            sizes.bytes += strlen(*env) + 1;
        }
    return sizes;
}

static char *append_copy(char **list, size_t *index, char *bytes, const char *string)
{
    size_t size = strlen(string) + 1;
    memcpy(bytes, string, size);
    list[(*index)++] = bytes;
    return bytes + size;
}

/* Two NULL-terminated lists and their strings in one allocation. */
static int copy_strings(berth_instance *instance, const struct berth_instance_options *options)
{
    const struct berth_grants *grants = berth_contract_grants(instance->contract);
    const char *const only_name[] = {instance->module->name, NULL};
    const char *const *args = options->args && options->args[0] ? options->args : only_name;
    struct string_sizes sizes = measure(args, options->env, grants);
    size_t n_pointers = sizes.n_args + sizes.n_env + 2, index = 0;
    char **list = malloc(n_pointers * sizeof(*list) + sizes.bytes);
    if (!list)
        return -ENOMEM;
    char *bytes = (char *)(list + n_pointers);
    for (size_t i = 0; i < sizes.n_args; i++)
        bytes = append_copy(list, &index, bytes, args[i]);
    list[index++] = NULL;
    instance->env = (const char *const *)&list[index];
    for (const char *const *variable = options->env; variable && *variable; variable++)
        if (is_granted(grants, *variable))
            bytes = append_copy(list, &index, bytes, *variable);
    list[index] = NULL;
    instance->strings = list;
    instance->args = (const char *const *)list;
    return 0;
}

/* ---- Parts of berth_instance_new() -------------------------------------------------------------- */

static berth_status check_engine(const berth_engine *engine, const berth_contract *contract,
                                 berth_error **reterr)
{
    const struct berth_limits *limits = berth_contract_limits(contract);
    if (limits->fuel > 0 && !engine->settings.fuel)
        return error_set(reterr, BERTH_INVALID,
                         "the contract limits fuel, but the engine was made without fuel");
    if (berth_contract_deterministic(contract) && !engine->settings.deterministic)
        return error_set(reterr, BERTH_INVALID,
                         "the contract is deterministic, but the engine was made without it");
    return BERTH_OK;
}

static berth_status take_slot(berth_instance *instance, berth_error **reterr)
{
    berth_engine *engine = instance->schedule->engine;
    if (atomic_fetch_add(&engine->instances, 1) >= engine->options.max_instances) {
        atomic_fetch_sub(&engine->instances, 1);
        return error_set(reterr, BERTH_BUSY, "all %u instance slots of the engine are in use",
                         engine->options.max_instances);
    }
    instance->holds_slot = true;
    return BERTH_OK;
}

static berth_status open_streams(berth_instance *instance, const struct berth_instance_options *options,
                                 berth_error **reterr)
{
    const struct berth_stream *streams[3] = {&options->input, &options->output, &options->errors};
    static const char *const names[3] = {"stdin", "stdout", "stderr"};
    uint64_t limit_bytes = berth_contract_limits(instance->contract)->output_bytes;
    instance->account = (struct output_account){.limit_bytes = limit_bytes ? limit_bytes : UINT64_MAX,
                                                .streams = instance->streams};
    for (int i = 0; i < 3; i++) {
        int r = stream_init(&instance->streams[i], streams[i], i, &instance->account);
        if (r < 0)
            return error_set_errno(reterr, r, "the descriptor for %s (%d) cannot be used", names[i],
                                   streams[i]->descriptor);
    }
    return BERTH_OK;
}

static bool push_event(void *payload, const char *text, size_t size_bytes)
{
    berth_instance *instance = payload;
    return instance->on_event(instance->payload, text, size_bytes);
}

static berth_status open_wasi(berth_instance *instance, const struct berth_instance_options *options,
                              berth_error **reterr)
{
    const struct berth_grants *grants = berth_contract_grants(instance->contract);
    struct wasi_options wasi = {
        .args = instance->args,
        .env = instance->env,
        .mounts = mounts_wasi(instance->mounts),
        .clock = (enum wasi_clock_mode)grants->clock,
        .random = (enum wasi_random_mode)grants->random,
        .random_seed = options->random_seed,
        .max_open_files = berth_contract_limits(instance->contract)->open_files,
        .deterministic = berth_contract_deterministic(instance->contract),
        .on_denial = denial_from_wasi,
        .on_event = instance->on_event ? push_event : NULL,
        .payload = instance,
        .events = grants->events,
        .watch = grants->watch,
    };
    int r = wasi.watch && !wasi.deterministic ? schedule_watches(instance->schedule, &wasi.watches) : 0;
    if (r < 0)
        return error_set_errno(reterr, r, "changes of files cannot be watched");
    if (wasi.deterministic && wasi.random == WASI_RANDOM_OS)
        wasi.random = WASI_RANDOM_SEEDED;
    for (int i = 0; i < 3; i++)
        if (i != 2 || grants->log)
            wasi.streams[i] = (struct wasi_stream){.operations = &stream_operations,
                                                   .stream = &instance->streams[i],
                                                   .terminal = instance->streams[i].endpoint.terminal};
    r = wasi_context_new(&wasi, &instance->wasi);
    return r < 0 ? error_set_errno(reterr, r, "the descriptors of the visitor cannot be set up") : BERTH_OK;
}

static wasmtime_error_t *yield_at_tick(wasmtime_context_t *context, void *data, uint64_t *delta,
                                       wasmtime_update_deadline_kind_t *kind)
{
    (void)context;
    (void)data;
    *delta = 1;
    *kind = WASMTIME_UPDATE_DEADLINE_YIELD;
    return NULL;
}

static berth_status open_store(berth_instance *instance, berth_error **reterr)
{
    const struct berth_limits *limits = berth_contract_limits(instance->contract);
    uint64_t now_ns = clock_monotonic_ns();
    instance->store = wasmtime_store_new(instance->schedule->engine->wasm, instance, NULL);
    if (!instance->store)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    instance->context = wasmtime_store_context(instance->store);
    instance->memory_account.limit_bytes = limits->memory_bytes;
    instance->limiter = (struct berth_native_limiter){.payload = instance,
                                                      .memory_growing = memory_growing,
                                                      .table_growing = table_growing,
                                                      .memory_grow_failed = memory_grow_failed,
                                                      .table_grow_failed = table_grow_failed,
                                                      .instances = 1,
                                                      .tables = 1,
                                                      .memories = 1};
    berth_native_store_limiter(instance->store, &instance->limiter);
    wasmtime_store_epoch_deadline_callback(instance->store, yield_at_tick, NULL, NULL);
    cpu_share_init(&instance->cpu_share, limits->cpu_percent, now_ns);
    call_rate_init(&instance->call_rate, limits->host_calls_per_second, now_ns);
    return BERTH_OK;
}

static berth_status open_mounts(berth_instance *instance, berth_mounts *given, berth_error **reterr)
{
    if (given) {
        instance->mounts = berth_mounts_ref(given);
        return BERTH_OK;
    }
    if (berth_contract_grants(instance->contract)->n_mounts == 0)
        return BERTH_OK;
    return berth_mounts_open(instance->contract, &instance->mounts, reterr);
}

static berth_status open_all(berth_instance *instance, const struct berth_instance_options *options,
                             berth_error **reterr)
{
    berth_status status = take_slot(instance, reterr);
    if (status == BERTH_OK && copy_strings(instance, options) < 0)
        status = error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (status == BERTH_OK)
        status = open_mounts(instance, options->mounts, reterr);
    if (status == BERTH_OK)
        status = open_streams(instance, options, reterr);
    if (status == BERTH_OK)
        status = open_wasi(instance, options, reterr);
    if (status == BERTH_OK)
        status = open_store(instance, reterr);
    return status;
}

berth_status berth_instance_new(berth_schedule *schedule, berth_module *module, berth_contract *contract,
                                const struct berth_instance_options *options, berth_instance **ret,
                                berth_error **reterr)
{
    berth_status status;
    if (options->size != sizeof(*options))
        return error_set(
            reterr, BERTH_INVALID,
            "the instance options were not made by berth_instance_options_init() of this version");
    if (module->engine != schedule->engine)
        return error_set(reterr, BERTH_INVALID, "the module and the schedule belong to different engines");
    if ((status = check_engine(schedule->engine, contract, reterr)) != BERTH_OK ||
        (status = berth_module_check(module, contract, reterr)) != BERTH_OK)
        return status;
    if (heap_reserve(&schedule->times, schedule->n_instances + 1) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    berth_instance *instance = calloc(1, sizeof(*instance));
    if (!instance)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    for (int i = 0; i < 3; i++)
        instance->streams[i].endpoint = ENDPOINT_NONE;
    instance->module = berth_module_ref(module);
    instance->contract = berth_contract_ref(contract);
    instance->on_denial = options->on_denial;
    instance->on_event = options->on_event;
    instance->on_moved = options->on_moved;
    instance->payload = options->payload;
    instance->run.instance = instance;
    schedule_add(schedule, instance);
    status = open_all(instance, options, reterr);
    if (status != BERTH_OK) {
        berth_instance_free(instance);
        return status;
    }
    *ret = instance;
    return BERTH_OK;
}

void instance_retire(berth_instance *instance)
{
    if (instance->store)
        wasmtime_store_delete(instance->store);
    instance->store = NULL;
    instance->context = NULL;
    if (instance->holds_slot)
        atomic_fetch_sub(&instance->schedule->engine->instances, 1);
    instance->holds_slot = false;
}

void berth_instance_free(berth_instance *instance)
{
    if (!instance)
        return;
    run_discard(&instance->run);
    instance_retire(instance);
    schedule_remove(instance->schedule, instance);
    wasi_context_free(instance->wasi);
    for (int i = 0; i < 3; i++)
        stream_done(&instance->streams[i]);
    berth_mounts_unref(instance->mounts);
    berth_contract_unref(instance->contract);
    berth_module_unref(instance->module);
    free(instance->strings);
    free(instance);
}

/* ---- Buffers of the embedder ----------------------------------------------------------------- */

void berth_instance_read(berth_instance *instance, int output, void *buffer, size_t capacity,
                         size_t *ret_size)
{
    *ret_size = 0;
    if ((output != 1 && output != 2) || instance->streams[output].kind != BERTH_STREAM_BUFFER)
        return;
    *ret_size = ring_take(&instance->streams[output].ring, buffer, capacity);
    if (*ret_size)
        schedule_stream_moved(instance, output);
}

void berth_instance_write(berth_instance *instance, const void *bytes, size_t size_bytes, size_t *ret_size)
{
    struct stream *input = &instance->streams[0];
    size_t size = size_bytes < ring_room(&input->ring) ? size_bytes : ring_room(&input->ring);
    *ret_size = 0;
    if (input->kind != BERTH_STREAM_BUFFER || input->ended || ring_append(&input->ring, bytes, size) < 0)
        return;
    *ret_size = size;
    schedule_stream_moved(instance, 0);
}

void berth_instance_close_input(berth_instance *instance)
{
    instance->streams[0].ended = true;
    schedule_stream_moved(instance, 0);
}

void berth_instance_resume_events(berth_instance *instance)
{
    if (run_is_active(instance))
        schedule_wake(instance, WASI_WAIT_EVENTS);
}

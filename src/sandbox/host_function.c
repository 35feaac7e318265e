/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two shapes of the same call. A function that never waits is bound as a plain callback (13 ns); one that may
 * wait is bound as an asynchronous one (190 ns), whose continuation makes the call again each time the
 * schedule resumes the guest. With a call rate every function may have to wait, so the metered linker binds
 * all in the second shape.
 */
#include "sandbox/host_function.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "sandbox/instance.h"

static berth_instance *instance_of(wasmtime_caller_t *caller)
{
    return wasmtime_context_get_data(wasmtime_caller_context(caller));
}

static wasm_trap_t *stop_guest(berth_instance *instance, enum run_verdict verdict, uint32_t exit_code)
{
    static const char message[] = "stopped by the host";
    instance->run.verdict = verdict;
    instance->run.exit_code = exit_code;
    return wasmtime_trap_new(message, sizeof(message) - 1);
}

static wasm_trap_t *finish(berth_instance *instance, enum wasi_result result, uint32_t code)
{
    switch (result) {
    case WASI_DONE:
        return NULL;
    case WASI_EXIT:
        return stop_guest(instance, VERDICT_EXIT, code);
    case WASI_LIMIT:
        return stop_guest(instance, VERDICT_STREAM, 0);
    case WASI_FAULT:
    case WASI_WAIT: /* a plain function never waits */
    case WASI_YIELD:
        break;
    }
    return stop_guest(instance, VERDICT_FAULT, 0);
}

/* ---- Functions that never wait ------------------------------------------------------------------ */

static wasm_trap_t *call_plain(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                               size_t n_values)
{
    enum wasi_function function = (enum wasi_function)(uintptr_t)env;
    const char *parameters = wasi_functions[function].parameters;
    berth_instance *instance = instance_of(caller);
    uint64_t arguments[WASI_MAX_ARGUMENTS];
    uint32_t code = 0;
    (void)n_values;
    for (size_t i = 0; parameters[i]; i++)
        arguments[i] = parameters[i] == 'i' ? (uint32_t)values[i].i32 : (uint64_t)values[i].i64;
    enum wasi_result result =
        wasi_call(instance->wasi, function, instance_memory(instance, caller), arguments, &code);
    if (result == WASI_DONE && wasi_functions[function].returns)
        values[0].i32 = (int32_t)code;
    return finish(instance, result, code);
}

/* ---- Functions that may wait -------------------------------------------------------------------- */

/* Makes the pending call; false if it has to be made again later, with the parking arranged. */
static bool attempt(berth_instance *instance, wasmtime_caller_t *caller)
{
    struct pending_call *call = &instance->call;
    uint32_t code = 0;
    if (!call->rate_taken) {
        uint64_t until_ns =
            instance->call_rate.interval_ns ? call_rate_take(&instance->call_rate, clock_monotonic_ns()) : 0;
        if (until_ns) {
            instance->waiting = (struct wasi_wait){.deadline_ns = until_ns};
            return false;
        }
        call->rate_taken = true;
    }
    enum wasi_result result =
        wasi_call(instance->wasi, call->function, instance_memory(instance, caller), call->arguments, &code);
    if (result == WASI_WAIT) {
        instance->waiting = *wasi_context_wait(instance->wasi);
        return false;
    }
    if (result == WASI_YIELD) {
        instance->waiting = (struct wasi_wait){0};
        return false;
    }
    if (result == WASI_DONE && call->result)
        *call->result = (wasmtime_val_t){.kind = WASMTIME_I32, .of.i32 = (int32_t)code};
    *call->trap = finish(instance, result, code);
    return true;
}

static bool done_at_once(void *env)
{
    (void)env;
    return true;
}

static bool attempt_again(void *env)
{
    berth_instance *instance = env;
    bool done = attempt(instance, NULL);
    instance->in_call = !done;
    return done;
}

static void call_waiting(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *arguments,
                         size_t n_arguments, wasmtime_val_t *results, size_t n_results,
                         wasm_trap_t **ret_trap, wasmtime_async_continuation_t *ret_continuation)
{
    berth_instance *instance = instance_of(caller);
    struct pending_call *call = &instance->call;
    *call = (struct pending_call){.function = (enum wasi_function)(uintptr_t)env,
                                  .result = n_results ? results : NULL,
                                  .trap = ret_trap};
    for (size_t i = 0; i < n_arguments; i++)
        call->arguments[i] =
            arguments[i].kind == WASMTIME_I32 ? (uint32_t)arguments[i].of.i32 : (uint64_t)arguments[i].of.i64;
    instance->in_call = !attempt(instance, caller);
    *ret_continuation = (wasmtime_async_continuation_t){
        .callback = instance->in_call ? attempt_again : done_at_once,
        .env = instance,
    };
}

/* ---- Definition --------------------------------------------------------------------------------- */

static wasm_functype_t *type_of(const char *parameters, bool returns)
{
    wasm_valtype_t *types[WASI_MAX_ARGUMENTS];
    wasm_valtype_vec_t inputs, outputs;
    size_t n = strlen(parameters);
    for (size_t i = 0; i < n; i++)
        types[i] = wasm_valtype_new(parameters[i] == 'i' ? WASM_I32 : WASM_I64);
    wasm_valtype_vec_new(&inputs, n, types);
    if (returns) {
        wasm_valtype_t *result = wasm_valtype_new(WASM_I32);
        wasm_valtype_vec_new(&outputs, 1, &result);
    } else {
        wasm_valtype_vec_new_empty(&outputs);
    }
    return wasm_functype_new(&inputs, &outputs);
}

int host_functions_define(wasmtime_linker_t *linker, bool metered)
{
    for (uintptr_t i = 0; i < WASI_N_FUNCTIONS; i++) {
        const struct wasi_function_info *info = &wasi_functions[i];
        wasm_functype_t *type = type_of(info->parameters, info->returns);
        wasmtime_error_t *error;
        if (info->blocks || metered)
            error =
                wasmtime_linker_define_async_func(linker, info->module, strlen(info->module), info->name,
                                                  strlen(info->name), type, call_waiting, (void *)i, NULL);
        else
            error =
                wasmtime_linker_define_func_unchecked(linker, info->module, strlen(info->module), info->name,
                                                      strlen(info->name), type, call_plain, (void *)i, NULL);
        wasm_functype_delete(type);
        if (error) {
            wasmtime_error_delete(error);
            return -EINVAL;
        }
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that says which WebAssembly berth speaks and how machine code is made. The compiler process
 * and the engine use the same configuration, or the code of one would not load into the other.
 */
#include <string.h>

#include "sandbox/engine.h"

enum {
    GUEST_STACK_BYTES = 512 << 10,
    /* Host functions run on what the guest's part leaves over. */
    FIBER_STACK_BYTES = 1 << 20,
};

wasm_config_t *engine_config_new(const struct engine_settings *settings)
{
    wasm_config_t *config = wasm_config_new();
    if (!config)
        return NULL;
    wasmtime_config_strategy_set(config, WASMTIME_STRATEGY_CRANELIFT);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_consume_fuel_set(config, settings->fuel || settings->deterministic);
    wasmtime_config_cranelift_nan_canonicalization_set(config, settings->deterministic);
    wasmtime_config_max_wasm_stack_set(config, GUEST_STACK_BYTES);
    wasmtime_config_async_stack_size_set(config, FIBER_STACK_BYTES);
    /* What is off here is off in the scan as well (module_scan.c): no threads, no second memory, no
     * exceptions. */
    wasmtime_config_wasm_tail_call_set(config, false);
    wasmtime_config_wasm_multi_memory_set(config, false);
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_config_wasm_wide_arithmetic_set(config, false);
    wasmtime_config_wasm_custom_page_sizes_set(config, false);
    wasmtime_config_wasm_stack_switching_set(config, false);
    wasmtime_config_wasm_relaxed_simd_set(config, false);
    wasmtime_config_wasm_simd_set(config, settings->simd);
    wasmtime_config_wasm_bulk_memory_set(config, true);
    wasmtime_config_wasm_multi_value_set(config, true);
    wasmtime_config_signals_based_traps_set(config, true);
    return config;
}

void engine_settings_format(const struct engine_settings *settings, char *buffer, size_t capacity)
{
    snprintf(buffer, capacity, "%s%s%s%s", settings->fuel ? "fuel," : "",
             settings->deterministic ? "deterministic," : "", settings->simd ? "simd," : "",
             settings->fuel || settings->deterministic || settings->simd ? "" : "-");
}

bool engine_settings_parse(const char *text, struct engine_settings *ret_settings)
{
    for (unsigned bits = 0; bits < 8; bits++) {
        struct engine_settings candidate = {.fuel = bits & 1, .deterministic = bits & 2, .simd = bits & 4};
        char formatted[64];
        engine_settings_format(&candidate, formatted, sizeof(formatted));
        if (strcmp(formatted, text) == 0) {
            *ret_settings = candidate;
            return true;
        }
    }
    return false;
}

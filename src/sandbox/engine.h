/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the one engine: settings that machine code depends on, the linker that every module is bound to,
 * and the ticker thread that makes guests yield.
 */
#ifndef BERTH_SANDBOX_ENGINE_H
#define BERTH_SANDBOX_ENGINE_H

#include <berth/engine.h>
#include <stdatomic.h>
#include <wasmtime.h>

#include "sandbox/ticker.h"

/* What machine code depends on: part of a cache key, and passed on to the compiler process. */
struct engine_settings {
    bool fuel;
    bool deterministic; /* canonical NaNs */
    bool simd;
};

/* Of the one table a module may have. */
enum { TABLE_ELEMENTS_MAX = 20000 };

/* The configuration that fits the settings; the pool is left out where nothing is instantiated. The caller
 * passes it on to wasm_engine_new_with_config(). NULL if memory is short. */
wasm_config_t *engine_config_new(const struct engine_settings *settings);

/* As "fuel,simd" and back, for the compiler's command line and cache keys; "-" for none. */
void engine_settings_format(const struct engine_settings *settings, char *buffer, size_t capacity);
bool engine_settings_parse(const char *text, struct engine_settings *ret_settings);

struct berth_engine {
    atomic_uint references;
    struct berth_engine_options options; /* strings are owned copies */
    struct engine_settings settings;
    wasm_engine_t *wasm;
    /* All host functions, never cloned, not changed after start. In the metered one every function may park
     * the guest, for contracts with host_calls_per_second; in the other only those that have something to
     * wait for. */
    wasmtime_linker_t *linker, *metered_linker;
    struct compiler *compiler;
    struct module_cache *cache; /* NULL: none */
    int proc_descriptor;        /* /proc/self/fd, for mounts with hidden names; -1: there is none */
    atomic_uint instances;      /* slots of the pool in use */
    struct ticker ticker;
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a module: what the scan found, the machine code, and its binding to the engine's host functions.
 * Life of one: hash, look into the cache (module_cache); if it is not there, scan (module_scan), strip,
 * compile (compile), store in the cache; bind. Immutable afterwards.
 */
#ifndef BERTH_SANDBOX_MODULE_H
#define BERTH_SANDBOX_MODULE_H

#include <berth/module.h>
#include <berth/run.h>
#include <stdatomic.h>
#include <wasmtime.h>

#include "sandbox/module_facts.h"

struct berth_module {
    atomic_uint references;
    berth_engine *engine; /* a reference */
    char *name;
    char sha256[65];
    bool from_cache;
    struct module_facts facts;
    wasmtime_module_t *code;
    /* Imports resolved against the engine's linker and its metered one: instantiation is a few microseconds.
     */
    wasmtime_instance_pre_t *bound, *bound_metered;
};

/* BERTH_NOT_FOUND for an export that is not there, naming the nearest one that is. */
berth_status module_error_no_export(const berth_module *module, const char *function, berth_error **reterr);

#endif

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

#include "base/text.h"
#include "sandbox/module_facts.h"

struct berth_module {
    atomic_uint references;
    berth_engine *engine; /* a reference */
    char *name;
    char sha256[65];
    bool from_cache;
    struct module_facts facts;
    char *facts_json; /* as the scan wrote them: an artifact takes them along */
    wasmtime_module_t *code;
    /* Imports resolved against the engine's linker and its metered one: instantiation is a few microseconds.
     */
    wasmtime_instance_pre_t *bound, *bound_metered;
};

DEFINE_CLEANUP(berth_module *, berth_module_unref)
#define cleanup_module cleanup(berth_module_unref_cleanup)

/* ---- Steps of loading, for module_artifact.c too ------------------------------------------------- */

/* A module with a name and nothing else. NULL if memory is short. */
berth_module *module_new(berth_engine *engine, const char *name);
void module_set_sha256(berth_module *module, const uint8_t *sha256);
/* Keeps the facts that a scan once wrote. 0, -ENOMEM or -EINVAL. */
int module_take_facts(berth_module *module, const char *json, size_t length);
/* What a slot of this engine's pool cannot hold, no contract can allow. 0, or MODULE_SCAN_REFUSED with a
 * reason. */
int module_check_slot(const berth_module *module, struct text *reason);
/* Binds the imports of code that is there. 0, or MODULE_SCAN_REFUSED with a reason. */
int module_bind(berth_module *module, struct text *reason);
/* The one way from a step's outcome to the caller's error. */
berth_status module_conclude(const berth_module *module, int r, const struct text *reason,
                             berth_error **reterr);
void module_append_engine_error(struct text *reason, wasmtime_error_t *error);

/* BERTH_NOT_FOUND for an export that is not there, naming the nearest one that is. */
berth_status module_error_no_export(const berth_module *module, const char *function, berth_error **reterr);

#endif

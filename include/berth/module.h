/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module: WebAssembly that was measured, checked against what berth offers, compiled, and is ready to be
 * instantiated many times.
 *
 * Bytes are scanned before the engine or the compiler sees them; custom sections never reach it. Loading
 * compiles only if the cache has no sealed entry for these very bytes. A module is reference-counted; loading
 * and unref are safe from any thread.
 */
#ifndef BERTH_MODULE_H
#define BERTH_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/contract.h>
#include <berth/engine.h>
#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct berth_module berth_module;

/* Scans, and compiles or takes from the cache. `name` is for messages and argv[0] ("filter.wasm"). The bytes
 * are not kept. Errors: BERTH_REFUSED (not WebAssembly, too large, an unknown import, a feature that is off,
 * compiler limits; the sentence names it), BERTH_IO, BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_module_load(berth_engine *engine, const void *bytes,
                                                        size_t size_bytes, const char *name,
                                                        berth_module **ret, berth_error **reterr);

struct berth_module_load_options {
    size_t size; /* sizeof(struct berth_module_load_options); the init function sets it */
    /* The load is given up with BERTH_CANCELLED as soon as this descriptor (an eventfd, a pipe) can be read;
     * a compiler process that works on it is killed. It is only polled. -1: none. */
    int cancel_descriptor;
};

BERTH_API void berth_module_load_options_init(struct berth_module_load_options *options);

/* berth_module_load() that can be given up. With BERTH_COMPILE_IN_PROCESS it is not once compiling has begun.
 * Errors: as above; BERTH_CANCELLED. */
BERTH_API BERTH_MUST_USE berth_status berth_module_load_cancellable(
    berth_engine *engine, const void *bytes, size_t size_bytes, const char *name,
    const struct berth_module_load_options *options, berth_module **ret, berth_error **reterr);

/* Takes the module with this SHA-256 (32 bytes) from the cache, without its bytes. Errors: BERTH_NOT_FOUND if
 * there is no sealed entry for it; BERTH_REFUSED if it was refused before, or its memory does not fit. */
BERTH_API BERTH_MUST_USE berth_status berth_module_load_cached(berth_engine *engine, const uint8_t *sha256,
                                                               const char *name, berth_module **ret,
                                                               berth_error **reterr);

/* A module as an artifact: a sealed memory file with what the scan found and the machine code, for another
 * process with an engine of the same version, settings and processor. The caller closes *ret_descriptor.
 * Errors: BERTH_IO, BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_module_export(const berth_module *module, int *ret_descriptor,
                                                          berth_error **reterr);

/*
 * Takes a module from an artifact. Loading machine code is running it: whoever wrote the artifact can do
 * whatever this process can, so it must come from a process that is trusted and over a way that nobody else
 * writes to. What is checked guards against mistakes, not against malice: that the file is sealed, what it
 * was made by and for, its lengths. Makes no system call that names a path, so it works in a process that has
 * given up all file systems; it needs executable mappings. The descriptor stays the caller's and can be
 * imported any number of times.
 * Errors: BERTH_INVALID (not an artifact, not sealed, or of another version, processor or engine settings;
 * the sentence says which), BERTH_REFUSED (its memory does not fit into this engine), BERTH_IO,
 * BERTH_NO_MEMORY.
 */
BERTH_API BERTH_MUST_USE berth_status berth_module_import(berth_engine *engine, int descriptor,
                                                          const char *name, berth_module **ret,
                                                          berth_error **reterr);

/* Reads the file (a regular file of at most the engine's max_module_size_bytes), then loads it under its base
 * name. Errors: as above, and BERTH_NOT_FOUND. */
BERTH_API BERTH_MUST_USE berth_status berth_module_load_file(berth_engine *engine, const char *path,
                                                             berth_module **ret, berth_error **reterr);

BERTH_API berth_module *berth_module_ref(berth_module *module);
/* Accepts NULL. */
BERTH_API void berth_module_unref(berth_module *module);

/* SHA-256 of the bytes as lowercase hex, valid while the module is. */
BERTH_API const char *berth_module_sha256(const berth_module *module);
BERTH_API const char *berth_module_name(const berth_module *module);
/* True if no compilation was needed. */
BERTH_API bool berth_module_from_cache(const berth_module *module);

/* Whether this contract lets the module in: memory it declares, vector instructions. Errors: BERTH_REFUSED
 * with the reason. berth_instance_new() checks the same. */
BERTH_API BERTH_MUST_USE berth_status berth_module_check(const berth_module *module,
                                                         const berth_contract *contract,
                                                         berth_error **reterr);

/* What a module is, without an engine and without running it: imports, exports, memory, sizes, toolchain
 * hints, the grants it would need and, if `contract` is not NULL, whether that contract would refuse it and
 * why. A module that would be refused is still described as far as it could be read. The caller frees *ret
 * with free(). Errors: BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_module_inspect(const void *bytes, size_t size_bytes,
                                                           const char *name, const berth_contract *contract,
                                                           berth_format format, bool *ret_refused, char **ret,
                                                           berth_error **reterr);

#ifdef __cplusplus
}
#endif

#endif

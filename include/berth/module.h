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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: the compiler, the pool of instance slots and the clock tick that all runs of a process share.
 *
 * A process has at most one engine at a time (the second berth_engine_new() returns BERTH_BUSY): mixing
 * engines is a known way to confuse types. It is reference-counted by the modules and schedules made from it.
 * Modules may be loaded from any thread; a schedule and its instances belong to one thread at a time.
 *
 * The engine installs handlers for SIGSEGV, SIGILL and SIGFPE (traps of guests); install yours before, not
 * after. It ignores SIGXFSZ and SIGPIPE if they are at their defaults.
 */
#ifndef BERTH_ENGINE_H
#define BERTH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/contract.h>
#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct berth_engine berth_engine;

typedef enum berth_compile_mode {
    BERTH_COMPILE_IN_CHILD = 0, /* a process with limits of its own, which can be killed */
    BERTH_COMPILE_IN_PROCESS = 1,
} berth_compile_mode;

struct berth_engine_options {
    size_t size;               /* sizeof(struct berth_engine_options); the init function sets it */
    uint32_t max_instances;    /* slots of the pool; default 1000 */
    uint64_t max_memory_bytes; /* largest linear memory of any contract; default 256 MiB, at most 4 GiB */
    bool fuel;                 /* count executed instructions; costs up to half of the speed */
    bool deterministic;        /* one bit pattern for NaN; implies fuel */
    bool simd;                 /* allow contracts that grant 128-bit vectors */
    berth_compile_mode compile;
    const char *compiler;           /* path of berth-compiler; NULL: beside the library */
    uint32_t compile_memory_mb;     /* of the compiler process; default 2048 */
    uint32_t compile_cpu_seconds;   /* default 60 */
    uint32_t compile_wall_seconds;  /* default 120 */
    bool cache;                     /* keep machine code on disk; default true */
    const char *cache_directory;    /* NULL: $XDG_CACHE_HOME/berth/modules or ~/.cache/berth/modules */
    uint64_t max_module_size_bytes; /* default 64 MiB */
    uint32_t compile_at_a_time;     /* compiler processes of this engine; more loads wait. 0: no bound */
};

/* Fills in the defaults. */
BERTH_API void berth_engine_options_init(struct berth_engine_options *options);

/* Raises the options so that a run under this contract is possible: fuel, deterministic, simd, memory. */
BERTH_API void berth_engine_options_admit(struct berth_engine_options *options,
                                          const berth_contract *contract);

/* Strings in the options are copied. Errors: BERTH_BUSY (there is one), BERTH_UNSUPPORTED (no openat2, wrong
 * processor), BERTH_INVALID, BERTH_IO, BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_engine_new(const struct berth_engine_options *options,
                                                       berth_engine **ret, berth_error **reterr);

BERTH_API berth_engine *berth_engine_ref(berth_engine *engine);
/* Accepts NULL. */
BERTH_API void berth_engine_unref(berth_engine *engine);

/* What the module cache holds. */
struct berth_cache_entry {
    char module_sha256[65]; /* of the module's bytes, lowercase hex */
    uint64_t size_bytes;    /* of the entry */
    int64_t last_used_s;    /* seconds since 1970 */
    bool usable;            /* made by this engine version for this processor */
};

/* Called once per entry; returning false ends the listing. */
typedef bool berth_cache_visit_fn(void *payload, const struct berth_cache_entry *entry);

/* `directory` NULL: the default place. A cache that does not exist is empty. Errors: BERTH_IO. */
BERTH_API BERTH_MUST_USE berth_status berth_cache_list(const char *directory, berth_cache_visit_fn *visit,
                                                       void *payload, berth_error **reterr);

/* Removes all entries and leftovers; *ret_count and *ret_size_bytes (both optional) say what was removed. */
BERTH_API BERTH_MUST_USE berth_status berth_cache_clear(const char *directory, uint64_t *ret_count,
                                                        uint64_t *ret_size_bytes, berth_error **reterr);

/* The directory that NULL stands for; the caller frees it with free(). Errors: BERTH_NOT_FOUND (no home). */
BERTH_API BERTH_MUST_USE berth_status berth_cache_default_directory(char **ret, berth_error **reterr);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A contract: what a visitor may do, as plain data.
 *
 * Life cycle: berth_contract_new() gives the defaults, berth_contract_parse() reads a file over them, the
 * setters change single values; berth_contract_narrow() caps one contract by another. Parts that are not
 * mentioned keep their defaults; an unknown key is an error that names the nearest known one. A contract is
 * reference-counted and must not be changed once a run uses it; reading it from several threads is fine.
 *
 * Each value remembers its origin ("default", "contract.toml", "--memory-mb") for berth_contract_explain().
 * The keys, units and defaults are the table in docs/contract.md, made from the same rows as the parser.
 */
#ifndef BERTH_CONTRACT_H
#define BERTH_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct berth_contract berth_contract;

/* How much a visitor may take. A zero means "off" for the members that say so. New members come at the end.
 */
struct berth_limits {
    uint64_t memory_bytes;        /* linear memory and tables together */
    uint64_t wall_ms;             /* from the start of a run to its end, parked or not; 0 = off */
    uint32_t cpu_percent;         /* of one core, averaged over 100 ms; 1 to 100 */
    uint64_t fuel;                /* executed instructions, as the engine counts them; 0 = off */
    uint64_t output_bytes;        /* stdout and stderr together; 0 = off */
    uint32_t open_files;          /* descriptors open at a time beside stdio and the mounts */
    double host_calls_per_second; /* 0 = off */
};

typedef enum berth_clock_grant {
    BERTH_CLOCK_NONE = 0,   /* clock functions fail; sleeping still works */
    BERTH_CLOCK_COARSE = 1, /* steps of 1 ms */
    BERTH_CLOCK_FINE = 2,   /* nanoseconds */
} berth_clock_grant;

typedef enum berth_random_grant {
    BERTH_RANDOM_NONE = 0,
    BERTH_RANDOM_SEEDED = 1, /* a fixed stream from the seed in the instance options */
    BERTH_RANDOM_OS = 2,
} berth_random_grant;

/* A directory of the host that the visitor sees. Strings and lists belong to the contract. */
struct berth_mount {
    const char *guest;       /* absolute path in the visitor's world, "/logs" */
    const char *host;        /* path on the host */
    bool writable;           /* create, write, rename and remove; otherwise nothing changes through it */
    const char *const *hide; /* patterns; what matches behaves as absent. `n_hide` of them */
    size_t n_hide;
    uint64_t quota_bytes; /* bytes that the visitor may add to a writable mount; 0 = off */
};

/* What a visitor sees at all. New members come at the end. */
struct berth_grants {
    bool args;
    bool log;  /* the visitor may write to stderr */
    bool simd; /* the module may use 128-bit vector instructions */
    berth_clock_grant clock;
    berth_random_grant random;
    const char *const *env; /* names of environment variables, `n_env` of them */
    size_t n_env;
    const struct berth_mount *mounts; /* `n_mounts` of them */
    size_t n_mounts;
    bool events; /* the visitor may push events */
    bool watch;  /* the visitor may wait for changes of what it has open */
};

/* The defaults of docs/contract.md. Errors: BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_contract_new(berth_contract **ret, berth_error **reterr);

/* Reads TOML 1.1, or JSON if the first character that is not white space is '{', over the defaults; at most
 * 1 MiB. `source` names the text in messages and origins, for example the file name. Errors: BERTH_INVALID
 * with the line (what is no TOML or JSON) or the key, what was found and what would be right;
 * BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_contract_parse(const char *text, size_t length_bytes,
                                                           const char *source, berth_contract **ret,
                                                           berth_error **reterr);

/* Sets one value by its key ("limits.memory_mb", "grants.clock", "deterministic") from text ("64", "fine",
 * "true"). `origin` is copied. Errors: BERTH_INVALID. */
BERTH_API BERTH_MUST_USE berth_status berth_contract_set(berth_contract *contract, const char *key,
                                                         const char *value, const char *origin,
                                                         berth_error **reterr);

/* Adds a mount; everything is copied. The guest path must be absolute and new; patterns are those of
 * docs/contract.md. All strings are UTF-8. Errors: BERTH_INVALID. */
BERTH_API BERTH_MUST_USE berth_status berth_contract_add_mount(berth_contract *contract,
                                                               const struct berth_mount *mount,
                                                               const char *origin, berth_error **reterr);

/* Grants one environment variable by name. Granting it twice is fine. Errors: BERTH_INVALID. */
BERTH_API BERTH_MUST_USE berth_status berth_contract_add_env(berth_contract *contract, const char *name,
                                                             const char *origin, berth_error **reterr);

/* A new contract that gives what both give: the smaller of each limit, the narrower of each grant, the mounts
 * whose guest path both name (the policy's host path; hidden what either hides; writable only if both say so;
 * the smaller quota). Deterministic if either is. A request never widens. Errors: BERTH_INVALID (both hide
 * lists together are too long), BERTH_NO_MEMORY. */
BERTH_API BERTH_MUST_USE berth_status berth_contract_narrow(const berth_contract *request,
                                                            const berth_contract *policy,
                                                            berth_contract **ret, berth_error **reterr);

/* Borrowed; valid while the contract is. */
BERTH_API const struct berth_limits *berth_contract_limits(const berth_contract *contract);
BERTH_API const struct berth_grants *berth_contract_grants(const berth_contract *contract);
/* Same module, arguments and data give the same output, outcome and fuel. */
BERTH_API bool berth_contract_deterministic(const berth_contract *contract);

typedef enum berth_format {
    BERTH_FORMAT_TEXT = 0, /* for a person, columns aligned */
    BERTH_FORMAT_JSON = 1, /* one object, a line break at the end */
    BERTH_FORMAT_TOML = 2, /* a contract file that gives this contract again */
} berth_format;

/* The whole contract, each value with its origin and meaning. The caller frees *ret with free(). */
BERTH_API BERTH_MUST_USE berth_status berth_contract_explain(const berth_contract *contract,
                                                             berth_format format, char **ret,
                                                             berth_error **reterr);

BERTH_API berth_contract *berth_contract_ref(berth_contract *contract);
/* Accepts NULL. */
BERTH_API void berth_contract_unref(berth_contract *contract);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs: a visitor at work under its contract.
 *
 * - A schedule is a set of instances and their runs on one thread. berth_schedule_step() does what can
 *   be done now; it never blocks. Thousands of runs that sleep or wait cost no thread.
 * - An instance is a module with its own memory, its descriptors and its limits, made once.
 * - A run is one piece of work on an instance: the program (`_start`) or a call of an export. An
 *   instance has one run at a time; when it ended well the next one may start, so a long-lived instance
 *   with many calls and a program that starts and ends are the same thing.
 * - The outcome says how a run ended: exactly one, with a cause in words; the usage, what it took.
 *
 * Wall time, fuel and output are counted per run; memory, open files, CPU share and host calls per second per
 * instance.
 *
 * A schedule, its instances and its runs belong to one thread at a time. berth_run_cancel() is the exception:
 * it may be called from any thread and from signal handlers.
 */
#ifndef BERTH_RUN_H
#define BERTH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/contract.h>
#include <berth/engine.h>
#include <berth/error.h>
#include <berth/module.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct berth_schedule berth_schedule;
typedef struct berth_instance berth_instance;
typedef struct berth_run berth_run;

/* ---- Schedules ---------------------------------------------------------------------------------------- */

/* Errors: BERTH_NO_MEMORY, BERTH_IO. */
BERTH_API BERTH_MUST_USE berth_status berth_schedule_new(berth_engine *engine, berth_schedule **ret,
                                                         berth_error **reterr);

/* All instances must be freed before. Accepts NULL. */
BERTH_API void berth_schedule_free(berth_schedule *schedule);

/* What an embedder's own event loop has to wait for before the next step. */
struct berth_wait {
    bool ready;           /* there is work now: step again soon */
    int descriptor;       /* poll it for input; owned by the schedule, the same for its whole life */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC time of the next timer, UINT64_MAX if there is none */
};

/* Gives runnable runs a slice each (at most 1 ms of guest code), in turn, ends the runs whose time is over,
 * moves output. Never blocks, and leaves the rest for the next step after 10 ms, so that the embedder's own
 * loop goes on however many runs compute. */
BERTH_API void berth_schedule_step(berth_schedule *schedule, struct berth_wait *ret_wait);

/* Blocks until there is something to do, at most `timeout_ms` (negative: for ever). Signals end it early. */
BERTH_API void berth_schedule_wait(berth_schedule *schedule, const struct berth_wait *wait, int timeout_ms);

/* ---- Instances ---------------------------------------------------------------------------------------- */

typedef enum berth_stream_kind {
    BERTH_STREAM_NONE = 0, /* input: at its end; output: counted, then dropped */
    BERTH_STREAM_FD = 1,   /* a descriptor, which stays the embedder's; berth_instance_new() duplicates it */
    BERTH_STREAM_BUFFER = 2, /* berth_instance_read() and berth_instance_write() */
} berth_stream_kind;

struct berth_stream {
    berth_stream_kind kind;
    int descriptor; /* BERTH_STREAM_FD */
    /* In bytes, at least 64 KiB, which 0 stands for. A guest that is ahead of its reader by this much is
     * parked. */
    uint32_t buffer_size;
};

/* Something a contract refused while the visitor went on: a sentence each. Strings are valid during the call.
 * An instance is told of its first 16 refused growths and its first 16 other refusals; usage counts all. */
struct berth_denial {
    const char *rule;     /* key of the contract: "limits.memory_mb", "grants.mount" */
    const char *tried;    /* "memory.grow from 16 MiB to 32 MiB" */
    const char *observed; /* "32 MiB" */
    const char *allowed;  /* "16 MiB" */
    const char *remedy;   /* the contract line that would allow it: "memory_mb = 32" */
    const char *sentence; /* all of it in one sentence */
};
typedef void berth_denial_fn(void *payload, const struct berth_denial *denial);

/* The mounts of a contract, opened once and used by many instances; a quota is then shared by them. */
typedef struct berth_mounts berth_mounts;
/* Errors: BERTH_NOT_FOUND or BERTH_IO, the sentence names the mount. */
BERTH_API BERTH_MUST_USE berth_status berth_mounts_open(const berth_contract *contract, berth_mounts **ret,
                                                        berth_error **reterr);
/* The same from descriptors: `descriptors[i]` is the directory (O_PATH is enough) of the contract's mount i;
 * the contract's host paths are for messages only. They are duplicated. For a process that cannot open paths:
 * hidden names are decided by what /proc/self/fd says, which the engine opened when it was made. Errors:
 * BERTH_INVALID (another number of descriptors than of mounts), BERTH_IO, BERTH_UNSUPPORTED (hidden names,
 * and there was no /proc when the engine was made). */
BERTH_API BERTH_MUST_USE berth_status berth_mounts_open_at(berth_engine *engine,
                                                           const berth_contract *contract,
                                                           const int *descriptors, size_t n_descriptors,
                                                           berth_mounts **ret, berth_error **reterr);
/* The mounts of a contract and one or more behind them: what is added through the first ones counts against
 * the quotas of `of`, as if they were the same. Once, and before an instance uses `mounts`. */
BERTH_API void berth_mounts_share_quotas(berth_mounts *mounts, berth_mounts *of);
BERTH_API berth_mounts *berth_mounts_ref(berth_mounts *mounts);
/* Accepts NULL. */
BERTH_API void berth_mounts_unref(berth_mounts *mounts);

/* An event that the guest pushed: valid UTF-8 of at most 64 KiB, in the guest's own memory (what is kept has
 * to be copied), not escaped. False: there is no room now; the guest is parked inside its call, and the same
 * event is given again after berth_instance_resume_events(). */
typedef bool berth_event_fn(void *payload, const char *text, size_t size_bytes);

/* The instance's run had a slice, or ended: there may be output to take, input to give, an outcome. Called by
 * berth_schedule_step(), outside of the guest; it must not step or free anything. */
typedef void berth_moved_fn(void *payload);

struct berth_instance_options {
    size_t size;             /* sizeof(struct berth_instance_options); the init function sets it */
    const char *const *args; /* ends with NULL; args[0] is the program's name. NULL: the module's name only */
    const char *const
        *env; /* "NAME=VALUE", ends with NULL; only names that the contract grants get through */
    struct berth_stream input, output, errors; /* stdin, stdout, stderr; all BERTH_STREAM_NONE by default */
    berth_mounts *mounts;                      /* NULL: the contract's, opened for this instance alone */
    uint64_t random_seed;                      /* for random = "seeded" and deterministic contracts */
    /* May be NULL. Called on the schedule's thread from inside the guest's call, on its small stack: it must
     * not block, nor call back into the schedule. */
    berth_denial_fn *on_denial;
    void *payload; /* of on_denial, on_event and on_moved */
    /* May be NULL: then events are taken and dropped. Called as on_denial is, and only if the contract says
     * grants.events. */
    berth_event_fn *on_event;
    /* May be NULL. With it, an embedder of thousands of instances looks at those alone that something
     * happened to. */
    berth_moved_fn *on_moved;
};

BERTH_API void berth_instance_options_init(struct berth_instance_options *options);

/* Takes a slot, opens the mounts and arms the limits; no guest code runs before the first run does. The
 * options are copied. Errors: BERTH_REFUSED (the contract does not let the module in), BERTH_BUSY (the pool
 * is full), BERTH_NOT_FOUND or BERTH_IO (a mount), BERTH_INVALID (fuel or simd that the engine does not
 * have). */
BERTH_API BERTH_MUST_USE berth_status berth_instance_new(berth_schedule *schedule, berth_module *module,
                                                         berth_contract *contract,
                                                         const struct berth_instance_options *options,
                                                         berth_instance **ret, berth_error **reterr);

/* Ends a run that is still going on, frees the run with it, closes what the guest had open. Accepts NULL. */
BERTH_API void berth_instance_free(berth_instance *instance);

/* Takes what the guest wrote to a BERTH_STREAM_BUFFER (output: 1 or 2, as in WASI) and lets it go on writing.
 * 0 in *ret_size: nothing there now. Reading goes on after the run has ended. */
BERTH_API void berth_instance_read(berth_instance *instance, int output, void *buffer, size_t capacity,
                                   size_t *ret_size);

/* Gives the guest input for a BERTH_STREAM_BUFFER; *ret_size says how much there was room for. */
BERTH_API void berth_instance_write(berth_instance *instance, const void *bytes, size_t size_bytes,
                                    size_t *ret_size);
/* The guest reads the end of its input after what was given so far. */
BERTH_API void berth_instance_close_input(berth_instance *instance);

/* There is room for events again: a guest that on_event() had parked makes its call again at the next step.
 */
BERTH_API void berth_instance_resume_events(berth_instance *instance);

/* ---- Runs --------------------------------------------------------------------------------------------- */

typedef enum berth_value_kind {
    BERTH_VALUE_I32 = 0,
    BERTH_VALUE_I64 = 1,
    BERTH_VALUE_F32 = 2,
    BERTH_VALUE_F64 = 3,
} berth_value_kind;

typedef struct berth_value {
    berth_value_kind kind;
    union {
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } of;
} berth_value;

/* Starts the program, `_start`. Nothing runs before the next step. *ret belongs
 * to the instance and lives until the next start or berth_instance_free(). Errors: BERTH_REFUSED (no such
 * export), BERTH_BUSY (a run is going on), BERTH_ENDED (the instance is over). */
BERTH_API BERTH_MUST_USE berth_status berth_run_start(berth_instance *instance, berth_run **ret,
                                                      berth_error **reterr);

/* Starts a call of an export with numbers; an exported `_initialize` runs once before the first call. The
 * values are copied. Errors: as above; BERTH_NOT_FOUND names the nearest export; BERTH_INVALID if the number
 * or kinds of the arguments differ from the export's type. */
BERTH_API BERTH_MUST_USE berth_status berth_run_start_call(berth_instance *instance, const char *function,
                                                           const berth_value *arguments, size_t n_arguments,
                                                           berth_run **ret, berth_error **reterr);

/* Kinds of the parameters of an exported function, to read arguments from text. *ret_n_kinds is the true
 * number; at most `capacity` are filled in. Errors: BERTH_NOT_FOUND; BERTH_INVALID if a parameter is not a
 * number. */
BERTH_API BERTH_MUST_USE berth_status berth_module_parameters(const berth_module *module,
                                                              const char *function, berth_value_kind *kinds,
                                                              size_t capacity, size_t *ret_n_kinds,
                                                              berth_error **reterr);

/* One step of the run's schedule. False once the run has ended and its output has left. */
BERTH_API bool berth_run_step(berth_run *run, struct berth_wait *ret_wait);

/* Steps and waits until the run has ended and its output has left or been dropped. Nobody reads or fills a
 * BERTH_STREAM_BUFFER meanwhile: a guest that waits for one ends at its deadline, and never if it has none.
 * Embedders with such streams step. */
BERTH_API void berth_run_wait(berth_run *run);

/* Asks the run to end with BERTH_OUTCOME_CANCELLED; it does at the next step, wherever it is. Nothing happens
 * if it has ended. Safe from any thread and from signal handlers. The instance must not be freed meanwhile;
 * if its next run is started meanwhile, that one may end. */
BERTH_API void berth_run_cancel(berth_run *run);

typedef enum berth_outcome_kind {
    BERTH_OUTCOME_RUNNING = 0,
    BERTH_OUTCOME_EXITED = 1,     /* returned, or proc_exit with exit_code */
    BERTH_OUTCOME_TRAPPED = 2,    /* the guest did what WebAssembly or WASI forbids */
    BERTH_OUTCOME_LIMIT = 3,      /* `limit` says which */
    BERTH_OUTCOME_CANCELLED = 4,  /* berth_run_cancel() */
    BERTH_OUTCOME_REFUSED = 5,    /* could not be instantiated under this contract */
    BERTH_OUTCOME_HOST_ERROR = 6, /* the host failed: an output that cannot be written, no memory */
} berth_outcome_kind;

typedef enum berth_limit_kind {
    BERTH_LIMIT_NONE = 0,
    BERTH_LIMIT_MEMORY = 1,
    BERTH_LIMIT_WALL = 2,
    BERTH_LIMIT_FUEL = 3,
    BERTH_LIMIT_OUTPUT = 4,
} berth_limit_kind;

struct berth_outcome {
    berth_outcome_kind kind;
    berth_limit_kind limit;
    uint32_t exit_code; /* as the guest gave it: 32 bits */
    const char *cause;  /* one sentence, escaped; "" while running and for exit code 0 */
    const char *remedy; /* the contract line that would allow more, or "" */
};

/* Borrowed; valid until the run's instance is freed or starts again. */
BERTH_API const struct berth_outcome *berth_run_outcome(const berth_run *run);

/* A word for it: "exited", "trapped", "limit", "cancelled", "refused", "host error", "running". */
BERTH_API const char *berth_outcome_name(berth_outcome_kind kind);
/* "memory", "wall", "fuel", "output", "none". */
BERTH_API const char *berth_limit_name(berth_limit_kind limit);

/* What the export returned, once the outcome is BERTH_OUTCOME_EXITED. Borrowed as above. */
BERTH_API const berth_value *berth_run_results(const berth_run *run, size_t *ret_n_results);

/* What the run took. New members come at the end. */
struct berth_usage {
    uint64_t wall_ns;
    uint64_t cpu_ns;            /* thread time in guest code and in host functions */
    uint64_t fuel;              /* once the run has ended; 0 if the engine does not count it */
    uint64_t memory_peak_bytes; /* linear memory and tables, highest so far in this instance */
    uint64_t host_calls;
    uint64_t input_bytes;   /* from stdin and files */
    uint64_t output_bytes;  /* to stdout and stderr */
    uint64_t written_bytes; /* to files */
    uint64_t files_opened;
    uint64_t parked_ns; /* wall time of waits that are over: sleep, streams, CPU share, host call rate */
    uint64_t denials;
};
BERTH_API void berth_run_usage(const berth_run *run, struct berth_usage *ret_usage);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of an instance: a module's memory and descriptors in a store, its limits, its place in the schedule,
 * and the one run that it may have at a time.
 *
 * Who may touch what: host_function.c runs inside guest calls and writes `call`, `in_call`, `waiting` and the
 * run's `verdict` and `exit_code`; run.c drives the phases; schedule.c owns `queue`, `due` and the
 * descriptors it watches. All on one thread; only `run.cancelled` is written from elsewhere.
 */
#ifndef BERTH_SANDBOX_INSTANCE_H
#define BERTH_SANDBOX_INSTANCE_H

#include <berth/run.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <wasmtime.h>

#include "sandbox/function_type.h"
#include "sandbox/module.h"
#include "sandbox/outcome.h"
#include "sandbox/rate_limits.h"
#include "sandbox/schedule.h"
#include "sandbox/stream.h"
#include "wasi/wasi.h"
#include <berth_native.h>

/* What a run is at. */
enum run_phase {
    RUN_INSTANTIATE, /* start functions may run */
    RUN_INITIALIZE,  /* `_initialize` of a reactor, once */
    RUN_CALL,
    RUN_DRAIN, /* the guest is done; output is still on its way to a descriptor */
    RUN_ENDED,
};

/* Why host code made the guest stop; looked at when the engine reports the trap that this becomes. */
enum run_verdict {
    VERDICT_NONE,
    VERDICT_EXIT,    /* proc_exit; `exit_code` */
    VERDICT_FAULT,   /* wasi_context_fault() says what */
    VERDICT_STREAM,  /* the output account says what */
    VERDICT_MISSING, /* the engine knows no export of that name */
};

struct berth_run {
    berth_instance *instance;
    atomic_bool cancelled;

    enum run_phase phase; /* from here on all is new with each start */
    bool program;         /* `_start`: the instance is over after it */
    char *function_name;
    struct function_type type;
    wasmtime_func_t function;
    wasmtime_val_t values[2 * FUNCTION_TYPE_VALUES_MAX]; /* arguments, then results, for the engine */
    berth_value results[FUNCTION_TYPE_VALUES_MAX];

    wasmtime_call_future_t *future; /* of the current phase */
    wasm_trap_t *trap;
    wasmtime_error_t *error;
    enum run_verdict verdict;
    uint32_t exit_code;

    struct ending ending; /* while the output drains */
    struct berth_outcome outcome;
    char *cause, *remedy; /* what the outcome points to */

    uint64_t started_ns, ended_ns;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    uint64_t cpu_ns;
    uint64_t parked_ns, parked_since_ns;
    uint64_t fuel_given, fuel_used;
    struct wasi_usage usage_before; /* of the instance, when the run started */
    uint64_t memory_denials_before;
};

/* A host call that could not finish at once; made again when its time has come. */
struct pending_call {
    enum wasi_function function;
    uint64_t arguments[WASI_MAX_ARGUMENTS];
    wasmtime_val_t *result;
    wasm_trap_t **trap;
    bool rate_taken; /* the call was counted against host_calls_per_second */
};

/* Linear memory and tables against limits.memory_mb. */
struct memory_account {
    uint64_t limit_bytes;
    uint64_t memory_bytes, table_bytes, peak_bytes;
    bool refused;           /* a growth was refused in this run */
    uint64_t refused_bytes; /* what it would have come to */
};

struct berth_instance {
    berth_schedule *schedule;
    berth_module *module;     /* a reference */
    berth_contract *contract; /* a reference */
    berth_mounts *mounts;     /* a reference */
    char **strings;           /* argv and environment, one allocation */
    const char *const *args, *const *env;
    berth_denial_fn *on_denial;
    berth_event_fn *on_event;
    berth_moved_fn *on_moved;
    void *payload;
    uint64_t memory_denials; /* the others are counted in wasi_usage */

    wasmtime_store_t *store; /* NULL once the instance is over */
    wasmtime_context_t *context;
    wasmtime_instance_t handle;
    wasmtime_memory_t memory;
    bool holds_slot;
    bool memory_known;
    bool instantiated, initialized;
    struct berth_native_limiter limiter;
    struct memory_account memory_account;
    struct cpu_share cpu_share;
    struct call_rate call_rate;

    struct wasi_context *wasi;
    struct stream streams[3];
    struct output_account account;

    struct berth_run run;
    bool has_run; /* a run was started; the public pointer to it is out */
    struct pending_call call;
    bool in_call;             /* the guest is inside `call`, which waits for `waiting` */
    struct wasi_wait waiting; /* all zero: for its next turn */
    struct parking parking;

    TAILQ_ENTRY(berth_instance) all;   /* in the schedule's list */
    TAILQ_ENTRY(berth_instance) queue; /* in its ready queue, if parking.queued */
};

/* ---- run.c, called by the schedule -------------------------------------------------------------- */

/* Lets the guest run until it is done, yields or waits; decides where it goes next. */
void run_slice(struct berth_run *run);
/* The guest has nothing more to do: its outcome, and then its output on the way. */
void run_finish(struct berth_run *run);
/* Ends a run, once; takes over the ending. Output that a descriptor does not take now is dropped. */
void run_end(struct berth_run *run, struct ending ending);
/* The deadline has passed. */
void run_expire(struct berth_run *run);
/* berth_run_cancel() was called. */
void run_cancel(struct berth_run *run);
/* Output moved: a run that only waited for that may be at its end. */
void run_output_moved(struct berth_run *run);
/* Ends a run that is still going on, without an outcome that anyone will see, and releases what it holds. */
void run_discard(struct berth_run *run);

static inline void instance_tell_moved(const berth_instance *instance)
{
    if (instance->on_moved)
        instance->on_moved(instance->payload);
}

static inline bool run_is_active(const berth_instance *instance)
{
    return instance->has_run && instance->run.phase != RUN_ENDED;
}

/* ---- instance.c --------------------------------------------------------------------------------- */

/* The guest's memory as it is now; empty if it exports none. `caller` may be NULL once the instance is there.
 */
struct wasi_memory instance_memory(berth_instance *instance, wasmtime_caller_t *caller);

/* Gives the slot back to the pool. The instance takes no more calls. */
void instance_retire(berth_instance *instance);

#endif

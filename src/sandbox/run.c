/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run as a list of phases: instantiate, initialize, call, drain, ended. The first three are futures of the
 * engine that a slice polls; run_slice() is the only place that enters guest code. However a run ends, it
 * passes through run_end() exactly once. How an ending is put into words is in outcome.c.
 */
#include <errno.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"
#include "sandbox/engine.h"
#include "sandbox/instance.h"
#include "sandbox/outcome.h"

/* Below this a slice is charged by the wall clock, which is free to read; the thread's clock costs a system
 * call. */
enum { SHORT_SLICE_NS = 50 * 1000 };

/* ---- Starting ----------------------------------------------------------------------------------- */

static const struct module_export *plain_export(const berth_instance *instance, const char *name)
{
    const struct module_export *export = module_facts_export(&instance->module->facts, name, MODULE_FUNCTION);
    return export && strcmp(export->type, "()->()") == 0 ? export : NULL;
}

/* Leaves alone what berth_run_cancel() reads: a watchdog may come late, while the next run is being started.
 */
static void forget_previous(struct berth_run *run)
{
    const size_t kept = offsetof(struct berth_run, phase);
    free(run->function_name);
    outcome_done(run);
    memset((char *)run + kept, 0, sizeof(*run) - kept);
    run->outcome.cause = run->outcome.remedy = "";
    atomic_store(&run->cancelled, false);
}

/* A program initializes itself, and whoever calls `_initialize` gets it once, not twice. */
static enum run_phase first_call(const struct berth_run *run)
{
    const berth_instance *instance = run->instance;
    bool wanted = !run->program && !instance->initialized && strcmp(run->function_name, "_initialize") != 0 &&
                  plain_export(instance, "_initialize");
    return wanted ? RUN_INITIALIZE : RUN_CALL;
}

static void arm(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    const struct berth_limits *limits = berth_contract_limits(instance->contract);
    run->started_ns = clock_monotonic_ns();
    run->deadline_ns =
        limits->wall_ms ? saturating_add_u64(run->started_ns, saturating_mul_u64(limits->wall_ms, NS_PER_MS))
                        : UINT64_MAX;
    if (instance->schedule->engine->settings.fuel) {
        run->fuel_given = limits->fuel ? limits->fuel : UINT64_MAX;
        wasmtime_error_t *error = wasmtime_context_set_fuel(instance->context, run->fuel_given);
        if (error)
            wasmtime_error_delete(error);
    }
    instance->account.written_bytes = 0;
    instance->memory_account.refused = false;
    run->usage_before = *wasi_context_usage(instance->wasi);
    run->memory_denials_before = instance->memory_denials;
}

static berth_status start(berth_instance *instance, const char *function, bool program, berth_error **reterr)
{
    struct berth_run *run = &instance->run;
    if (!instance->store)
        return error_set(reterr, BERTH_ENDED, "the instance of %s has ended and takes no more calls",
                         instance->module->name);
    if (run_is_active(instance))
        return error_set(reterr, BERTH_BUSY, "the instance of %s has a run that is still going on",
                         instance->module->name);
    char *function_name = strdup(function);
    if (!function_name)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    forget_previous(run);
    run->function_name = function_name;
    run->program = program;
    run->phase = instance->instantiated ? first_call(run) : RUN_INSTANTIATE;
    instance->has_run = true;
    arm(run);
    schedule_ready(instance);
    return BERTH_OK;
}

berth_status berth_run_start(berth_instance *instance, berth_run **ret, berth_error **reterr)
{
    if (!plain_export(instance, "_start"))
        return error_set(
            reterr, BERTH_REFUSED,
            "%s has no _start function, so it is no program; its exports can be called one by one",
            instance->module->name);
    berth_status status = start(instance, "_start", true, reterr);
    if (status == BERTH_OK)
        *ret = &instance->run;
    return status;
}

static wasmtime_val_t value_to_engine(const berth_value *value)
{
    switch (value->kind) {
    case BERTH_VALUE_I64:
        return (wasmtime_val_t){.kind = WASMTIME_I64, .of.i64 = value->of.i64};
    case BERTH_VALUE_F32:
        return (wasmtime_val_t){.kind = WASMTIME_F32, .of.f32 = value->of.f32};
    case BERTH_VALUE_F64:
        return (wasmtime_val_t){.kind = WASMTIME_F64, .of.f64 = value->of.f64};
    case BERTH_VALUE_I32:
        break;
    }
    return (wasmtime_val_t){.kind = WASMTIME_I32, .of.i32 = value->of.i32};
}

static berth_value value_from_engine(const wasmtime_val_t *value, berth_value_kind kind)
{
    berth_value result = {.kind = kind};
    switch (kind) {
    case BERTH_VALUE_I32:
        result.of.i32 = value->of.i32;
        break;
    case BERTH_VALUE_I64:
        result.of.i64 = value->of.i64;
        break;
    case BERTH_VALUE_F32:
        result.of.f32 = value->of.f32;
        break;
    case BERTH_VALUE_F64:
        result.of.f64 = value->of.f64;
        break;
    }
    return result;
}

static berth_status check_arguments(const char *function, const struct function_type *type,
                                    const berth_value *arguments, size_t n_arguments, berth_error **reterr)
{
    if (n_arguments != type->n_parameters)
        return error_set(reterr, BERTH_INVALID, "%s takes %zu argument%s, not %zu", function,
                         type->n_parameters, type->n_parameters == 1 ? "" : "s", n_arguments);
    for (size_t i = 0; i < n_arguments; i++)
        if (arguments[i].kind != type->parameters[i])
            return error_set(reterr, BERTH_INVALID, "argument %zu of %s is an %s, not an %s", i + 1, function,
                             value_kind_name(type->parameters[i]), value_kind_name(arguments[i].kind));
    return BERTH_OK;
}

berth_status berth_run_start_call(berth_instance *instance, const char *function,
                                  const berth_value *arguments, size_t n_arguments, berth_run **ret,
                                  berth_error **reterr)
{
    struct function_type type;
    const struct module_export *export =
        module_facts_export(&instance->module->facts, function, MODULE_FUNCTION);
    if (!export)
        return module_error_no_export(instance->module, function, reterr);
    if (function_type_parse(export->type, &type) < 0)
        return error_set(reterr, BERTH_INVALID, "%s has the type %s; only numbers can be passed, at most %d",
                         function, export->type, FUNCTION_TYPE_VALUES_MAX);
    berth_status status = check_arguments(function, &type, arguments, n_arguments, reterr);
    if (status == BERTH_OK)
        status = start(instance, function, false, reterr);
    if (status != BERTH_OK)
        return status;
    instance->run.type = type;
    for (size_t i = 0; i < n_arguments; i++)
        instance->run.values[i] = value_to_engine(&arguments[i]);
    *ret = &instance->run;
    return BERTH_OK;
}

/* ---- Guest code --------------------------------------------------------------------------------- */

static wasmtime_call_future_t *call_export(struct berth_run *run, const char *name)
{
    berth_instance *instance = run->instance;
    wasmtime_extern_t item;
    if (!wasmtime_instance_export_get(instance->context, &instance->handle, name, strlen(name), &item) ||
        item.kind != WASMTIME_EXTERN_FUNC)
        return NULL;
    run->function = item.of.func;
    return wasmtime_func_call_async(instance->context, &run->function, run->values, run->type.n_parameters,
                                    run->values + FUNCTION_TYPE_VALUES_MAX, run->type.n_results, &run->trap,
                                    &run->error);
}

static wasmtime_call_future_t *begin_phase(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    const berth_module *module = instance->module;
    const struct function_type type = run->type;
    wasmtime_call_future_t *future;
    switch (run->phase) {
    case RUN_INSTANTIATE:
        return wasmtime_instance_pre_instantiate_async(
            instance->call_rate.interval_ns ? module->bound_metered : module->bound, instance->context,
            &instance->handle, &run->trap, &run->error);
    case RUN_INITIALIZE:
        run->type = (struct function_type){0};
        future = call_export(run, "_initialize");
        run->type = type;
        return future;
    case RUN_CALL:
        instance->initialized = true;
        return call_export(run, run->function_name);
    case RUN_DRAIN:
    case RUN_ENDED:
        break;
    }
    return NULL;
}

static void next_phase(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    if (run->phase == RUN_INSTANTIATE) {
        instance->instantiated = true;
        run->phase = first_call(run);
    } else {
        run->phase = RUN_CALL;
    }
}

/* Enters the guest; true when there is nothing more to enter: the call returned or something went wrong. */
static bool advance(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    for (;;) {
        if (!run->future && !(run->future = begin_phase(run))) {
            run->verdict = VERDICT_MISSING;
            return true;
        }
        wasmtime_context_set_epoch_deadline(instance->context, 1);
        if (!wasmtime_call_future_poll(run->future))
            return false;
        wasmtime_call_future_delete(run->future);
        run->future = NULL;
        if (run->trap || run->error || run->phase == RUN_CALL)
            return true;
        next_phase(run);
    }
}

/* Thread time of a slice that began at the given time; never more than the wall time it took. A reading below
 * the last one is of another thread, which took the schedule over: its share of the slice is not known. */
static uint64_t slice_cpu_ns(berth_schedule *schedule, uint64_t begun_ns, uint64_t now_ns)
{
    uint64_t wall_ns = now_ns - begun_ns;
    if (wall_ns < SHORT_SLICE_NS)
        return wall_ns;
    uint64_t thread_ns = clock_thread_cpu_ns();
    uint64_t used_ns = thread_ns < schedule->thread_cpu_ns ? wall_ns : thread_ns - schedule->thread_cpu_ns;
    schedule->thread_cpu_ns = thread_ns;
    return used_ns < wall_ns ? used_ns : wall_ns;
}

/* The guest is inside a host call that waits, has used up its share, or just had its turn. */
static void place(berth_instance *instance, uint64_t now_ns, uint64_t share_until_ns)
{
    const struct wasi_wait *waiting = &instance->waiting;
    if (instance->in_call && (waiting->sources || waiting->deadline_ns > now_ns))
        schedule_park(instance, waiting->deadline_ns, waiting->sources);
    else if (share_until_ns)
        schedule_park(instance, share_until_ns, 0);
    else
        schedule_ready(instance);
}

void run_slice(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    struct ticker *ticker = &instance->schedule->engine->ticker;
    uint64_t begun_ns = clock_monotonic_ns();
    if (atomic_load(&run->cancelled)) {
        run_cancel(run);
        return;
    }
    /* A guest that sleeps just before each tick must not get away with it. */
    uint64_t until_ns = cpu_share_charge(&instance->cpu_share, 0, begun_ns);
    if (until_ns) {
        schedule_park(instance, until_ns, 0);
        return;
    }
    ticker_enter(ticker);
    bool done = advance(run);
    ticker_leave(ticker);
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t used_ns = slice_cpu_ns(instance->schedule, begun_ns, now_ns);
    run->cpu_ns += used_ns;
    until_ns = cpu_share_charge(&instance->cpu_share, used_ns, now_ns);
    if (stream_has_output(&instance->streams[1]) || stream_has_output(&instance->streams[2]))
        schedule_pump(instance);
    if (done)
        run_finish(run);
    else if (instance->account.stop != STREAM_GOES_ON)
        run_end(run, outcome_of_streams(instance));
    else
        place(instance, now_ns, until_ns);
}

/* ---- Ending ------------------------------------------------------------------------------------- */

static void release_engine_objects(struct berth_run *run)
{
    if (run->future)
        wasmtime_call_future_delete(run->future);
    if (run->trap)
        wasm_trap_delete(run->trap);
    if (run->error)
        wasmtime_error_delete(run->error);
    run->future = NULL;
    run->trap = NULL;
    run->error = NULL;
}

/* The guest runs no more: unwinds it, takes the last readings, and frees the slot unless more calls may come.
 */
static void leave_guest(struct berth_run *run, bool instance_lives)
{
    berth_instance *instance = run->instance;
    uint64_t fuel_left;
    if (!instance->store)
        return;
    /* Unwinding a suspended guest runs destructors of host frames only. */
    release_engine_objects(run);
    if (instance->in_call)
        wasi_context_abandon_call(instance->wasi);
    instance->in_call = false;
    if (run->fuel_given) {
        wasmtime_error_t *error = wasmtime_context_get_fuel(instance->context, &fuel_left);
        if (error)
            wasmtime_error_delete(error);
        else
            run->fuel_used = run->fuel_given - fuel_left;
    }
    if (!instance_lives)
        instance_retire(instance);
}

void run_end(struct berth_run *run, struct ending ending)
{
    berth_instance *instance = run->instance;
    if (run->phase == RUN_ENDED) {
        ending_done(&ending);
        return;
    }
    leave_guest(run, ending.instance_lives);
    schedule_pump(instance);
    for (int i = 1; i < 3; i++)
        if (instance->streams[i].kind == BERTH_STREAM_FD)
            ring_drop(&instance->streams[i].ring, instance->streams[i].ring.length);
    if (run->parked_since_ns)
        run->parked_ns += saturating_sub_u64(clock_monotonic_ns(), run->parked_since_ns);
    run->parked_since_ns = 0;
    outcome_set(run, ending);
    run->ended_ns = clock_monotonic_ns();
    run->phase = RUN_ENDED;
    schedule_forget(instance);
    instance_tell_moved(instance);
}

void run_finish(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    struct ending ending = outcome_of_guest(run);
    if (ending.kind == BERTH_OUTCOME_EXITED && run->verdict == VERDICT_NONE)
        for (size_t i = 0; i < run->type.n_results; i++)
            run->results[i] =
                value_from_engine(&run->values[FUNCTION_TYPE_VALUES_MAX + i], run->type.results[i]);
    leave_guest(run, ending.instance_lives);
    schedule_pump(instance);
    if (!stream_has_output(&instance->streams[1]) && !stream_has_output(&instance->streams[2])) {
        if (ending.kind == BERTH_OUTCOME_EXITED && instance->account.stop != STREAM_GOES_ON) {
            ending_done(&ending);
            ending = outcome_of_streams(instance);
        }
        run_end(run, ending);
        return;
    }
    run->phase = RUN_DRAIN;
    run->ending = ending;
    schedule_park(instance, UINT64_MAX, 0);
}

void run_output_moved(struct berth_run *run)
{
    berth_instance *instance = run->instance;
    if (run->phase != RUN_DRAIN)
        return;
    if (stream_has_failed(&instance->account)) {
        ending_done(&run->ending);
        run_end(run, outcome_of_streams(instance));
    } else if (!stream_has_output(&instance->streams[1]) && !stream_has_output(&instance->streams[2])) {
        run_end(run, run->ending);
    }
}

void run_expire(struct berth_run *run)
{
    ending_done(&run->ending);
    run_end(run, outcome_of_deadline(run));
}

void run_cancel(struct berth_run *run)
{
    ending_done(&run->ending);
    run_end(run, outcome_of_cancel());
}

void run_discard(struct berth_run *run)
{
    if (run->instance->has_run) {
        if (run->phase != RUN_ENDED)
            leave_guest(run, false);
        release_engine_objects(run);
        ending_done(&run->ending);
    }
    free(run->function_name);
    outcome_done(run);
}

void berth_run_cancel(berth_run *run)
{
    berth_schedule *schedule = run->instance->schedule;
    const uint64_t one = 1;
    int saved = errno;
    atomic_store(&run->cancelled, true);
    ssize_t ignored = write(schedule->cancel_fd, &one, sizeof(one));
    (void)ignored; /* a full counter wakes just as well */
    /* Last, so that whoever sees it also empties the counter; one left full would wake the schedule for ever.
     */
    atomic_store(&schedule->cancel_requested, true);
    errno = saved;
}

/* ---- Waiting and reading ------------------------------------------------------------------------ */

bool berth_run_step(berth_run *run, struct berth_wait *ret_wait)
{
    berth_schedule_step(run->instance->schedule, ret_wait);
    return run->phase != RUN_ENDED;
}

void berth_run_wait(berth_run *run)
{
    struct berth_wait wait;
    while (berth_run_step(run, &wait))
        berth_schedule_wait(run->instance->schedule, &wait, -1);
}

const struct berth_outcome *berth_run_outcome(const berth_run *run)
{
    return &run->outcome;
}

const berth_value *berth_run_results(const berth_run *run, size_t *ret_n_results)
{
    bool returned = run->outcome.kind == BERTH_OUTCOME_EXITED && run->verdict == VERDICT_NONE;
    *ret_n_results = returned ? run->type.n_results : 0;
    return run->results;
}

void berth_run_usage(const berth_run *run, struct berth_usage *ret_usage)
{
    const berth_instance *instance = run->instance;
    const struct wasi_usage *now = wasi_context_usage(instance->wasi), *before = &run->usage_before;
    uint64_t end_ns = run->phase == RUN_ENDED ? run->ended_ns : clock_monotonic_ns();
    *ret_usage = (struct berth_usage){
        .wall_ns = saturating_sub_u64(end_ns, run->started_ns),
        .cpu_ns = run->cpu_ns,
        .fuel = run->fuel_used,
        .memory_peak_bytes = instance->memory_account.peak_bytes,
        .host_calls = now->calls - before->calls,
        .input_bytes = now->input_bytes - before->input_bytes,
        .output_bytes = instance->account.written_bytes,
        .written_bytes = now->written_bytes - before->written_bytes,
        .files_opened = now->files_opened - before->files_opened,
        .parked_ns = run->parked_ns,
        .denials = now->denials - before->denials + instance->memory_denials - run->memory_denials_before,
    };
}

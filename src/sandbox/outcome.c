/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See outcome.h. Each cause says what was observed and what was allowed; each remedy is a line of a contract.
 * If memory for words is short, the kind of the outcome still stands.
 */
#include "sandbox/outcome.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/text.h"
#include "contract/contract.h"
#include "sandbox/instance.h"
#include "sandbox/trap.h"
#include "sandbox/words.h"

void ending_done(struct ending *ending)
{
    free(ending->cause);
    free(ending->remedy);
    *ending = (struct ending){0};
}

void outcome_done(struct berth_run *run)
{
    free(run->cause);
    free(run->remedy);
    run->cause = run->remedy = NULL;
}

void outcome_set(struct berth_run *run, struct ending ending)
{
    outcome_done(run);
    run->cause = ending.cause;
    run->remedy = ending.remedy;
    run->outcome = (struct berth_outcome){
        .kind = ending.kind,
        .limit = ending.limit,
        .exit_code = ending.exit_code,
        .cause = ending.cause ? ending.cause : "",
        .remedy = ending.remedy ? ending.remedy : "",
    };
    run->ending = (struct ending){0};
}

const char *berth_outcome_name(berth_outcome_kind kind)
{
    static const char *const names[] = {
        [BERTH_OUTCOME_RUNNING] = "running",       [BERTH_OUTCOME_EXITED] = "exited",
        [BERTH_OUTCOME_TRAPPED] = "trapped",       [BERTH_OUTCOME_LIMIT] = "limit",
        [BERTH_OUTCOME_CANCELLED] = "cancelled",   [BERTH_OUTCOME_REFUSED] = "refused",
        [BERTH_OUTCOME_HOST_ERROR] = "host error",
    };
    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

const char *berth_limit_name(berth_limit_kind limit)
{
    static const char *const names[] = {
        [BERTH_LIMIT_NONE] = "none", [BERTH_LIMIT_MEMORY] = "memory", [BERTH_LIMIT_WALL] = "wall",
        [BERTH_LIMIT_FUEL] = "fuel", [BERTH_LIMIT_OUTPUT] = "output",
    };
    return (size_t)limit < sizeof(names) / sizeof(names[0]) ? names[limit] : "unknown";
}

static char *words(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *words(const char *format, ...)
{
    struct text text = {0};
    va_list arguments;
    va_start(arguments, format);
    text_append_format_list(&text, format, arguments);
    va_end(arguments);
    return text_take(&text);
}

static struct ending of_fuel(const struct berth_run *run)
{
    return (struct ending){
        .kind = BERTH_OUTCOME_LIMIT,
        .limit = BERTH_LIMIT_FUEL,
        .cause = words("it used all its fuel: limits.fuel allows %" PRIu64 " instructions", run->fuel_given),
        .remedy = contract_line("limits.fuel", saturating_mul_u64(run->fuel_given, 2)),
    };
}

/* An abort after a refused growth is the guest's way to say that it cannot go on without; so is an instance
 * that does not come to be. Any other trap is a fault of the guest, whatever it was refused before. */
static bool lacks_memory(const struct berth_run *run)
{
    return run->instance->memory_account.refused &&
           (run->error || (run->trap && trap_is_unreachable(run->trap)));
}

static struct ending of_memory(const struct berth_run *run)
{
    const struct memory_account *account = &run->instance->memory_account;
    char wanted[32], allowed[32];
    words_bytes(account->refused_bytes, wanted, sizeof(wanted));
    words_bytes(account->limit_bytes, allowed, sizeof(allowed));
    return (struct ending){
        .kind = BERTH_OUTCOME_LIMIT,
        .limit = BERTH_LIMIT_MEMORY,
        .cause = words("it needed %s of memory, and limits.memory_mb allows %s", wanted, allowed),
        .remedy = contract_line("limits.memory_mb", account->refused_bytes),
    };
}

static struct ending of_trap(const struct berth_run *run)
{
    struct text cause = {0};
    struct ending ending = {.kind = BERTH_OUTCOME_TRAPPED};
    if (run->trap)
        trap_describe(&cause, run->trap);
    else
        trap_describe_error(&cause, run->error);
    if (run->phase == RUN_INSTANTIATE && !run->trap)
        ending.kind = BERTH_OUTCOME_REFUSED;
    ending.cause = text_take(&cause);
    return ending;
}

struct ending outcome_of_guest(const struct berth_run *run)
{
    const berth_instance *instance = run->instance;
    switch (run->verdict) {
    case VERDICT_EXIT:
        return (struct ending){
            .kind = BERTH_OUTCOME_EXITED,
            .exit_code = run->exit_code,
            .cause = run->exit_code ? words("it exited with status %" PRIu32, run->exit_code) : NULL,
        };
    case VERDICT_FAULT:
        return (struct ending){.kind = BERTH_OUTCOME_TRAPPED,
                               .cause = words("%s", wasi_context_fault(instance->wasi))};
    case VERDICT_STREAM:
        return outcome_of_streams(instance);
    case VERDICT_MISSING:
        return (struct ending){.kind = BERTH_OUTCOME_REFUSED, .cause = words("its export cannot be called")};
    case VERDICT_NONE:
        break;
    }
    if (run->trap && trap_is_out_of_fuel(run->trap))
        return of_fuel(run);
    if (lacks_memory(run))
        return of_memory(run);
    if (run->trap || run->error)
        return of_trap(run);
    return (struct ending){.kind = BERTH_OUTCOME_EXITED, .instance_lives = !run->program};
}

struct ending outcome_of_streams(const berth_instance *instance)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    const struct output_account *account = &instance->account;
    const char *name = names[account->failed_stream];
    char allowed[32], reason[128];
    if (account->stop == STREAM_OVER_LIMIT) {
        words_bytes(account->limit_bytes, allowed, sizeof(allowed));
        return (struct ending){
            .kind = BERTH_OUTCOME_LIMIT,
            .limit = BERTH_LIMIT_OUTPUT,
            .cause = words("it wrote more output than the %s that limits.output_mb allows", allowed),
            .remedy = contract_line("limits.output_mb", saturating_mul_u64(account->limit_bytes, 2)),
        };
    }
    if (account->stop == STREAM_READER_GONE)
        return (struct ending){.kind = BERTH_OUTCOME_HOST_ERROR,
                               .cause = words("nobody reads its %s any more", name)};
    return (struct ending){
        .kind = BERTH_OUTCOME_HOST_ERROR,
        .cause = words("its %s cannot be written: %s", name,
                       strerror_r(-account->failure, reason, sizeof(reason))),
    };
}

struct ending outcome_of_deadline(const struct berth_run *run)
{
    const struct berth_limits *limits = berth_contract_limits(run->instance->contract);
    char allowed[32];
    words_ms(limits->wall_ms, allowed, sizeof(allowed));
    return (struct ending){
        .kind = BERTH_OUTCOME_LIMIT,
        .limit = BERTH_LIMIT_WALL,
        .cause = words("%s after %.3f s, and limits.wall_seconds allows %s",
                       run->phase == RUN_DRAIN ? "its output was not read" : "it was still running",
                       (double)(clock_monotonic_ns() - run->started_ns) / 1e9, allowed),
        .remedy = contract_line("limits.wall_seconds", saturating_mul_u64(limits->wall_ms, 2)),
    };
}

struct ending outcome_of_cancel(void)
{
    return (struct ending){.kind = BERTH_OUTCOME_CANCELLED, .cause = words("it was cancelled")};
}

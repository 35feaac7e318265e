/* SPDX-License-Identifier: Apache-2.0 */
/* See visit.h. What ends a visit goes through conclude() (it was admitted to run) or refuse() (it never ran).
 */
#include "node/front/visit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "node/front/visit_record.h"
#include "wire/hash.h"

enum { CREDIT_STEP_BYTES = VISIT_CREDIT_BYTES / 8 };

static void on_module(void *payload, enum compile_result result, int artifact, bool compiled,
                      const char *sentence);
static void on_recorded(void *payload, int result);
static void on_concluded(void *payload, int result);

/* ---- Life
 * ---------------------------------------------------------------------------------------------------- */

static char **copy_strings(const char *const *strings)
{
    size_t n = 0;
    while (strings && strings[n])
        n++;
    char **copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(strings[i]))) {
            while (i-- > 0)
                free(copy[i]);
            free(copy);
            return NULL;
        }
    return copy;
}

static void free_strings(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

static void visit_free(struct visit *visit)
{
    struct front *front = visit->front;
    while (visit->followers) {
        struct visit_follower *follower = visit->followers;
        visit_unfollow(follower);
        follower->changed(follower);
    }
    ledger_forget(&visit->recorded);
    ledger_forget(&visit->told);
    if (visit->link) {
        *visit->link = visit->next;
        if (visit->next)
            visit->next->link = visit->link;
        front->n_visits--;
        access_end_run(front->access, visit->principal);
    }
    close_keeping_errno(visit->artifact);
    /* Of an adopted run, the front before made it. */
    if (visit->inputs_directory >= 0 || visit->adopted)
        inputs_directory_remove(front->inputs_directory, visit->run_id);
    close_keeping_errno(visit->inputs_directory);
    for (size_t i = 0; i < visit->n_denials; i++)
        free(visit->denials[i]);
    if (visit->input)
        explicit_bzero(visit->input, visit->input_bytes);
    free(visit->input);
    free(visit->cause);
    free(visit->remedy);
    free(visit->receipt);
    free(visit->capability);
    free(visit->name);
    free_strings(visit->argv);
    free_strings(visit->environment);
    berth_contract_unref(visit->contract);
    free(visit);
    front_visit_is_over(front);
}

DEFINE_CLEANUP(struct visit *, visit_free)

static void join(struct visit *visit)
{
    struct front *front = visit->front;
    visit->next = front->visits;
    visit->link = &front->visits;
    if (visit->next)
        visit->next->link = &visit->next;
    front->visits = visit;
    front->n_visits++;
}

struct visit *visit_find(struct front *front, const char *run_id)
{
    for (struct visit *visit = front->visits; visit; visit = visit->next)
        if (strcmp(visit->run_id, run_id) == 0)
            return visit;
    return NULL;
}

/* ---- Endings
 * ------------------------------------------------------------------------------------------------- */

/* It never ran. */
static void refuse(struct visit *visit, enum grpc_status status, const char *reason, const char *sentence)
{
    struct front *front = visit->front;
    ledger_note(front->ledger, "run_refused", principal_name(visit->principal), visit->run_id,
                json_pack("{s:s, s:s}", "reason", reason, "status", grpc_status_name(status)));
    if (visit->inserted)
        run_store_end(ledger_store(front->ledger), visit->run_id, "refused", sentence, 0, front_time_ns(),
                      NULL);
    metrics_count_refusal(&front->metrics, status);
    const struct visit_listener *listener = visit->listener;
    void *payload = visit->payload;
    if (listener)
        listener->refused(payload, status, sentence);
    visit_free(visit);
}

/* It was admitted: outcome and usage are in the visit. The listener hears once that is recorded. */
static void conclude(struct visit *visit)
{
    visit->run = NULL;
    /* The next node starts it again, unless it came to an end of its own meanwhile. */
    if (visit->suspended && (visit->lost || visit->outcome.kind == BERTH_OUTCOME_CANCELLED)) {
        run_store_set_state(ledger_store(visit->front->ledger), visit->run_id, "queued");
        visit_free(visit);
        return;
    }
    visit->ended_ns = front_time_ns();
    int r = visit_make_receipt(visit);
    if (r < 0)
        log_event(visit->front->log, LOG_LEVEL_ERROR, "receipt_failed", log_text("run", visit->run_id),
                  log_text("error", strerror(-r)));
    visit_record_end(visit);
    metrics_count_run(&visit->front->metrics, &visit->outcome, visit->lost);
    visit->recorded.done = on_concluded;
    visit->recorded.payload = visit;
    ledger_await(visit->front->ledger, &visit->recorded);
}

static void on_concluded(void *payload, int result)
{
    struct visit *visit = payload;
    const struct visit_end end = {
        .outcome = visit->outcome,
        .usage = visit->usage,
        .lost = visit->lost,
        .receipt = result == 0 ? visit->receipt : NULL,
        .denials = (const char *const *)visit->denials,
        .n_denials = visit->n_denials,
    };
    const struct visit_listener *listener = visit->listener;
    visit->over = true;
    /* A result that is not in the audit log is not handed out as if it were. */
    if (listener && result < 0)
        listener->refused(visit->payload, GRPC_UNAVAILABLE, "the node cannot write its audit log");
    else if (listener)
        listener->ended(visit->payload, &end);
    visit_free(visit);
}

static void conclude_cancelled(struct visit *visit)
{
    visit->outcome =
        (struct berth_outcome){.kind = BERTH_OUTCOME_CANCELLED, .cause = "cancelled", .remedy = ""};
    conclude(visit);
}

/* ---- From the worker
 * ----------------------------------------------------------------------------------------- */

static void on_output(void *payload, int stream, const uint8_t *bytes, size_t size_bytes)
{
    struct visit *visit = payload;
    struct visit_stream *to = &visit->streams[stream - 1];
    hash_add(&to->hash, bytes, size_bytes);
    to->bytes += size_bytes;
    visit->front->metrics.output_bytes += size_bytes;
    if (visit->listener)
        visit->listener->output(visit->payload, stream, bytes, size_bytes);
    else
        visit_took(visit, stream, size_bytes);
}

static void tell_followers(void *payload, int result)
{
    struct visit *visit = payload;
    if (result < 0)
        return;
    for (struct visit_follower *follower = visit->followers, *next; follower; follower = next) {
        next = follower->next;
        follower->changed(follower);
    }
}

static void on_event(void *payload, const char *text, size_t size_bytes)
{
    struct visit *visit = payload;
    struct front *front = visit->front;
    uint64_t sequence = 0;
    int64_t now_ns = front_time_ns();
    hash_add(&visit->events_hash, text, size_bytes);
    hash_add(&visit->events_hash, "", 1);
    visit->n_events++;
    int r =
        run_store_add_event(ledger_store(front->ledger), visit->run_id, now_ns, text, size_bytes, &sequence);
    if (r < 0) {
        log_event(front->log, LOG_LEVEL_ERROR, "event_lost", log_text("run", visit->run_id),
                  log_text("error", strerror(-r)));
        return;
    }
    front->metrics.events++;
    if (visit->listener && visit->listener->event)
        visit->listener->event(visit->payload, sequence, now_ns, text, size_bytes);
    /* Followers see an event only once a restart cannot give its number to another one. */
    if (!visit->told.link) {
        visit->told.done = tell_followers;
        visit->told.payload = visit;
        ledger_await(front->ledger, &visit->told);
    }
}

static void on_denial(void *payload, const char *sentence)
{
    struct visit *visit = payload;
    ledger_note(visit->front->ledger, "denial", principal_name(visit->principal), visit->run_id,
                json_pack("{s:s}", "sentence", sentence));
    visit->front->metrics.denials++;
    if (visit->n_denials < VISIT_DENIALS_MAX && (visit->denials[visit->n_denials] = strdup(sentence)))
        visit->n_denials++;
}

static void on_ended(void *payload, const struct berth_outcome *outcome, const struct berth_usage *usage,
                     bool lost)
{
    struct visit *visit = payload;
    visit->outcome = *outcome;
    visit->usage = *usage;
    visit->lost = lost;
    visit->cause = strdup(outcome->cause ? outcome->cause : "");
    visit->remedy = strdup(outcome->remedy ? outcome->remedy : "");
    visit->outcome.cause = visit->cause ? visit->cause : "";
    visit->outcome.remedy = visit->remedy ? visit->remedy : "";
    conclude(visit);
}

static const struct worker_run_events worker_events = {
    .output = on_output,
    .event = on_event,
    .denial = on_denial,
    .ended = on_ended,
};

/* ---- Admission
 * ----------------------------------------------------------------------------------------------- */

static int refuse_now(struct refusal *refusal, enum grpc_status status, const char *reason,
                      const char *sentence)
{
    refusal->status = status;
    snprintf(refusal->reason, sizeof(refusal->reason), "%s", reason);
    snprintf(refusal->sentence, sizeof(refusal->sentence), "%s", sentence);
    return 1;
}

static int check(struct front *front, const struct visit_request *request, struct refusal *refusal)
{
    const struct settings_capability *capability = request->grant->settings;
    if (front->draining)
        return refuse_now(refusal, GRPC_UNAVAILABLE, "draining", "the node is shutting down");
    if (front->n_visits >= front->settings->limits_max_runs)
        return refuse_now(refusal, GRPC_RESOURCE_EXHAUSTED, "full",
                          "the node runs as many visitors as it may");
    if (request->detach && !capability->detach)
        return refuse_now(refusal, GRPC_PERMISSION_DENIED, "detach",
                          "this capability has no detached runs (detach)");
    if (request->survive_restart && !(request->detach && capability->survive_restart))
        return refuse_now(refusal, GRPC_PERMISSION_DENIED, "survive_restart",
                          "this capability's runs do not survive a restart (survive_restart)");
    if (!request->module &&
        !run_store_knows_module(ledger_store(front->ledger), principal_name(request->principal),
                                request->module_sha256))
        return refuse_now(refusal, GRPC_NOT_FOUND, "unknown module",
                          "the module is not known; send its bytes");
    return 0;
}

static int name_run(struct visit *visit, const char *given)
{
    uint8_t random[(RUN_ID_CHARACTERS - 1) / 2];
    if (given) {
        snprintf(visit->run_id, sizeof(visit->run_id), "%s", given);
        return 0;
    }
    int r = random_bytes(random, sizeof(random));
    hex_write(random, sizeof(random), visit->run_id);
    return r;
}

static void hash_arguments(struct visit *visit)
{
    struct hash hash;
    hash_init(&hash);
    for (size_t i = 1; visit->argv[0] && visit->argv[i]; i++)
        hash_add(&hash, visit->argv[i], strlen(visit->argv[i]) + 1);
    hash_end(&hash, visit->arguments_sha256);
    hash_of(visit->input, visit->input_bytes, visit->inputs_sha256);
}

static int take_inputs(struct visit *visit, const struct visit_request *request, struct refusal *refusal)
{
    struct front *front = visit->front;
    int r = inputs_object(request->inputs, request->n_inputs, front->settings, &visit->input,
                          &visit->input_bytes, refusal);
    if (r != 0 || request->n_inputs == 0)
        return r;
    int fd =
        inputs_directory_make(front->inputs_directory, visit->run_id, request->inputs, request->n_inputs);
    if (fd < 0)
        return refuse_now(refusal, GRPC_UNAVAILABLE, "inputs",
                          "the node cannot store the inputs of this run");
    visit->inputs_directory = fd;
    return 0;
}

static int make(struct front *front, const struct visit_request *request, struct visit **ret,
                struct refusal *refusal)
{
    cleanup(visit_free_cleanup) struct visit *visit = calloc(1, sizeof(*visit));
    if (!visit)
        return -ENOMEM;
    visit->front = front;
    visit->artifact = visit->inputs_directory = -1;
    visit->principal = request->principal;
    visit->contract = berth_contract_ref(request->contract);
    visit->capability = strdup(request->grant->capability);
    visit->name = strdup(request->name);
    visit->argv = copy_strings(request->argv);
    visit->environment = copy_strings(request->environment);
    if (!visit->capability || !visit->name || !visit->argv || !visit->environment)
        return -ENOMEM;
    memcpy(visit->module_sha256, request->module_sha256, HASH_BYTES);
    visit->watch = request->grant->settings->watch;
    visit->events = request->grant->settings->events;
    visit->exclusive = request->grant->exclusive;
    visit->deadline_ns = request->deadline_ns;
    visit->detached = request->detach;
    visit->survive_restart = request->survive_restart;
    visit->inserted = request->run_id != NULL;
    visit->started_ns = front_time_ns();
    visit->listener = request->listener;
    visit->payload = request->payload;
    visit_start_hashing(visit);
    int r = name_run(visit, request->run_id);
    if (r == 0)
        r = take_inputs(visit, request, refusal);
    if (r != 0)
        return r;
    hash_arguments(visit);
    *ret = take_ptr(visit);
    return 0;
}

int visit_start(struct front *front, const struct visit_request *request, struct visit **ret,
                struct refusal *ret_refusal)
{
    struct visit *visit = NULL;
    ret_refusal->status = GRPC_OK;
    int r = check(front, request, ret_refusal);
    if (r == 0)
        r = make(front, request, &visit, ret_refusal);
    if (r == 0 &&
        access_begin_run(front->access, request->principal, clock_monotonic_ns(), ret_refusal) != 0) {
        visit_free(visit);
        r = 1;
    }
    if (r > 0)
        ledger_note(front->ledger, "run_refused", principal_name(request->principal), NULL,
                    json_pack("{s:s, s:s}", "reason", ret_refusal->reason, "status",
                              grpc_status_name(ret_refusal->status)));
    if (r != 0)
        return r;
    join(visit);
    if (request->survive_restart && request->stored_request && !request->run_id)
        visit_record_start(visit, false, request->stored_request, request->stored_request_bytes);
    visit->starting = ret_refusal;
    struct compile_request *compiling = NULL;
    const struct compile_wish wish = {.principal = principal_name(visit->principal),
                                      .sha256 = visit->module_sha256,
                                      .bytes = request->module,
                                      .size_bytes = request->module_bytes,
                                      .name = visit->name};
    r = compile_queue_ask(front->compiler, &wish, on_module, visit, &compiling);
    if (r < 0) {
        if (visit->inserted)
            run_store_end(ledger_store(front->ledger), visit->run_id, "refused", "out of memory", 0,
                          front_time_ns(), NULL);
        visit_free(visit);
        return r;
    }
    if (ret_refusal->status != GRPC_OK) /* on_module() said no already */
        return 1;
    visit->starting = NULL;
    visit->compiling = compiling;
    *ret = visit;
    return 0;
}

/* ---- Steps
 * --------------------------------------------------------------------------------------------------- */

static const struct {
    enum grpc_status status;
    const char *reason;
} refusals[] = {
    [COMPILE_UNKNOWN] = {GRPC_NOT_FOUND, "unknown module"},
    [COMPILE_REFUSED_MODULE] = {GRPC_FAILED_PRECONDITION, "module refused"},
    [COMPILE_QUEUE_FULL] = {GRPC_RESOURCE_EXHAUSTED, "too many modules wait"},
    [COMPILE_LOST] = {GRPC_UNAVAILABLE, "compiler lost"},
};

static void module_refused(struct visit *visit, enum compile_result result, const char *sentence)
{
    struct front *front = visit->front;
    if (result == COMPILE_REFUSED_MODULE)
        ledger_note(front->ledger, "module_refused", principal_name(visit->principal), visit->run_id,
                    json_pack("{s:s}", "sentence", sentence));
    if (!sentence || !*sentence)
        sentence = result == COMPILE_UNKNOWN      ? "the module is not known; send its bytes"
                   : result == COMPILE_QUEUE_FULL ? "too many of your modules wait to be compiled"
                                                  : "the compiler of the node is gone; try again";
    if (!visit->starting) {
        refuse(visit, refusals[result].status, refusals[result].reason, sentence);
        return;
    }
    refuse_now(visit->starting, refusals[result].status, refusals[result].reason, sentence);
    visit->listener = NULL; /* visit_start() says it */
    refuse(visit, refusals[result].status, refusals[result].reason, sentence);
}

static void on_module(void *payload, enum compile_result result, int artifact, bool compiled,
                      const char *sentence)
{
    struct visit *visit = payload;
    struct front *front = visit->front;
    visit->compiling = NULL;
    if (result == COMPILE_READY && (visit->artifact = fcntl(artifact, F_DUPFD_CLOEXEC, 0)) < 0)
        result = COMPILE_LOST;
    if (result != COMPILE_READY) {
        module_refused(visit, result, sentence);
        return;
    }
    visit->compiled = compiled;
    if (compiled)
        ledger_note(front->ledger, "module_compiled", principal_name(visit->principal), visit->run_id, NULL);
    run_store_add_module(ledger_store(front->ledger), principal_name(visit->principal), visit->module_sha256);
    visit_record_start(visit, true, NULL, 0);
    visit->recorded.done = on_recorded;
    visit->recorded.payload = visit;
    ledger_await(front->ledger, &visit->recorded);
}

static int start_run(struct visit *visit)
{
    struct worker_run_request request = {
        .module = visit->artifact,
        .module_sha256 = visit->module_sha256,
        .name = visit->name,
        .contract = visit->contract,
        .arguments = (const char *const *)visit->argv,
        .environment = (const char *const *)visit->environment,
        .input = visit->input,
        .input_bytes = visit->input_bytes,
        .inputs_directory = visit->inputs_directory,
        .watch = visit->watch,
        .events = visit->events,
        .detached = visit->detached,
        .exclusive = visit->exclusive,
        .deadline_ns = visit->deadline_ns,
        .credit_bytes = VISIT_CREDIT_BYTES,
        .events_to = &worker_events,
        .payload = visit,
    };
    memcpy(request.run_id, visit->run_id, sizeof(request.run_id));
    int r = random_bytes(&request.random_seed, sizeof(request.random_seed));
    return r == 0 ? workers_start(visit->front->workers, &request, &visit->run) : r;
}

static void on_recorded(void *payload, int result)
{
    struct visit *visit = payload;
    if (result < 0) {
        refuse(visit, GRPC_UNAVAILABLE, "audit",
               "the node cannot write its audit log, and runs nothing without it");
        return;
    }
    if (visit->cancelled) {
        conclude_cancelled(visit);
        return;
    }
    int r = start_run(visit);
    if (r < 0) {
        refuse(visit, r == -EAGAIN ? GRPC_UNAVAILABLE : GRPC_RESOURCE_EXHAUSTED, "no worker",
               r == -EAGAIN ? "no worker of the node stands; try again"
                            : "the node has no room for another run");
        return;
    }
    close_keeping_errno(visit->artifact);
    visit->artifact = -1;
    if (visit->listener)
        visit->listener->started(visit->payload, visit->compiled);
}

/* ---- From outside
 * -------------------------------------------------------------------------------------------- */

const char *visit_run_id(const struct visit *visit)
{
    return visit->run_id;
}

const char *visit_principal(const struct visit *visit)
{
    return principal_name(visit->principal);
}

bool visit_detached(const struct visit *visit)
{
    return visit->detached;
}

void visit_took(struct visit *visit, int stream, size_t size_bytes)
{
    struct visit_stream *of = &visit->streams[stream - 1];
    of->taken_bytes += (uint32_t)size_bytes;
    /* Little is not worth a packet: what a short run prints needs no credit. */
    if (!visit->run || of->taken_bytes < CREDIT_STEP_BYTES)
        return;
    worker_run_credit(visit->run, stream, of->taken_bytes);
    of->taken_bytes = 0;
}

void visit_leave(struct visit *visit)
{
    visit->listener = NULL;
    if (!visit->detached)
        visit_cancel(visit, "caller");
}

void visit_cancel(struct visit *visit, const char *reason)
{
    if (visit->cancelled || visit->over)
        return;
    visit->cancelled = true;
    ledger_note(visit->front->ledger, "run_stopped", principal_name(visit->principal), visit->run_id,
                json_pack("{s:s}", "by", reason));
    if (visit->run) {
        worker_run_cancel(visit->run);
    } else if (visit->compiling) {
        compile_request_cancel(visit->compiling);
        visit->compiling = NULL;
        conclude_cancelled(visit);
    }
}

void visit_suspend(struct visit *visit)
{
    /* A caller who has not heard of it yet hears that it was cancelled, and may send it again. */
    visit->suspended = visit->survive_restart && visit->inserted && !visit->listener;
    visit_cancel(visit, "drain");
}

void visit_follow(struct visit *visit, struct visit_follower *follower)
{
    follower->next = visit->followers;
    follower->link = &visit->followers;
    if (follower->next)
        follower->next->link = &follower->next;
    visit->followers = follower;
}

void visit_unfollow(struct visit_follower *follower)
{
    if (!follower->link)
        return;
    *follower->link = follower->next;
    if (follower->next)
        follower->next->link = follower->link;
    follower->link = NULL;
    follower->next = NULL;
}

/* ---- After a restart
 * ----------------------------------------------------------------------------------------- */

static bool restore(void *payload, const struct run_record *record)
{
    struct visit *visit = payload;
    visit->principal = access_principal(visit->front->access, record->principal);
    visit->capability = strdup(record->capability);
    visit->name = strdup(record->name);
    visit->started_ns = record->started_ns;
    visit->survive_restart = record->survive_restart;
    if (record->ended_ns != 0 || !record->detached ||
        hex_read(record->module_sha256, visit->module_sha256, HASH_BYTES) < 0)
        visit->principal = NULL;
    return false;
}

bool visit_adopt(void *owner, const char *run_id, struct worker_run *run,
                 const struct worker_run_events **ret_events, void **ret_payload)
{
    struct front *front = owner;
    /* A worker that a guest has taken over may wait with its greeting and name a run of another one. */
    if (visit_find(front, run_id))
        return false;
    cleanup(visit_free_cleanup) struct visit *visit = calloc(1, sizeof(*visit));
    if (!visit)
        return false;
    visit->front = front;
    visit->artifact = visit->inputs_directory = -1;
    snprintf(visit->run_id, sizeof(visit->run_id), "%s", run_id);
    if (run_store_find(ledger_store(front->ledger), run_id, restore, visit) != 0 || !visit->principal ||
        !visit->capability || !visit->name)
        return false;
    visit_start_hashing(visit);
    visit->detached = visit->inserted = visit->adopted = true;
    visit->run = run;
    struct refusal ignored;
    access_begin_run(front->access, visit->principal, clock_monotonic_ns(), &ignored);
    join(visit);
    run_store_set_state(ledger_store(front->ledger), run_id, "running");
    worker_run_credit(run, 1, VISIT_CREDIT_BYTES);
    worker_run_credit(run, 2, VISIT_CREDIT_BYTES);
    *ret_events = &worker_events;
    *ret_payload = take_ptr(visit);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liop.v1.LogicMesh/ExecuteLogic for clients of berth: a RunRequest under the session's seal in, RunMessages
 * under it out, as they come. Credit ties both ends: a visit may send what the caller has taken, plus a
 * window.
 */
#include <string.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "node/front/execution.h"
#include "node/front/program.h"

enum {
    HEADROOM_BYTES = 16, /* for the field key and length of LogicResponse.sealed */
    SEALED_FIELD_KEY = 16 << 3 | 2,
    EVENTS_QUEUED_MAX_BYTES = 2 << 20,
};

/* ---- Answering
 * ----------------------------------------------------------------------------------------------- */

static size_t varint_write(uint8_t *to, uint64_t value)
{
    size_t n = 0;
    for (; value > 127; value >>= 7)
        to[n++] = (uint8_t)(value | 128);
    to[n++] = (uint8_t)value;
    return n;
}

static int make_room(struct execution *execution, size_t size_bytes)
{
    if (size_bytes <= execution->buffer_bytes)
        return 0;
    uint8_t *larger = realloc(execution->buffer, size_bytes);
    if (!larger)
        return -ENOMEM;
    execution->buffer = larger;
    execution->buffer_bytes = size_bytes;
    return 0;
}

/* Packs, seals in place, and puts the field's key and length in front: a LogicResponse without another copy.
 */
static int send_sealed(struct execution *execution, const Berth__V1__RunMessage *message)
{
    uint8_t prefix[HEADROOM_BYTES];
    size_t size_bytes = berth__v1__run_message__get_packed_size(message);
    int r = make_room(execution, HEADROOM_BYTES + size_bytes + SEAL_TAG_BYTES);
    if (r < 0)
        return r;
    uint8_t *body = execution->buffer + HEADROOM_BYTES;
    berth__v1__run_message__pack(message, body);
    r = seal_close(execution->seal, body, size_bytes, body);
    if (r != 0)
        return -EIO;
    size_t prefix_bytes = varint_write(prefix, SEALED_FIELD_KEY);
    prefix_bytes += varint_write(prefix + prefix_bytes, size_bytes + SEAL_TAG_BYTES);
    memcpy(body - prefix_bytes, prefix, prefix_bytes);
    return grpc_call_send(execution->call,
                          &(struct iovec){.iov_base = body - prefix_bytes,
                                          .iov_len = prefix_bytes + size_bytes + SEAL_TAG_BYTES},
                          1);
}

/* A caller to whom a piece could not be sent gets no more: a gap would go unseen until the end. */
static void send_or_stop(struct execution *execution, const Berth__V1__RunMessage *message)
{
    if (!execution->call || send_sealed(execution, message) == 0)
        return;
    struct visit *visit = execution->visit;
    execution->visit = NULL;
    execution_finish(execution, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
    if (visit)
        visit_leave(visit);
}

static void give_credit(struct execution *execution)
{
    for (int i = 0; i < 2; i++) {
        size_t size_bytes = execution->untaken[i];
        execution->untaken[i] = 0;
        if (execution->visit && size_bytes > 0)
            visit_took(execution->visit, i + 1, size_bytes);
    }
}

static void on_started(void *payload, bool compiled)
{
    struct execution *execution = payload;
    Berth__V1__RunStarted started = BERTH__V1__RUN_STARTED__INIT;
    Berth__V1__RunMessage message = BERTH__V1__RUN_MESSAGE__INIT;
    started.run_id = (char *)(uintptr_t)visit_run_id(execution->visit);
    started.compiled = compiled;
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_STARTED;
    message.started = &started;
    send_or_stop(execution, &message);
    if (execution->visit && visit_detached(execution->visit)) {
        struct visit *visit = execution->visit;
        execution->visit = NULL;
        execution_finish(execution, GRPC_OK, NULL);
        visit_leave(visit);
    }
}

static void on_output(void *payload, int stream, const uint8_t *bytes, size_t size_bytes)
{
    struct execution *execution = payload;
    Berth__V1__RunMessage message = BERTH__V1__RUN_MESSAGE__INIT;
    message.kind_case =
        stream == 1 ? BERTH__V1__RUN_MESSAGE__KIND_OUTPUT : BERTH__V1__RUN_MESSAGE__KIND_ERRORS;
    /* Both members are one union; the generated type has no const. */
    message.output = (ProtobufCBinaryData){.len = size_bytes, .data = (uint8_t *)(uintptr_t)bytes};
    send_or_stop(execution, &message);
    execution->untaken[stream - 1] += size_bytes;
    if (execution->call && grpc_call_queued_bytes(execution->call) < VISIT_CREDIT_BYTES)
        give_credit(execution);
}

static void on_event(void *payload, uint64_t sequence, int64_t time_ns, const char *text, size_t size_bytes)
{
    struct execution *execution = payload;
    Berth__V1__Event event = BERTH__V1__EVENT__INIT;
    Berth__V1__RunMessage message = BERTH__V1__RUN_MESSAGE__INIT;
    if (!execution->events)
        return;
    /* No credit holds events back: those that a slow reader has no room for are a gap in the numbers. */
    if (execution->call && grpc_call_queued_bytes(execution->call) >= EVENTS_QUEUED_MAX_BYTES)
        return;
    cleanup_free char *copy = strndup(text, size_bytes);
    event.sequence = sequence;
    event.time_ns = time_ns;
    if (copy)
        event.text = copy;
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_EVENT;
    message.event = &event;
    send_or_stop(execution, &message);
}

static void on_refused(void *payload, enum grpc_status status, const char *sentence)
{
    struct execution *execution = payload;
    execution->visit = NULL;
    execution_finish(execution, status, sentence);
}

static void fill_usage(const struct berth_usage *from, Berth__V1__Usage *to)
{
    to->wall_ns = from->wall_ns;
    to->cpu_ns = from->cpu_ns;
    to->fuel = from->fuel;
    to->memory_peak_bytes = from->memory_peak_bytes;
    to->host_calls = from->host_calls;
    to->input_bytes = from->input_bytes;
    to->output_bytes = from->output_bytes;
    to->written_bytes = from->written_bytes;
    to->files_opened = from->files_opened;
    to->parked_ns = from->parked_ns;
    to->denials = from->denials;
}

static void send_end(struct execution *execution, const struct visit_end *end)
{
    Berth__V1__Usage usage = BERTH__V1__USAGE__INIT;
    Berth__V1__RunEnd to = BERTH__V1__RUN_END__INIT;
    Berth__V1__RunMessage message = BERTH__V1__RUN_MESSAGE__INIT;
    fill_usage(&end->usage, &usage);
    to.usage = &usage;
    to.outcome = (char *)(uintptr_t)berth_outcome_name(end->outcome.kind);
    to.limit =
        (char *)(uintptr_t)(end->outcome.kind == BERTH_OUTCOME_LIMIT ? berth_limit_name(end->outcome.limit)
                                                                     : "");
    to.exit_code = end->outcome.exit_code;
    to.cause = (char *)(uintptr_t)end->outcome.cause;
    to.remedy = (char *)(uintptr_t)end->outcome.remedy;
    if (end->receipt)
        to.receipt =
            (ProtobufCBinaryData){.len = strlen(end->receipt), .data = (uint8_t *)(uintptr_t)end->receipt};
    to.denials = (char **)(uintptr_t)end->denials;
    to.n_denials = end->n_denials;
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_END;
    message.end = &to;
    send_or_stop(execution, &message);
}

static void on_ended(void *payload, const struct visit_end *end)
{
    struct execution *execution = payload;
    execution->visit = NULL;
    if (end->lost) {
        execution_finish(execution, GRPC_UNAVAILABLE, "the worker that ran this filter died; try again");
        return;
    }
    send_end(execution, end);
    execution_finish(execution, GRPC_OK, NULL);
}

static const struct visit_listener sealed_listener = {
    .started = on_started,
    .output = on_output,
    .event = on_event,
    .refused = on_refused,
    .ended = on_ended,
};

/* ---- The request
 * --------------------------------------------------------------------------------------------- */

static uint64_t deadline(const struct execution *execution, const Berth__V1__RunRequest *run)
{
    uint64_t of_call = grpc_call_deadline_ns(execution->call);
    if (run->detach)
        return UINT64_MAX;
    if (run->deadline_ms == 0)
        return of_call;
    uint64_t asked =
        saturating_add_u64(clock_monotonic_ns(), saturating_mul_u64(run->deadline_ms, NS_PER_MS));
    return asked < of_call ? asked : of_call;
}

static int start(struct execution *execution, const Berth__V1__RunRequest *run, const void *stored,
                 size_t stored_bytes)
{
    cleanup_program struct program program = {0};
    struct refusal refusal = {0};
    const struct grant *grant;
    int r = execution_grant(execution, &grant);
    if (r != 0)
        return r;
    r = program_read(run, grant, &program, &refusal);
    if (r != 0)
        return r < 0 ? r : execution_refuse(execution, refusal.status, refusal.sentence);
    struct visit_request *request = &program.request;
    request->principal = execution->session->principal;
    request->deadline_ns = deadline(execution, run);
    request->stored_request = stored;
    request->stored_request_bytes = stored_bytes;
    request->listener = &sealed_listener;
    request->payload = execution;
    execution->events = run->events;
    return execution_start(execution, request);
}

static int open_request(struct execution *execution, Liop__V1__LogicRequest *logic, const uint8_t **ret,
                        size_t *ret_size_bytes)
{
    const struct session *session = execution->session;
    cleanup_seal struct seal *from_caller = NULL;
    ProtobufCBinaryData *sealed = &logic->sealed_request;
    if (!session->sealed || logic->wasm_binary.len || logic->n_inputs || logic->aes_nonce.len)
        return execution_refuse(execution, GRPC_INVALID_ARGUMENT,
                                "sealed_request is for sessions that asked for it, and stands alone");
    int r = seal_new(execution->secret, session->token, session->capability, SEAL_TO_NODE, &from_caller);
    if (r == 0)
        r = seal_new(execution->secret, session->token, session->capability, SEAL_TO_CALLER,
                     &execution->seal);
    if (r < 0)
        return r;
    if (seal_open(from_caller, sealed->data, sealed->len, sealed->data) != 0)
        return execution_refuse(execution, GRPC_UNAUTHENTICATED, "the seal of the request is broken");
    *ret = sealed->data;
    *ret_size_bytes = sealed->len - SEAL_TAG_BYTES;
    return 0;
}

static int execute_sealed(struct execution *execution, Liop__V1__LogicRequest *logic)
{
    const uint8_t *bytes;
    size_t size_bytes;
    Berth__V1__RunRequest *run = NULL;
    int r = open_request(execution, logic, &bytes, &size_bytes);
    if (r == 0)
        r = program_unpack(bytes, size_bytes, &run);
    if (r != 0)
        return r < 0 ? r
                     : execution_refuse(execution, GRPC_INVALID_ARGUMENT,
                                        "sealed_request holds no valid RunRequest");
    r = start(execution, run, bytes, size_bytes);
    berth__v1__run_request__free_unpacked(run, NULL);
    return r;
}

/* ---- The call
 * ------------------------------------------------------------------------------------------------ */

void execution_finish(struct execution *execution, enum grpc_status status, const char *sentence)
{
    if (!execution->call)
        return;
    if (status != GRPC_OK)
        metrics_count_refusal(&execution->front->metrics, status);
    grpc_call_finish(execution->call, status, sentence);
}

int execution_refuse(struct execution *execution, enum grpc_status status, const char *sentence)
{
    ledger_note(execution->front->ledger, "run_refused", principal_name(execution->session->principal), NULL,
                json_pack("{s:s, s:s}", "reason", sentence, "status", grpc_status_name(status)));
    execution_finish(execution, status, sentence);
    return 1;
}

int execution_grant(struct execution *execution, const struct grant **ret)
{
    struct refusal refusal = {0};
    int r = access_grant(execution->front->access, execution->session->principal,
                         execution->session->capability, ret, &refusal);
    return r == 0 ? 0 : execution_refuse(execution, refusal.status, refusal.sentence);
}

int execution_start(struct execution *execution, const struct visit_request *request)
{
    struct refusal refusal = {0};
    int r = visit_start(execution->front, request, &execution->visit, &refusal);
    if (r > 0)
        execution_finish(execution, refusal.status, refusal.sentence); /* it is in the log already */
    return r;
}

static void execution_free(struct execution *execution)
{
    explicit_bzero(execution->secret, sizeof(execution->secret));
    session_free(execution->session);
    seal_free(execution->seal);
    text_done(&execution->output);
    text_done(&execution->errors);
    text_done(&execution->pushed);
    free(execution->buffer);
    free(execution);
}

/* Before the body is read, which may be large: callers show who they are, or a session they have. */
static void on_start(struct grpc_call *call)
{
    struct front *front = grpc_call_owner(call);
    const char *session = grpc_call_header(call, "berth-session");
    struct principal *principal = NULL;
    struct execution *execution;
    if (caller_shows_credentials(call)) {
        if (caller_authenticate(call, NULL, NULL, &principal) != 0)
            return;
    } else if (!access_admits_anyone(front->access) &&
               !(session && session_lives(front->sessions, session, clock_monotonic_ns()))) {
        grpc_call_finish(
            call, GRPC_UNAUTHENTICATED,
            "credentials are missing: a bearer token, a client certificate, or the session in berth-session");
        return;
    }
    execution = calloc(1, sizeof(*execution));
    if (!execution) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
        return;
    }
    execution->call = call;
    execution->front = front;
    execution->caller = principal;
    grpc_call_set_data(call, execution);
}

/* A caller who shows credentials must be the one the session belongs to. */
static int take_session(struct execution *execution, const Liop__V1__LogicRequest *logic)
{
    struct front *front = execution->front;
    const struct principal *principal = execution->caller;
    execution->session = session_take(front->sessions, logic->session_token, clock_monotonic_ns());
    if (execution->session && (!principal || principal == execution->session->principal))
        return 0;
    ledger_note_refused(
        front->ledger, principal ? principal_name(principal) : NULL,
        json_pack("{s:s, s:s}", "address", grpc_call_address(execution->call), "reason", "unknown session"));
    execution_finish(execution, GRPC_UNAUTHENTICATED,
                     "the session is unknown, used or expired; negotiate a new one");
    return 1;
}

static int execute(struct execution *execution, Liop__V1__LogicRequest *logic)
{
    int r = take_session(execution, logic);
    if (r != 0)
        return r;
    r = kem_decapsulate(execution->session->key, logic->pqc_ciphertext.data, logic->pqc_ciphertext.len,
                        execution->secret);
    if (r != 0)
        return r < 0 ? r
                     : execution_refuse(execution, GRPC_INVALID_ARGUMENT, "pqc_ciphertext has 1088 bytes");
    return logic->sealed_request.len ? execute_sealed(execution, logic) : execute_v1(execution, logic);
}

static void on_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct execution *execution = grpc_call_data(call);
    if (execution->session) {
        execution_finish(execution, GRPC_INVALID_ARGUMENT, "ExecuteLogic takes one message");
        return;
    }
    Liop__V1__LogicRequest *logic =
        caller_message(call, &liop__v1__logic_request__descriptor, bytes, size_bytes);
    if (!logic)
        return;
    if (execute(execution, logic) < 0)
        execution_finish(execution, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
    liop__v1__logic_request__free_unpacked(logic, NULL);
}

static void on_half_closed(struct grpc_call *call)
{
    struct execution *execution = grpc_call_data(call);
    if (execution && !execution->session)
        execution_finish(execution, GRPC_INVALID_ARGUMENT, "ExecuteLogic takes one message");
}

static void on_writable(struct grpc_call *call)
{
    struct execution *execution = grpc_call_data(call);
    if (execution)
        give_credit(execution);
}

static void on_closed(struct grpc_call *call, enum grpc_status status)
{
    struct execution *execution = grpc_call_data(call);
    if (!execution)
        return;
    struct visit *visit = execution->visit;
    execution->call = NULL;
    execution->visit = NULL;
    if (visit && status == GRPC_DEADLINE_EXCEEDED && !visit_detached(visit))
        visit_cancel(visit, "deadline");
    if (visit)
        visit_leave(visit);
    execution_free(execution);
}

const struct grpc_method execute_methods[] = {
    {.path = "/liop.v1.LogicMesh/ExecuteLogic",
     .start = on_start,
     .message = on_message,
     .half_closed = on_half_closed,
     .writable = on_writable,
     .closed = on_closed},
    {0},
};

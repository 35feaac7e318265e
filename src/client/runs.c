/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on the node: listed, shown, stopped and followed. Each receipt is verified before it is shown. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <berth/receipt.h>

#include "client/client.h"
#include "client/visit_result.h"

enum {
    INFO_MAX_BYTES = 256 << 10,
    INFO_MAX_FIELDS = 256,
    LIST_MAX_BYTES = 32 << 20,
    LIST_MAX_FIELDS = 1 << 20,
    EVENT_MAX_BYTES = 256 << 10, /* also that of an end with its receipt */
};

/* ---- One run ------------------------------------------------------------------------------------------- */

/* *ret_stop: the visitor wants no more. */
static berth_status show(const berth_client *client, const Berth__V1__RunInfo *run, berth_run_info_fn *visit,
                         void *payload, bool *ret_stop, berth_error **reterr)
{
    cleanup_error berth_error *why = NULL;
    cleanup_free char *receipt = client_string(&run->receipt);
    const struct berth_receipt_expectation expectation = {
        .size = sizeof(expectation),
        .node = client->peer_id,
        .run_id = run->run_id,
        .require_post_quantum = true,
        .ml_dsa_65_public_key = client->ml_dsa_65,
    };
    if (!receipt)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (!run_id_is_valid(run->run_id))
        return error_set(reterr, BERTH_INTERNAL, "the node at %s tells of a run with a name that none has",
                         client->address.text);
    if (run->receipt.len > 0 &&
        berth_receipt_verify(receipt, run->receipt.len, &expectation, NULL, NULL, &why))
        return error_set(reterr, BERTH_INTERNAL, "the receipt of run %s does not hold: %s", run->run_id,
                         berth_error_message(why));
    const struct berth_run_info info = {
        .run_id = run->run_id,
        .principal = run->principal,
        .capability = run->capability,
        .module_sha256 = run->module_sha256,
        .name = run->name,
        .state = run->state,
        .cause = run->cause,
        .exit_code = run->exit_code,
        .started_ns = run->started_ns,
        .ended_ns = run->ended_ns,
        .detached = run->detached,
        .last_sequence = run->last_sequence,
        .receipt = run->receipt.len > 0 ? receipt : NULL,
    };
    *ret_stop = visit && !visit(payload, &info);
    return BERTH_OK;
}

static berth_status check_run_id(const char *run_id, berth_error **reterr)
{
    if (run_id_is_valid(run_id))
        return BERTH_OK;
    cleanup_free char *shown = client_safe_text(run_id);
    return error_set(reterr, BERTH_INVALID, "'%s' names no run: a run has 32 digits from 0 to f",
                     shown ? shown : "");
}

static berth_status about_one(berth_client *client, const char *path, const ProtobufCMessage *request,
                              berth_run_info_fn *visit, void *payload, berth_error **reterr)
{
    cleanup_message ProtobufCMessage *answer = NULL;
    bool stop;
    const struct unary unary = {
        .path = path,
        .request = request,
        .answer = &berth__v1__run_info__descriptor,
        .max_answer_bytes = INFO_MAX_BYTES,
        .max_fields = INFO_MAX_FIELDS,
    };
    berth_status status = client_unary(client, &unary, &answer, reterr);
    if (status != BERTH_OK)
        return status;
    return show(client, (const Berth__V1__RunInfo *)answer, visit, payload, &stop, reterr);
}

berth_status berth_client_show(berth_client *client, const char *run_id, berth_run_info_fn *visit,
                               void *payload, berth_error **reterr)
{
    Berth__V1__ShowRunRequest request;
    berth__v1__show_run_request__init(&request);
    berth_status status = check_run_id(run_id, reterr);
    request.run_id = (char *)(uintptr_t)run_id;
    return status == BERTH_OK
               ? about_one(client, "/berth.v1.Node/ShowRun", &request.base, visit, payload, reterr)
               : status;
}

berth_status berth_client_stop(berth_client *client, const char *run_id, berth_run_info_fn *visit,
                               void *payload, berth_error **reterr)
{
    Berth__V1__StopRunRequest request;
    berth__v1__stop_run_request__init(&request);
    berth_status status = check_run_id(run_id, reterr);
    request.run_id = (char *)(uintptr_t)run_id;
    return status == BERTH_OK
               ? about_one(client, "/berth.v1.Node/StopRun", &request.base, visit, payload, reterr)
               : status;
}

berth_status berth_client_runs(berth_client *client, bool running, uint32_t limit, berth_run_info_fn *visit,
                               void *payload, berth_error **reterr)
{
    cleanup_message ProtobufCMessage *answer = NULL;
    Berth__V1__ListRunsRequest request;
    berth__v1__list_runs_request__init(&request);
    const struct unary unary = {
        .path = "/berth.v1.Node/ListRuns",
        .request = &request.base,
        .answer = &berth__v1__list_runs_response__descriptor,
        .max_answer_bytes = LIST_MAX_BYTES,
        .max_fields = LIST_MAX_FIELDS,
    };
    bool stop = false;
    request.running = running;
    request.limit = limit;
    berth_status status = client_unary(client, &unary, &answer, reterr);
    const Berth__V1__ListRunsResponse *list = (const Berth__V1__ListRunsResponse *)answer;
    for (size_t i = 0; status == BERTH_OK && i < list->n_runs && !stop; i++)
        status = show(client, list->runs[i], visit, payload, &stop, reterr);
    return status;
}

/* ---- Following one ------------------------------------------------------------------------------------- */

struct watching {
    berth_client *client;
    const char *run_id;
    uint64_t last_sequence;
    berth_watch_event_fn *event;
    void (*dropped)(void *payload, uint64_t up_to);
    berth_run_info_fn *end;
    void *payload;
    bool over; /* the end was shown, or the caller wants no more */
    berth_status failure;
    berth_error *error;
};

static bool odd(struct watching *watching, const char *what)
{
    watching->failure = error_set(&watching->error, BERTH_INTERNAL, "the node at %s sent %s",
                                  watching->client->address.text, what);
    return false;
}

static bool watch_event(struct watching *watching, const Berth__V1__Event *event)
{
    if (event->sequence <= watching->last_sequence)
        return odd(watching, "an event out of its order");
    watching->last_sequence = event->sequence;
    if (watching->event && !watching->event(watching->payload, event->sequence, event->time_ns, event->text))
        watching->over = true;
    return !watching->over;
}

static bool watch_message(void *payload, uint8_t *bytes, size_t size_bytes)
{
    struct watching *watching = payload;
    cleanup_message ProtobufCMessage *unpacked = NULL;
    bool stop;
    if (watching->over)
        return odd(watching, "something after the end");
    if (message_unpack(&berth__v1__watch_response__descriptor, bytes, size_bytes, INFO_MAX_FIELDS,
                       2 * EVENT_MAX_BYTES, &unpacked) != 0)
        return odd(watching, "a message that means nothing");
    const Berth__V1__WatchResponse *message = (const Berth__V1__WatchResponse *)unpacked;
    switch (message->kind_case) {
    case BERTH__V1__WATCH_RESPONSE__KIND_EVENT:
        return watch_event(watching, message->event);
    case BERTH__V1__WATCH_RESPONSE__KIND_DROPPED_UP_TO:
        if (message->dropped_up_to > watching->last_sequence)
            watching->last_sequence = message->dropped_up_to;
        if (watching->dropped)
            watching->dropped(watching->payload, message->dropped_up_to);
        return true;
    case BERTH__V1__WATCH_RESPONSE__KIND_END:
        if (strcmp(message->end->run_id, watching->run_id) != 0)
            return odd(watching, "the end of another run");
        watching->failure =
            show(watching->client, message->end, watching->end, watching->payload, &stop, &watching->error);
        watching->over = watching->failure == BERTH_OK;
        return watching->over;
    default:
        return true; /* of a newer node */
    }
}

static berth_status conclude(struct watching *watching, const struct grpc_answer *answer,
                             berth_error **reterr)
{
    const berth_client *client = watching->client;
    const struct refusal_context context = client_refusal_context(client);
    if (watching->failure != BERTH_OK)
        return error_set(reterr, watching->failure, "%s", berth_error_message(watching->error));
    if (watching->over)
        return BERTH_OK;
    if (answer->end == GRPC_END_STATUS && answer->status == GRPC_OK)
        return error_set(reterr, BERTH_IO, "the node at %s stopped telling of the run before its end",
                         context.address);
    return refusal_error(&context, answer, reterr);
}

berth_status berth_client_watch(berth_client *client, const char *run_id, uint64_t after,
                                berth_watch_event_fn *event, void (*dropped)(void *payload, uint64_t up_to),
                                berth_run_info_fn *end, void *payload, berth_error **reterr)
{
    Berth__V1__WatchRequest message;
    berth__v1__watch_request__init(&message);
    struct watching watching = {.client = client,
                                .run_id = run_id,
                                .last_sequence = after,
                                .event = event,
                                .dropped = dropped,
                                .end = end,
                                .payload = payload};
    struct grpc_answer answer;
    berth_status status = check_run_id(run_id, reterr);
    if (status != BERTH_OK)
        return status;
    message.run_id = (char *)(uintptr_t)run_id;
    message.after_sequence = after;
    uint8_t bytes[64]; /* a run id and a number */
    const struct iovec piece = {bytes, berth__v1__watch_request__pack(&message, bytes)};
    const struct grpc_request request = {
        .path = "/berth.v1.Node/Watch",
        .pieces = &piece,
        .n_pieces = 1,
        .max_message_bytes = EVENT_MAX_BYTES,
        .message = watch_message,
        .payload = &watching,
    };
    client_call(client, &request, &answer);
    status = conclude(&watching, &answer, reterr);
    berth_error_free(watching.error);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A visit: a session, the sealed request, then the sealed messages of the run in their order until its end.
 * What arrives is handed on at once; whether it may be believed is known when the receipt was verified, and a
 * visit whose end is missing or does not fit has failed, whatever was handed on.
 */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/session.h"
#include "client/sole_field.h"
#include "client/visit_request.h"
#include "client/visit_result.h"
#include "wire/liop.pb-c.h"

enum {
    MESSAGE_MAX_BYTES = 2 << 20, /* output comes in pieces of at most 1 MiB */
    MESSAGE_MAX_ALLOC_BYTES = 2 * MESSAGE_MAX_BYTES,
    MESSAGE_MAX_FIELDS = 1024,
    SEALED_FIELD = 16, /* LogicResponse.sealed */
    OUTPUT_FIELD = 2,  /* RunMessage.output */
    ERRORS_FIELD = 3,
    DEADLINE_GRACE_MS = 3000, /* for the end with its receipt, after the node has stopped the program */
};

/* One try of it. */
struct visiting {
    berth_client *client;
    const struct berth_visit *visit;
    const uint8_t *module_sha256;
    struct client_session session;
    struct hash output, errors;
    char run_id[RUN_ID_CHARACTERS]; /* "" before it has started */
    uint64_t last_sequence;
    bool left;                   /* detached, or a callback wanted no more */
    struct visit_result *result; /* it has ended, and well */
    berth_status failure;
    berth_error *error; /* of `failure` */
};

static void visiting_done(struct visiting *visiting)
{
    client_session_done(&visiting->session);
    visit_result_free(visiting->result);
    berth_error_free(visiting->error);
}

/* Always false: the answer is not read any further. */
static bool broken(struct visiting *visiting, const char *why)
{
    visiting->failure =
        error_set(&visiting->error, BERTH_INTERNAL, "WHAT CAME FROM THE NODE AT %s CANNOT BE TRUSTED: %s",
                  visiting->client->address.text, why);
    return false;
}

/* ---- The messages of a run ----------------------------------------------------------------------------- */

static bool take_bytes(struct visiting *visiting, struct hash *hash,
                       bool (*consumer)(void *, const void *, size_t), const uint8_t *bytes,
                       size_t size_bytes)
{
    if (!*visiting->run_id)
        return broken(visiting, "output before the start of the run");
    if (size_bytes == 0)
        return true;
    hash_add(hash, bytes, size_bytes);
    if (!consumer || consumer(visiting->visit->payload, bytes, size_bytes))
        return true;
    visiting->left = true;
    return false;
}

static bool take_output(struct visiting *visiting, const uint8_t *bytes, size_t size_bytes)
{
    return take_bytes(visiting, &visiting->output, visiting->visit->output, bytes, size_bytes);
}

static bool take_errors(struct visiting *visiting, const uint8_t *bytes, size_t size_bytes)
{
    return take_bytes(visiting, &visiting->errors, visiting->visit->errors, bytes, size_bytes);
}

static bool take_start(struct visiting *visiting, const Berth__V1__RunStarted *started)
{
    if (*visiting->run_id)
        return broken(visiting, "the run started twice");
    if (!run_id_is_valid(started->run_id))
        return broken(visiting, "the run has a name that none has");
    memcpy(visiting->run_id, started->run_id, RUN_ID_CHARACTERS);
    if (visiting->visit->started)
        visiting->visit->started(visiting->visit->payload, visiting->run_id);
    visiting->left = visiting->visit->detach;
    return !visiting->left;
}

static bool take_event(struct visiting *visiting, const Berth__V1__Event *event)
{
    const struct berth_visit *visit = visiting->visit;
    if (!*visiting->run_id || event->sequence <= visiting->last_sequence)
        return broken(visiting, "an event out of its order");
    visiting->last_sequence = event->sequence;
    if (!visit->event || visit->event(visit->payload, event->sequence, event->time_ns, event->text))
        return true;
    visiting->left = true;
    return false;
}

static bool take_end(struct visiting *visiting, const Berth__V1__RunEnd *end)
{
    uint8_t output[HASH_BYTES], errors[HASH_BYTES];
    const struct visit_evidence evidence = {
        .client = visiting->client,
        .visit = visiting->visit,
        .module_sha256 = visiting->module_sha256,
        .output_sha256 = output,
        .errors_sha256 = errors,
        .run_id = *visiting->run_id ? visiting->run_id : NULL,
    };
    hash_end(&visiting->output, output);
    hash_end(&visiting->errors, errors);
    visiting->failure = visit_result_new(&evidence, end, &visiting->result, &visiting->error);
    return visiting->failure == BERTH_OK;
}

static bool take_run_message(struct visiting *visiting, uint8_t *bytes, size_t size_bytes)
{
    cleanup_message ProtobufCMessage *unpacked = NULL;
    uint8_t *field;
    size_t field_bytes;
    if (sole_field_read(bytes, size_bytes, OUTPUT_FIELD, &field, &field_bytes))
        return take_output(visiting, field, field_bytes);
    if (sole_field_read(bytes, size_bytes, ERRORS_FIELD, &field, &field_bytes))
        return take_errors(visiting, field, field_bytes);
    int r = message_unpack(&berth__v1__run_message__descriptor, bytes, size_bytes, MESSAGE_MAX_FIELDS,
                           MESSAGE_MAX_ALLOC_BYTES, &unpacked);
    if (r != 0)
        return broken(visiting, "a message that means nothing");
    const Berth__V1__RunMessage *message = (const Berth__V1__RunMessage *)unpacked;
    switch (message->kind_case) {
    case BERTH__V1__RUN_MESSAGE__KIND_STARTED:
        return take_start(visiting, message->started);
    case BERTH__V1__RUN_MESSAGE__KIND_OUTPUT:
        return take_output(visiting, message->output.data, message->output.len);
    case BERTH__V1__RUN_MESSAGE__KIND_ERRORS:
        return take_errors(visiting, message->errors.data, message->errors.len);
    case BERTH__V1__RUN_MESSAGE__KIND_EVENT:
        return take_event(visiting, message->event);
    case BERTH__V1__RUN_MESSAGE__KIND_END:
        return take_end(visiting, message->end);
    default:
        return true; /* of a newer node */
    }
}

/* ---- Their seal ---------------------------------------------------------------------------------------- */

static bool open_message(struct visiting *visiting, uint8_t *sealed, size_t size_bytes)
{
    if (visiting->result)
        return broken(visiting, "a message after the end");
    if (size_bytes < SEAL_TAG_BYTES ||
        seal_open(visiting->session.to_caller, sealed, size_bytes, sealed) != 0)
        return broken(visiting, "the seal of a message is broken: it was changed, left out or sent twice");
    return take_run_message(visiting, sealed, size_bytes - SEAL_TAG_BYTES);
}

static bool take_message(void *payload, uint8_t *bytes, size_t size_bytes)
{
    struct visiting *visiting = payload;
    cleanup_message ProtobufCMessage *unpacked = NULL;
    uint8_t *sealed;
    size_t sealed_bytes;
    if (sole_field_read(bytes, size_bytes, SEALED_FIELD, &sealed, &sealed_bytes))
        return open_message(visiting, sealed, sealed_bytes);
    if (message_unpack(&liop__v1__logic_response__descriptor, bytes, size_bytes, MESSAGE_MAX_FIELDS,
                       MESSAGE_MAX_ALLOC_BYTES, &unpacked) != 0)
        return broken(visiting, "a message that means nothing");
    const Liop__V1__LogicResponse *response = (const Liop__V1__LogicResponse *)unpacked;
    return open_message(visiting, response->sealed.data, response->sealed.len);
}

/* ---- The call ------------------------------------------------------------------------------------------ */

static void tell_upload(void *payload, uint64_t sent_bytes, uint64_t total_bytes)
{
    const struct visiting *visiting = payload;
    visiting->visit->uploaded(visiting->visit->payload, sent_bytes, total_bytes);
}

/* What the call has come to. On BERTH_OK *ret is the result. */
static berth_status conclude(struct visiting *visiting, const struct grpc_answer *answer,
                             struct visit_result **ret, berth_error **reterr)
{
    const berth_client *client = visiting->client;
    struct refusal_context context = client_refusal_context(client);
    bool ended_well = answer->end == GRPC_END_STATUS && answer->status == GRPC_OK;
    context.in_session = true;
    context.deadline_ms = visiting->visit->deadline_ms;
    if (visiting->failure != BERTH_OK)
        return error_set(reterr, visiting->failure, "%s", berth_error_message(visiting->error));
    if (visiting->result) {
        *ret = take_ptr(visiting->result);
        return BERTH_OK;
    }
    if (*visiting->run_id && visiting->visit->detach)
        return visit_result_new_detached(visiting->run_id, ret, reterr);
    if (visiting->left)
        return error_set(reterr, BERTH_CANCELLED, "it was cancelled here");
    if (ended_well)
        return error_set(reterr, BERTH_INTERNAL,
                         "THE ANSWER OF THE NODE AT %s IS NOT WHOLE, do not trust what it sent: it broke off "
                         "without an end and without a receipt",
                         context.address);
    return refusal_error(&context, answer, reterr);
}

static berth_status check_size(const berth_client *client, const struct visit_request *request,
                               berth_error **reterr)
{
    uint64_t size_bytes = (uint64_t)request->pieces[0].iov_len + request->pieces[1].iov_len;
    if (client->max_request_bytes == 0 || size_bytes <= client->max_request_bytes)
        return BERTH_OK;
    return error_set(reterr, BERTH_REFUSED,
                     "the module with all that goes along has %llu bytes, and the node at %s takes %llu",
                     (unsigned long long)size_bytes, client->address.text,
                     (unsigned long long)client->max_request_bytes);
}

static berth_status execute(struct visiting *visiting, bool with_module, struct visit_result **ret,
                            berth_error **reterr)
{
    const struct berth_visit *visit = visiting->visit;
    cleanup_visit_request struct visit_request sealed = {0};
    struct grpc_answer answer;
    berth_status status =
        visit_request_seal(visit, visiting->module_sha256, with_module, &visiting->session, &sealed, reterr);
    if (status == BERTH_OK)
        status = check_size(visiting->client, &sealed, reterr);
    if (status != BERTH_OK)
        return status;
    const struct grpc_request request = {
        .path = "/liop.v1.LogicMesh/ExecuteLogic",
        .pieces = sealed.pieces,
        .n_pieces = 2,
        /* Who calls, for those without a token or certificate, before the body is read. */
        .extra_name = "berth-session",
        .extra_value = visiting->session.token,
        .timeout_ms = visit->deadline_ms && !visit->detach ? visit->deadline_ms + DEADLINE_GRACE_MS : 0,
        .max_message_bytes = MESSAGE_MAX_BYTES,
        .message = take_message,
        .uploaded = visit->uploaded && with_module ? tell_upload : NULL,
        .payload = visiting,
    };
    client_call(visiting->client, &request, &answer);
    return conclude(visiting, &answer, ret, reterr);
}

/* *ret_forgotten: the node said that it knows the module, and then did not. */
static berth_status visit_once(berth_client *client, const struct berth_visit *visit,
                               const uint8_t *module_sha256, bool with_module, bool *ret_forgotten,
                               berth_error **reterr)
{
    struct visiting visiting = {.client = client, .visit = visit, .module_sha256 = module_sha256};
    struct visit_result *result = NULL;
    *ret_forgotten = false;
    hash_init(&visiting.output);
    hash_init(&visiting.errors);
    berth_status status = client_session_open(client, visit->capability ? visit->capability : "",
                                              module_sha256, &visiting.session, reterr);
    if (status == BERTH_OK) {
        bool known = visiting.session.module_known && !with_module;
        status = execute(&visiting, !known, &result, reterr);
        *ret_forgotten = known && status == BERTH_NOT_FOUND && !*visiting.run_id;
        if (result)
            result->end.module_was_known = known;
    }
    visiting_done(&visiting);
    client->result = result;
    return status;
}

berth_status berth_client_visit(berth_client *client, const struct berth_visit *visit,
                                const struct berth_visit_end **ret, berth_error **reterr)
{
    uint8_t module_sha256[HASH_BYTES];
    bool forgotten;
    if (visit->size != sizeof(*visit) || (!visit->module && visit->module_bytes > 0))
        return error_set(reterr, BERTH_INVALID, "the visit was not initialised");
    berth_status status = visit_check(visit, reterr);
    if (status != BERTH_OK)
        return status;
    visit_result_free(take_ptr(client->result));
    hash_of(visit->module, visit->module_bytes, module_sha256);
    status = visit_once(client, visit, module_sha256, false, &forgotten, reterr);
    if (forgotten)
        status = visit_once(client, visit, module_sha256, true, &forgotten, reterr);
    if (status == BERTH_OK)
        *ret = &client->result->end;
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ExecuteLogic for clients of LIOP version 1 (docs/protocol.md): the payload and each input have a nonce of
 * their own, the answer is one message in clear with an HMAC-sealed receipt. What a guest does wrong is an
 * answer with is_error; what the caller does wrong is a status.
 */
#include <string.h>

#include "base/json.h"
#include "node/front/execution.h"
#include "receipt/receipt.h"

enum {
    ANSWER_SPARE_BYTES = 64 << 10, /* of the largest message: for the receipts */
    ENVIRONMENT_BYTES = 64,
    ERRORS_SHOWN_BYTES = 4096,
    ARGUMENTS_MAX = 256,
};

static const uint8_t wasm_magic[4] = {0x00, 'a', 's', 'm'};

/* ---- The answer
 * ---------------------------------------------------------------------------------------------- */

/* Well-formed UTF-8, which a protobuf string is: what is not becomes U+FFFD. */
static void append_repaired(struct text *to, const char *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        size_t good = text_utf8_prefix(bytes, size_bytes);
        text_append_bytes(to, bytes, good);
        bytes += good;
        size_bytes -= good;
        if (size_bytes > 0) {
            text_append(to, "\xEF\xBF\xBD");
            bytes++;
            size_bytes--;
        }
    }
}

static void answer_error(struct execution *execution, const char *sentence)
{
    Liop__V1__LogicResponse answer = LIOP__V1__LOGIC_RESPONSE__INIT;
    answer.is_error = true;
    answer.semantic_evidence = (char *)(uintptr_t)sentence;
    if (!execution->call)
        return;
    int r = caller_send(execution->call, &answer);
    execution_finish(execution, r == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED,
                     r == 0 ? NULL : "the node is out of memory");
}

static int answer_result(struct execution *execution, const struct text *evidence,
                         const struct visit_end *end)
{
    Liop__V1__LogicResponse answer = LIOP__V1__LOGIC_RESPONSE__INIT;
    uint8_t sha256[HASH_BYTES];
    cleanup_free uint8_t *receipt = NULL;
    size_t receipt_bytes = 0;
    /* Exactly the bytes that are sent. */
    hash_of(evidence->data, evidence->length, sha256);
    int r = receipt_v1_new(execution->secret, execution->image_id, sha256, end->usage.fuel,
                           front_time_ns() / 1000000, &receipt, &receipt_bytes);
    if (r < 0)
        return r;
    answer.semantic_evidence = evidence->data;
    answer.cryptographic_proof = (ProtobufCBinaryData){.len = HASH_BYTES, .data = execution->image_id};
    answer.zk_receipt = (ProtobufCBinaryData){.len = receipt_bytes, .data = receipt};
    if (end->receipt)
        answer.receipt =
            (ProtobufCBinaryData){.len = strlen(end->receipt), .data = (uint8_t *)(uintptr_t)end->receipt};
    r = caller_send(execution->call, &answer);
    if (r == 0)
        execution_finish(execution, GRPC_OK, NULL);
    return r;
}

static void answer_failure(struct execution *execution, const struct visit_end *end)
{
    cleanup_text struct text sentence = {0};
    if (*end->outcome.cause)
        text_append(&sentence, end->outcome.cause);
    else
        text_append_format(&sentence, "the filter exited with status %u", end->outcome.exit_code);
    if (execution->errors.length > 0) {
        size_t from =
            execution->errors.length > ERRORS_SHOWN_BYTES ? execution->errors.length - ERRORS_SHOWN_BYTES : 0;
        text_append(&sentence, "\n");
        append_repaired(&sentence, execution->errors.data + from, execution->errors.length - from);
    }
    answer_error(execution, sentence.failed ? "the node is out of memory" : sentence.data);
}

/* ---- From the visit
 * ------------------------------------------------------------------------------------------ */

static void on_started(void *payload, bool compiled)
{
    (void)payload;
    (void)compiled;
}

static const char output_too_large[] =
    "the output is larger than one message may be (limits.sealed_result_mb)";

static size_t largest_answer(const struct execution *execution)
{
    return ((size_t)execution->front->settings->limits_sealed_result_mb << 20) - ANSWER_SPARE_BYTES;
}

static bool too_large(const struct execution *execution, size_t more_bytes)
{
    return execution->output.length + execution->pushed.length + more_bytes > largest_answer(execution);
}

static void on_output(void *payload, int stream, const uint8_t *bytes, size_t size_bytes)
{
    struct execution *execution = payload;
    if (stream == 2) {
        if (execution->errors.length < ERRORS_SHOWN_BYTES)
            text_append_bytes(&execution->errors, (const char *)bytes, size_bytes);
    } else if (execution->too_large || too_large(execution, size_bytes)) {
        if (!execution->too_large)
            visit_cancel(execution->visit, "output");
        execution->too_large = true;
    } else {
        text_append_bytes(&execution->output, (const char *)bytes, size_bytes);
    }
    visit_took(execution->visit, stream, size_bytes);
}

/* Clients that did not ask for events get them behind the output. */
static void on_event(void *payload, uint64_t sequence, int64_t time_ns, const char *text, size_t size_bytes)
{
    struct execution *execution = payload;
    (void)sequence;
    (void)time_ns;
    if (too_large(execution, size_bytes + 1))
        return;
    text_append_bytes(&execution->pushed, text, size_bytes);
    text_append(&execution->pushed, "\n");
}

static void on_refused(void *payload, enum grpc_status status, const char *sentence)
{
    struct execution *execution = payload;
    execution->visit = NULL;
    if (status == GRPC_FAILED_PRECONDITION)
        answer_error(execution, sentence);
    else
        execution_finish(execution, status, sentence);
}

static void on_ended(void *payload, const struct visit_end *end)
{
    struct execution *execution = payload;
    cleanup_text struct text evidence = {0};
    execution->visit = NULL;
    if (execution->too_large) {
        answer_error(execution, output_too_large);
        return;
    }
    if (end->lost) {
        execution_finish(execution, GRPC_UNAVAILABLE, "the worker that ran this filter died; try again");
        return;
    }
    if (end->outcome.kind != BERTH_OUTCOME_EXITED || end->outcome.exit_code != 0) {
        answer_failure(execution, end);
        return;
    }
    append_repaired(&evidence, execution->output.data ? execution->output.data : "",
                    execution->output.length);
    append_repaired(&evidence, execution->pushed.data ? execution->pushed.data : "",
                    execution->pushed.length);
    if (evidence.length > largest_answer(execution)) { /* what was repaired grew */
        answer_error(execution, output_too_large);
        return;
    }
    if (evidence.length == 0)
        text_append(&evidence, "WASM_EXECUTION_SUCCESS");
    if (evidence.failed || execution->output.failed || execution->pushed.failed ||
        answer_result(execution, &evidence, end) < 0)
        execution_finish(execution, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
}

static const struct visit_listener v1_listener = {
    .started = on_started,
    .output = on_output,
    .event = on_event,
    .refused = on_refused,
    .ended = on_ended,
};

/* ---- The request
 * --------------------------------------------------------------------------------------------- */

/* Opens the payload in place. A client of the older kind has the secret of Kyber round 3. */
static int open_payload(struct execution *execution, Liop__V1__LogicRequest *logic)
{
    ProtobufCBinaryData *payload = &logic->wasm_binary;
    const ProtobufCBinaryData *nonce = &logic->aes_nonce;
    uint8_t round3[KEM_SECRET_BYTES];
    if (nonce->len != SEAL_NONCE_BYTES || payload->len < SEAL_TAG_BYTES)
        return execution_refuse(execution, GRPC_INVALID_ARGUMENT,
                                "aes_nonce has 12 bytes, and wasm_binary ends with a tag of 16");
    /* What does not open stays as it is. */
    int r = liop_open(execution->secret, nonce->data, nonce->len, payload->data, payload->len);
    if (r == SEAL_BROKEN) {
        r = kem_secret_round3(execution->secret, logic->pqc_ciphertext.data, round3);
        if (r == 0)
            r = liop_open(round3, nonce->data, nonce->len, payload->data, payload->len);
        if (r == 0)
            memcpy(execution->secret, round3, sizeof(round3));
        explicit_bzero(round3, sizeof(round3));
    }
    if (r != 0)
        return r < 0 ? r
                     : execution_refuse(execution, GRPC_UNAUTHENTICATED, "the seal of wasm_binary is broken");
    payload->len -= SEAL_TAG_BYTES;
    receipt_v1_image_id(payload->data, payload->len, execution->image_id);
    return 0;
}

static int open_inputs(struct execution *execution, const Liop__V1__LogicRequest *logic,
                       struct visit_input **ret)
{
    struct visit_input *inputs = calloc(logic->n_inputs + 1, sizeof(*inputs));
    if (!inputs)
        return -ENOMEM;
    *ret = inputs;
    for (size_t i = 0; i < logic->n_inputs; i++) {
        ProtobufCBinaryData *value = &logic->inputs[i]->value;
        uint8_t *plain;
        size_t plain_bytes;
        if (liop_open_input(execution->secret, value->data, value->len, &plain, &plain_bytes) != 0)
            return execution_refuse(execution, GRPC_UNAUTHENTICATED, "the seal of an input is broken");
        inputs[i] = (struct visit_input){
            .name = logic->inputs[i]->key, .json = (const char *)plain, .json_bytes = plain_bytes};
    }
    return 0;
}

static const struct visit_input *find_input(const struct visit_input *inputs, size_t n_inputs,
                                            const char *name)
{
    for (size_t i = 0; i < n_inputs; i++)
        if (strcmp(inputs[i].name, name) == 0)
            return &inputs[i];
    return NULL;
}

/* The protocol has no place for arguments: a list "argv", or a text "query", among the inputs. *ret_values
 * keeps the strings alive. */
static int make_argv(const struct visit_input *inputs, size_t n_inputs,
                     const char *argv[static ARGUMENTS_MAX + 2], json_t **ret_values)
{
    const struct visit_input *list = find_input(inputs, n_inputs, "argv");
    const struct visit_input *query = find_input(inputs, n_inputs, "query");
    cleanup_free char *message = NULL;
    cleanup_json json_t *values = NULL;
    size_t n = 0;
    argv[n++] = "liop_runtime";
    const struct visit_input *from = list ? list : query;
    if (from && json_read(from->json, from->json_bytes, &values, &message) == 0) {
        if (!list && json_text(values))
            argv[n++] = json_text(values);
        for (size_t i = 0; list && i < json_array_size(values) && i < ARGUMENTS_MAX; i++)
            if (json_text(json_array_get(values, i)))
                argv[n++] = json_text(json_array_get(values, i));
    }
    argv[n] = NULL;
    *ret_values = take_ptr(values);
    return 0;
}

static int start(struct execution *execution, const Liop__V1__LogicRequest *logic,
                 const struct visit_input *inputs)
{
    const ProtobufCBinaryData *payload = &logic->wasm_binary;
    const struct grant *grant;
    const char *argv[ARGUMENTS_MAX + 2];
    char runtime_id[ENVIRONMENT_BYTES];
    const char *environment[] = {"NODE_ENV=production", "LIOP_NODE=true", runtime_id, NULL};
    cleanup_json json_t *values = NULL;
    uint8_t random[16];
    int r = execution_grant(execution, &grant);
    if (r != 0)
        return r;
    r = random_bytes(random, sizeof(random));
    if (r < 0)
        return r;
    snprintf(runtime_id, sizeof(runtime_id), "RUNTIME_ID=");
    hex_write(random, sizeof(random), runtime_id + strlen(runtime_id));
    make_argv(inputs, logic->n_inputs, argv, &values);
    struct visit_request request = {
        .principal = execution->session->principal,
        .grant = grant,
        .contract = grant->contract,
        .module = payload->data,
        .module_bytes = payload->len,
        .name = execution->session->capability[0] ? execution->session->capability : "filter.wasm",
        .argv = argv,
        .environment = environment,
        .inputs = inputs,
        .n_inputs = logic->n_inputs,
        .deadline_ns = grpc_call_deadline_ns(execution->call),
        .listener = &v1_listener,
        .payload = execution,
    };
    memcpy(request.module_sha256, execution->image_id, HASH_BYTES); /* of a module: its SHA-256 */
    return execution_start(execution, &request);
}

int execute_v1(struct execution *execution, Liop__V1__LogicRequest *logic)
{
    cleanup_free struct visit_input *inputs = NULL;
    int r = open_payload(execution, logic);
    if (r == 0)
        r = open_inputs(execution, logic, &inputs);
    if (r != 0)
        return r;
    if (logic->wasm_binary.len < sizeof(wasm_magic) ||
        memcmp(logic->wasm_binary.data, wasm_magic, sizeof(wasm_magic)) != 0) {
        ledger_note(execution->front->ledger, "run_refused", principal_name(execution->session->principal),
                    NULL, json_pack("{s:s}", "reason", "no module"));
        answer_error(execution, "this node runs WebAssembly modules; the payload is none");
        return 1;
    }
    return start(execution, logic, inputs);
}

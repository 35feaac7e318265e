/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_node.h. One thread with one loop; what tests set and read is under a lock. */
#include "fake_node.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/text.h"
#include "net/grpc_server.h"
#include "receipt/receipt.h"
#include "wire/berth.pb-c.h"
#include "wire/hash.h"
#include "wire/identity.h"
#include "wire/liop.pb-c.h"
#include "wire/seal.h"

static const char output_text[] = "first line\nsecond line\n";
static const char errors_text[] = "a warning\n";
static const char run_id[] = "00112233445566778899aabbccddeeff";
static const char session_token[] = "ffeeddccbbaa99887766554433221100";

struct fake_node {
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    pthread_mutex_t lock;
    struct grpc_server *server;
    struct identity *identity, *other;
    char address[32];
    enum fault fault;
    int status;
    char status_message[64];
    struct fake_node_seen seen;
    struct kem_key *kem; /* of the one session */
    char capability[64];
    /* Of the one call that goes on. */
    struct seal *to_caller;
    struct hash output_hash;
    uint64_t much_left;
    uint8_t module_sha256[HASH_BYTES], arguments_sha256[HASH_BYTES];
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fake node: %s\n", what);
    abort();
}

static enum fault fault_of(struct fake_node *node)
{
    pthread_mutex_lock(&node->lock);
    enum fault fault = node->fault;
    pthread_mutex_unlock(&node->lock);
    return fault;
}

static void send_packed(struct grpc_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    must(bytes && protobuf_c_message_pack(message, bytes) == size, "pack");
    const struct iovec piece = {bytes, size};
    (void)grpc_call_send(call, &piece, 1);
    free(bytes);
}

static ProtobufCBinaryData bytes_of(const void *bytes, size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)bytes};
}

static void nothing(struct grpc_call *call)
{
    (void)call;
}

/* ---- Describe ------------------------------------------------------------------------------------------ */

static void describe(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    (void)bytes, (void)size_bytes;
    struct fake_node *node = grpc_call_owner(call);
    enum fault fault = fault_of(node);
    Berth__V1__DescribeResponse answer;
    uint8_t nonce[32] = {1};
    berth__v1__describe_response__init(&answer);
    pthread_mutex_lock(&node->lock);
    bool changed = fault == FAULT_CHANGES_ITS_KEYS && node->seen.described > 0;
    node->seen.described++;
    node->seen.token_in_describe |= grpc_call_header(call, "authorization") != NULL;
    pthread_mutex_unlock(&node->lock);
    const struct identity *shown = changed ? node->other : node->identity;
    const struct identity *named = fault == FAULT_NAME_OF_ANOTHER_KEY ? node->other : shown;
    answer.peer_id = (char *)(uintptr_t)identity_peer_id(named);
    answer.ed25519_public_key = bytes_of(identity_ed25519_public_key(shown),
                                         fault == FAULT_KEYS_THAT_ARE_NONE ? 31 : ED25519_PUBLIC_KEY_BYTES);
    answer.ml_dsa_65_public_key = bytes_of(identity_ml_dsa_65_public_key(shown), ML_DSA_65_PUBLIC_KEY_BYTES);
    answer.nonce = bytes_of(nonce, sizeof(nonce));
    answer.expires_ms = 60000;
    answer.max_request_bytes = 64 << 20;
    send_packed(call, &answer.base);
    grpc_call_finish(call, GRPC_OK, NULL);
}

/* ---- NegotiateIntent ----------------------------------------------------------------------------------- */

static void sign_key(struct fake_node *node, const char *token, const uint8_t *public_key,
                     uint8_t ret[static ED25519_SIGNATURE_BYTES])
{
    enum fault fault = fault_of(node);
    uint8_t *bytes;
    size_t size;
    const char *capability =
        fault == FAULT_SESSION_KEY_SIGNED_FOR_ANOTHER_CAPABILITY ? "another" : node->capability;
    const struct identity *signer =
        fault == FAULT_SESSION_KEY_SIGNED_BY_ANOTHER ? node->other : node->identity;
    must(kem_signed_bytes(token, capability, public_key, &bytes, &size) == 0, "signed bytes");
    must(identity_sign_ed25519(signer, bytes, size, ret) == 0, "signature");
    free(bytes);
}

static void negotiate(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct fake_node *node = grpc_call_owner(call);
    enum fault fault = fault_of(node);
    Liop__V1__IntentRequest *request = liop__v1__intent_request__unpack(NULL, size_bytes, bytes);
    Liop__V1__IntentResponse answer;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES];
    const char *authorization = grpc_call_header(call, "authorization");
    const char *token = fault == FAULT_SESSION_NAME_ODD ? "odd" : session_token;
    must(request != NULL, "intent");
    if (fault == ANSWERS_WITH_STATUS) {
        grpc_call_finish(call, (enum grpc_status)node->status, node->status_message);
        liop__v1__intent_request__free_unpacked(request, NULL);
        return;
    }
    pthread_mutex_lock(&node->lock);
    snprintf(node->seen.authorization, sizeof(node->seen.authorization), "%s",
             authorization ? authorization : "");
    pthread_mutex_unlock(&node->lock);
    snprintf(node->capability, sizeof(node->capability), "%s", request->capability_hash);
    kem_key_free(node->kem);
    must(kem_key_new(&node->kem, public_key) == 0, "kem");
    sign_key(node, token, public_key, signature);
    liop__v1__intent_response__init(&answer);
    answer.accepted = fault != FAULT_REFUSES;
    answer.error_message = (char *)(uintptr_t)"it is \x1b[31mclosed";
    answer.session_token = (char *)(uintptr_t)token;
    answer.kyber_public_key =
        bytes_of(public_key, sizeof(public_key) - (fault == FAULT_SESSION_KEY_TOO_SHORT ? 1 : 0));
    if (fault != FAULT_SESSION_KEY_UNSIGNED)
        answer.kem_signature = bytes_of(signature, sizeof(signature));
    answer.module_known = fault == FORGETS_MODULES;
    send_packed(call, &answer.base);
    grpc_call_finish(call, GRPC_OK, NULL);
    liop__v1__intent_request__free_unpacked(request, NULL);
}

/* ---- ExecuteLogic: what is said ------------------------------------------------------------------------ */

/* The sealed message as a LogicResponse, in memory of its own. */
static struct iovec close_message(struct fake_node *node, const Berth__V1__RunMessage *message)
{
    Liop__V1__LogicResponse response;
    size_t size = berth__v1__run_message__get_packed_size(message);
    uint8_t *sealed = malloc(size + SEAL_TAG_BYTES);
    must(sealed && berth__v1__run_message__pack(message, sealed) == size, "pack");
    must(seal_close(node->to_caller, sealed, size, sealed) == 0, "seal");
    liop__v1__logic_response__init(&response);
    response.sealed = bytes_of(sealed, size + SEAL_TAG_BYTES);
    struct iovec packed = {malloc(size + 64), 0};
    packed.iov_len = liop__v1__logic_response__pack(&response, packed.iov_base);
    free(sealed);
    return packed;
}

static void send_message(struct fake_node *node, struct grpc_call *call, const Berth__V1__RunMessage *message)
{
    struct iovec packed = close_message(node, message);
    (void)grpc_call_send(call, &packed, 1);
    free(packed.iov_base);
}

static Berth__V1__RunMessage output_message(const void *bytes, size_t size)
{
    Berth__V1__RunMessage message;
    berth__v1__run_message__init(&message);
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_OUTPUT;
    message.output = bytes_of(bytes, size);
    return message;
}

static void send_start(struct fake_node *node, struct grpc_call *call)
{
    Berth__V1__RunMessage message;
    Berth__V1__RunStarted started;
    berth__v1__run_started__init(&started);
    started.run_id = (char *)(uintptr_t)run_id;
    berth__v1__run_message__init(&message);
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_STARTED;
    message.started = &started;
    send_message(node, call, &message);
}

static void send_event(struct fake_node *node, struct grpc_call *call, uint64_t sequence)
{
    Berth__V1__RunMessage message;
    Berth__V1__Event event;
    berth__v1__event__init(&event);
    event.sequence = sequence;
    event.time_ns = 1;
    event.text = (char *)(uintptr_t)"an event";
    berth__v1__run_message__init(&message);
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_EVENT;
    message.event = &event;
    send_message(node, call, &message);
}

static void send_output(struct fake_node *node, struct grpc_call *call)
{
    static const uint8_t huge[3 << 20];
    enum fault fault = fault_of(node);
    Berth__V1__RunMessage message = output_message(output_text, sizeof(output_text) - 1);
    if (fault == FAULT_MESSAGE_TOO_LARGE)
        message = output_message(huge, sizeof(huge));
    struct iovec first = close_message(node, &message);
    if (fault == FAULT_SEAL_BROKEN)
        ((uint8_t *)first.iov_base)[first.iov_len - 1] ^= 1;
    if (fault == FAULT_MESSAGES_SWAPPED) {
        message = output_message("second", 6);
        struct iovec second = close_message(node, &message);
        (void)grpc_call_send(call, &second, 1);
        free(second.iov_base);
    }
    if (fault != FAULT_MESSAGE_LEFT_OUT)
        (void)grpc_call_send(call, &first, 1);
    if (fault == FAULT_MESSAGE_TWICE)
        (void)grpc_call_send(call, &first, 1);
    free(first.iov_base);
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_ERRORS;
    message.errors = bytes_of(errors_text, sizeof(errors_text) - 1);
    send_message(node, call, &message);
}

/* ---- ExecuteLogic: the end ----------------------------------------------------------------------------- */

static char *make_receipt(struct fake_node *node, const uint8_t *output_sha256)
{
    enum fault fault = fault_of(node);
    const struct identity *signer = fault == FAULT_RECEIPT_OF_ANOTHER_NODE ? node->other : node->identity;
    uint8_t other[HASH_BYTES], errors[HASH_BYTES], ml_dsa[HASH_BYTES],
        ed25519_signature[ED25519_SIGNATURE_BYTES];
    uint8_t ml_dsa_signature[ML_DSA_65_SIGNATURE_BYTES], *bytes;
    char *body, *receipt;
    size_t body_bytes, size;
    hash_of("other", 5, other);
    hash_of(errors_text, sizeof(errors_text) - 1, errors);
    hash_of(identity_ml_dsa_65_public_key(signer), ML_DSA_65_PUBLIC_KEY_BYTES, ml_dsa);
    const struct receipt_facts facts = {
        .run_id = fault == FAULT_RECEIPT_FOR_OTHER_RUN ? session_token : run_id,
        .node = identity_peer_id(signer),
        .node_ml_dsa_65_sha256 = fault == FAULT_RECEIPT_WITHOUT_POST_QUANTUM ? NULL : ml_dsa,
        .principal = "somebody",
        .capability = "default",
        .module_name = "filter.wasm",
        .module_sha256 = fault == FAULT_RECEIPT_FOR_OTHER_MODULE ? other : node->module_sha256,
        .arguments_sha256 = fault == FAULT_RECEIPT_FOR_OTHER_ARGUMENTS ? other : node->arguments_sha256,
        .inputs_sha256 = other,
        .contract_sha256 = other,
        .output_sha256 = fault == FAULT_RECEIPT_FOR_OTHER_OUTPUT ? other : output_sha256,
        .errors_sha256 = fault == FAULT_RECEIPT_FOR_OTHER_ERRORS ? other : errors,
        .events_sha256 = other,
        .outcome = {.kind = BERTH_OUTCOME_EXITED,
                    .exit_code = fault == FAULT_RECEIPT_FOR_OTHER_OUTCOME ? 0 : 7,
                    .cause = "",
                    .remedy = ""},
        .started_ns = 1,
        .ended_ns = 2,
    };
    must(receipt_body(&facts, &body, &body_bytes) == 0, "receipt");
    must(receipt_signed_bytes(body, body_bytes, &bytes, &size) == 0, "receipt");
    must(identity_sign_ed25519(signer, bytes, size, ed25519_signature) == 0, "signature");
    must(identity_sign_ml_dsa_65(signer, bytes, size, ml_dsa_signature) == 0, "signature");
    bool post_quantum = fault != FAULT_RECEIPT_WITHOUT_POST_QUANTUM;
    must(receipt_text(body, identity_ed25519_public_key(signer), ed25519_signature,
                      post_quantum ? identity_ml_dsa_65_public_key(signer) : NULL,
                      post_quantum ? ml_dsa_signature : NULL, &receipt) == 0,
         "receipt");
    if (fault == FAULT_RECEIPT_CHANGED)
        *strstr(receipt, "somebody") = 'S';
    free(body);
    free(bytes);
    return receipt;
}

static void send_end(struct fake_node *node, struct grpc_call *call)
{
    enum fault fault = fault_of(node);
    Berth__V1__RunMessage message;
    Berth__V1__RunEnd end;
    uint8_t output_sha256[HASH_BYTES];
    char *denials[] = {(char *)(uintptr_t)"it was \x07refused"};
    hash_end(&node->output_hash, output_sha256);
    char *receipt = make_receipt(node, output_sha256);
    berth__v1__run_end__init(&end);
    end.outcome = (char *)(uintptr_t)"exited";
    end.exit_code = 7;
    end.denials = denials;
    end.n_denials = 1;
    if (fault != FAULT_NO_RECEIPT)
        end.receipt = bytes_of(receipt, strlen(receipt));
    berth__v1__run_message__init(&message);
    message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_END;
    message.end = &end;
    send_message(node, call, &message);
    free(receipt);
    if (fault == FAULT_MESSAGE_AFTER_END) {
        message = output_message("more", 4);
        send_message(node, call, &message);
    }
    grpc_call_finish(call, GRPC_OK, NULL);
}

static void send_more(struct grpc_call *call)
{
    static const uint8_t piece[1 << 20];
    struct fake_node *node = grpc_call_owner(call);
    while (node->much_left > 0 && grpc_call_queued_bytes(call) < 2 * sizeof(piece)) {
        Berth__V1__RunMessage message = output_message(piece, sizeof(piece));
        send_message(node, call, &message);
        hash_add(&node->output_hash, piece, sizeof(piece));
        node->much_left -= sizeof(piece);
        if (node->much_left > 0)
            continue;
        message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_ERRORS;
        message.errors = bytes_of(errors_text, sizeof(errors_text) - 1);
        send_message(node, call, &message);
        send_end(node, call);
        return;
    }
}

/* ---- ExecuteLogic: what is asked ----------------------------------------------------------------------- */

static bool read_request(struct fake_node *node, struct grpc_call *call,
                         const Liop__V1__LogicRequest *request)
{
    uint8_t secret[KEM_SECRET_BYTES];
    struct seal *to_node;
    struct hash arguments;
    size_t size = request->sealed_request.len - SEAL_TAG_BYTES;
    must(kem_decapsulate(node->kem, request->pqc_ciphertext.data, request->pqc_ciphertext.len, secret) == 0,
         "kem");
    must(seal_new(secret, session_token, node->capability, SEAL_TO_NODE, &to_node) == 0, "seal");
    seal_free(node->to_caller);
    must(seal_new(secret, session_token, node->capability, SEAL_TO_CALLER, &node->to_caller) == 0, "seal");
    uint8_t *opened = malloc(size + 1);
    must(seal_open(to_node, request->sealed_request.data, request->sealed_request.len, opened) == 0, "open");
    seal_free(to_node);
    Berth__V1__RunRequest *run = berth__v1__run_request__unpack(NULL, size, opened);
    must(run && run->module_sha256.len == HASH_BYTES, "run request");
    memcpy(node->module_sha256, run->module_sha256.data, HASH_BYTES);
    hash_init(&arguments);
    for (size_t i = 0; i < run->n_arguments; i++)
        hash_add(&arguments, run->arguments[i], strlen(run->arguments[i]) + 1);
    hash_end(&arguments, node->arguments_sha256);
    bool forgotten = fault_of(node) == FORGETS_MODULES && run->module.len == 0;
    pthread_mutex_lock(&node->lock);
    node->seen.visits++;
    node->seen.modules += run->module.len > 0;
    if (run->n_arguments)
        snprintf(node->seen.last_argument, sizeof(node->seen.last_argument), "%s",
                 run->arguments[run->n_arguments - 1]);
    pthread_mutex_unlock(&node->lock);
    berth__v1__run_request__free_unpacked(run, NULL);
    free(opened);
    if (forgotten)
        grpc_call_finish(call, GRPC_NOT_FOUND, "the module is not known any more");
    return !forgotten;
}

static void answer_run(struct fake_node *node, struct grpc_call *call)
{
    static const struct iovec garbage = {(void *)(uintptr_t)"\x82\x01\xff\xff garbage", 12};
    enum fault fault = fault_of(node);
    hash_init(&node->output_hash);
    if (fault == FAULT_OUTPUT_BEFORE_START)
        send_output(node, call);
    send_start(node, call);
    if (fault == FAULT_STARTS_TWICE)
        send_start(node, call);
    if (fault == FAULT_SILENT_AFTER_START)
        return;
    if (fault == FAULT_MESSAGE_GARBAGE)
        (void)grpc_call_send(call, &garbage, 1);
    if (fault == FAULT_MESSAGE_EMPTY)
        (void)grpc_call_send(call, &garbage, 0);
    if (fault == SENDS_MUCH) {
        node->much_left = FAKE_MUCH_BYTES;
        send_more(call);
        return;
    }
    send_output(node, call);
    hash_add(&node->output_hash, output_text, sizeof(output_text) - 1);
    send_event(node, call, 2);
    send_event(node, call, fault == FAULT_EVENTS_OUT_OF_ORDER ? 2 : 3);
    if (fault == FAULT_NO_END)
        grpc_call_finish(call, GRPC_OK, NULL);
    else if (fault == FAULT_NO_END_AND_UNAVAILABLE)
        grpc_call_finish(call, GRPC_UNAVAILABLE, "the worker died");
    else
        send_end(node, call);
}

static void execute(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct fake_node *node = grpc_call_owner(call);
    Liop__V1__LogicRequest *request = liop__v1__logic_request__unpack(NULL, size_bytes, bytes);
    must(request && strcmp(request->session_token, session_token) == 0, "request");
    if (read_request(node, call, request))
        answer_run(node, call);
    liop__v1__logic_request__free_unpacked(request, NULL);
}

static void writable(struct grpc_call *call)
{
    send_more(call);
}

static void closed(struct grpc_call *call, enum grpc_status status)
{
    struct fake_node *node = grpc_call_owner(call);
    node->much_left = 0;
    pthread_mutex_lock(&node->lock);
    node->seen.left += status == GRPC_CANCELLED;
    pthread_mutex_unlock(&node->lock);
}

/* ---- The node ------------------------------------------------------------------------------------------ */

static const struct grpc_method methods[] = {
    {.path = "/berth.v1.Node/Describe", .start = nothing, .message = describe},
    {.path = "/liop.v1.LogicMesh/NegotiateIntent", .start = nothing, .message = negotiate},
    {.path = "/liop.v1.LogicMesh/ExecuteLogic",
     .max_message_bytes = 64 << 20,
     .start = nothing,
     .message = execute,
     .writable = writable,
     .closed = closed},
    {0},
};

static void on_stop(uv_async_t *stop)
{
    struct fake_node *node = stop->data;
    grpc_server_free(node->server);
    uv_close((uv_handle_t *)stop, NULL);
}

static void *serve(void *argument)
{
    struct fake_node *node = argument;
    uv_run(&node->loop, UV_RUN_DEFAULT);
    return NULL;
}

static struct identity *identity_of(uint8_t byte)
{
    uint8_t secret[IDENTITY_SECRET_BYTES];
    struct identity *identity;
    memset(secret, byte, sizeof(secret));
    must(identity_new(secret, true, &identity) == 0, "identity");
    return identity;
}

struct fake_node *fake_node_new(uint8_t secret_byte)
{
    struct fake_node *node = calloc(1, sizeof(*node));
    struct grpc_server_options options;
    uint16_t port;
    must(node && uv_loop_init(&node->loop) == 0, "loop");
    pthread_mutex_init(&node->lock, NULL);
    must(uv_async_init(&node->loop, &node->stop, on_stop) == 0, "async");
    node->stop.data = node;
    node->identity = identity_of(secret_byte);
    node->other = identity_of((uint8_t)(secret_byte + 100));
    grpc_server_options_init(&options);
    options.methods = methods;
    options.owner = node;
    must(grpc_server_new(&node->loop, &options, &node->server) == 0, "server");
    must(grpc_server_listen(node->server, "127.0.0.1", 0, -1, NULL, &port) == 0, "listen");
    snprintf(node->address, sizeof(node->address), "127.0.0.1:%u", port);
    must(pthread_create(&node->thread, NULL, serve, node) == 0, "thread");
    return node;
}

void fake_node_free(struct fake_node *node)
{
    uv_async_send(&node->stop);
    pthread_join(node->thread, NULL);
    must(uv_loop_close(&node->loop) == 0, "loop");
    seal_free(node->to_caller);
    kem_key_free(node->kem);
    identity_free(node->identity);
    identity_free(node->other);
    pthread_mutex_destroy(&node->lock);
    free(node);
}

const char *fake_node_address(const struct fake_node *node)
{
    return node->address;
}

const char *fake_node_peer_id(const struct fake_node *node)
{
    return identity_peer_id(node->identity);
}

void fake_node_set_fault(struct fake_node *node, enum fault fault)
{
    pthread_mutex_lock(&node->lock);
    node->fault = fault;
    pthread_mutex_unlock(&node->lock);
}

void fake_node_set_status(struct fake_node *node, int status, const char *message)
{
    pthread_mutex_lock(&node->lock);
    node->fault = ANSWERS_WITH_STATUS;
    node->status = status;
    snprintf(node->status_message, sizeof(node->status_message), "%s", message);
    pthread_mutex_unlock(&node->lock);
}

void fake_node_seen(struct fake_node *node, struct fake_node_seen *ret)
{
    pthread_mutex_lock(&node->lock);
    *ret = node->seen;
    pthread_mutex_unlock(&node->lock);
}

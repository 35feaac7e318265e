/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liop.v1.LogicMesh/NegotiateIntent: a session for a caller who may run something. In this order, cheapest
 * first: who calls, how often, under which capability; then the key pair.
 */
#include <string.h>

#include "base/clock.h"
#include "node/front/front.h"
#include "wire/hash.h"
#include "wire/liop.pb-c.h"

enum { INTENT_MAX_BYTES = 16 << 10, NAME_MAX_BYTES = 256 };

static void on_start(struct grpc_call *call)
{
    struct front *front = grpc_call_owner(call);
    if (front->draining)
        grpc_call_finish(call, GRPC_UNAVAILABLE, "the node is shutting down");
}

static void note_refused(struct front *front, struct principal *principal, const struct refusal *refusal)
{
    front->metrics.handshakes_refused++;
    ledger_note_refused(front->ledger, principal_name(principal),
                        json_pack("{s:s}", "reason", refusal->reason));
}

/* Signs the key for callers who will check it. */
static int sign_key(struct front *front, const struct session *session, const uint8_t *public_key,
                    Liop__V1__IntentResponse *answer, uint8_t signature[static ED25519_SIGNATURE_BYTES])
{
    cleanup_free uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    int r = kem_signed_bytes(session->token, session->capability, public_key, &bytes, &size_bytes);
    if (r == 0)
        r = identity_sign_ed25519(front->identity, bytes, size_bytes, signature);
    answer->kem_signature = (ProtobufCBinaryData){.len = ED25519_SIGNATURE_BYTES, .data = signature};
    return r;
}

static int answer_with_session(struct grpc_call *call, const Liop__V1__IntentRequest *intent,
                               struct principal *principal)
{
    struct front *front = grpc_call_owner(call);
    Liop__V1__IntentResponse answer = LIOP__V1__INTENT_RESPONSE__INIT;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES],
        node_key[ED25519_PUBLIC_KEY_BYTES];
    const struct session *session = NULL;
    struct kem_key *key = NULL;
    int r = kem_key_new(&key, public_key);
    if (r == 0)
        r = session_open(front->sessions, principal, intent->capability_hash, intent->sealed, key,
                         clock_monotonic_ns(), front->settings->sessions_seconds * NS_PER_S, &session);
    if (r != 0)
        return r;
    if (intent->sealed && (r = sign_key(front, session, public_key, &answer, signature)) < 0)
        return r;
    memcpy(node_key, identity_ed25519_public_key(front->identity), sizeof(node_key));
    answer.accepted = true;
    answer.session_token = (char *)(uintptr_t)session->token;
    answer.kyber_public_key = (ProtobufCBinaryData){.len = sizeof(public_key), .data = public_key};
    answer.node_public_key = (ProtobufCBinaryData){.len = sizeof(node_key), .data = node_key};
    answer.expires_ms = (uint32_t)(front->settings->sessions_seconds * 1000);
    answer.module_known = intent->module_sha256.len == HASH_BYTES &&
                          run_store_knows_module(ledger_store(front->ledger), principal_name(principal),
                                                 intent->module_sha256.data);
    front->metrics.handshakes_ok++;
    ledger_note(front->ledger, "session_opened", principal_name(principal), NULL,
                json_pack("{s:s, s:b}", "address", grpc_call_address(call), "sealed", intent->sealed));
    return caller_send(call, &answer);
}

/* Everything before the key exchange. */
static int admit(struct grpc_call *call, const Liop__V1__IntentRequest *intent, struct principal **ret)
{
    struct front *front = grpc_call_owner(call);
    const struct grant *grant;
    struct refusal refusal = {0};
    if (strlen(intent->agent_did) > NAME_MAX_BYTES || strlen(intent->capability_hash) > NAME_MAX_BYTES) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "agent_did and capability_hash have at most 256 bytes");
        return 1;
    }
    if (caller_authenticate(call, intent->identity, intent->capability_hash, ret) != 0)
        return 1;
    int r =
        access_charge_handshake(front->access, *ret, grpc_call_address(call), clock_monotonic_ns(), &refusal);
    if (r == 0)
        r = access_grant(front->access, *ret, intent->capability_hash, &grant, &refusal);
    if (r == 0)
        return 0;
    note_refused(front, *ret, &refusal);
    caller_refuse(call, &refusal);
    return 1;
}

static void on_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct principal *principal = NULL;
    Liop__V1__IntentRequest *intent =
        caller_message(call, &liop__v1__intent_request__descriptor, bytes, size_bytes);
    if (!intent)
        return;
    if (admit(call, intent, &principal) == 0) {
        int r = answer_with_session(call, intent, principal);
        grpc_call_finish(call, r == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED,
                         r == 0  ? NULL
                         : r > 0 ? "too many sessions wait for their run"
                                 : "the node is out of memory");
    }
    liop__v1__intent_request__free_unpacked(intent, NULL);
}

const struct grpc_method negotiate_methods[] = {
    {.path = "/liop.v1.LogicMesh/NegotiateIntent",
     .max_message_bytes = INTENT_MAX_BYTES,
     .start = on_start,
     .message = on_message},
    {0},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* What all handlers of calls share: who calls, reading a message, sending one, saying no. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "node/front/front.h"
#include "wire/liop.pb-c.h"
#include "wire/protobuf.h"

enum {
    MESSAGE_FIELDS_MAX = 200000, /* fields of one message, nested ones included */
    MESSAGE_STACK_BYTES = 4096,  /* smaller ones are packed there */
};

int64_t front_time_ns(void)
{
    return (int64_t)clock_now_ns(CLOCK_REALTIME);
}

void caller_refuse(struct grpc_call *call, const struct refusal *refusal)
{
    struct front *front = grpc_call_owner(call);
    metrics_count_refusal(&front->metrics, refusal->status);
    grpc_call_finish(call, refusal->status, refusal->sentence);
}

bool caller_shows_credentials(const struct grpc_call *call)
{
    return grpc_call_header(call, "authorization") || grpc_call_certificate_sha256(call);
}

/* The nonce is used up whether or not the rest of the proof holds. */
static int add_proof(struct front *front, const Liop__V1__IdentityProof *proof,
                     struct credentials *credentials, struct refusal *refusal)
{
    if (!proof)
        return 0;
    refusal->status = GRPC_UNAUTHENTICATED;
    snprintf(refusal->reason, sizeof(refusal->reason), "identity proof");
    if (proof->public_key.len != ED25519_PUBLIC_KEY_BYTES || proof->nonce.len != 32 ||
        proof->signature.len != ED25519_SIGNATURE_BYTES) {
        refusal->status = GRPC_INVALID_ARGUMENT;
        snprintf(refusal->sentence, sizeof(refusal->sentence),
                 "an identity proof is a key of 32 bytes, a nonce of 32 and a signature of 64");
        return 1;
    }
    if (!nonce_redeem(front->nonces, proof->nonce.data, clock_monotonic_ns())) {
        snprintf(refusal->sentence, sizeof(refusal->sentence),
                 "the nonce of the identity proof is not known, used or too old; ask Describe for a new one");
        return 1;
    }
    credentials->proof_public_key = proof->public_key.data;
    credentials->proof_nonce = proof->nonce.data;
    credentials->proof_signature = proof->signature.data;
    return 0;
}

int caller_authenticate(struct grpc_call *call, const Liop__V1__IdentityProof *proof, const char *capability,
                        struct principal **ret)
{
    struct front *front = grpc_call_owner(call);
    struct refusal refusal = {0};
    struct credentials credentials = {
        .address = grpc_call_address(call),
        .authorization = grpc_call_header(call, "authorization"),
        .certificate_sha256 = grpc_call_certificate_sha256(call),
        .capability = capability,
    };
    int r = add_proof(front, proof, &credentials, &refusal);
    if (r == 0)
        r = access_authenticate(front->access, &credentials, clock_monotonic_ns(), (int64_t)time(NULL), ret,
                                &refusal);
    if (r == 0)
        return 0;
    if (r < 0) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
        return 1;
    }
    front->metrics.handshakes_refused++;
    ledger_note_refused(front->ledger, NULL,
                        json_pack("{s:s, s:s}", "address", credentials.address, "reason", refusal.reason));
    caller_refuse(call, &refusal);
    return 1;
}

void *caller_message(struct grpc_call *call, const struct ProtobufCMessageDescriptor *type,
                     const uint8_t *bytes, size_t size_bytes)
{
    ProtobufCMessage *message = NULL;
    int r =
        message_unpack(type, bytes, size_bytes, MESSAGE_FIELDS_MAX, 2 * size_bytes + (16 << 20), &message);
    if (r == 0)
        return message;
    grpc_call_finish(call, r < 0 ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT,
                     r < 0 ? "the node is out of memory" : "the message is no valid protobuf of its type");
    return NULL;
}

int caller_send(struct grpc_call *call, const void *message)
{
    uint8_t small[MESSAGE_STACK_BYTES];
    size_t size_bytes = protobuf_c_message_get_packed_size(message);
    cleanup_free uint8_t *large = size_bytes > sizeof(small) ? malloc(size_bytes) : NULL;
    uint8_t *packed = size_bytes > sizeof(small) ? large : small;
    if (!packed)
        return -ENOMEM;
    protobuf_c_message_pack(message, packed);
    return grpc_call_send(call, &(struct iovec){.iov_base = packed, .iov_len = size_bytes}, 1);
}

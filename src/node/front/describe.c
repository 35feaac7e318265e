/* SPDX-License-Identifier: Apache-2.0 */
/* berth.v1.Node/Describe: who this node is, for callers who pin its keys, and a nonce for those who prove
 * theirs. */
#include <berth/version.h>

#include "base/clock.h"
#include "node/front/front.h"
#include "wire/berth.pb-c.h"

enum { NONCE_LIFETIME_MS = 60000, EMPTY_MESSAGE_MAX_BYTES = 1024 };

static ProtobufCBinaryData borrowed(const uint8_t *bytes, size_t size_bytes)
{
    return (ProtobufCBinaryData){.len = size_bytes, .data = (uint8_t *)(uintptr_t)bytes};
}

static void on_start(struct grpc_call *call)
{
    (void)call;
}

static void on_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct front *front = grpc_call_owner(call);
    Berth__V1__DescribeResponse answer = BERTH__V1__DESCRIBE_RESPONSE__INIT;
    uint8_t nonce[32];
    (void)bytes;
    (void)size_bytes;
    if (nonce_issue(front->nonces, clock_monotonic_ns(), NONCE_LIFETIME_MS * NS_PER_MS, nonce) < 0) {
        grpc_call_finish(call, GRPC_UNAVAILABLE, "the node has no random numbers");
        return;
    }
    answer.peer_id = (char *)(uintptr_t)identity_peer_id(front->identity);
    answer.ed25519_public_key =
        borrowed(identity_ed25519_public_key(front->identity), ED25519_PUBLIC_KEY_BYTES);
    answer.ml_dsa_65_public_key =
        borrowed(identity_ml_dsa_65_public_key(front->identity), ML_DSA_65_PUBLIC_KEY_BYTES);
    answer.nonce = borrowed(nonce, sizeof(nonce));
    answer.expires_ms = NONCE_LIFETIME_MS;
    answer.version = (char *)(uintptr_t)BERTH_VERSION;
    answer.max_request_bytes = front->settings->limits_max_request_mb << 20;
    if (caller_send(call, &answer) < 0)
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
    else
        grpc_call_finish(call, GRPC_OK, NULL);
}

const struct grpc_method describe_methods[] = {
    {.path = "/berth.v1.Node/Describe",
     .max_message_bytes = EMPTY_MESSAGE_MAX_BYTES,
     .start = on_start,
     .message = on_message},
    {0},
};

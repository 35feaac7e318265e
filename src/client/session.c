/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "client/session.h"

#include <string.h>

#include "wire/liop.pb-c.h"

enum { INTENT_ANSWER_MAX_BYTES = 16 << 10 };

void client_session_done(struct client_session *session)
{
    seal_free(session->to_node);
    seal_free(session->to_caller);
    explicit_bzero(session, sizeof(*session));
}

static ProtobufCBinaryData borrowed(const void *bytes, size_t size_bytes)
{
    return (ProtobufCBinaryData){size_bytes, (uint8_t *)(uintptr_t)bytes};
}

/* Who calls, over a nonce that is good for one time. */
static berth_status prove_identity(berth_client *client, const char *capability,
                                   uint8_t ret_signature[static ED25519_SIGNATURE_BYTES],
                                   berth_error **reterr)
{
    uint8_t proof[IDENTITY_PROOF_BYTES];
    if (!client->has_nonce) {
        berth_status status = client_describe(client, reterr);
        if (status != BERTH_OK)
            return status;
    }
    client->has_nonce = false;
    identity_proof_bytes(client->nonce, client->keys.ed25519, capability, proof);
    if (identity_sign_ed25519(client->identity, proof, sizeof(proof), ret_signature) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return BERTH_OK;
}

static berth_status negotiate(berth_client *client, const char *capability, const uint8_t *module_sha256,
                              ProtobufCMessage **ret, berth_error **reterr)
{
    Liop__V1__IntentRequest request;
    liop__v1__intent_request__init(&request);
    Liop__V1__IdentityProof proof;
    liop__v1__identity_proof__init(&proof);
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    const struct unary unary = {
        .path = "/liop.v1.LogicMesh/NegotiateIntent",
        .request = &request.base,
        .answer = &liop__v1__intent_response__descriptor,
        .max_answer_bytes = INTENT_ANSWER_MAX_BYTES,
        .max_fields = 64,
    };
    request.capability_hash = (char *)(uintptr_t)capability;
    request.module_sha256 = borrowed(module_sha256, HASH_BYTES);
    request.sealed = true;
    if (client->identity) {
        berth_status status = prove_identity(client, capability, signature, reterr);
        if (status != BERTH_OK)
            return status;
        proof.public_key = borrowed(identity_ed25519_public_key(client->identity), ED25519_PUBLIC_KEY_BYTES);
        proof.nonce = borrowed(client->nonce, sizeof(client->nonce));
        proof.signature = borrowed(signature, sizeof(signature));
        request.identity = &proof;
    }
    return client_unary(client, &unary, ret, reterr);
}

/* 32 lowercase hex digits: the token goes into what is signed and bound, between NULs. */
static bool is_token(const char *token)
{
    return strlen(token) == SESSION_TOKEN_CHARACTERS - 1 &&
           strspn(token, "0123456789abcdef") == SESSION_TOKEN_CHARACTERS - 1;
}

/* Whether the known node has signed this key for this session. */
static bool is_signed(const berth_client *client, const char *capability,
                      const Liop__V1__IntentResponse *answer)
{
    cleanup_free uint8_t *bytes = NULL;
    size_t size_bytes;
    return answer->kyber_public_key.len == KEM_PUBLIC_KEY_BYTES &&
           answer->kem_signature.len == ED25519_SIGNATURE_BYTES &&
           kem_signed_bytes(answer->session_token, capability, answer->kyber_public_key.data, &bytes,
                            &size_bytes) == 0 &&
           ed25519_verify(client->keys.ed25519, bytes, size_bytes, answer->kem_signature.data);
}

static berth_status seal_session(struct client_session *session, const char *capability,
                                 const ProtobufCBinaryData *public_key, const char *address,
                                 berth_error **reterr)
{
    uint8_t secret[KEM_SECRET_BYTES];
    int r = kem_encapsulate(public_key->data, public_key->len, session->ciphertext, secret);
    if (r == 0)
        r = seal_new(secret, session->token, capability, SEAL_TO_NODE, &session->to_node);
    if (r == 0)
        r = seal_new(secret, session->token, capability, SEAL_TO_CALLER, &session->to_caller);
    explicit_bzero(secret, sizeof(secret));
    if (r == SEAL_BROKEN)
        return error_set(reterr, BERTH_INTERNAL, "the session key of the node at %s is none", address);
    return r < 0 ? error_set(reterr, BERTH_NO_MEMORY, "out of memory") : BERTH_OK;
}

static berth_status accept(const berth_client *client, const char *capability,
                           const Liop__V1__IntentResponse *answer, struct client_session *session,
                           berth_error **reterr)
{
    const char *address = client->address.text;
    if (!answer->accepted) {
        cleanup_free char *why = client_safe_text(answer->error_message);
        return error_set(reterr, BERTH_REFUSED, "the node at %s does not want this visit: %s", address,
                         why && *why ? why : "it does not say why");
    }
    if (!is_token(answer->session_token))
        return error_set(reterr, BERTH_INTERNAL, "the session of the node at %s has no usable name", address);
    if (!is_signed(client, capability, answer))
        return error_set(
            reterr, BERTH_INTERNAL,
            "the session key is not signed by the node %s that is known at %s: somebody answers in "
            "its place; the module was not sent",
            client->peer_id, address);
    memcpy(session->token, answer->session_token, SESSION_TOKEN_CHARACTERS);
    session->module_known = answer->module_known;
    return seal_session(session, capability, &answer->kyber_public_key, address, reterr);
}

berth_status client_session_open(berth_client *client, const char *capability, const uint8_t *module_sha256,
                                 struct client_session *ret, berth_error **reterr)
{
    cleanup_message ProtobufCMessage *answer = NULL;
    *ret = (struct client_session){0};
    berth_status status = negotiate(client, capability, module_sha256, &answer, reterr);
    if (status == BERTH_OK)
        status = accept(client, capability, (const Liop__V1__IntentResponse *)answer, ret, reterr);
    if (status != BERTH_OK)
        client_session_done(ret);
    return status;
}

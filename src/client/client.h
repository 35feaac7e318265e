/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a berth_client: one connection to one node, whose keys were compared with what is known of it
 * before anything else was sent. After a failure of the connection every further call fails, too.
 */
#ifndef BERTH_CLIENT_CLIENT_H
#define BERTH_CLIENT_CLIENT_H

#include <berth/client.h>

#include "base/error.h"
#include "client/address.h"
#include "client/known_nodes.h"
#include "client/refusal.h"
#include "net/grpc_client.h"
#include "net/tls.h"
#include "wire/identity.h"
#include "wire/protobuf.h"

struct visit_result;

struct berth_client {
    struct address address;
    struct tls_identity *tls; /* NULL: plain */
    struct grpc_client *connection;
    struct identity *identity; /* of the caller, or NULL */
    struct node_keys keys;
    uint8_t ml_dsa_65[ML_DSA_65_PUBLIC_KEY_BYTES];
    char peer_id[PEER_ID_CHARACTERS];
    uint8_t nonce[IDENTITY_NONCE_BYTES]; /* for one proof */
    bool has_nonce;
    bool has_credentials; /* a token or a certificate */
    bool first_use;
    uint64_t max_request_bytes; /* 0: the node did not say */
    int grpc_status;
    struct visit_result *result; /* of the last visit, or NULL */
};

/* A call with one answer. */
struct unary {
    const char *path;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *answer;
    size_t max_answer_bytes;
    uint32_t max_fields;
};

/* *ret is freed with message_free(). */
berth_status client_unary(berth_client *client, const struct unary *unary, ProtobufCMessage **ret,
                          berth_error **reterr);

/* Makes the call, keeps its status. `answer` is valid until the next call. */
void client_call(berth_client *client, const struct grpc_request *request, struct grpc_answer *ret_answer);

/* Asks the node who it is. The first time its keys are taken over; later they must be the same. */
berth_status client_describe(berth_client *client, berth_error **reterr);

/* What a refusal is told with. */
struct refusal_context client_refusal_context(const berth_client *client);

/* A string out of a message as one that is safe to print; the caller frees it. NULL: no memory. */
char *client_safe_text(const char *string);
/* Bytes out of a message as a string, as they are; the caller frees it. NULL: no memory. */
char *client_string(const ProtobufCBinaryData *bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front: the process that has sockets, keys, policy and the ledger, and no guests. One thread, one loop;
 * what every part of it needs is this one struct, made by front.c.
 *
 *    describe.c   who the node is            negotiate.c   a session
 *    execute.c    a visit, sealed            execute_v1.c  a visit of a LIOP client
 *    watch.c      following and managing     visit.c       a run from admission to receipt
 */
#ifndef BERTH_NODE_FRONT_H
#define BERTH_NODE_FRONT_H

#include <uv.h>

#include "base/log.h"
#include "net/grpc_server.h"
#include "node/access/access.h"
#include "node/access/session.h"
#include "node/compile/compile_queue.h"
#include "node/front/ledger.h"
#include "node/front/metrics.h"
#include "node/settings/settings.h"
#include "node/worker/workers.h"
#include "wire/identity.h"

struct visit;
struct health;
struct contract_digests;

struct front {
    uv_loop_t loop;
    struct log *log;
    struct settings *settings;
    struct identity *identity;
    uint8_t ml_dsa_sha256[32]; /* of the public key */
    struct access *access;
    struct session_table *sessions;
    struct nonce_table *nonces;
    struct ledger *ledger;
    struct compile_queue *compiler;
    struct workers *workers;
    struct grpc_server *server;
    struct health *health;
    struct contract_digests *digests;
    struct visit *visits; /* all that are not over */
    uint32_t n_visits;
    int inputs_directory; /* O_PATH */
    bool draining;
    struct metrics metrics;
};

/* Nanoseconds since 1970 by the node's clock; for records, never for limits. */
int64_t front_time_ns(void);

/* ---- Callers (caller.c)
 * -------------------------------------------------------------------------------------- */

/* Who makes this call, by its headers and certificate, and the proof if there is one. 0 and a principal; 1:
 * the call was finished with the reason, and the refusal noted. */
struct Liop__V1__IdentityProof;
int caller_authenticate(struct grpc_call *call, const struct Liop__V1__IdentityProof *proof,
                        const char *capability, struct principal **ret);
/* True if the headers alone say who calls. */
bool caller_shows_credentials(const struct grpc_call *call);
/* Finishes the call with a refusal. */
void caller_refuse(struct grpc_call *call, const struct refusal *refusal);

/* Reads a message of that type from a call or finishes the call with INVALID_ARGUMENT. The caller frees it
 * with protobuf_c_message_free_unpacked(). NULL: finished. */
struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
void *caller_message(struct grpc_call *call, const struct ProtobufCMessageDescriptor *type,
                     const uint8_t *bytes, size_t size_bytes);
/* Packs and sends. 0 or a negative errno. */
int caller_send(struct grpc_call *call, const void *message);

/* The methods of each file, ending with a NULL path. */
extern const struct grpc_method describe_methods[];
extern const struct grpc_method negotiate_methods[];
extern const struct grpc_method execute_methods[];
extern const struct grpc_method watch_methods[];

#endif

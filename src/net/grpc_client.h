/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC client (the protocol "gRPC over HTTP/2" of the gRPC project): one connection to one server, and
 * calls on it, one at a time, each until it has ended. It knows nothing of protobuf or of guests.
 *
 * A call sends one message and gets any number back. The connection has a loop of its own, which runs inside
 * the functions below and nowhere else, so everything happens on the caller's thread. Bytes of a message are
 * given back to the server's flow-control window when the callback that got them has returned: while it
 * blocks, the server's own send window fills and the server has to stop.
 *
 * The server is not trusted: header lists, messages, the silence before an answer and the work between two
 * messages are bounded, and what it says about a failure is escaped.
 */
#ifndef BERTH_NET_GRPC_CLIENT_H
#define BERTH_NET_GRPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/grpc.h"

struct grpc_client;
struct tls_identity; /* net/tls.h */

struct grpc_client_options {
    const char *host; /* name or address, without brackets */
    uint16_t port;
    struct tls_identity *tls;    /* NULL: h2c with prior knowledge; borrowed as long as the client */
    const char *user_agent;      /* "berth/0.1.0" */
    uint32_t connect_timeout_ms; /* from the name to the server's SETTINGS; default 10000 */
    uint32_t keepalive_ms;       /* silence until a PING, and again until the connection counts as lost;
                                    default 30000 */
};

void grpc_client_options_init(struct grpc_client_options *options);

/* Connects; tries each address of the host in turn. 0; -ENOENT: no such host; another negative errno: nobody
 * listens, TLS or HTTP/2 fails, or nothing was heard in time. *ret_reason then says why, for a person
 * ("connection refused"), escaped; the caller frees it; it may be NULL. */
int grpc_client_new(const struct grpc_client_options *options, struct grpc_client **ret, char **ret_reason);
/* Accepts NULL. */
void grpc_client_free(struct grpc_client *client);

/* The value of the authorization header ("Bearer …") in all calls from now on; copied, wiped when it is
 * freed. 0 or -ENOMEM. */
int grpc_client_authorize(struct grpc_client *client, const char *authorization);

struct grpc_request {
    const char *path; /* "/liop.v1.LogicMesh/NegotiateIntent" */
    /* The message, one piece after the other, as long as the call. */
    const struct iovec *pieces;
    int n_pieces;
    const char *extra_name, *extra_value; /* one more header, or NULL; not kept in the compression table */
    uint64_t timeout_ms;                  /* becomes grpc-timeout; 0: none */
    size_t max_message_bytes;             /* a longer answer ends the call */
    uint32_t max_messages;                /* 1 for a unary call; 0: any number */
    /* One message. The bytes may be changed and are gone after the return. False ends the call as
     * grpc_client_cancel() does. */
    bool (*message)(void *payload, uint8_t *bytes, size_t size_bytes);
    /* How much of the message has left; may be NULL. */
    void (*uploaded)(void *payload, uint64_t sent_bytes, uint64_t total_bytes);
    void *payload;
};

enum grpc_end {
    GRPC_END_STATUS,    /* the server's own word */
    GRPC_END_CANCELLED, /* here */
    GRPC_END_DEADLINE,  /* the time is over, and the server has not said so */
    GRPC_END_LOST,      /* the connection is gone, or the server went silent */
    GRPC_END_BROKEN,    /* what came is no gRPC, or breaks a bound */
};

struct grpc_answer {
    enum grpc_end end;
    enum grpc_status status; /* that of the server, or the nearest one */
    const char *message; /* why, escaped, at most 1 KiB; "" if nothing was said; valid until the next call */
    uint32_t n_messages;
};

/* Returns when the call has ended. */
void grpc_client_call(struct grpc_client *client, const struct grpc_request *request,
                      struct grpc_answer *ret);

/* Ends the call that is going on, or else the next one, with RST_STREAM CANCEL. Safe from any thread and from
 * signal handlers. */
void grpc_client_cancel(struct grpc_client *client);

#endif

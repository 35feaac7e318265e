/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server (the protocol "gRPC over HTTP/2" of the gRPC project) on a libuv loop: listeners, connections
 * with or without TLS, HTTP/2 streams, messages, deadlines and status trailers. It knows nothing of protobuf
 * or of guests.
 *
 * A call is one HTTP/2 stream. Its handler hears of it in this order: start, message…, half_closed, and last
 * and exactly once closed, after which the call is gone. Everything happens on the loop's thread.
 *
 * Flow control reaches to both ends: what a handler has sent and the peer has not taken is counted by
 * grpc_call_queued_bytes() and `writable` says when to go on; a connection holds a bounded number of bytes
 * and calls.
 */
#ifndef BERTH_NET_GRPC_SERVER_H
#define BERTH_NET_GRPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "wire/grpc.h"

struct grpc_server;
struct grpc_call;
struct tls_identity; /* net/tls.h */
struct stream;       /* net/stream.h */

/* What is done with calls of one method. Rows of a constant table that ends with a NULL path. */
struct grpc_method {
    const char *path; /* "/liop.v1.LogicMesh/NegotiateIntent" */
    /* A longer message ends the call with RESOURCE_EXHAUSTED before it is read. 0: the server's
     * max_message_bytes. */
    size_t max_message_bytes;
    /* The headers are here. May finish the call, so that its body is never read. */
    void (*start)(struct grpc_call *call);
    /* One whole message; the bytes are the server's and gone after the return, except that
     * grpc_call_take_message() makes them the handler's. */
    void (*message)(struct grpc_call *call, uint8_t *bytes, size_t size_bytes);
    /* The caller will send no more. May be NULL. */
    void (*half_closed)(struct grpc_call *call);
    /* Less than half of the send window is queued again. May be NULL. */
    void (*writable)(struct grpc_call *call);
    /* The call is over: finished and delivered, cancelled by the peer, past its deadline, or its connection
     * is gone. Must let go of the call. May be NULL. */
    void (*closed)(struct grpc_call *call, enum grpc_status status);
};

struct grpc_server_options {
    const struct grpc_method *methods;
    void *owner;              /* grpc_call_owner() */
    size_t max_message_bytes; /* default 4 MiB */
    uint32_t max_connections; /* default 2000; the oldest idle one makes room, then accepting pauses */
    uint32_t max_connections_per_address; /* default 500 */
    uint32_t max_calls_per_connection;    /* default 128 */
    uint64_t max_buffered_bytes;   /* request bytes held for all connections together; default 512 MiB */
    uint32_t handshake_timeout_ms; /* TCP accept to HTTP/2 SETTINGS; default 10000 */
    uint32_t header_timeout_ms;    /* first byte of a request's headers to their end; default 10000 */
    uint32_t body_timeout_ms;      /* longest silence within a request; default 30000 */
    uint32_t idle_timeout_ms;      /* connection without a call, pings aside; default 300000 */
};

void grpc_server_options_init(struct grpc_server_options *options);

/* 0 or -ENOMEM. The loop is borrowed. */
int grpc_server_new(uv_loop_t *loop, const struct grpc_server_options *options, struct grpc_server **ret);

/* Listens on an address ("127.0.0.1", "::", port 0: any) or on a socket that is bound already (descriptor >=
 * 0, which the server takes over). tls NULL: h2c with prior knowledge. *ret_port says which port it became. A
 * negative errno.
 */
int grpc_server_listen(struct grpc_server *server, const char *host, uint16_t port, int descriptor,
                       struct tls_identity *tls, uint16_t *ret_port);

/* A connection that came in some other way: the stream is taken over, open or not yet. 0 or a negative errno,
 * the stream is closed then. */
int grpc_server_add_stream(struct grpc_server *server, struct stream *stream);

/* New connections to one TLS listener get this certificate, and are asked for theirs as it says; the old ones
 * keep theirs. listener: 0 for the one that was made first, and so on. Nothing happens if that one has no
 * TLS, or with NULL. Ownership as in tls.h. */
void grpc_server_set_tls(struct grpc_server *server, size_t listener, struct tls_identity *tls);

/* GOAWAY to everyone, no new calls; `drained` is called when the last call has ended. */
void grpc_server_drain(struct grpc_server *server, void (*drained)(void *payload), void *payload);

/* Ends what is left and frees once the loop has closed the handles. Accepts NULL. */
void grpc_server_free(struct grpc_server *server);

struct grpc_server_counts {
    uint32_t connections, calls;
    uint64_t connections_total, calls_total, refused_connections, protocol_errors, bytes_in, bytes_out;
};
void grpc_server_counts(const struct grpc_server *server, struct grpc_server_counts *ret);

/* ---- Calls -----------------------------------------------------------------------------------------------
 */

enum { GRPC_SEND_WINDOW_BYTES = 256 << 10 }; /* a handler stops sending when so much is queued */

void *grpc_call_owner(const struct grpc_call *call);
/* The handler's own pointer, NULL at first. */
void grpc_call_set_data(struct grpc_call *call, void *data);
void *grpc_call_data(const struct grpc_call *call);

/* Value of a request header in lower case ("authorization"), or NULL. Valid as long as the call. */
const char *grpc_call_header(const struct grpc_call *call, const char *name);
/* "127.0.0.1" or "2001:db8::1", without a port. */
const char *grpc_call_address(const struct grpc_call *call);
bool grpc_call_has_tls(const struct grpc_call *call);
/* SHA-256 of the client certificate that was verified (32 bytes), or NULL. */
const uint8_t *grpc_call_certificate_sha256(const struct grpc_call *call);
/* CLOCK_MONOTONIC nanoseconds from grpc-timeout, UINT64_MAX without one. The server itself ends the call
 * then, with DEADLINE_EXCEEDED, unless the handler has finished it. */
uint64_t grpc_call_deadline_ns(const struct grpc_call *call);

/* Inside `message` only: the bytes now belong to the caller, to be freed with free(). */
uint8_t *grpc_call_take_message(struct grpc_call *call);

/* Queues one message: `pieces` one after the other. Copied. 0, -ENOMEM, or -EPIPE if the call is finished. */
int grpc_call_send(struct grpc_call *call, const struct iovec *pieces, int n_pieces);
/* Bytes that were sent and have not left to the socket. */
size_t grpc_call_queued_bytes(const struct grpc_call *call);

/* Ends the call after what is queued. `message` is for people, escaped and percent-encoded here; NULL for
 * none. A second finish does nothing. */
void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *message);

#endif

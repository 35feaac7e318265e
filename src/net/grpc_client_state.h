/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a grpc_client: grpc_client.c has the loop, time and the life of calls, grpc_client_http2.c
 * what they are in HTTP/2. A struct call lies on the stack of grpc_client_call() and is over before that
 * returns; what nghttp2 still has of it afterwards, in either direction, finds no call and is dropped.
 */
#ifndef BERTH_NET_GRPC_CLIENT_STATE_H
#define BERTH_NET_GRPC_CLIENT_STATE_H

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>
#include <uv.h>

#include "net/grpc_answer.h"
#include "net/stream.h"

struct grpc_client {
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    atomic_bool cancelled;
    struct stream *stream; /* NULL: the connection is gone */
    nghttp2_session *session;
    bool ready; /* the server's SETTINGS came */
    bool draining;
    char *authority, *authorization, *user_agent;
    bool tls;
    uint64_t keepalive_ns;
    uint64_t heard_ns; /* when the server was last heard, or the consumer last gave way */
    bool pinged;       /* since then */
    struct text words; /* why the last call ended, or the connection */
    struct call *call;
};

struct call {
    struct answer answer;
    const struct grpc_request *request;
    int32_t stream_id;
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint64_t sent_bytes, total_bytes; /* prefix included */
    int piece;                        /* -1: the prefix */
    size_t piece_sent_bytes;
    bool told_all;
    uint64_t deadline_ns;
};

/* The session, its settings and callbacks. 0 or -ENOMEM. */
int http2_open(struct grpc_client *client);
/* Makes the call a stream. 0 or a negative error of nghttp2. */
int http2_submit(struct grpc_client *client, struct call *call);
/* Tells the server that nobody listens any more. */
void http2_give_up(struct grpc_client *client, struct call *call);
/* Moves what nghttp2 has to say to the stream, until that is full. 0 or a negative error of nghttp2. */
int http2_pump(struct grpc_client *client);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream over TCP from the inside. Plain bytes go from base.output to the socket; with TLS they become
 * ciphertext in `wire` first. At most one uv_write is under way, for what the socket did not take at once;
 * its bytes stay in the queue until it is done.
 *
 * The memory lives until libuv has let go of both handles and of the look-up (`holds`).
 */
#ifndef BERTH_NET_TCP_STREAM_H
#define BERTH_NET_TCP_STREAM_H

#include "net/stream_transport.h"
#include "net/tcp.h"
#include "net/tls_session.h"

struct tcp_search; /* tcp_connect.c: a connection that is being made */

struct tcp_stream {
    struct stream base;
    uv_tcp_t tcp;
    uv_timer_t timer; /* for connecting, then for saying good-bye */
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct tls_session *tls; /* NULL: plain */
    struct byte_queue wire;
    size_t writing_bytes; /* of the uv_write under way */
    uint32_t holds;
    bool saying_bye, closing;
    struct tcp_search *search;
};

int tcp_stream_new(uv_loop_t *loop, const struct tcp_options *options, const char *certificate_name,
                   struct tcp_stream **ret);
/* The socket is connected: address, options, TLS handshake. */
void tcp_stream_connected(struct tcp_stream *stream);
/* One hold less; frees with the last. */
void tcp_stream_release(struct tcp_stream *stream);

/* tcp_connect.c */
/* Stops a search because the stream is closing; a search that still waits for libuv keeps its hold. */
void tcp_search_stop(struct tcp_stream *stream);
void tcp_search_free(struct tcp_search *search);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over TCP, plain or with TLS 1.3. The process must ignore SIGPIPE: a peer that is gone is an error
 * here. */
#ifndef BERTH_NET_TCP_H
#define BERTH_NET_TCP_H

#include <uv.h>

#include "net/stream.h"
#include "net/tls.h"

struct tcp_options {
    struct tls_identity *tls; /* NULL: plain */
    const char *alpn;         /* the protocol that both must agree on ("h2"); NULL: none */
    const struct stream_events *events;
    void *owner;
};

/* Takes the connection that waits at a listener. Without TLS the stream is open at once. 0 or a negative
 * errno. There is no time limit on the handshake: close the stream when it is due. */
int tcp_accept(uv_stream_t *listener, const struct tcp_options *options, struct stream **ret);

struct tcp_target {
    const char *host; /* a name or an address */
    uint16_t port;
    const char *certificate_name; /* that the peer's certificate must be for; NULL: host */
    uint32_t timeout_ms;          /* look-up, connection and handshake together; 0: 10 s */
};

/* Looks up the name, tries its addresses in turn, shakes hands; `opened` or `closed` tell how it went. 0 or a
 * negative errno. */
int tcp_connect(uv_loop_t *loop, const struct tcp_target *target, const struct tcp_options *options,
                struct stream **ret);

#endif

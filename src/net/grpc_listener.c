/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, and who is let in: so many connections in all, so many from one address. */
#include "net/grpc_state.h"

#include <errno.h>
#include <stdlib.h>

#include "net/tcp.h"

enum { BACKLOG = 1024 };

static void listener_closed(uv_handle_t *handle)
{
    struct grpc_listener *listener = handle->data;
    tls_identity_unref(listener->tls);
    free(listener);
}

void grpc_listener_close(struct grpc_listener *listener)
{
    listener->server->n_waiting -= listener->waiting;
    uv_close((uv_handle_t *)&listener->tcp, listener_closed);
}

/* Whether one more connection may come; dismisses those that do nothing if it must. */
static bool make_room(struct grpc_server *server)
{
    while (server->counts.connections >= server->options.max_connections) {
        struct http2_connection *oldest = TAILQ_FIRST(&server->half_open);
        if (!oldest)
            oldest = TAILQ_FIRST(&server->idle);
        if (!oldest)
            return false;
        http2_connection_dismiss(oldest, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return true;
}

int grpc_server_add_stream(struct grpc_server *server, struct stream *stream)
{
    struct address_count *address;
    int r = address_counts_add(&server->addresses, stream_address(stream),
                               server->options.max_connections_per_address, &address);
    if (r < 0) {
        server->counts.refused_connections++;
        stream_close(stream);
        return r;
    }
    return http2_connection_new(server, stream, address);
}

static void accept_one(struct grpc_listener *listener)
{
    struct grpc_server *server = listener->server;
    struct stream *stream;
    const struct tcp_options options = {
        .tls = listener->tls,
        .alpn = listener->tls ? "h2" : NULL,
        .events = &http2_connection_events,
    };
    if (tcp_accept((uv_stream_t *)&listener->tcp, &options, &stream) == 0)
        (void)grpc_server_add_stream(server, stream);
    else
        server->counts.refused_connections++;
}

static void set_waiting(struct grpc_listener *listener, bool waiting)
{
    if (listener->waiting != waiting)
        listener->server->n_waiting += waiting ? 1 : -1U;
    listener->waiting = waiting;
}

static void incoming(uv_stream_t *handle, int status)
{
    struct grpc_listener *listener = handle->data;
    if (status < 0)
        listener->server->counts.refused_connections++;
    else if (make_room(listener->server))
        accept_one(listener);
    else
        set_waiting(listener, true); /* libuv asks for no more until this one is accepted */
}

void grpc_listener_resume(struct grpc_listener *listener)
{
    if (!listener->waiting || !make_room(listener->server))
        return;
    set_waiting(listener, false);
    accept_one(listener);
}

static int bind_to(struct grpc_listener *listener, const char *host, uint16_t port, int descriptor)
{
    struct sockaddr_storage address;
    if (descriptor >= 0)
        return uv_tcp_open(&listener->tcp, descriptor);
    int r = uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
    if (r < 0)
        r = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
    return r < 0 ? r : uv_tcp_bind(&listener->tcp, (struct sockaddr *)&address, 0);
}

static int read_port(const struct grpc_listener *listener, uint16_t *ret_port)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    int r = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &size);
    if (r < 0)
        return r;
    *ret_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                    : ((struct sockaddr_in *)&address)->sin_port);
    return 0;
}

int grpc_server_listen(struct grpc_server *server, const char *host, uint16_t port, int descriptor,
                       struct tls_identity *tls, uint16_t *ret_port)
{
    struct grpc_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    listener->server = server;
    int r = uv_tcp_init(server->loop, &listener->tcp);
    if (r < 0) {
        free(listener);
        return r;
    }
    listener->tcp.data = listener;
    listener->tls = tls_identity_ref(tls);
    r = bind_to(listener, host, port, descriptor);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, incoming);
    if (r == 0)
        r = read_port(listener, ret_port);
    if (r < 0) {
        grpc_listener_close(listener);
        return r;
    }
    listener->next = server->listeners;
    server->listeners = listener;
    return 0;
}

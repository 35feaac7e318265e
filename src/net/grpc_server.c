/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_server.h and grpc_state.h. The server: its life, its turns, its share of memory. */
#include "net/grpc_state.h"

#include <errno.h>
#include <stdlib.h>

/* A request that was silent for so long may lose its place to one that is not. */
#define SILENT_NS NS_PER_S

enum { GOOD_BYES = 256, GOOD_BYES_PER_S = 64 };

void grpc_server_options_init(struct grpc_server_options *options)
{
    *options = (struct grpc_server_options){
        .max_message_bytes = 4 << 20,
        .max_connections = 2000,
        .max_connections_per_address = 500,
        .max_calls_per_connection = 128,
        .max_buffered_bytes = UINT64_C(512) << 20,
        .handshake_timeout_ms = 10000,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 300000,
    };
}

static void release(struct grpc_server *server)
{
    if (--server->holds > 0)
        return;
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->session_options);
    address_counts_done(&server->addresses);
    free(server);
}

static void turn_closed(uv_handle_t *handle)
{
    release(handle->data);
}

/* ---- Turns -----------------------------------------------------------------------------------------------
 */

static void check_drained(struct grpc_server *server)
{
    void (*drained)(void *payload) = server->drained;
    if (!server->draining || server->counts.calls > 0 || !drained)
        return;
    server->drained = NULL;
    drained(server->drained_payload);
}

static void let_in(struct grpc_server *server)
{
    for (struct grpc_listener *each = server->listeners; each && server->n_waiting > 0; each = each->next)
        grpc_listener_resume(each);
}

static void take_turn(uv_idle_t *handle)
{
    struct grpc_server *server = handle->data;
    struct http2_connection *connection;
    size_t n = 0;
    /* What is touched meanwhile has its turn after the loop has looked at its sockets. */
    TAILQ_FOREACH(connection, &server->touched, in_touched)
    n++;
    for (; n > 0 && (connection = TAILQ_FIRST(&server->touched)); n--) {
        TAILQ_REMOVE(&server->touched, connection, in_touched);
        connection->touched = false;
        http2_connection_pump(connection);
    }
    let_in(server);
    if (TAILQ_EMPTY(&server->touched))
        uv_idle_stop(&server->turn);
    check_drained(server);
}

void grpc_server_touch(struct grpc_server *server, struct http2_connection *connection)
{
    if (connection && !connection->touched) {
        connection->touched = true;
        TAILQ_INSERT_TAIL(&server->touched, connection, in_touched);
    }
    if (!server->freeing)
        uv_idle_start(&server->turn, take_turn);
}

/* ---- Memory ----------------------------------------------------------------------------------------------
 */

/* Whoever holds memory and is silent gives it to one who sends. */
static bool refuse_the_silent(struct grpc_server *server, const struct grpc_call *for_call)
{
    struct grpc_call *silent = TAILQ_FIRST(&server->receiving);
    if (!silent || silent == for_call || clock_monotonic_ns() - silent->progress_ns < SILENT_NS)
        return false;
    grpc_call_finish(silent, GRPC_RESOURCE_EXHAUSTED, "too many unfinished requests; this one was silent");
    grpc_call_drop_message(silent);
    return true;
}

bool grpc_server_charge(struct grpc_server *server, struct grpc_call *call, size_t size_bytes)
{
    while (size_bytes > server->options.max_buffered_bytes - server->buffered_bytes)
        if (!refuse_the_silent(server, call))
            return false;
    server->buffered_bytes += size_bytes;
    call->charged_bytes += size_bytes;
    return true;
}

void grpc_server_discharge(struct grpc_call *call, size_t size_bytes)
{
    call->connection->server->buffered_bytes -= size_bytes;
    call->charged_bytes -= size_bytes;
}

/* ---- Life ------------------------------------------------------------------------------------------------
 */

static int prepare(struct grpc_server *server)
{
    int r = http2_callbacks_new(&server->callbacks);
    if (r == 0)
        r = http2_options_new(&server->session_options);
    if (r == 0)
        r = address_counts_init(&server->addresses, server->options.max_connections);
    return r < 0 ? r : deadlines_init(&server->deadlines, server->loop);
}

int grpc_server_new(uv_loop_t *loop, const struct grpc_server_options *options, struct grpc_server **ret)
{
    struct grpc_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->options = *options;
    server->holds = 1;
    token_bucket_init(&server->good_byes, GOOD_BYES, GOOD_BYES_PER_S);
    TAILQ_INIT(&server->connections);
    TAILQ_INIT(&server->touched);
    TAILQ_INIT(&server->half_open);
    TAILQ_INIT(&server->idle);
    TAILQ_INIT(&server->receiving);
    int r = prepare(server);
    if (r < 0) {
        release(server);
        return r;
    }
    (void)uv_idle_init(loop, &server->turn);
    server->turn.data = server;
    *ret = server;
    return 0;
}

void grpc_server_set_tls(struct grpc_server *server, size_t listener, struct tls_identity *tls)
{
    size_t n = 0;
    for (struct grpc_listener *each = server->listeners; each; each = each->next)
        n++;
    for (struct grpc_listener *each = server->listeners; each; each = each->next) /* the newest comes first */
        if (--n == listener && each->tls && tls) {
            tls_identity_unref(each->tls);
            each->tls = tls_identity_ref(tls);
        }
}

static void close_listeners(struct grpc_server *server)
{
    while (server->listeners) {
        struct grpc_listener *listener = server->listeners;
        server->listeners = listener->next;
        grpc_listener_close(listener);
    }
}

void grpc_server_drain(struct grpc_server *server, void (*drained)(void *payload), void *payload)
{
    struct http2_connection *connection;
    server->drained = drained;
    server->drained_payload = payload;
    server->draining = true;
    close_listeners(server);
    TAILQ_FOREACH(connection, &server->connections, in_all)
    {
        connection->going_away = true;
        (void)nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(connection->session),
                                    NGHTTP2_NO_ERROR, NULL, 0);
        grpc_server_touch(server, connection);
    }
    grpc_server_touch(server, NULL);
}

void grpc_server_free(struct grpc_server *server)
{
    struct http2_connection *connection;
    if (!server)
        return;
    server->draining = server->freeing = true;
    server->drained = NULL;
    close_listeners(server);
    while ((connection = TAILQ_FIRST(&server->connections))) {
        if (connection->n_calls > 0)
            http2_connection_end(connection);
        else /* an answer may still be on its way */
            http2_connection_dismiss(connection, NGHTTP2_NO_ERROR);
    }
    deadlines_done(&server->deadlines);
    uv_close((uv_handle_t *)&server->turn, turn_closed);
}

void grpc_server_counts(const struct grpc_server *server, struct grpc_server_counts *ret)
{
    *ret = server->counts;
}

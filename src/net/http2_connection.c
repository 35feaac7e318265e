/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: its life between stream and session, what is sent when, and how long it may do nothing. */
#include "net/grpc_state.h"

#include <errno.h>
#include <stdlib.h>

enum {
    /* One connection sends no more than this before the others have their turn. */
    TURN_BYTES = 2 << 20,
    /* Frames that cost us work and the peer nothing: PING, SETTINGS, PRIORITY, empty DATA. What we send earns
     * some, because peers measure with PING. */
    CONTROL_BURST = 1000,
    CONTROL_PER_S = 200,
    RESET_BURST = 500,
    RESET_PER_S = 100,
    /* Frames that wait because the peer does not read: refusals, resets. Data waits with its call. */
    WAITING_FRAMES = 4000,
};

/* ---- Deadlines -------------------------------------------------------------------------------------------
 */

static struct connection_list *resting_list(const struct http2_connection *connection)
{
    if (connection->state == CONNECTION_BUSY)
        return NULL;
    return connection->state == CONNECTION_IDLE ? &connection->server->idle : &connection->server->half_open;
}

static void set_state(struct http2_connection *connection, enum connection_state state)
{
    struct connection_list *list = resting_list(connection);
    if (connection->state == state)
        return;
    if (list)
        TAILQ_REMOVE(list, connection, in_resting);
    connection->state = state;
    connection->since_ns = clock_monotonic_ns();
    list = resting_list(connection);
    if (list)
        TAILQ_INSERT_TAIL(list, connection, in_resting);
    /* An idle one makes room for one that waits, or goes away itself. */
    if (state == CONNECTION_IDLE)
        grpc_server_touch(connection->server, connection);
}

static uint64_t due_time_ns(const struct http2_connection *connection)
{
    const struct grpc_server_options *options = &connection->server->options;
    uint64_t due_ns = DEADLINE_NEVER;
    if (!connection->settled)
        return connection->since_ns + options->handshake_timeout_ms * NS_PER_MS;
    if (connection->state == CONNECTION_IDLE)
        due_ns = connection->since_ns + options->idle_timeout_ms * NS_PER_MS;
    uint64_t headers_due_ns = connection->headers_ns + options->header_timeout_ms * NS_PER_MS;
    return connection->headers_ns && headers_due_ns < due_ns ? headers_due_ns : due_ns;
}

void http2_connection_update(struct http2_connection *connection)
{
    if (connection->settled)
        set_state(connection, connection->n_calls > 0 ? CONNECTION_BUSY : CONNECTION_IDLE);
    deadline_set(&connection->server->deadlines, &connection->deadline, due_time_ns(connection));
}

static void connection_due(void *owner)
{
    struct http2_connection *connection = owner;
    struct grpc_server *server = connection->server;
    bool late_headers = connection->headers_ns != 0;
    if (due_time_ns(connection) > clock_monotonic_ns()) {
        http2_connection_update(connection);
    } else if (!connection->settled) {
        server->counts.protocol_errors++;
        http2_connection_end(connection);
    } else {
        server->counts.protocol_errors += late_headers;
        http2_connection_dismiss(connection, late_headers ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
    }
}

/* ---- End -------------------------------------------------------------------------------------------------
 */

/* Everything but the stream. */
static void dissolve(struct http2_connection *connection)
{
    struct grpc_server *server = connection->server;
    struct grpc_call *call;
    while ((call = TAILQ_FIRST(&connection->calls))) {
        grpc_call_over(call, GRPC_CANCELLED);
        grpc_call_free(call);
    }
    nghttp2_session_del(connection->session);
    deadline_leave(&server->deadlines, &connection->deadline);
    address_counts_drop(&server->addresses, connection->address);
    server->counts.connections--;
    if (connection->state == CONNECTION_HALF_OPEN)
        TAILQ_REMOVE(&server->half_open, connection, in_resting);
    else if (connection->state == CONNECTION_IDLE)
        TAILQ_REMOVE(&server->idle, connection, in_resting);
    if (connection->touched)
        TAILQ_REMOVE(&server->touched, connection, in_touched);
    TAILQ_REMOVE(&server->connections, connection, in_all);
    free(connection);
    if (server->n_waiting > 0 || server->draining)
        grpc_server_touch(server, NULL);
}

void http2_connection_end(struct http2_connection *connection)
{
    struct stream *stream = connection->stream;
    dissolve(connection);
    stream_close(stream);
}

/* What is queued still leaves. */
static void finish(struct http2_connection *connection)
{
    struct stream *stream = connection->stream;
    bool politely = token_bucket_take(&connection->server->good_byes);
    dissolve(connection);
    if (politely)
        stream_finish(stream);
    else
        stream_close(stream);
}

/* All that nghttp2 has to send, until the stream is full. 0 or negative. */
static int collect(struct http2_connection *connection)
{
    while (stream_queued_bytes(connection->stream) < STREAM_HIGH_BYTES) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(connection->session, &bytes);
        if (size <= 0)
            return (int)size;
        stream_write(connection->stream, bytes, (size_t)size);
        connection->server->counts.bytes_out += (uint64_t)size;
    }
    return 0;
}

void http2_connection_dismiss(struct http2_connection *connection, uint32_t http2_error)
{
    (void)nghttp2_session_terminate_session(connection->session, http2_error);
    stream_cork(connection->stream);
    (void)collect(connection);
    stream_uncork(connection->stream);
    finish(connection);
}

/* ---- Sending ---------------------------------------------------------------------------------------------
 */

static void tell_writable(struct http2_connection *connection)
{
    struct grpc_call *call;
    size_t n = 0;
    TAILQ_FOREACH(call, &connection->writable, in_writable)
    n++;
    /* Those that fill their windows again come back to the end of the list. */
    for (; n > 0 && (call = TAILQ_FIRST(&connection->writable)); n--) {
        TAILQ_REMOVE(&connection->writable, call, in_writable);
        call->writable = false;
        if (!call->over && !call->finished && call->method->writable)
            call->method->writable(call);
    }
}

void http2_connection_pump(struct http2_connection *connection)
{
    struct stream *stream = connection->stream;
    nghttp2_session *session = connection->session;
    uint64_t limit = connection->server->counts.bytes_out + TURN_BYTES;
    int r = 0;
    if (!stream_is_open(stream))
        return;
    do {
        stream_cork(stream);
        r = collect(connection);
        stream_uncork(stream);
    } while (r == 0 && stream_queued_bytes(stream) <= STREAM_LOW_BYTES &&
             nghttp2_session_want_write(session) && connection->server->counts.bytes_out < limit);
    if (r < 0) {
        http2_connection_end(connection);
        return;
    }
    bool going = connection->going_away && connection->n_calls == 0 && !nghttp2_session_want_write(session);
    if (going || (!nghttp2_session_want_write(session) && !nghttp2_session_want_read(session))) {
        finish(connection);
        return;
    }
    if (nghttp2_session_want_write(session) && stream_queued_bytes(stream) <= STREAM_LOW_BYTES)
        grpc_server_touch(connection->server, connection);
    tell_writable(connection);
}

/* ---- Events of the stream --------------------------------------------------------------------------------
 */

static void opened(void *owner)
{
    struct http2_connection *connection = owner;
    grpc_server_touch(connection->server, connection);
}

static void received(void *owner, const uint8_t *bytes, size_t size_bytes)
{
    struct http2_connection *connection = owner;
    struct grpc_server *server = connection->server;
    server->counts.bytes_in += size_bytes;
    ssize_t r = nghttp2_session_mem_recv(connection->session, bytes, size_bytes);
    if (r < 0) {
        /* No HTTP/2 at all, a flood of what must be answered, or no memory. */
        server->counts.protocol_errors++;
        http2_connection_dismiss(connection, r == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                      : NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (nghttp2_session_get_outbound_queue_size(connection->session) > WAITING_FRAMES &&
        stream_queued_bytes(connection->stream) >= STREAM_HIGH_BYTES) {
        server->counts.protocol_errors++;
        http2_connection_end(connection);
        return;
    }
    if (connection->headers_ns)
        http2_connection_update(connection);
    grpc_server_touch(server, connection);
}

static void writable(void *owner)
{
    struct http2_connection *connection = owner;
    grpc_server_touch(connection->server, connection);
}

static void closed(void *owner, const char *error)
{
    struct http2_connection *connection = owner;
    (void)error;
    dissolve(connection); /* the stream frees itself */
}

const struct stream_events http2_connection_events = {
    .opened = opened,
    .received = received,
    .writable = writable,
    .closed = closed,
};

/* With our SETTINGS in it, which wait until the stream is open. */
static nghttp2_session *new_session(struct grpc_server *server, struct http2_connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->options.max_calls_per_connection},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEADERS_MAX_BYTES},
    };
    nghttp2_session *session = NULL;
    int r = nghttp2_session_server_new2(&session, server->callbacks, connection, server->session_options);
    if (r == 0)
        r = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
    if (r == 0)
        r = nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                  HTTP2_CONNECTION_WINDOW_BYTES);
    if (r == 0)
        return session;
    nghttp2_session_del(session);
    return NULL;
}

int http2_connection_new(struct grpc_server *server, struct stream *stream, struct address_count *address)
{
    struct http2_connection *connection = calloc(1, sizeof *connection);
    nghttp2_session *session = connection ? new_session(server, connection) : NULL;
    if (!session ||
        deadline_join(&server->deadlines, &connection->deadline, connection_due, connection) < 0) {
        nghttp2_session_del(session);
        free(connection);
        address_counts_drop(&server->addresses, address);
        stream_close(stream);
        return -ENOMEM;
    }
    connection->server = server;
    connection->session = session;
    connection->stream = stream;
    connection->address = address;
    connection->since_ns = clock_monotonic_ns();
    connection->state = CONNECTION_HALF_OPEN;
    TAILQ_INIT(&connection->calls);
    TAILQ_INIT(&connection->writable);
    token_bucket_init(&connection->control_frames, CONTROL_BURST, CONTROL_PER_S);
    token_bucket_init(&connection->resets, RESET_BURST, RESET_PER_S);
    TAILQ_INSERT_TAIL(&server->connections, connection, in_all);
    TAILQ_INSERT_TAIL(&server->half_open, connection, in_resting);
    server->counts.connections++;
    server->counts.connections_total++;
    stream_set_owner(stream, &http2_connection_events, connection);
    http2_connection_update(connection);
    if (stream_is_open(stream))
        opened(connection);
    return 0;
}

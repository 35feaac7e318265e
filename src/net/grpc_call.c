/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_server.h. A call from the handler's side: what it asks, sends and ends. */
#include "net/grpc_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_TEXT_BYTES = 12,
    MESSAGE_SHOWN_BYTES = 2048, /* of a status message */
};

/* A field whose texts outlive the session or, without KEPT, only the call. */
#define KEPT (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static nghttp2_nv field(const char *name, const char *value, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        flags};
}

/* ---- Sending ---------------------------------------------------------------------------------------------
 */

static void touch(struct grpc_call *call)
{
    grpc_server_touch(call->connection->server, call->connection);
}

/* grpc-status and what belongs to it; returns how many fields. */
static size_t status_fields(const struct grpc_call *call, char text[static STATUS_TEXT_BYTES],
                            nghttp2_nv ret[static 3])
{
    size_t n = 0;
    (void)snprintf(text, STATUS_TEXT_BYTES, "%d", (int)call->status);
    ret[n++] = field("grpc-status", text, NGHTTP2_NV_FLAG_NO_COPY_NAME);
    if (call->status_message)
        ret[n++] = field("grpc-message", call->status_message, NGHTTP2_NV_FLAG_NO_COPY_NAME);
    if (call->refuses_encoding)
        ret[n++] = field("grpc-accept-encoding", "identity", KEPT);
    return n;
}

/* What one DATA frame may take. The bytes themselves leave later, in send_data of http2_callbacks.c. */
static ssize_t read_output(nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t maximum,
                           uint32_t *ret_flags, nghttp2_data_source *source, void *user_data)
{
    struct grpc_call *call = source->ptr;
    size_t size = call->output.size_bytes < maximum ? call->output.size_bytes : maximum;
    (void)buffer;
    (void)user_data;
    if (size == 0 && !call->finished)
        return NGHTTP2_ERR_DEFERRED;
    if (size > 0)
        *ret_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (size < call->output.size_bytes || !call->finished)
        return (ssize_t)size;
    *ret_flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!call->http_refusal) {
        char text[STATUS_TEXT_BYTES];
        nghttp2_nv fields[3];
        size_t n = status_fields(call, text, fields);
        *ret_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, stream_id, fields, n) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)size;
}

static int send_headers(struct grpc_call *call)
{
    const nghttp2_nv fields[] = {
        field(":status", "200", KEPT),
        field("content-type", "application/grpc", KEPT),
    };
    const nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_output};
    if (nghttp2_submit_response(call->connection->session, call->stream_id, fields, 2, &provider) != 0)
        return -ENOMEM;
    call->headers_sent = true;
    return 0;
}

int grpc_call_send(struct grpc_call *call, const struct iovec *pieces, int n_pieces)
{
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint64_t total = 0;
    if (call->finished || call->over)
        return -EPIPE;
    for (int i = 0; i < n_pieces; i++)
        total += pieces[i].iov_len;
    if (total > UINT32_MAX)
        return -EMSGSIZE;
    int r = byte_queue_reserve(&call->output, sizeof prefix + total);
    if (r == 0 && !call->headers_sent)
        r = send_headers(call);
    if (r < 0)
        return r;
    grpc_prefix_write(prefix, (uint32_t)total);
    (void)byte_queue_append(&call->output, prefix, sizeof prefix);
    for (int i = 0; i < n_pieces; i++)
        (void)byte_queue_append(&call->output, pieces[i].iov_base, pieces[i].iov_len);
    call->was_full |= call->output.size_bytes >= GRPC_SEND_WINDOW_BYTES / 2;
    /* Fails if nothing waits for data, and then there is nothing to do. */
    (void)nghttp2_session_resume_data(call->connection->session, call->stream_id);
    touch(call);
    return 0;
}

size_t grpc_call_queued_bytes(const struct grpc_call *call)
{
    return call->output.size_bytes;
}

void grpc_call_output_moved(struct grpc_call *call)
{
    call->progress_ns = clock_monotonic_ns();
    if (!call->was_full || call->writable || call->output.size_bytes >= GRPC_SEND_WINDOW_BYTES / 2)
        return;
    call->was_full = false;
    call->writable = true;
    TAILQ_INSERT_TAIL(&call->connection->writable, call, in_writable);
}

/* ---- The end ---------------------------------------------------------------------------------------------
 */

/* Percent-encoded; first escaped if a client that decodes it could not print it. */
static char *encode_message(const char *message)
{
    cleanup_text struct text plain = {0};
    struct text encoded = {0};
    size_t length = strnlen(message, MESSAGE_SHOWN_BYTES + 1);
    bool printable = length <= MESSAGE_SHOWN_BYTES && text_is_utf8(message, length);
    for (size_t i = 0; i < length && printable; i++)
        printable = (unsigned char)message[i] >= ' ' && message[i] != 0x7f;
    if (!printable)
        text_append_escaped(&plain, message, strlen(message), MESSAGE_SHOWN_BYTES);
    grpc_message_encode(&encoded, plain.data ? plain.data : message);
    return text_take(&encoded);
}

static void send_status(struct grpc_call *call)
{
    nghttp2_session *session = call->connection->session;
    char text[STATUS_TEXT_BYTES];
    nghttp2_nv fields[5] = {field(":status", "200", KEPT), field("content-type", "application/grpc", KEPT)};
    if (call->headers_sent) {
        (void)nghttp2_session_resume_data(session, call->stream_id);
        return;
    }
    size_t n = 2 + status_fields(call, text, fields + 2);
    call->headers_sent = true;
    if (nghttp2_submit_response(session, call->stream_id, fields, n, NULL) != 0)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_INTERNAL_ERROR);
}

static void set_finished(struct grpc_call *call)
{
    call->finished = true;
    call->progress_ns = clock_monotonic_ns();
    if (!call->delivering)
        grpc_call_drop_message(call);
    grpc_call_set_deadline(call);
    touch(call);
}

void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *message)
{
    if (call->finished || call->over)
        return;
    call->status = status;
    call->status_message = message ? encode_message(message) : NULL;
    set_finished(call);
    send_status(call);
}

void grpc_call_refuse_http(struct grpc_call *call)
{
    static const char body[] = "This is a gRPC server.\n";
    nghttp2_session *session = call->connection->session;
    char text[STATUS_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%d", call->http_refusal);
    const nghttp2_nv fields[] = {
        field(":status", text, NGHTTP2_NV_FLAG_NO_COPY_NAME),
        field("content-type", "text/plain", KEPT),
        field("allow", "POST", KEPT),
    };
    const nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_output};
    const char *method = grpc_call_header(call, ":method");
    bool wants_body = !method || strcmp(method, "HEAD") != 0;
    call->headers_sent = true;
    set_finished(call);
    if (byte_queue_append(&call->output, body, sizeof body - 1) < 0 ||
        nghttp2_submit_response(session, call->stream_id, fields, call->http_refusal == 405 ? 3 : 2,
                                wants_body ? &provider : NULL) != 0)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_INTERNAL_ERROR);
}

void grpc_call_over(struct grpc_call *call, enum grpc_status status)
{
    struct http2_connection *connection = call->connection;
    if (call->over)
        return;
    call->over = true;
    connection->n_calls--;
    connection->server->counts.calls--;
    if (call->method && call->method->closed)
        call->method->closed(call, status);
    grpc_call_drop_message(call);
    if (connection->n_calls == 0)
        http2_connection_update(connection);
}

/* ---- Time ------------------------------------------------------------------------------------------------
 */

/* Whether the caller owes us bytes: its first message, or the rest of one. */
static bool awaits_request(const struct grpc_call *call)
{
    return !call->half_closed && !call->finished &&
           (call->in_message || call->prefix_bytes > 0 || !call->any_message);
}

static uint64_t due_time_ns(const struct grpc_call *call)
{
    uint64_t silence_ns = call->progress_ns + call->connection->server->options.body_timeout_ms * NS_PER_MS;
    if (call->finished) /* the peer does not take its answer */
        return silence_ns;
    return awaits_request(call) && silence_ns < call->due_ns ? silence_ns : call->due_ns;
}

void grpc_call_set_deadline(struct grpc_call *call)
{
    deadline_set(&call->connection->server->deadlines, &call->deadline, due_time_ns(call));
}

static void call_due(void *owner)
{
    struct grpc_call *call = owner;
    uint64_t now_ns = clock_monotonic_ns();
    if (due_time_ns(call) > now_ns) {
        grpc_call_set_deadline(call); /* there was progress meanwhile */
        return;
    }
    if (call->finished) {
        (void)nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                        NGHTTP2_CANCEL);
        touch(call);
        return;
    }
    if (call->http_refusal) {
        grpc_call_refuse_http(call);
        return;
    }
    grpc_call_finish(call, GRPC_DEADLINE_EXCEEDED,
                     call->due_ns <= now_ns ? "the deadline of the call has passed"
                                            : "the request stopped before it was complete");
    grpc_call_over(call, GRPC_DEADLINE_EXCEEDED);
}

/* ---- Life ------------------------------------------------------------------------------------------------
 */

struct grpc_call *grpc_call_new(struct http2_connection *connection, int32_t stream_id)
{
    struct grpc_server *server = connection->server;
    struct grpc_call *call = calloc(1, sizeof *call);
    if (!call || deadline_join(&server->deadlines, &call->deadline, call_due, call) < 0) {
        free(call);
        return NULL;
    }
    call->connection = connection;
    call->stream_id = stream_id;
    call->due_ns = DEADLINE_NEVER;
    TAILQ_INSERT_TAIL(&connection->calls, call, in_connection);
    connection->n_calls++;
    server->counts.calls++;
    server->counts.calls_total++;
    if (connection->n_calls == 1)
        http2_connection_update(connection);
    return call;
}

void grpc_call_free(struct grpc_call *call)
{
    struct http2_connection *connection = call->connection;
    grpc_call_drop_message(call);
    grpc_server_discharge(call, call->charged_bytes);
    deadline_leave(&connection->server->deadlines, &call->deadline);
    TAILQ_REMOVE(&connection->calls, call, in_connection);
    if (call->writable)
        TAILQ_REMOVE(&connection->writable, call, in_writable);
    byte_queue_done(&call->output);
    free(call->headers);
    free(call->status_message);
    free(call);
}

/* ---- What a handler may ask ------------------------------------------------------------------------------
 */

void *grpc_call_owner(const struct grpc_call *call)
{
    return call->connection->server->options.owner;
}

void grpc_call_set_data(struct grpc_call *call, void *data)
{
    call->data = data;
}

void *grpc_call_data(const struct grpc_call *call)
{
    return call->data;
}

const char *grpc_call_address(const struct grpc_call *call)
{
    return stream_address(call->connection->stream);
}

bool grpc_call_has_tls(const struct grpc_call *call)
{
    return stream_has_tls(call->connection->stream);
}

const uint8_t *grpc_call_certificate_sha256(const struct grpc_call *call)
{
    return stream_certificate_sha256(call->connection->stream);
}

uint64_t grpc_call_deadline_ns(const struct grpc_call *call)
{
    return call->due_ns;
}

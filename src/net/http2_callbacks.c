/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 says, put in terms of connections and calls; floods are noticed here. */
#include "net/grpc_state.h"

#include <errno.h>

enum {
    ACKS_MAX = 1000,
    SETTINGS_MAX = 32,     /* entries of one frame */
    CONTINUATIONS_MAX = 8, /* frames of one header block */
    EARNED_BY_DATA = 4,    /* control frames, by one DATA frame of ours */
};

static struct grpc_call *find_call(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* ---- Receiving -------------------------------------------------------------------------------------------
 */

/* Whether a frame costs us more than it costs the peer. */
static bool is_cheap(const nghttp2_frame_hd *header)
{
    switch (header->type) {
    case NGHTTP2_DATA:
        return header->length == 0 && !(header->flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION: /* nghttp2 counts these itself */
    case NGHTTP2_RST_STREAM:   /* they have a bucket of their own */
    case NGHTTP2_WINDOW_UPDATE:
        return false;
    default:
        return true;
    }
}

static void break_off(struct http2_connection *connection, uint32_t http2_error)
{
    if (connection->going_away)
        return;
    connection->server->counts.protocol_errors++;
    connection->going_away = true;
    (void)nghttp2_session_terminate_session(connection->session, http2_error);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *user_data)
{
    struct http2_connection *connection = user_data;
    bool calm = true;
    if (header->type == NGHTTP2_RST_STREAM)
        calm = token_bucket_take(&connection->resets);
    else if (is_cheap(header))
        calm = token_bucket_take(&connection->control_frames);
    if (!calm)
        break_off(connection, NGHTTP2_ENHANCE_YOUR_CALM);
    if (header->type == NGHTTP2_HEADERS && header->stream_id <= connection->last_stream_id &&
        !nghttp2_session_find_stream(session, header->stream_id))
        break_off(connection, NGHTTP2_PROTOCOL_ERROR); /* RFC 9113, section 5.1.1: identifiers only grow */
    if (header->type == NGHTTP2_HEADERS) {
        connection->headers_ns = clock_monotonic_ns();
        if (header->stream_id > connection->last_stream_id)
            connection->last_stream_id = header->stream_id;
    } else if (header->type != NGHTTP2_CONTINUATION) {
        connection->headers_ns = 0;
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2_connection *connection = user_data;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct grpc_call *call = grpc_call_new(connection, frame->hd.stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user_data)
{
    (void)flags;
    (void)user_data;
    struct grpc_call *call = find_call(session, frame->hd.stream_id);
    if (!call || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers of a request mean nothing in gRPC */
    return grpc_call_add_header(call, name, name_bytes, value, value_bytes)
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2_connection *connection = user_data;
    struct grpc_call *call = NULL;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if (!connection->settled) {
            connection->settled = true;
            http2_connection_update(connection);
        }
        break;
    case NGHTTP2_HEADERS:
        connection->headers_ns = 0;
        call = find_call(session, frame->hd.stream_id);
        if (call && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            grpc_call_begin(call);
        break;
    case NGHTTP2_DATA:
        call = find_call(session, frame->hd.stream_id);
        break;
    default:
        break;
    }
    if (call && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        grpc_call_receive_end(call);
    return 0;
}

static int on_data_chunk_recv(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                              const uint8_t *bytes, size_t size_bytes, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct grpc_call *call = find_call(session, stream_id);
    if (call)
        grpc_call_receive(call, bytes, size_bytes);
    (void)nghttp2_session_consume(session, stream_id, size_bytes);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data)
{
    (void)user_data;
    struct grpc_call *call = find_call(session, stream_id);
    if (!call)
        return 0;
    bool delivered = call->finished && call->end_sent && error_code == NGHTTP2_NO_ERROR;
    grpc_call_over(call, delivered ? call->status : GRPC_CANCELLED);
    nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    grpc_call_free(call);
    return 0;
}

/* ---- Sending ---------------------------------------------------------------------------------------------
 */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2_connection *connection = user_data;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    token_bucket_earn(&connection->control_frames, EARNED_BY_DATA);
    struct grpc_call *call = find_call(session, frame->hd.stream_id);
    if (!call || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    call->end_sent = true;
    /* RFC 9113, section 8.1: the answer is complete, the rest of the request is not wanted. */
    if (!call->half_closed)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static ssize_t read_length(nghttp2_session *session, uint8_t frame_type, int32_t stream_id,
                           int32_t connection_window, int32_t stream_window, uint32_t remote_max_frame_size,
                           void *user_data)
{
    (void)session;
    (void)frame_type;
    (void)stream_id;
    (void)connection_window;
    (void)stream_window;
    (void)user_data;
    return remote_max_frame_size < HTTP2_FRAME_BYTES ? (ssize_t)remote_max_frame_size : HTTP2_FRAME_BYTES;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_header,
                     size_t size_bytes, nghttp2_data_source *source, void *user_data)
{
    static const uint8_t zeros[256];
    struct http2_connection *connection = user_data;
    struct grpc_call *call = source->ptr;
    size_t padding = frame->data.padlen;
    (void)session;
    if (stream_queued_bytes(connection->stream) >= STREAM_HIGH_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    stream_write(connection->stream, frame_header, 9);
    if (padding > 0) {
        uint8_t length = (uint8_t)(padding - 1);
        stream_write(connection->stream, &length, 1);
    }
    stream_write_from(connection->stream, &call->output, size_bytes);
    if (padding > 1)
        stream_write(connection->stream, zeros, padding - 1);
    connection->server->counts.bytes_out += 9 + padding + size_bytes;
    grpc_call_output_moved(call);
    return 0;
}

int http2_callbacks_new(nghttp2_session_callbacks **ret)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, read_length);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    *ret = callbacks;
    return 0;
}

int http2_options_new(nghttp2_option **ret)
{
    nghttp2_option *options;
    if (nghttp2_option_new(&options) != 0)
        return -ENOMEM;
    /* Windows open when a call has taken the bytes, not before. */
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_outbound_ack(options, ACKS_MAX);
    nghttp2_option_set_max_settings(options, SETTINGS_MAX);
    nghttp2_option_set_max_continuations(options, CONTINUATIONS_MAX);
    *ret = options;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_client_state.h: frames out and frames in. */
#include <errno.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "net/grpc_client_state.h"

enum {
    STREAM_WINDOW_BYTES = 4 << 20,
    CONNECTION_WINDOW_BYTES = 16 << 20,
    FRAME_MAX_BYTES = 1 << 20,
    SENT_FRAME_MAX_BYTES = 256 << 10,
    FRAME_HEADER_BYTES = 9,
    FIELDS_MAX = 12,
};

/* ---- Upload -------------------------------------------------------------------------------------------- */

/* The call that is going on, if this is its stream: nghttp2 may still have frames of an earlier one. */
static struct call *call_of(struct grpc_client *client, int32_t stream_id)
{
    return client->call && client->call->stream_id == stream_id ? client->call : NULL;
}

static ssize_t frame_length(nghttp2_session *session, uint8_t type, int32_t stream_id,
                            int32_t connection_window, int32_t stream_window, uint32_t max_frame_bytes,
                            void *user_data)
{
    (void)session, (void)type, (void)stream_id, (void)user_data;
    int32_t window = connection_window < stream_window ? connection_window : stream_window;
    uint32_t most = max_frame_bytes < SENT_FRAME_MAX_BYTES ? max_frame_bytes : SENT_FRAME_MAX_BYTES;
    return window > 0 && (uint32_t)window < most ? window : (ssize_t)most;
}

/* How much the next frame takes; the bytes themselves follow in send_frame(). */
static ssize_t next_frame(nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t length,
                          uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)session, (void)buffer, (void)source;
    const struct call *call = call_of(user_data, stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    uint64_t left = call->total_bytes - call->sent_bytes;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= length)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return left < length ? (ssize_t)left : (ssize_t)length;
}

static void write_pieces(struct grpc_client *client, struct call *call, size_t length)
{
    while (length > 0) {
        struct iovec piece = {call->prefix, sizeof(call->prefix)};
        if (call->piece >= 0)
            piece = call->request->pieces[call->piece];
        size_t left = piece.iov_len - call->piece_sent_bytes;
        size_t size = left < length ? left : length;
        stream_write(client->stream, (const uint8_t *)piece.iov_base + call->piece_sent_bytes, size);
        call->piece_sent_bytes += size;
        call->sent_bytes += size;
        length -= size;
        if (call->piece_sent_bytes == piece.iov_len) {
            call->piece++;
            call->piece_sent_bytes = 0;
        }
    }
}

static int send_frame(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length,
                      nghttp2_data_source *source, void *user_data)
{
    (void)session, (void)source;
    struct grpc_client *client = user_data;
    struct call *call = call_of(client, frame->hd.stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (stream_queued_bytes(client->stream) >= STREAM_HIGH_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    stream_write(client->stream, header, FRAME_HEADER_BYTES);
    write_pieces(client, call, length);
    return 0;
}

static void tell_progress(struct call *call)
{
    const struct grpc_request *request = call->request;
    uint64_t whole = call->total_bytes - GRPC_PREFIX_BYTES;
    uint64_t sent = saturating_sub_u64(call->sent_bytes, GRPC_PREFIX_BYTES);
    if (!request->uploaded || call->told_all || call->answer.is_over)
        return;
    call->told_all = sent == whole;
    request->uploaded(request->payload, sent, whole);
}

/* ---- What the server says ------------------------------------------------------------------------------ */

void http2_give_up(struct grpc_client *client, struct call *call)
{
    nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user_data)
{
    (void)session, (void)flags;
    struct call *call = call_of(user_data, frame->hd.stream_id);
    if (call &&
        !answer_field(&call->answer, (const char *)name, name_bytes, (const char *)value, value_bytes))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t size_bytes, void *user_data)
{
    (void)flags;
    struct grpc_client *client = user_data;
    struct call *call = call_of(client, stream_id);
    if (call && !call->answer.is_over && !answer_bytes(&call->answer, bytes, size_bytes))
        http2_give_up(client, call);
    return nghttp2_session_consume(session, stream_id, size_bytes) == NGHTTP2_ERR_NOMEM
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)session;
    struct grpc_client *client = user_data;
    struct call *call = call_of(client, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_SETTINGS)
        client->ready = true;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        client->draining = true;
    if (!call || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    answer_complete(&call->answer);
    if (call->sent_bytes < call->total_bytes)
        http2_give_up(client, call);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data)
{
    (void)session;
    struct call *call = call_of(user_data, stream_id);
    if (call)
        answer_reset(&call->answer, error_code);
    return 0;
}

/* A frame that breaks HTTP/2's rules for messages resets the stream; say why before the code does. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    (void)session;
    struct call *call = call_of(user_data, frame->hd.stream_id);
    if (call)
        answer_end(&call->answer, GRPC_END_BROKEN, GRPC_INTERNAL, nghttp2_strerror(error));
    return 0;
}

/* ---- The session --------------------------------------------------------------------------------------- */

int http2_pump(struct grpc_client *client)
{
    const uint8_t *bytes;
    ssize_t length = 0;
    stream_cork(client->stream);
    while (stream_queued_bytes(client->stream) < STREAM_HIGH_BYTES &&
           (length = nghttp2_session_mem_send(client->session, &bytes)) > 0)
        stream_write(client->stream, bytes, (size_t)length);
    stream_uncork(client->stream);
    if (client->call)
        tell_progress(client->call);
    return length < 0 ? (int)length : 0;
}

static nghttp2_nv field(const char *name, const char *value, bool secret)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
}

int http2_submit(struct grpc_client *client, struct call *call)
{
    nghttp2_nv fields[FIELDS_MAX];
    size_t count = 0;
    char timeout[16];
    nghttp2_data_provider upload = {.read_callback = next_frame};
    fields[count++] = field(":method", "POST", false);
    fields[count++] = field(":scheme", client->tls ? "https" : "http", false);
    fields[count++] = field(":path", call->request->path, false);
    fields[count++] = field(":authority", client->authority, false);
    fields[count++] = field("te", "trailers", false);
    fields[count++] = field("content-type", "application/grpc", false);
    fields[count++] = field("user-agent", client->user_agent, false);
    if (client->authorization)
        fields[count++] = field("authorization", client->authorization, true);
    if (call->request->extra_name)
        fields[count++] = field(call->request->extra_name, call->request->extra_value, true);
    if (call->request->timeout_ms) {
        grpc_timeout_write(saturating_mul_u64(call->request->timeout_ms, NS_PER_MS), timeout);
        fields[count++] = field("grpc-timeout", timeout, false);
    }
    call->stream_id = nghttp2_submit_request(client->session, NULL, fields, count, &upload, NULL);
    return call->stream_id < 0 ? call->stream_id : 0;
}

int http2_open(struct grpc_client *client)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_MAX_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADER_LIST_MAX_BYTES},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return -ENOMEM;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_frame);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_length);
    int r = nghttp2_session_client_new2(&client->session, callbacks, client, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (r == 0)
        r = nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings,
                                    sizeof(settings) / sizeof(settings[0]));
    if (r == 0)
        r = nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0,
                                                  CONNECTION_WINDOW_BYTES);
    return r == 0 ? 0 : -ENOMEM;
}

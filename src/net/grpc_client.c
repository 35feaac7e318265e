/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_client.h. A struct call lies on the stack of grpc_client_call() and is over before that returns;
 * what nghttp2 still has of it afterwards, in either direction, finds no call and is dropped. */
#include "net/grpc_client.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/checked_math.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "net/byte_queue.h"
#include "net/grpc_answer.h"
#include "net/tcp.h"

enum {
    DEFAULT_CONNECT_TIMEOUT_MS = 10000,
    DEFAULT_KEEPALIVE_MS = 30000,
    DEADLINE_GRACE_MS = 1000, /* for the server's own word about it */
    FAREWELL_MS = 1000,       /* for a cancel to leave */
    STREAM_WINDOW_BYTES = 4 << 20,
    CONNECTION_WINDOW_BYTES = 16 << 20,
    FRAME_MAX_BYTES = 1 << 20,
    SENT_FRAME_MAX_BYTES = 256 << 10,
    FRAME_HEADER_BYTES = 9,
    FIELDS_MAX = 10,
};

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

/* Tells the server that nobody listens any more. */
static void give_up(struct grpc_client *client, struct call *call)
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
        give_up(client, call);
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
        give_up(client, call);
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

/* ---- The connection ------------------------------------------------------------------------------------ */

static void connection_gone(struct grpc_client *client, enum grpc_end end, const char *why)
{
    if (client->call)
        answer_end(&client->call->answer, end, end == GRPC_END_LOST ? GRPC_UNAVAILABLE : GRPC_INTERNAL, why);
    if (client->words.length == 0)
        text_append(&client->words, why);
    stream_close(take_ptr(client->stream));
}

/* Moves what nghttp2 has to say to the stream, until that is full. */
static void pump(struct grpc_client *client)
{
    const uint8_t *bytes;
    ssize_t length = 0;
    if (!client->stream)
        return;
    stream_cork(client->stream);
    while (stream_queued_bytes(client->stream) < STREAM_HIGH_BYTES &&
           (length = nghttp2_session_mem_send(client->session, &bytes)) > 0)
        stream_write(client->stream, bytes, (size_t)length);
    stream_uncork(client->stream);
    if (client->call)
        tell_progress(client->call);
    if (length < 0)
        connection_gone(client, GRPC_END_BROKEN, nghttp2_strerror((int)length));
}

static void on_opened(void *owner)
{
    pump(owner);
}

/* nghttp2 gives up on a server that breaks the rules, with an error or by wanting nothing more of it. */
static void on_received(void *owner, const uint8_t *bytes, size_t size_bytes)
{
    struct grpc_client *client = owner;
    ssize_t r = nghttp2_session_mem_recv(client->session, bytes, size_bytes);
    client->heard_ns = clock_monotonic_ns();
    client->pinged = false;
    pump(client);
    if (!client->stream || (r >= 0 && (nghttp2_session_want_read(client->session) ||
                                       nghttp2_session_want_write(client->session))))
        return;
    if (client->draining)
        connection_gone(client, GRPC_END_LOST, "the connection was closed");
    else
        connection_gone(client, GRPC_END_BROKEN,
                        client->ready ? "it breaks the rules of HTTP/2"
                                      : "what answers there does not speak HTTP/2");
}

static void on_writable(void *owner)
{
    pump(owner);
}

static void on_closed(void *owner, const char *error)
{
    struct grpc_client *client = owner;
    client->stream = NULL;
    connection_gone(client, GRPC_END_LOST, error ? error : "the connection was closed");
}

static const struct stream_events events = {on_opened, on_received, on_writable, on_closed};

/* ---- Time and cancel ----------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* Looks at what is due, and sets the timer for what comes next. */
static void check_time(struct grpc_client *client)
{
    uint64_t now = clock_monotonic_ns();
    struct call *call = client->call;
    if (!call || call->answer.is_over || !client->stream)
        return;
    if (now >= call->deadline_ns) {
        answer_end(&call->answer, GRPC_END_DEADLINE, GRPC_DEADLINE_EXCEEDED, "the time for it is over");
        give_up(client, call);
        return;
    }
    if (now - client->heard_ns >= client->keepalive_ns) {
        if (client->pinged) {
            connection_gone(client, GRPC_END_LOST, "nothing was heard for too long");
            return;
        }
        nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, NULL);
        client->pinged = true;
        client->heard_ns = now;
    }
    uint64_t next = saturating_add_u64(client->heard_ns, client->keepalive_ns);
    if (call->deadline_ns < next)
        next = call->deadline_ns;
    uv_timer_start(&client->timer, on_timer, (next - now) / NS_PER_MS + 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct grpc_client *client = timer->data;
    check_time(client);
    pump(client);
}

static void check_cancel(struct grpc_client *client)
{
    struct call *call = client->call;
    if (!call || call->answer.is_over || !atomic_exchange(&client->cancelled, false))
        return;
    answer_end(&call->answer, GRPC_END_CANCELLED, GRPC_CANCELLED, "it was cancelled");
    give_up(client, call);
}

static void on_wake(uv_async_t *wake)
{
    struct grpc_client *client = wake->data;
    check_cancel(client);
    pump(client);
}

void grpc_client_cancel(struct grpc_client *client)
{
    atomic_store(&client->cancelled, true);
    uv_async_send(&client->wake);
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

static nghttp2_nv field(const char *name, const char *value, bool secret)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
}

/* 0 or a negative error of nghttp2. */
static int submit(struct grpc_client *client, struct call *call)
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

/* What is left to say after a call (a cancel, for one) leaves, if the server takes it. */
static void say_farewell(struct grpc_client *client)
{
    uint64_t until = clock_monotonic_ns() + FAREWELL_MS * NS_PER_MS;
    uint64_t now;
    while (client->stream && stream_queued_bytes(client->stream) > 0 &&
           (now = clock_monotonic_ns()) < until) {
        uv_timer_start(&client->timer, on_timer, (until - now) / NS_PER_MS + 1, 0);
        uv_run(&client->loop, UV_RUN_ONCE);
    }
}

static bool call_init(struct call *call, const struct grpc_request *request, struct text *words)
{
    uint64_t total = 0;
    *call = (struct call){.request = request, .stream_id = -1, .piece = -1, .deadline_ns = UINT64_MAX};
    answer_init(&call->answer, request, words);
    for (int i = 0; i < request->n_pieces; i++)
        total += request->pieces[i].iov_len;
    call->total_bytes = total + GRPC_PREFIX_BYTES;
    if (total > UINT32_MAX)
        return false;
    grpc_prefix_write(call->prefix, (uint32_t)total);
    if (request->timeout_ms)
        call->deadline_ns = saturating_add_u64(
            clock_monotonic_ns(),
            saturating_mul_u64(saturating_add_u64(request->timeout_ms, DEADLINE_GRACE_MS), NS_PER_MS));
    return true;
}

static void run_call(struct grpc_client *client, struct call *call)
{
    if (!client->stream || client->draining) {
        answer_end(&call->answer, GRPC_END_LOST, GRPC_UNAVAILABLE,
                   client->stream ? "the node is going down" : "the connection was lost before");
        return;
    }
    client->heard_ns = clock_monotonic_ns();
    client->pinged = false;
    if (submit(client, call) < 0) {
        answer_end(&call->answer, GRPC_END_LOST, GRPC_UNAVAILABLE, "no call can be made on this connection");
        return;
    }
    check_cancel(client);
    check_time(client);
    pump(client);
    while (!call->answer.is_over) {
        uv_run(&client->loop, UV_RUN_ONCE);
        check_cancel(client);
    }
    uv_timer_stop(&client->timer);
}

void grpc_client_call(struct grpc_client *client, const struct grpc_request *request, struct grpc_answer *ret)
{
    struct call call;
    text_done(&client->words);
    if (call_init(&call, request, &client->words)) {
        client->call = &call;
        run_call(client, &call);
        pump(client);
        client->call = NULL;
        say_farewell(client);
    } else {
        answer_end(&call.answer, GRPC_END_BROKEN, GRPC_RESOURCE_EXHAUSTED,
                   "the request is larger than 4 GiB");
    }
    answer_done(&call.answer);
    *ret = (struct grpc_answer){
        .end = call.answer.end,
        .status = call.answer.status,
        .message = client->words.data && !client->words.failed ? client->words.data : "",
        .n_messages = call.answer.n_messages,
    };
}

/* ---- Making and freeing -------------------------------------------------------------------------------- */

void grpc_client_options_init(struct grpc_client_options *options)
{
    *options = (struct grpc_client_options){
        .user_agent = "berth",
        .connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS,
        .keepalive_ms = DEFAULT_KEEPALIVE_MS,
    };
}

static int session_new(struct grpc_client *client)
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

static int copy_options(struct grpc_client *client, const struct grpc_client_options *options)
{
    bool ipv6 = strchr(options->host, ':') != NULL;
    int zone = (int)strcspn(options->host, "%"); /* means something on this host only */
    if (asprintf(&client->authority, "%s%.*s%s:%u", ipv6 ? "[" : "", zone, options->host, ipv6 ? "]" : "",
                 options->port) < 0)
        client->authority = NULL;
    client->user_agent = strdup(options->user_agent);
    client->tls = options->tls != NULL;
    client->keepalive_ns = options->keepalive_ms * NS_PER_MS;
    return client->authority && client->user_agent ? 0 : -ENOMEM;
}

static void forget_authorization(struct grpc_client *client)
{
    if (client->authorization)
        explicit_bzero(client->authorization, strlen(client->authorization));
    free(client->authorization);
    client->authorization = NULL;
}

int grpc_client_authorize(struct grpc_client *client, const char *authorization)
{
    forget_authorization(client);
    client->authorization = strdup(authorization);
    return client->authorization ? 0 : -ENOMEM;
}

static int open_loop(struct grpc_client *client)
{
    int r = uv_loop_init(&client->loop);
    if (r < 0)
        return r;
    /* Neither keeps the loop alive once the stream is gone. */
    r = uv_async_init(&client->loop, &client->wake, on_wake);
    if (r < 0) {
        uv_loop_close(&client->loop);
        return r;
    }
    uv_timer_init(&client->loop, &client->timer);
    client->wake.data = client->timer.data = client;
    return 0;
}

/* Until the server's SETTINGS are here or something failed. */
static int await_settings(struct grpc_client *client, uint32_t timeout_ms)
{
    uint64_t until = clock_monotonic_ns() + timeout_ms * NS_PER_MS, now;
    while (client->stream && !client->ready) {
        now = clock_monotonic_ns();
        if (now >= until) {
            connection_gone(client, GRPC_END_LOST, "nothing was heard in time");
            break;
        }
        uv_timer_start(&client->timer, on_timer, (until - now) / NS_PER_MS + 1, 0);
        uv_run(&client->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&client->timer);
    return client->stream ? 0 : -EIO;
}

static int connect_to(struct grpc_client *client, const struct grpc_client_options *options)
{
    struct tcp_target target = {
        .host = options->host, .port = options->port, .timeout_ms = options->connect_timeout_ms};
    struct tcp_options how = {.tls = options->tls, .alpn = "h2", .events = &events, .owner = client};
    int r = tcp_connect(&client->loop, &target, &how, &client->stream);
    if (r < 0) {
        text_append(&client->words, strerror(-r));
        return r;
    }
    return await_settings(client, options->connect_timeout_ms);
}

int grpc_client_new(const struct grpc_client_options *options, struct grpc_client **ret, char **ret_reason)
{
    *ret_reason = NULL;
    struct grpc_client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    int r = open_loop(client);
    if (r < 0) {
        free(client);
        return r;
    }
    r = copy_options(client, options);
    if (r == 0)
        r = session_new(client);
    if (r == 0)
        r = connect_to(client, options);
    if (r == 0) {
        *ret = client;
        return 0;
    }
    *ret_reason = text_take(&client->words);
    grpc_client_free(client);
    return r;
}

void grpc_client_free(struct grpc_client *client)
{
    if (!client)
        return;
    if (client->stream) {
        nghttp2_session_terminate_session(client->session, NGHTTP2_NO_ERROR);
        pump(client);
        if (client->stream)
            stream_finish(client->stream);
        client->stream = NULL;
    }
    uv_close((uv_handle_t *)&client->wake, NULL);
    uv_close((uv_handle_t *)&client->timer, NULL);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    uv_loop_close(&client->loop);
    nghttp2_session_del(client->session);
    forget_authorization(client);
    free(client->authority);
    free(client->user_agent);
    text_done(&client->words);
    free(client);
}

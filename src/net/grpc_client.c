/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_client.h and grpc_client_state.h. */
#include "net/grpc_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked_math.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "net/grpc_client_state.h"
#include "net/tcp.h"

enum {
    DEFAULT_CONNECT_TIMEOUT_MS = 10000,
    DEFAULT_KEEPALIVE_MS = 30000,
    DEADLINE_GRACE_MS = 1000, /* for the server's own word about it */
    FAREWELL_MS = 1000,       /* for a cancel to leave */
};

/* ---- The connection ------------------------------------------------------------------------------------ */

static void connection_gone(struct grpc_client *client, enum grpc_end end, const char *why)
{
    if (client->call)
        answer_end(&client->call->answer, end, end == GRPC_END_LOST ? GRPC_UNAVAILABLE : GRPC_INTERNAL, why);
    if (client->words.length == 0)
        text_append(&client->words, why);
    stream_close(take_ptr(client->stream));
}

static void pump(struct grpc_client *client)
{
    int r = client->stream ? http2_pump(client) : 0;
    if (r < 0)
        connection_gone(client, GRPC_END_BROKEN, nghttp2_strerror(r));
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
        http2_give_up(client, call);
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
    http2_give_up(client, call);
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
    if (http2_submit(client, call) < 0) {
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
        r = http2_open(client);
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

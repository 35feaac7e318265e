/* SPDX-License-Identifier: Apache-2.0 */
/* Making a connection: look-up, then one address after the other. The time is shared among those that are
 * left. */
#include "net/tcp_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { CONNECT_TIMEOUT_MS = 10000, NAME_SHOWN_BYTES = 256 };

struct tcp_search {
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    struct addrinfo *addresses;     /* NULL until the look-up is done */
    const struct addrinfo *current; /* being tried */
    char *target;                   /* "host port 50051", for sentences */
    uint64_t deadline_ms;           /* on the loop's clock */
    uint32_t timeout_ms;
    bool looking_up;
    int last_error;
};

static void try_address(struct tcp_stream *stream);

void tcp_search_free(struct tcp_search *search)
{
    if (!search)
        return;
    uv_freeaddrinfo(search->addresses);
    free(search->target);
    free(search);
}

void tcp_search_stop(struct tcp_stream *stream)
{
    if (stream->search->looking_up)
        (void)uv_cancel((uv_req_t *)&stream->search->lookup);
}

static void give_up_late(uv_timer_t *timer)
{
    struct tcp_stream *stream = timer->data;
    struct tcp_search *search = stream->search;
    stream_broke(&stream->base, "no answer from %s within %.3g s", search->target,
                 search->timeout_ms / 1000.0);
}

static uint64_t time_left_ms(const struct tcp_stream *stream)
{
    uint64_t now_ms = uv_now(stream->tcp.loop);
    return stream->search->deadline_ms > now_ms ? stream->search->deadline_ms - now_ms : 0;
}

/* The socket of an attempt that failed is closed. */
static void attempt_closed(uv_handle_t *handle)
{
    struct tcp_stream *stream = handle->data;
    if (stream->closing) {
        tcp_stream_release(stream);
        return;
    }
    int r = uv_tcp_init(handle->loop, &stream->tcp);
    stream->tcp.data = stream;
    if (r < 0) /* cannot happen without a family given; the handle is usable */
        stream_broke(&stream->base, "no socket: %s", uv_strerror(r));
    else
        try_address(stream);
}

static void next_address(struct tcp_stream *stream, int error)
{
    struct tcp_search *search = stream->search;
    search->last_error = error;
    search->current = search->current->ai_next;
    if (!search->current) {
        stream_broke(&stream->base, "cannot connect to %s: %s", search->target, uv_strerror(error));
        return;
    }
    uv_timer_stop(&stream->timer);
    uv_close((uv_handle_t *)&stream->tcp, attempt_closed);
}

static void attempt_is_late(uv_timer_t *timer)
{
    struct tcp_stream *stream = timer->data;
    if (stream->search->current->ai_next)
        next_address(stream, UV_ETIMEDOUT);
    else
        give_up_late(timer);
}

static void connected(uv_connect_t *request, int status)
{
    struct tcp_stream *stream = request->data;
    if (status == UV_ECANCELED || stream->closing)
        return;
    if (status < 0) {
        next_address(stream, status);
        return;
    }
    uv_timer_start(&stream->timer, give_up_late, time_left_ms(stream), 0);
    tcp_stream_connected(stream);
}

static void try_address(struct tcp_stream *stream)
{
    struct tcp_search *search = stream->search;
    uint64_t n_left = 0;
    for (const struct addrinfo *each = search->current; each; each = each->ai_next)
        n_left++;
    uv_timer_start(&stream->timer, attempt_is_late, time_left_ms(stream) / n_left, 0);
    search->connect.data = stream;
    int r = uv_tcp_connect(&search->connect, &stream->tcp, search->current->ai_addr, connected);
    if (r < 0)
        next_address(stream, r);
}

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct tcp_stream *stream = request->data;
    struct tcp_search *search = stream->search;
    search->looking_up = false;
    search->addresses = addresses;
    search->current = addresses;
    if (!stream->closing && (status < 0 || !addresses))
        stream_broke(&stream->base, "cannot find %s: %s", search->target,
                     uv_strerror(status < 0 ? status : UV_EAI_NONAME));
    else if (!stream->closing)
        try_address(stream);
    tcp_stream_release(stream);
}

static int search_new(struct tcp_stream *stream, const struct tcp_target *target)
{
    cleanup_text struct text text = {0};
    struct tcp_search *search = calloc(1, sizeof *search);
    if (!search)
        return -ENOMEM;
    stream->search = search;
    text_append_escaped(&text, target->host, strlen(target->host), NAME_SHOWN_BYTES);
    text_append_format(&text, " port %u", target->port);
    search->target = text_take(&text);
    if (!search->target)
        return -ENOMEM;
    search->timeout_ms = target->timeout_ms ? target->timeout_ms : CONNECT_TIMEOUT_MS;
    uv_update_time(stream->tcp.loop);
    search->deadline_ms = uv_now(stream->tcp.loop) + search->timeout_ms;
    return 0;
}

int tcp_connect(uv_loop_t *loop, const struct tcp_target *target, const struct tcp_options *options,
                struct stream **ret)
{
    struct tcp_stream *stream;
    char service[8];
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int r = tcp_stream_new(loop, options, target->certificate_name ? target->certificate_name : target->host,
                           &stream);
    if (r < 0)
        return r;
    (void)snprintf(service, sizeof service, "%u", target->port);
    r = search_new(stream, target);
    if (r == 0) {
        stream->search->lookup.data = stream;
        r = uv_getaddrinfo(loop, &stream->search->lookup, looked_up, target->host, service, &hints);
    }
    if (r < 0) {
        stream_close(&stream->base);
        return r;
    }
    stream->search->looking_up = true;
    stream->holds++;
    uv_timer_start(&stream->timer, give_up_late, stream->search->timeout_ms, 0);
    *ret = &stream->base;
    return 0;
}

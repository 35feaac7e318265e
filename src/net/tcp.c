/* SPDX-License-Identifier: Apache-2.0 */
/* See tcp.h and tcp_stream.h. */
#include "net/tcp_stream.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 64 << 10,
    RECORD_BYTES = 16 << 10, /* plaintext of one TLS record at most (RFC 8446, section 5.1) */
    PIECES = 64,             /* for one writev */
    GOOD_BYE_MS = 3000,
    KEEPALIVE_S = 60,
};

static struct tcp_stream *of_base(struct stream *base)
{
    return (struct tcp_stream *)base;
}

/* What goes to the socket next. */
static struct byte_queue *outgoing(struct tcp_stream *stream)
{
    return stream->tls ? &stream->wire : &stream->base.output;
}

void tcp_stream_release(struct tcp_stream *stream)
{
    if (--stream->holds > 0)
        return;
    stream_ended(&stream->base);
    tls_session_free(stream->tls);
    tcp_search_free(stream->search);
    byte_queue_done(&stream->wire);
    free(stream);
}

static void handle_closed(uv_handle_t *handle)
{
    tcp_stream_release(handle->data);
}

static void close_now(struct tcp_stream *stream)
{
    if (stream->closing)
        return;
    stream->closing = true;
    if (stream->search)
        tcp_search_stop(stream);
    /* A search that goes on to its next address is closing the socket already, and holds it. */
    if (!uv_is_closing((uv_handle_t *)&stream->tcp))
        uv_close((uv_handle_t *)&stream->tcp, handle_closed);
    uv_close((uv_handle_t *)&stream->timer, handle_closed);
}

/* ---- Writing ---------------------------------------------------------------------------------------------
 */

static void write_out(struct tcp_stream *stream);

static void said_bye(uv_shutdown_t *request, int status)
{
    struct tcp_stream *stream = request->data;
    /* From here on the peer's own end is awaited, so that a reset does not overtake our last bytes. */
    if (status < 0)
        close_now(stream);
}

static void say_bye(struct tcp_stream *stream)
{
    if (!stream->saying_bye || stream->writing_bytes > 0 || stream->shutdown.data || stream->closing)
        return;
    stream->shutdown.data = stream;
    if (uv_shutdown(&stream->shutdown, (uv_stream_t *)&stream->tcp, said_bye) < 0)
        close_now(stream);
}

static void write_failed(struct tcp_stream *stream, int error)
{
    if (error == UV_EPIPE || error == UV_ECONNRESET)
        stream_broke(&stream->base, "the peer closed the connection");
    else
        stream_broke(&stream->base, "sending failed: %s", uv_strerror(error));
}

static void written(uv_write_t *request, int status)
{
    struct tcp_stream *stream = request->data;
    size_t size = stream->writing_bytes;
    stream->writing_bytes = 0;
    if (stream->closing)
        return;
    if (status < 0) {
        write_failed(stream, status);
        return;
    }
    byte_queue_drop(outgoing(stream), size);
    write_out(stream);
    stream_sent(&stream->base);
}

/* The socket is full: libuv waits for it. */
static void write_later(struct tcp_stream *stream)
{
    struct iovec pieces[PIECES];
    uv_buf_t buffers[PIECES];
    int n_pieces = byte_queue_peek(outgoing(stream), pieces, PIECES);
    size_t size = 0;
    for (int i = 0; i < n_pieces; i++) {
        buffers[i] = uv_buf_init(pieces[i].iov_base, (unsigned int)pieces[i].iov_len);
        size += pieces[i].iov_len;
    }
    stream->write.data = stream;
    int r = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, buffers, (unsigned int)n_pieces, written);
    if (r < 0)
        write_failed(stream, r);
    else
        stream->writing_bytes = size;
}

static void write_out(struct tcp_stream *stream)
{
    struct byte_queue *queue = outgoing(stream);
    while (queue->size_bytes > 0 && stream->writing_bytes == 0 && !stream->closing) {
        struct iovec pieces[PIECES];
        uv_buf_t buffers[PIECES];
        size_t total = 0;
        int n_pieces = byte_queue_peek(queue, pieces, PIECES);
        for (int i = 0; i < n_pieces; i++) {
            buffers[i] = uv_buf_init(pieces[i].iov_base, (unsigned int)pieces[i].iov_len);
            total += pieces[i].iov_len;
        }
        int sent = uv_try_write((uv_stream_t *)&stream->tcp, buffers, (unsigned int)n_pieces);
        if (sent < 0 && sent != UV_EAGAIN) {
            write_failed(stream, sent);
            return;
        }
        byte_queue_drop(queue, sent < 0 ? 0 : (size_t)sent);
        if (sent < 0 || (size_t)sent < total)
            write_later(stream);
    }
    say_bye(stream);
}

static void flush(struct stream *base)
{
    struct tcp_stream *stream = of_base(base);
    if (stream->tls && tls_session_write(stream->tls, &base->output) < 0) {
        stream_broke(base, "%s", tls_session_error(stream->tls));
        return;
    }
    write_out(stream);
}

static size_t in_flight_bytes(const struct stream *base)
{
    return ((const struct tcp_stream *)base)->wire.size_bytes;
}

/* ---- Reading ---------------------------------------------------------------------------------------------
 */

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)handle;
    (void)suggested;
    *ret = uv_buf_init(malloc(READ_BYTES), READ_BYTES);
    if (!ret->base)
        ret->len = 0; /* libuv reports ENOBUFS */
}

/* TLS_DONE once the handshake is over. */
static int shake_hands(struct tcp_stream *stream)
{
    int r = tls_session_handshake(stream->tls);
    write_out(stream); /* also the alert of a handshake that failed */
    if (r < 0)
        stream_broke(&stream->base, "%s", tls_session_error(stream->tls));
    if (r != TLS_DONE || stream->base.ending)
        return r == TLS_DONE ? -ECANCELED : r;
    stream->base.has_certificate =
        tls_session_certificate_sha256(stream->tls, stream->base.certificate_sha256);
    uv_timer_stop(&stream->timer);
    stream_opened(&stream->base);
    return TLS_DONE;
}

static void receive_tls(struct tcp_stream *stream, const uint8_t *bytes, size_t size_bytes)
{
    uint8_t plaintext[RECORD_BYTES];
    tls_session_feed(stream->tls, bytes, size_bytes);
    if (!stream->base.open && shake_hands(stream) != TLS_DONE)
        return;
    while (!stream->base.ending) {
        size_t size;
        int r = tls_session_read(stream->tls, plaintext, sizeof plaintext, &size);
        if (r == TLS_WANTS_INPUT)
            break;
        if (r == TLS_ENDED)
            stream_over(&stream->base);
        else if (r < 0)
            stream_broke(&stream->base, "%s", tls_session_error(stream->tls));
        else
            stream_received(&stream->base, plaintext, size);
    }
    if (!stream->closing)
        write_out(stream); /* answers to key updates */
}

static void received(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer)
{
    struct tcp_stream *stream = handle->data;
    if (stream->saying_bye) {
        if (size < 0)
            close_now(stream);
    } else if (size == UV_EOF && !stream->tls) {
        stream_over(&stream->base);
    } else if (size == UV_EOF) {
        stream_broke(&stream->base, "the peer ended the connection without ending TLS");
    } else if (size < 0) {
        stream_broke(&stream->base, "receiving failed: %s", uv_strerror((int)size));
    } else if (size > 0 && stream->tls) {
        receive_tls(stream, (const uint8_t *)buffer->base, (size_t)size);
    } else if (size > 0) {
        stream_received(&stream->base, (const uint8_t *)buffer->base, (size_t)size);
    }
    free(buffer->base);
}

static void set_reading(struct stream *base, bool reading)
{
    struct tcp_stream *stream = of_base(base);
    if (reading)
        (void)uv_read_start((uv_stream_t *)&stream->tcp, allocate, received);
    else
        (void)uv_read_stop((uv_stream_t *)&stream->tcp);
}

/* ---- Beginning and end -----------------------------------------------------------------------------------
 */

static void good_bye_is_late(uv_timer_t *timer)
{
    close_now(timer->data);
}

static void end(struct stream *base, bool politely)
{
    struct tcp_stream *stream = of_base(base);
    if (!politely) {
        close_now(stream);
        return;
    }
    if (stream->tls) {
        if (tls_session_write(stream->tls, &base->output) < 0) {
            close_now(stream);
            return;
        }
        tls_session_end(stream->tls);
    }
    stream->saying_bye = true;
    uv_timer_start(&stream->timer, good_bye_is_late, GOOD_BYE_MS, 0);
    set_reading(base, true);
    write_out(stream);
}

static const struct stream_transport tcp_transport = {
    .flush = flush,
    .set_reading = set_reading,
    .end = end,
    .in_flight_bytes = in_flight_bytes,
};

int tcp_stream_new(uv_loop_t *loop, const struct tcp_options *options, const char *certificate_name,
                   struct tcp_stream **ret)
{
    struct tcp_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return -ENOMEM;
    stream_begin(&stream->base, &tcp_transport, options->events, options->owner);
    int r = options->tls
                ? tls_session_new(options->tls, certificate_name, options->alpn, &stream->wire, &stream->tls)
                : 0;
    if (r == 0)
        r = uv_tcp_init(loop, &stream->tcp);
    if (r < 0) {
        tls_session_free(stream->tls);
        free(stream);
        return r;
    }
    (void)uv_timer_init(loop, &stream->timer);
    stream->base.has_tls = options->tls != NULL;
    stream->tcp.data = stream->timer.data = stream;
    stream->holds = 2;
    *ret = stream;
    return 0;
}

static void write_address(struct tcp_stream *stream)
{
    struct sockaddr_storage peer;
    int size = sizeof peer;
    char *text = stream->base.address;
    static const char mapped[] = "::ffff:"; /* IPv4 at an IPv6 socket */
    if (uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&peer, &size) < 0)
        return;
    if (peer.ss_family == AF_INET)
        (void)uv_ip4_name((struct sockaddr_in *)&peer, text, STREAM_ADDRESS_BYTES);
    else if (peer.ss_family == AF_INET6)
        (void)uv_ip6_name((struct sockaddr_in6 *)&peer, text, STREAM_ADDRESS_BYTES);
    if (strncmp(text, mapped, sizeof mapped - 1) == 0 && strchr(text, '.'))
        memmove(text, text + sizeof mapped - 1, strlen(text + sizeof mapped - 1) + 1);
}

void tcp_stream_connected(struct tcp_stream *stream)
{
    write_address(stream);
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    (void)uv_tcp_keepalive(&stream->tcp, 1, KEEPALIVE_S);
    if (!stream->tls) {
        uv_timer_stop(&stream->timer);
        stream_opened(&stream->base);
        return;
    }
    set_reading(&stream->base, true);
    shake_hands(stream);
}

int tcp_accept(uv_stream_t *listener, const struct tcp_options *options, struct stream **ret)
{
    struct tcp_stream *stream;
    int r = tcp_stream_new(listener->loop, options, NULL, &stream);
    if (r < 0)
        return r;
    r = uv_accept(listener, (uv_stream_t *)&stream->tcp);
    if (r < 0) {
        stream_close(&stream->base);
        return r;
    }
    /* The caller is told by the return, not by an event. */
    stream->base.events = NULL;
    tcp_stream_connected(stream);
    stream->base.events = options->events;
    *ret = &stream->base;
    return 0;
}

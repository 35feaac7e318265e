/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server from the inside: what server, listeners, connections and calls know of each other.
 *
 *    server ── listeners
 *           ├─ connections, each a stream (stream.h) with one HTTP/2 session of nghttp2
 *           │    └─ calls, each an HTTP/2 stream
 *           ├─ deadlines of all of them
 *           └─ request bytes held by all of them
 *
 * Nothing is sent while events are handled: who produced something touches its connection, and once per turn
 * of the loop the touched connections send (http2_connection_pump), so that frames leave together.
 * Connections are ended from the loop, never from inside nghttp2 or a handler.
 */
#ifndef BERTH_NET_GRPC_STATE_H
#define BERTH_NET_GRPC_STATE_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include "net/address_counts.h"
#include "net/byte_queue.h"
#include "net/deadlines.h"
#include "net/grpc_server.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/token_bucket.h"

enum {
    HTTP2_HEADERS_MAX_BYTES = 64 << 10, /* of one request, with 32 for each field: RFC 9113, section 6.5.2 */
    HTTP2_STREAM_WINDOW_BYTES = 1 << 20,
    HTTP2_CONNECTION_WINDOW_BYTES = 8 << 20,
    HTTP2_FRAME_BYTES =
        256 << 10, /* the largest that we send, if the peer takes it; ours are of the default */
};

TAILQ_HEAD(connection_list, http2_connection);
TAILQ_HEAD(call_list, grpc_call);

struct grpc_listener {
    struct grpc_listener *next;
    struct grpc_server *server;
    uv_tcp_t tcp;
    struct tls_identity *tls; /* one reference; NULL: plain */
    bool waiting;             /* a connection is there, for which there is no room */
};

struct grpc_server {
    uv_loop_t *loop;
    struct grpc_server_options options;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *session_options;
    struct grpc_listener *listeners;
    struct connection_list connections, touched;
    struct connection_list half_open, idle; /* the oldest first: they make room */
    struct call_list receiving;             /* with part of a message, the longest silent first */
    struct deadlines deadlines;
    struct address_counts addresses;
    uv_idle_t turn; /* active while something is touched */
    uint64_t buffered_bytes;
    struct token_bucket good_byes; /* connections whose end is awaited; a flood of them is cut off */
    uint32_t n_waiting;            /* listeners */
    struct grpc_server_counts counts;
    void (*drained)(void *payload);
    void *drained_payload;
    bool draining, freeing;
    uint32_t holds; /* handles that libuv has not closed */
};

enum connection_state { CONNECTION_HALF_OPEN, CONNECTION_IDLE, CONNECTION_BUSY };

struct http2_connection {
    struct grpc_server *server;
    struct stream *stream;    /* owned */
    nghttp2_session *session; /* owned */
    struct address_count *address;
    TAILQ_ENTRY(http2_connection) in_all, in_resting, in_touched;
    struct call_list calls, writable; /* writable: handlers that are to be told */
    uint32_t n_calls;                 /* whose handlers, if any, have not been told of the end */
    enum connection_state state;
    uint64_t since_ns;   /* of half open or idle */
    uint64_t headers_ns; /* when a request's headers began that are not complete; 0: none */
    struct deadline deadline;
    struct token_bucket control_frames, resets;
    int32_t last_stream_id; /* the highest that the peer has used */
    bool settled;           /* the peer's SETTINGS have come */
    bool touched, going_away;
};

struct grpc_call {
    struct http2_connection *connection;
    const struct grpc_method *method; /* NULL: no handler */
    void *data;
    int32_t stream_id;
    TAILQ_ENTRY(grpc_call) in_connection, in_writable, in_receiving;

    /* The request: "name\0value\0…", then messages. */
    char *headers;
    size_t header_bytes, header_capacity;
    size_t header_list_bytes; /* as HTTP/2 counts them */
    const char *refusal;      /* why these headers are too many, or NULL */
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint8_t prefix_bytes;
    uint8_t *message; /* NULL while there is none, or it was taken */
    size_t message_bytes, message_received, message_capacity;
    size_t charged_bytes; /* of server->buffered_bytes */
    bool in_message, receiving, any_message, delivering, half_closed;

    /* The answer. */
    struct byte_queue output;
    enum grpc_status status;
    char *status_message;  /* percent-encoded, or NULL */
    bool refuses_encoding; /* the answer names the encodings that are known */
    int http_refusal;      /* HTTP status of a request that is no gRPC, answered when it is complete; or 0 */
    bool headers_sent, finished, end_sent;
    bool was_full, writable; /* writable: in the connection's list */

    struct deadline deadline;
    uint64_t due_ns;      /* grpc-timeout */
    uint64_t progress_ns; /* last sign of life of the request, or of the delivery of the answer */
    bool over;            /* the handler has been told */
};

/* ---- grpc_server.c */
void grpc_server_touch(struct grpc_server *server, struct http2_connection *connection);
/* Counts more request bytes of a call. False: there is no room, even after the longest silent one was
 * refused. */
bool grpc_server_charge(struct grpc_server *server, struct grpc_call *call, size_t size_bytes);
void grpc_server_discharge(struct grpc_call *call, size_t size_bytes);

/* ---- grpc_listener.c */
void grpc_listener_close(struct grpc_listener *listener);
/* Accepts what waits, if there is room. */
void grpc_listener_resume(struct grpc_listener *listener);

/* ---- http2_connection.c */
/* Takes the stream over. 0 or -ENOMEM; the stream is closed then. */
int http2_connection_new(struct grpc_server *server, struct stream *stream, struct address_count *address);
extern const struct stream_events http2_connection_events;
/* Sends what there is, as far as the socket goes; may end the connection. */
void http2_connection_pump(struct http2_connection *connection);
/* GOAWAY and good-bye. Calls in progress are cancelled. */
void http2_connection_dismiss(struct http2_connection *connection, uint32_t http2_error);
/* At once. */
void http2_connection_end(struct http2_connection *connection);
/* Calls came or went, or a request's headers: which state, which deadline. */
void http2_connection_update(struct http2_connection *connection);

/* ---- http2_callbacks.c */
int http2_callbacks_new(nghttp2_session_callbacks **ret);
int http2_options_new(nghttp2_option **ret);

/* ---- grpc_call.c */
struct grpc_call *grpc_call_new(struct http2_connection *connection, int32_t stream_id);
/* Tells the handler of the end, once. The call then only waits for its HTTP/2 stream to close. */
void grpc_call_over(struct grpc_call *call, enum grpc_status status);
/* Removes and frees it. */
void grpc_call_free(struct grpc_call *call);
/* The answer that call->http_refusal says. */
void grpc_call_refuse_http(struct grpc_call *call);
/* A DATA frame's payload has left call->output. */
void grpc_call_output_moved(struct grpc_call *call);
void grpc_call_set_deadline(struct grpc_call *call);

/* ---- grpc_request.c */
/* False: the stream must be reset; no memory, or far too many. */
bool grpc_call_add_header(struct grpc_call *call, const uint8_t *name, size_t name_bytes,
                          const uint8_t *value, size_t value_bytes);
/* The headers are complete: refuses the request or starts its handler. */
void grpc_call_begin(struct grpc_call *call);
void grpc_call_receive(struct grpc_call *call, const uint8_t *bytes, size_t size_bytes);
void grpc_call_receive_end(struct grpc_call *call);
void grpc_call_drop_message(struct grpc_call *call);

#endif

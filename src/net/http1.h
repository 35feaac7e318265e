/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of HTTP/1.1 (RFC 9112) as a node needs: a responder for health and metrics, and one GET for
 * fetching keys. Neither keeps connections, follows redirects, or reads more than its bounds. On the loop's
 * thread.
 */
#ifndef BERTH_NET_HTTP1_H
#define BERTH_NET_HTTP1_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

/* ---- Responder */

struct http1_server;

enum {
    HTTP1_HEAD_MAX_BYTES = 8 << 10,
    HTTP1_HEAD_TIMEOUT_MS = 5000,
    HTTP1_CONNECTIONS_MAX = 64, /* one more ends the oldest */
};

/* What to answer. All zero at first; without a status it is 404. */
struct http1_reply {
    int status;
    const char *content_type; /* lives longer than the call; NULL: text/plain */
    char *body;               /* freed by the server; NULL: none */
    size_t body_bytes;
};

/* For a GET or HEAD. Path and query ("" without one) are printable ASCII as the peer wrote it. */
typedef void http1_handler(void *owner, const char *path, const char *query, struct http1_reply *ret);

/* Listens on an address, port 0: any. 0 or a negative errno. */
int http1_server_new(uv_loop_t *loop, const char *host, uint16_t port, http1_handler *handler, void *owner,
                     struct http1_server **ret, uint16_t *ret_port);
/* Frees once the loop has closed the handles. Accepts NULL. */
void http1_server_free(struct http1_server *server);

/* ---- One GET */

struct http1_fetch;

enum { HTTP1_BODY_MAX_BYTES = 256 << 10, HTTP1_GET_TIMEOUT_MS = 10000 };

struct http1_get_options {
    const char *url;     /* "https://host[:port]/path" or "http://…" */
    const char *ca;      /* PEM file of the authorities that are trusted for https; NULL: the system's */
    uint32_t timeout_ms; /* for all of it; 0: HTTP1_GET_TIMEOUT_MS */
};

struct http1_answer {
    const char
        *error; /* a sentence, safe to print; NULL: the rest is valid. Any status but 200 is an error */
    const char *body;
    size_t body_bytes;
};

/* `done` is called once, from the loop; what it is given is gone after the return. 0, -ENOMEM, or -EINVAL for
 * a URL that is none of ours or authorities that cannot be read; `done` is not called then. */
int http1_get(uv_loop_t *loop, const struct http1_get_options *options,
              void (*done)(void *owner, const struct http1_answer *answer), void *owner,
              struct http1_fetch **ret);
/* `done` will not be called. Not after it was. Accepts NULL. */
void http1_get_cancel(struct http1_fetch *fetch);

#endif

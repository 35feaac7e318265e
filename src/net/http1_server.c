/* SPDX-License-Identifier: Apache-2.0 */
/* See http1.h. A connection reads one request head, answers, and is gone. */
#include "net/http1.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/text.h"
#include "net/deadlines.h"
#include "net/tcp.h"
#include "net/token_bucket.h"

enum {
    BACKLOG = 64,
    /* Answers whose end is awaited; a flood of requests is cut off without ceremony. */
    GOOD_BYES = 128,
    GOOD_BYES_PER_S = 32,
};

TAILQ_HEAD(http1_connections, http1_connection);

struct http1_server {
    uv_loop_t *loop;
    uv_tcp_t tcp;
    http1_handler *handler;
    void *owner;
    struct deadlines deadlines;
    struct http1_connections connections; /* the oldest first */
    uint32_t n_connections;
    struct token_bucket good_byes;
};

struct http1_connection {
    TAILQ_ENTRY(http1_connection) link;
    struct http1_server *server;
    struct stream *stream;
    struct deadline deadline;
    size_t head_bytes;
    char head[HTTP1_HEAD_MAX_BYTES + 1];
};

struct http1_request {
    bool is_head;
    char *path, *query;
};

/* Everything but the stream. */
static void forget(struct http1_connection *connection)
{
    struct http1_server *server = connection->server;
    TAILQ_REMOVE(&server->connections, connection, link);
    server->n_connections--;
    deadline_leave(&server->deadlines, &connection->deadline);
    free(connection);
}

static void cut_off(void *owner)
{
    struct http1_connection *connection = owner;
    struct stream *stream = connection->stream;
    forget(connection);
    stream_close(stream);
}

/* ---- Request ---------------------------------------------------------------------------------------------
 */

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
            return false;
    return length > 0;
}

/* RFC 9112, section 5: names without space before the colon, no folded lines. Returns 0 or a status. */
static int check_fields(char *line, bool needs_host)
{
    int n_hosts = 0;
    while (*line) {
        char *end = strstr(line, "\r\n"), *colon = strchr(line, ':');
        if (!colon || colon > end || !is_token(line, (size_t)(colon - line)))
            return 400;
        for (char *each = colon + 1; each < end; each++)
            if ((*each < ' ' && *each != '\t') || *each == 0x7f)
                return 400;
        n_hosts += colon - line == 4 && strncasecmp(line, "host", 4) == 0;
        if ((colon - line == 14 && strncasecmp(line, "content-length", 14) == 0 &&
             strspn(colon + 1, " 0") != (size_t)(end - colon - 1)) ||
            (colon - line == 17 && strncasecmp(line, "transfer-encoding", 17) == 0))
            return 413; /* what we answer has no use for a body */
        line = end + 2;
    }
    return n_hosts > 1 || (needs_host && n_hosts == 0) ? 400 : 0;
}

/* `head` ends with an empty line, which is cut off. Returns 0 or a status. */
static int read_request(char *head, struct http1_request *ret)
{
    char *line_end = strstr(head, "\r\n"), *space, *version;
    char *fields = line_end + 2;
    *line_end = '\0';
    space = strchr(head, ' ');
    version = space ? strchr(space + 1, ' ') : NULL;
    if (!version || !is_token(head, (size_t)(space - head)))
        return 400;
    *space = *version++ = '\0';
    bool http11 = strcmp(version, "HTTP/1.1") == 0;
    if (!http11 && strcmp(version, "HTTP/1.0") != 0)
        return strlen(version) == 8 && strncmp(version, "HTTP/", 5) == 0 && version[6] == '.' ? 505 : 400;
    ret->path = space + 1;
    for (const char *each = ret->path; *each; each++)
        if (*each <= ' ' || *each >= 0x7f || *each == '#')
            return 400;
    if (ret->path[0] != '/')
        return 400;
    int status = check_fields(fields, http11);
    if (status != 0)
        return status;
    ret->is_head = strcmp(head, "HEAD") == 0;
    if (!ret->is_head && strcmp(head, "GET") != 0)
        return 405;
    ret->query = strchrnul(ret->path, '?');
    if (*ret->query)
        *ret->query++ = '\0';
    return 0;
}

/* ---- Reply -----------------------------------------------------------------------------------------------
 */

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

static void reply(struct http1_connection *connection, const struct http1_reply *reply, bool with_body)
{
    struct stream *stream = connection->stream;
    struct http1_server *server = connection->server;
    cleanup_text struct text head = {0};
    text_append_format(
        &head,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
        "%sConnection: close\r\n\r\n",
        reply->status, reason(reply->status),
        reply->content_type ? reply->content_type : "text/plain; charset=utf-8", reply->body_bytes,
        reply->status == 405 ? "Allow: GET, HEAD\r\n" : "");
    forget(connection);
    if (head.failed || !token_bucket_take(&server->good_byes)) {
        stream_close(stream);
        return;
    }
    stream_cork(stream);
    stream_write(stream, head.data, head.length);
    if (with_body)
        stream_write(stream, reply->body, reply->body_bytes);
    stream_uncork(stream);
    stream_finish(stream);
}

static void refuse(struct http1_connection *connection, int status)
{
    struct http1_reply answer = {.status = status};
    reply(connection, &answer, false);
}

static void handle(struct http1_connection *connection)
{
    struct http1_request request = {0};
    struct http1_reply answer = {0};
    int status = read_request(connection->head, &request);
    if (status != 0) {
        refuse(connection, status);
        return;
    }
    connection->server->handler(connection->server->owner, request.path, request.query, &answer);
    if (answer.status == 0)
        answer.status = 404;
    reply(connection, &answer, !request.is_head);
    free(answer.body);
}

/* ---- Events ----------------------------------------------------------------------------------------------
 */

static void received(void *owner, const uint8_t *bytes, size_t size_bytes)
{
    struct http1_connection *connection = owner;
    size_t room = HTTP1_HEAD_MAX_BYTES - connection->head_bytes;
    size_t size = size_bytes < room ? size_bytes : room;
    /* The end may lie across two reads. */
    size_t from = connection->head_bytes < 3 ? 0 : connection->head_bytes - 3;
    memcpy(connection->head + connection->head_bytes, bytes, size);
    connection->head_bytes += size;
    char *end = memmem(connection->head + from, connection->head_bytes - from, "\r\n\r\n", 4);
    if (!end && size < size_bytes) {
        refuse(connection, 431);
    } else if (end && memchr(connection->head, '\0', (size_t)(end - connection->head))) {
        refuse(connection, 400);
    } else if (end) {
        end[2] = '\0';
        handle(connection);
    }
}

static void closed(void *owner, const char *error)
{
    (void)error;
    forget(owner);
}

static const struct stream_events events = {.received = received, .closed = closed};

static void incoming(uv_stream_t *listener, int status)
{
    struct http1_server *server = listener->data;
    struct stream *stream;
    const struct tcp_options options = {.events = &events};
    if (status < 0 || tcp_accept(listener, &options, &stream) < 0)
        return;
    struct http1_connection *connection = malloc(sizeof *connection);
    if (!connection || deadline_join(&server->deadlines, &connection->deadline, cut_off, connection) < 0) {
        free(connection);
        stream_close(stream);
        return;
    }
    connection->server = server;
    connection->stream = stream;
    connection->head_bytes = 0;
    if (server->n_connections >= HTTP1_CONNECTIONS_MAX)
        cut_off(TAILQ_FIRST(&server->connections));
    TAILQ_INSERT_TAIL(&server->connections, connection, link);
    server->n_connections++;
    deadline_set(&server->deadlines, &connection->deadline,
                 clock_monotonic_ns() + HTTP1_HEAD_TIMEOUT_MS * NS_PER_MS);
    stream_set_owner(stream, &events, connection);
}

/* ---- Life ------------------------------------------------------------------------------------------------
 */

static void server_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int listen_at(struct http1_server *server, const char *host, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    int r = uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
    if (r < 0)
        r = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
    if (r == 0)
        r = uv_tcp_bind(&server->tcp, (struct sockaddr *)&address, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&server->tcp, BACKLOG, incoming);
    if (r == 0)
        r = uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&address, &size);
    if (r == 0)
        *ret_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                        : ((struct sockaddr_in *)&address)->sin_port);
    return r;
}

int http1_server_new(uv_loop_t *loop, const char *host, uint16_t port, http1_handler *handler, void *owner,
                     struct http1_server **ret, uint16_t *ret_port)
{
    struct http1_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->handler = handler;
    server->owner = owner;
    TAILQ_INIT(&server->connections);
    token_bucket_init(&server->good_byes, GOOD_BYES, GOOD_BYES_PER_S);
    int r = deadlines_init(&server->deadlines, loop);
    if (r == 0)
        r = uv_tcp_init(loop, &server->tcp);
    if (r < 0) {
        deadlines_done(&server->deadlines);
        free(server);
        return r;
    }
    server->tcp.data = server;
    r = listen_at(server, host, port, ret_port);
    if (r < 0) {
        http1_server_free(server);
        return r;
    }
    *ret = server;
    return 0;
}

void http1_server_free(struct http1_server *server)
{
    if (!server)
        return;
    while (!TAILQ_EMPTY(&server->connections))
        cut_off(TAILQ_FIRST(&server->connections));
    deadlines_done(&server->deadlines);
    uv_close((uv_handle_t *)&server->tcp, server_closed);
}

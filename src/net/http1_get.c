/* SPDX-License-Identifier: Apache-2.0 */
/* See http1.h. One GET: HTTP/1.0, so that the answer comes in one piece and ends with the connection. */
#include "net/http1.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/tcp.h"

enum {
    HEAD_MAX_BYTES = 16 << 10,
    URL_MAX_BYTES = 2048,
    SHOWN_BYTES = 256,
};

#define LENGTH_UNKNOWN SIZE_MAX

struct http1_fetch {
    void (*done)(void *owner, const struct http1_answer *answer);
    void *owner;
    struct stream *stream;
    uv_timer_t timer;
    char *url;            /* as given, for sentences */
    struct text answer;   /* head and body as they come */
    size_t body_start;    /* 0: the head is not complete */
    size_t body_expected; /* from Content-Length */
    bool ended;           /* nothing more happens, but the timer is not closed */
};

struct url {
    bool tls;
    char *host;
    uint16_t port;
    const char *path;
};

static void fetch_closed(uv_handle_t *timer)
{
    struct http1_fetch *fetch = timer->data;
    text_done(&fetch->answer);
    free(fetch->url);
    free(fetch);
}

/* Without the stream, which has closed itself or is closed here. */
static void end(struct http1_fetch *fetch, const struct http1_answer *answer)
{
    if (fetch->ended)
        return;
    fetch->ended = true;
    stream_close(fetch->stream);
    fetch->stream = NULL;
    if (answer)
        fetch->done(fetch->owner, answer);
    uv_close((uv_handle_t *)&fetch->timer, fetch_closed);
}

static void fail(struct http1_fetch *fetch, const char *why)
{
    cleanup_text struct text sentence = {0};
    text_append(&sentence, "cannot fetch ");
    text_append_escaped(&sentence, fetch->url, strlen(fetch->url), SHOWN_BYTES);
    text_append(&sentence, ": ");
    text_append(&sentence, why);
    const struct http1_answer answer = {.error = sentence.failed ? why : sentence.data};
    end(fetch, &answer);
}

/* ---- Answer ----------------------------------------------------------------------------------------------
 */

static bool read_length(const char *digits, size_t length, size_t *ret)
{
    size_t value = 0;
    while (length > 0 && (*digits == ' ' || *digits == '\t'))
        digits++, length--;
    while (length > 0 && (digits[length - 1] == ' ' || digits[length - 1] == '\t'))
        length--;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9' || i > 8)
            return false;
        value = value * 10 + (size_t)(digits[i] - '0');
    }
    *ret = value;
    return length > 0;
}

/* The fields of the head that matter. NULL or what is wrong. */
static const char *read_fields(struct http1_fetch *fetch, const char *line, const char *end)
{
    fetch->body_expected = LENGTH_UNKNOWN;
    while (line < end) {
        const char *line_end = memmem(line, (size_t)(end - line), "\r\n", 2);
        const char *colon = memchr(line, ':', (size_t)(line_end - line));
        size_t length, name_bytes = colon ? (size_t)(colon - line) : 0;
        if (!colon)
            return "the answer has a header that is none";
        if (name_bytes == 17 && strncasecmp(line, "transfer-encoding", 17) == 0)
            return "the answer comes in a transfer encoding, which HTTP/1.0 does not have";
        if (name_bytes == 14 && strncasecmp(line, "content-length", 14) == 0) {
            if (!read_length(colon + 1, (size_t)(line_end - colon - 1), &length) ||
                (fetch->body_expected != LENGTH_UNKNOWN && fetch->body_expected != length))
                return "the answer has no sensible length";
            fetch->body_expected = length;
        }
        line = line_end + 2;
    }
    if (fetch->body_expected != LENGTH_UNKNOWN && fetch->body_expected > HTTP1_BODY_MAX_BYTES)
        return "the answer is over 256 KiB";
    return NULL;
}

/* NULL or what is wrong. */
static const char *read_head(struct http1_fetch *fetch)
{
    const char *head = fetch->answer.data;
    const char *end = memmem(head, fetch->answer.length, "\r\n\r\n", 4);
    if (!end)
        return fetch->answer.length > HEAD_MAX_BYTES ? "the head of the answer is too long" : NULL;
    fetch->body_start = (size_t)(end - head) + 4;
    if (end - head < 12 || strncmp(head, "HTTP/1.", 7) != 0 || (head[7] != '0' && head[7] != '1') ||
        head[8] != ' ')
        return "the answer is no HTTP/1";
    if (strncmp(head + 9, "200", 3) != 0)
        return head[9] == '3' ? "the answer is a redirect, which is not followed" : "the status is not 200";
    const char *line = memmem(head, fetch->body_start, "\r\n", 2);
    return read_fields(fetch, line + 2, end + 2);
}

static void complete(struct http1_fetch *fetch)
{
    const struct http1_answer answer = {.body = fetch->answer.data + fetch->body_start,
                                        .body_bytes = fetch->answer.length - fetch->body_start};
    end(fetch, &answer);
}

/* ---- Events ----------------------------------------------------------------------------------------------
 */

static void received(void *owner, const uint8_t *bytes, size_t size_bytes)
{
    struct http1_fetch *fetch = owner;
    const char *wrong = NULL;
    text_append_bytes(&fetch->answer, (const char *)bytes, size_bytes);
    if (fetch->answer.failed)
        wrong = "no memory for the answer";
    else if (!fetch->body_start)
        wrong = read_head(fetch);
    if (!wrong && fetch->body_start) {
        size_t body_bytes = fetch->answer.length - fetch->body_start;
        if (body_bytes > HTTP1_BODY_MAX_BYTES)
            wrong = "the answer is over 256 KiB";
        else if (fetch->body_expected != LENGTH_UNKNOWN && body_bytes > fetch->body_expected)
            wrong = "the answer is longer than it says";
        else if (body_bytes == fetch->body_expected)
            complete(fetch);
    }
    if (wrong)
        fail(fetch, wrong);
}

static void closed(void *owner, const char *error)
{
    struct http1_fetch *fetch = owner;
    fetch->stream = NULL;
    if (error)
        fail(fetch, error);
    else if (fetch->body_start && fetch->body_expected == LENGTH_UNKNOWN)
        complete(fetch);
    else
        fail(fetch, "the answer ended too early");
}

static const struct stream_events events = {.received = received, .closed = closed};

static void late(uv_timer_t *timer)
{
    fail(timer->data, "no complete answer in time");
}

/* ---- Beginning -------------------------------------------------------------------------------------------
 */

/* Splits it in place. User names, fragments and anything that is not printable are refused. */
static bool split_url(char *text, struct url *ret)
{
    bool tls = strncmp(text, "https://", 8) == 0;
    if (!tls && strncmp(text, "http://", 7) != 0)
        return false;
    for (const char *each = text; *each; each++)
        if (*each <= ' ' || *each >= 0x7f || strchr("@#\\\"<>", *each))
            return false;
    *ret = (struct url){.tls = tls, .host = text + (tls ? 8 : 7), .port = tls ? 443 : 80, .path = "/"};
    char *authority_end = ret->host + strcspn(ret->host, "/?"), *port = NULL;
    if (*authority_end == '?')
        return false;
    if (*authority_end) {
        /* Moved by one to the left, over "://", so that the host ends where the path begins. */
        size_t length = (size_t)(authority_end - ret->host);
        memmove(ret->host - 1, ret->host, length);
        ret->host--;
        ret->host[length] = '\0';
        ret->path = authority_end;
    }
    if (ret->host[0] == '[') {
        char *bracket = strchr(++ret->host, ']');
        if (!bracket || (bracket[1] && bracket[1] != ':'))
            return false;
        port = bracket[1] ? bracket + 1 : NULL;
        *bracket = '\0';
    } else {
        port = strchr(ret->host, ':');
    }
    if (port) {
        size_t number;
        *port++ = '\0';
        if (!read_length(port, strlen(port), &number) || number == 0 || number > UINT16_MAX)
            return false;
        ret->port = (uint16_t)number;
    }
    return *ret->host != '\0';
}

static int ask(struct http1_fetch *fetch, uv_loop_t *loop, const struct url *url, struct tls_identity *tls,
               uint32_t timeout_ms)
{
    cleanup_text struct text request = {0};
    const struct tcp_target target = {.host = url->host, .port = url->port, .timeout_ms = timeout_ms};
    const struct tcp_options options = {.tls = tls, .events = &events, .owner = fetch};
    bool six = strchr(url->host, ':') != NULL;
    text_append_format(&request, "GET %s HTTP/1.0\r\nHost: %s%s%s", url->path, six ? "[" : "", url->host,
                       six ? "]" : "");
    if (url->port != (url->tls ? 443 : 80))
        text_append_format(&request, ":%u", url->port);
    text_append(&request, "\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    if (request.failed)
        return -ENOMEM;
    int r = tcp_connect(loop, &target, &options, &fetch->stream);
    if (r == 0)
        stream_write(fetch->stream, request.data, request.length);
    return r;
}

int http1_get(uv_loop_t *loop, const struct http1_get_options *options,
              void (*done)(void *owner, const struct http1_answer *answer), void *owner,
              struct http1_fetch **ret)
{
    cleanup_free char *text = strdup(options->url);
    cleanup_tls_identity struct tls_identity *tls = NULL;
    struct tls_client_options tls_options = {.ca = options->ca, .tls12 = true};
    uint32_t timeout_ms = options->timeout_ms ? options->timeout_ms : HTTP1_GET_TIMEOUT_MS;
    struct url url;
    if (!text)
        return -ENOMEM;
    if (strlen(text) > URL_MAX_BYTES || !split_url(text, &url))
        return -EINVAL;
    if (url.tls && tls_identity_new_client(&tls_options, &tls, NULL) != BERTH_OK)
        return -EINVAL;
    struct http1_fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch || !(fetch->url = strdup(options->url))) {
        free(fetch);
        return -ENOMEM;
    }
    fetch->done = done;
    fetch->owner = owner;
    (void)uv_timer_init(loop, &fetch->timer);
    fetch->timer.data = fetch;
    int r = ask(fetch, loop, &url, tls, timeout_ms);
    if (r < 0) {
        end(fetch, NULL);
        return r;
    }
    uv_timer_start(&fetch->timer, late, timeout_ms, 0);
    *ret = fetch;
    return 0;
}

void http1_get_cancel(struct http1_fetch *fetch)
{
    if (fetch)
        end(fetch, NULL);
}

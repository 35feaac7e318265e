/* SPDX-License-Identifier: Apache-2.0 */
/* The responder for health and metrics, asked rightly and wrongly; and fetching keys from servers that are
 * not always kind. */
#include "net/test_loop.h"

#include <stdio.h>

#include "net/http1.h"
#include "net/test_certificates.h"

struct fixture {
    uv_loop_t loop;
    struct http1_server *server;
    uint16_t port;
    char last_path[256], last_query[256];
    uint32_t n_asked;

    /* A server that says what a test wants. */
    uv_tcp_t listener;
    struct tls_identity *tls;
    const char *script;
    size_t script_bytes;
    bool script_hangs;
    struct test_end scripted;

    bool done;
    char *error, *body;
    size_t body_bytes;
};

static void answer(void *owner, const char *path, const char *query, struct http1_reply *ret)
{
    struct fixture *fixture = owner;
    fixture->n_asked++;
    snprintf(fixture->last_path, sizeof fixture->last_path, "%s", path);
    snprintf(fixture->last_query, sizeof fixture->last_query, "%s", query);
    if (strcmp(path, "/healthz") != 0)
        return;
    ret->status = 200;
    ret->body = strdup("fine\n");
    ret->body_bytes = 5;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    uv_loop_init(&fixture->loop);
    return http1_server_new(&fixture->loop, "127.0.0.1", 0, answer, fixture, &fixture->server,
                            &fixture->port);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http1_server_free(fixture->server);
    test_end_done(&fixture->scripted);
    if (fixture->script && !uv_is_closing((uv_handle_t *)&fixture->listener))
        uv_close((uv_handle_t *)&fixture->listener, NULL);
    tls_identity_unref(fixture->tls);
    test_loop_done(&fixture->loop);
    free(fixture->error);
    free(fixture->body);
    free(fixture);
    return 0;
}

/* ---- Responder -------------------------------------------------------------------------------------------
 */

static struct stream *open_stream(struct fixture *fixture, struct test_end *end)
{
    const struct tcp_target target = {.host = "127.0.0.1", .port = fixture->port};
    const struct tcp_options options = {.events = &test_end_events, .owner = end};
    *end = (struct test_end){.keeps = true};
    assert_int_equal(tcp_connect(&fixture->loop, &target, &options, &end->stream), 0);
    return end->stream;
}

/* Sends the bytes and returns the whole answer, to be freed; "" if there was none. */
static char *ask_bytes(struct fixture *fixture, const char *request, size_t size_bytes)
{
    struct test_end end;
    stream_write(open_stream(fixture, &end), request, size_bytes);
    assert_true(test_wait(&fixture->loop, &end.closed));
    text_append(&end.received, "");
    char *text = text_take(&end.received);
    test_end_done(&end);
    return text;
}

static char *ask(struct fixture *fixture, const char *request)
{
    return ask_bytes(fixture, request, strlen(request));
}

static void assert_status(struct fixture *fixture, const char *request, const char *status)
{
    char line[64];
    cleanup_free char *text = ask(fixture, request);
    snprintf(line, sizeof line, "HTTP/1.1 %s\r\n", status);
    if (strncmp(text, line, strlen(line)) != 0)
        fail_msg("%s was answered with %s", request, text);
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
}

static void get_is_answered(void **state)
{
    cleanup_free char *text = ask(*state, "GET /healthz?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    struct fixture *fixture = *state;
    assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 5\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\nfine\n");
    assert_string_equal(fixture->last_path, "/healthz");
    assert_string_equal(fixture->last_query, "verbose=1");
}

static void head_has_no_body(void **state)
{
    cleanup_free char *text = ask(*state, "HEAD /healthz HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(text, "\r\nContent-Length: 5\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
}

static void other_requests_have_their_status(void **state)
{
    assert_status(*state, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found");
    assert_status(*state, "POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed");
    assert_status(*state, "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported");
    assert_status(*state, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
                  "413 Content Too Large");
}

static void malformed_requests_reach_nobody(void **state)
{
    static const char *const requests[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health z HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
        "G\tET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        assert_status(fixture, requests[i], "400 Bad Request");
    static const char with_nul[] = "GET /healthz HTTP/1.1\r\nHost: x\0\r\n\r\n";
    cleanup_free char *text = ask_bytes(fixture, with_nul, sizeof with_nul - 1);
    assert_non_null(strstr(text, "400 Bad Request"));
    assert_int_equal(fixture->n_asked, 0);
}

static void head_over_its_bound_is_refused(void **state)
{
    cleanup_text struct text request = {0};
    text_append(&request, "GET /healthz HTTP/1.1\r\nHost: x\r\nPadding: ");
    while (request.length < HTTP1_HEAD_MAX_BYTES + 1)
        text_append(&request, "0123456789");
    assert_status(*state, request.data, "431 Request Header Fields Too Large");
}

static bool answered(void *payload)
{
    return strstr(((struct test_end *)payload)->received.data ?: "", "fine\n") != NULL;
}

static void request_may_come_byte_by_byte(void **state)
{
    struct fixture *fixture = *state;
    struct test_end end;
    struct stream *stream = open_stream(fixture, &end);
    assert_true(test_wait(&fixture->loop, &end.opened));
    for (const char *each = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"; *each; each++) {
        stream_write(stream, each, 1);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
    assert_true(test_run_until(&fixture->loop, answered, &end));
    test_end_done(&end);
}

static void one_more_ends_the_oldest(void **state)
{
    struct fixture *fixture = *state;
    struct test_end *ends = calloc(HTTP1_CONNECTIONS_MAX, sizeof *ends);
    for (int i = 0; i < HTTP1_CONNECTIONS_MAX; i++) {
        stream_write(open_stream(fixture, &ends[i]), "GET ", 4);
        assert_true(test_wait(&fixture->loop, &ends[i].opened));
    }
    cleanup_free char *text = ask(fixture, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(text, "200 OK"));
    assert_true(test_wait(&fixture->loop, &ends[0].closed));
    for (int i = 0; i < HTTP1_CONNECTIONS_MAX; i++)
        test_end_done(&ends[i]);
    free(ends);
}

/* ---- One GET ---------------------------------------------------------------------------------------------
 */

static void script_received(void *owner, const uint8_t *bytes, size_t size_bytes)
{
    struct fixture *fixture = owner;
    test_end_received(&fixture->scripted, bytes, size_bytes);
    if (!fixture->scripted.stream || !strstr(fixture->scripted.received.data, "\r\n\r\n"))
        return;
    stream_write(fixture->scripted.stream, fixture->script, fixture->script_bytes);
    if (fixture->script_hangs)
        return;
    stream_finish(fixture->scripted.stream);
    fixture->scripted.stream = NULL;
}

static void script_closed(void *owner, const char *error)
{
    (void)error;
    ((struct fixture *)owner)->scripted.stream = NULL;
}

static void script_incoming(uv_stream_t *listener, int status)
{
    static const struct stream_events events = {.received = script_received, .closed = script_closed};
    struct fixture *fixture = listener->data;
    const struct tcp_options options = {.tls = fixture->tls, .events = &events, .owner = fixture};
    assert_int_equal(status, 0);
    (void)tcp_accept(listener, &options, &fixture->scripted.stream);
}

static uint16_t serve_script(struct fixture *fixture, const char *script, size_t size_bytes)
{
    struct sockaddr_in address;
    int size = sizeof address;
    fixture->script = script;
    fixture->script_bytes = size_bytes;
    fixture->scripted.keeps = true;
    uv_tcp_init(&fixture->loop, &fixture->listener);
    fixture->listener.data = fixture;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&fixture->listener, (struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&fixture->listener, 8, script_incoming);
    uv_tcp_getsockname(&fixture->listener, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static void fetched(void *owner, const struct http1_answer *answer)
{
    struct fixture *fixture = owner;
    fixture->done = true;
    free(fixture->error);
    free(fixture->body);
    fixture->error = answer->error ? strdup(answer->error) : NULL;
    fixture->body = answer->error ? NULL : strndup(answer->body, answer->body_bytes);
    fixture->body_bytes = answer->body_bytes;
}

static void get(struct fixture *fixture, const char *url, const char *ca, uint32_t timeout_ms)
{
    const struct http1_get_options options = {.url = url, .ca = ca, .timeout_ms = timeout_ms};
    struct http1_fetch *fetch;
    assert_int_equal(http1_get(&fixture->loop, &options, fetched, fixture, &fetch), 0);
    assert_true(test_wait(&fixture->loop, &fixture->done));
}

static void get_script(struct fixture *fixture, const char *script, size_t size_bytes)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/keys?x=1", serve_script(fixture, script, size_bytes));
    get(fixture, url, NULL, 0);
}

static void body_ends_with_the_connection(void **state)
{
    static const char script[] = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n{\"keys\":[]}";
    struct fixture *fixture = *state;
    get_script(fixture, script, sizeof script - 1);
    assert_null(fixture->error);
    assert_string_equal(fixture->body, "{\"keys\":[]}");
    assert_non_null(strstr(fixture->scripted.received.data, "GET /keys?x=1 HTTP/1.0\r\nHost: 127.0.0.1:"));
}

static void body_ends_with_its_length(void **state)
{
    static const char script[] = "HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody";
    struct fixture *fixture = *state;
    fixture->script_hangs = true;
    get_script(fixture, script, sizeof script - 1);
    assert_null(fixture->error);
    assert_string_equal(fixture->body, "body");
}

static void expect_error(struct fixture *fixture, const char *sentence)
{
    assert_non_null(fixture->error);
    if (!strstr(fixture->error, sentence))
        fail_msg("%s", fixture->error);
}

static void bad_answers_are_errors(void **state)
{
    static const struct {
        const char *script, *sentence;
    } cases[] = {
        {"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "redirect"},
        {"HTTP/1.1 404 Not Found\r\n\r\nno", "status"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "too early"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nlong", "longer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nlong", "sensible length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "sensible length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "sensible length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", "256 KiB"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer encoding"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header"},
        {"SSH-2.0-x\r\n\r\n", "no HTTP"},
        {"", "too early"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        get_script(fixture, cases[i].script, strlen(cases[i].script));
        expect_error(fixture, cases[i].sentence);
        fixture->done = false;
        test_end_done(&fixture->scripted);
        uv_close((uv_handle_t *)&fixture->listener, NULL);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
}

static void endless_answers_are_cut(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    enum { SIZE = HTTP1_BODY_MAX_BYTES + 100 };
    struct fixture *fixture = *state;
    cleanup_free char *script = malloc(SIZE);
    memset(script, 'x', SIZE);
    memcpy(script, head, sizeof head - 1);
    fixture->script_hangs = true;
    get_script(fixture, script, SIZE);
    expect_error(fixture, "256 KiB");
}

static void silent_server_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    fixture->script_hangs = true;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", serve_script(fixture, "", 0));
    get(fixture, url, NULL, 100);
    expect_error(fixture, "in time");
}

static void fetch_can_be_cancelled(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    struct http1_fetch *fetch;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/healthz", fixture->port);
    const struct http1_get_options options = {.url = url};
    assert_int_equal(http1_get(&fixture->loop, &options, fetched, fixture, &fetch), 0);
    http1_get_cancel(fetch);
    for (int i = 0; i < 20; i++)
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_false(fixture->done);
}

static void bad_urls_are_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "ftp://x/",
        "http://",
        "https:///x",
        "http://x:0/",
        "http://x:65536/",
        "http://x:/",
        "http://user@x/",
        "http://x/#part",
        "http://x/ y",
        "http://x/\r\nEvil: 1",
        "http://[::1/",
        "http://x?query",
        "HTTP://x/",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        const struct http1_get_options options = {.url = urls[i]};
        struct http1_fetch *fetch;
        assert_int_equal(http1_get(&fixture->loop, &options, fetched, fixture, &fetch), -EINVAL);
    }
}

static void https_is_verified(void **state)
{
    static const char script[] = "HTTP/1.1 200 OK\r\n\r\nsecret";
    static const char *const made[] = {"ca", "other-ca", "server", "expired", "client", "stranger"};
    struct fixture *fixture = *state;
    char directory[] = "/tmp/berth-test-XXXXXX", pem[64], key[64], ca[64], other[64], url[64];
    assert_non_null(mkdtemp(directory));
    test_certificates_write(directory);
    snprintf(pem, sizeof pem, "%s/server.pem", directory);
    snprintf(key, sizeof key, "%s/server.key", directory);
    snprintf(ca, sizeof ca, "%s/ca.pem", directory);
    snprintf(other, sizeof other, "%s/other-ca.pem", directory);
    const struct tls_server_options options = {.certificate = pem, .key = key};
    assert_int_equal(tls_identity_new_server(&options, &fixture->tls, NULL), BERTH_OK);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", serve_script(fixture, script, sizeof script - 1));
    get(fixture, url, ca, 0);
    assert_null(fixture->error);
    assert_string_equal(fixture->body, "secret");
    fixture->done = false;
    test_end_done(&fixture->scripted);
    get(fixture, url, other, 0);
    expect_error(fixture, "not accepted for 127.0.0.1");
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(pem, sizeof pem, "%s/%s.pem", directory, made[i]);
        snprintf(key, sizeof key, "%s/%s.key", directory, made[i]);
        remove(pem);
        remove(key);
    }
    remove(directory);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(get_is_answered),
        WITH_FIXTURE(head_has_no_body),
        WITH_FIXTURE(other_requests_have_their_status),
        WITH_FIXTURE(malformed_requests_reach_nobody),
        WITH_FIXTURE(head_over_its_bound_is_refused),
        WITH_FIXTURE(request_may_come_byte_by_byte),
        WITH_FIXTURE(one_more_ends_the_oldest),
        WITH_FIXTURE(body_ends_with_the_connection),
        WITH_FIXTURE(body_ends_with_its_length),
        WITH_FIXTURE(bad_answers_are_errors),
        WITH_FIXTURE(endless_answers_are_cut),
        WITH_FIXTURE(silent_server_is_given_up),
        WITH_FIXTURE(fetch_can_be_cancelled),
        WITH_FIXTURE(bad_urls_are_refused),
        WITH_FIXTURE(https_is_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

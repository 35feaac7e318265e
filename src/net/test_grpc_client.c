/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against servers that write bytes by hand: no HTTP/2, frames that break its rules, floods and
 * silence. Each must end in time, with a reason, and with little memory.
 */
#include "net/grpc_client.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

enum { FRAME_HEADER_BYTES = 9 };
enum {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PUSH_PROMISE = 5,
    PING = 6,
    GOAWAY = 7,
    CONTINUATION = 9
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* Answers one connection, then waits until the other side closes. */
typedef void serve_fn(int fd);

struct server {
    int listener;
    uint16_t port;
    serve_fn *serve;
    pthread_t thread;
};

static void write_bytes(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        size -= (size_t)n;
    }
}

static void write_frame(int fd, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
                        uint32_t size)
{
    const uint8_t header[FRAME_HEADER_BYTES] = {
        (uint8_t)(size >> 16),   (uint8_t)(size >> 8),    (uint8_t)size,          type,           flags,
        (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    write_bytes(fd, header, sizeof(header));
    write_bytes(fd, payload, size);
}

/* Until the client has asked for something: its bytes contain the path, which HPACK sends as it is. */
static void await_request(int fd)
{
    uint8_t bytes[65536];
    size_t length = 0;
    while (length < sizeof(bytes)) {
        ssize_t n = recv(fd, bytes + length, sizeof(bytes) - length, 0);
        if (n <= 0)
            return;
        length += (size_t)n;
        /* HEADERS of stream 1 and its DATA. */
        for (size_t i = 0; i + FRAME_HEADER_BYTES <= length; i++)
            if (bytes[i + 3] == DATA && (bytes[i + 4] & END_STREAM) && !memcmp(bytes + i + 5, "\0\0\0\1", 4))
                return;
    }
}

static void *serve(void *argument)
{
    struct server *server = argument;
    char rest[4096];
    int fd = accept(server->listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    server->serve(fd);
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void server_start(struct server *server, serve_fn *function)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    *server = (struct server){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .serve = function};
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 1), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_end(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

static int connect_client(const struct server *server, struct grpc_client **ret, char **ret_reason)
{
    struct grpc_client_options options;
    grpc_client_options_init(&options);
    options.host = "127.0.0.1";
    options.port = server->port;
    options.connect_timeout_ms = 1000;
    options.keepalive_ms = 500;
    return grpc_client_new(&options, ret, ret_reason);
}

static bool ignore(void *payload, uint8_t *bytes, size_t size_bytes)
{
    (void)bytes, (void)size_bytes;
    ++*(unsigned *)payload;
    return true;
}

static struct grpc_answer ask(struct grpc_client *client, uint64_t timeout_ms, unsigned *ret_count)
{
    struct grpc_answer answer;
    const struct grpc_request request = {
        .path = "/test.Test/Call",
        .timeout_ms = timeout_ms,
        .max_message_bytes = 1 << 20,
        .message = ignore,
        .payload = ret_count,
    };
    *ret_count = 0;
    grpc_client_call(client, &request, &answer);
    return answer;
}

/* ---- Connecting ---------------------------------------------------------------------------------------- */

static void say_http1(int fd)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    write_bytes(fd, answer, sizeof(answer) - 1);
}

static void say_nothing(int fd)
{
    (void)fd;
}

static void say_goodbye(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

static void say_settings_that_are_none(int fd)
{
    write_frame(fd, SETTINGS, 0, 0, "12345", 5);
}

static void say_a_frame_larger_than_agreed(int fd)
{
    write_frame(fd, SETTINGS, 0, 0, "", 0);
    static const uint8_t huge[FRAME_HEADER_BYTES] = {0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1};
    write_bytes(fd, huge, sizeof(huge));
}

static void what_speaks_no_http2_is_no_server(void **state)
{
    static const struct {
        serve_fn *serve;
        const char *says;
    } cases[] = {{say_http1, "HTTP/2"},
                 {say_nothing, "in time"},
                 {say_goodbye, "closed"},
                 {say_settings_that_are_none, "HTTP/2"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server server;
        struct grpc_client *client;
        cleanup_free char *reason = NULL;
        server_start(&server, cases[i].serve);
        assert_true(connect_client(&server, &client, &reason) < 0);
        assert_non_null(reason);
        if (!strstr(reason, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", reason, cases[i].says);
        server_end(&server);
    }
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

/* ":status: 200" and "content-type: application/grpc" without Huffman codes (RFC 7541). */
static const char head[] = "\x88\x0f\x10\x10"
                           "application/grpc";

static void begin(int fd)
{
    write_frame(fd, SETTINGS, 0, 0, "", 0);
    write_frame(fd, SETTINGS, ACK, 0, "", 0);
    await_request(fd);
}

static void answer_head(int fd)
{
    begin(fd);
    write_frame(fd, HEADERS, END_HEADERS, 1, head, sizeof(head) - 1);
}

static void flood_with_pings(int fd)
{
    begin(fd);
    for (int i = 0; i < 100000; i++)
        write_frame(fd, PING, 0, 0, "12345678", 8);
    shutdown(fd, SHUT_WR);
}

static void flood_with_settings(int fd)
{
    begin(fd);
    for (int i = 0; i < 100000; i++)
        write_frame(fd, SETTINGS, 0, 0, "", 0);
    shutdown(fd, SHUT_WR);
}

static void flood_with_empty_data(int fd)
{
    answer_head(fd);
    for (int i = 0; i < 100000; i++)
        write_frame(fd, DATA, 0, 1, "", 0);
    shutdown(fd, SHUT_WR);
}

static void flood_with_continuations(int fd)
{
    static const uint8_t piece[1024];
    begin(fd);
    write_frame(fd, HEADERS, 0, 1, head, sizeof(head) - 1);
    for (int i = 0; i < 10000; i++)
        write_frame(fd, CONTINUATION, 0, 1, piece, sizeof(piece));
    shutdown(fd, SHUT_WR);
}

/* "x: aaaa…" that fills the dynamic table, then a reference of one byte to it, often. */
static void bomb_with_headers(int fd)
{
    uint8_t field[4 + 3000], references[12000];
    begin(fd);
    memcpy(field, "\x40\x01x\x7f", 4);
    memset(field + 4, 0, sizeof(field) - 4);
    field[4] = 0xd9, field[5] = 0x16; /* 127 + 0x59 + 0x16 * 128: 3032 */
    size_t size = 6;
    uint8_t value[3032];
    memset(value, 'a', sizeof(value));
    memset(references, 0xbe, sizeof(references));
    uint8_t block[1 + 6 + sizeof(value) + sizeof(references)];
    block[0] = 0x88;
    memcpy(block + 1, field, size);
    memcpy(block + 1 + size, value, sizeof(value));
    memcpy(block + 1 + size + sizeof(value), references, sizeof(references));
    write_frame(fd, HEADERS, END_HEADERS, 1, block, sizeof(block));
}

static void push_a_promise(int fd)
{
    begin(fd);
    write_frame(fd, PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82", 5);
}

static void go_on_after_a_message_with_garbage(int fd)
{
    uint8_t piece[16384];
    memset(piece, 0xff, sizeof(piece));
    answer_head(fd);
    write_frame(fd, DATA, 0, 1, "\0\0\0\0\0", 5);
    for (int i = 0; i < 8192; i++)
        write_frame(fd, DATA, 0, 1, piece, sizeof(piece));
    shutdown(fd, SHUT_WR);
}

static void answer_another_stream(int fd)
{
    begin(fd);
    write_frame(fd, HEADERS, END_HEADERS | END_STREAM, 7, head, sizeof(head) - 1);
}

static void end_in_the_middle(int fd)
{
    answer_head(fd);
    write_frame(fd, DATA, 0, 1, "\0\0\0\0\x10half", 9);
    shutdown(fd, SHUT_WR);
}

static void reset_with_garbage(int fd)
{
    begin(fd);
    write_frame(fd, RST_STREAM, 0, 1, "\xff\xff\xff\xff", 4);
}

static void go_away(int fd)
{
    begin(fd);
    write_frame(fd, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\2", 8);
}

static void go_silent(int fd)
{
    answer_head(fd);
}

static void no_server_hurts_more_than_its_call(void **state)
{
    static serve_fn *const cases[] = {say_a_frame_larger_than_agreed,
                                      flood_with_pings,
                                      flood_with_settings,
                                      flood_with_empty_data,
                                      flood_with_continuations,
                                      bomb_with_headers,
                                      push_a_promise,
                                      go_on_after_a_message_with_garbage,
                                      answer_another_stream,
                                      end_in_the_middle,
                                      reset_with_garbage,
                                      go_away,
                                      go_silent};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server server;
        struct grpc_client *client;
        struct grpc_answer answer;
        cleanup_free char *reason = NULL;
        unsigned count;
        server_start(&server, cases[i]);
        if (connect_client(&server, &client, &reason) == 0) {
            answer = ask(client, 0, &count);
            if (answer.end == GRPC_END_STATUS && answer.status == GRPC_OK)
                fail_msg("server %zu: taken for an answer", i);
            if (*answer.message == '\0')
                fail_msg("server %zu: no reason was given", i);
            assert_true(count <= 1);
            grpc_client_free(client);
        } else {
            assert_non_null(reason);
        }
        server_end(&server);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifndef __SANITIZE_ADDRESS__                 /* whose own memory is many times that */
    assert_true(usage.ru_maxrss < 64 << 10); /* KiB */
#endif
}

static void a_deadline_ends_a_silent_call(void **state)
{
    struct server server;
    struct grpc_client *client;
    struct grpc_answer answer;
    char *reason;
    unsigned count;
    (void)state;
    server_start(&server, go_silent);
    assert_int_equal(connect_client(&server, &client, &reason), 0);
    answer = ask(client, 1, &count);
    assert_true(answer.end == GRPC_END_DEADLINE || answer.end == GRPC_END_LOST);
    grpc_client_free(client);
    server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_speaks_no_http2_is_no_server),
        cmocka_unit_test(no_server_hurts_more_than_its_call),
        cmocka_unit_test(a_deadline_ends_a_silent_call),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

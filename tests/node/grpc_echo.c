/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server for tests of the transport: grpc_echo.proto says what its methods do. Prints "port N", and a
 * line "METHOD closed STATUS" for each call that ended; ends after draining at SIGTERM.
 *
 *    grpc_echo [tls=CERTIFICATE,KEY] [client_ca=FILE] [client_required=1] [OPTION=NUMBER…]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/grpc_server.h"
#include "net/tls.h"

struct program {
    uv_loop_t loop;
    uv_signal_t terminate, counts;
    struct grpc_server *server;
};

/* What a call of Stream or Slow still has to do. */
struct work {
    struct grpc_call *call;
    uv_timer_t timer;
    uint64_t n_left;
    size_t size_bytes;
    uint8_t *payload; /* a protobuf message */
};

static void start(struct grpc_call *call)
{
    (void)call;
}

static void say_closed(const char *method, enum grpc_status status)
{
    printf("%s closed %s\n", method, grpc_status_name(status));
    fflush(stdout);
}

/* ---- Reading the few numbers of a request -----------------------------------------------------------------
 */

static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return value;
}

/* Field 1 to 3 of a message that has only numbers. */
static void read_numbers(const uint8_t *bytes, size_t size_bytes, uint64_t ret[static 4])
{
    const uint8_t *end = bytes + size_bytes;
    memset(ret, 0, 4 * sizeof *ret);
    while (bytes < end) {
        uint64_t key = read_varint(&bytes, end), value = read_varint(&bytes, end);
        ret[key >> 3 & 3] = value;
    }
}

static size_t write_varint(uint8_t *into, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        into[n++] = (uint8_t)(value | 0x80);
    into[n++] = (uint8_t)value;
    return n;
}

/* ---- Unary, Upload ----------------------------------------------------------------------------------------
 */

static void unary_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    const struct iovec piece = {bytes, size_bytes};
    grpc_call_send(call, &piece, 1);
    grpc_call_finish(call, GRPC_OK, NULL);
}

static void unary_closed(struct grpc_call *call, enum grpc_status status)
{
    (void)call;
    if (status != GRPC_OK)
        say_closed("Unary", status);
}

static void upload_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    uintptr_t total = (uintptr_t)grpc_call_data(call) + size_bytes;
    (void)bytes;
    free(grpc_call_take_message(call));
    grpc_call_set_data(call, (void *)total);
}

static void upload_half_closed(struct grpc_call *call)
{
    uint8_t answer[16] = {1 << 3};
    const struct iovec piece = {answer, 1 + write_varint(answer + 1, (uintptr_t)grpc_call_data(call))};
    grpc_call_send(call, &piece, 1);
    grpc_call_finish(call, GRPC_OK, NULL);
}

static void upload_closed(struct grpc_call *call, enum grpc_status status)
{
    (void)call;
    say_closed("Upload", status);
}

/* ---- Stream, Slow -----------------------------------------------------------------------------------------
 */

static void free_work(uv_handle_t *timer)
{
    struct work *work = timer->data;
    free(work->payload);
    free(work);
}

static struct work *begin_work(struct grpc_call *call, uint64_t n, size_t payload_bytes)
{
    const struct program *program = grpc_call_owner(call);
    struct work *work = calloc(1, sizeof *work);
    if (!work || !(work->payload = calloc(1, payload_bytes + 16)))
        abort();
    work->call = call;
    work->n_left = n;
    work->payload[0] = 1 << 3 | 2;
    work->size_bytes = 1 + write_varint(work->payload + 1, payload_bytes);
    memset(work->payload + work->size_bytes, 'x', payload_bytes);
    work->size_bytes += payload_bytes;
    uv_timer_init((uv_loop_t *)(uintptr_t)&program->loop, &work->timer);
    work->timer.data = work;
    grpc_call_set_data(call, work);
    return work;
}

static void stream_on(struct grpc_call *call)
{
    struct work *work = grpc_call_data(call);
    const struct iovec piece = {work->payload, work->size_bytes};
    while (work->n_left > 0 && grpc_call_queued_bytes(call) < GRPC_SEND_WINDOW_BYTES) {
        work->n_left--;
        if (grpc_call_send(call, &piece, 1) < 0)
            return;
    }
    if (work->n_left == 0)
        grpc_call_finish(call, GRPC_OK, NULL);
}

static void stream_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    uint64_t numbers[4];
    if (grpc_call_data(call))
        return;
    read_numbers(bytes, size_bytes, numbers);
    begin_work(call, numbers[1], numbers[2] & 0xffffff);
    stream_on(call);
}

static void answer_late(uv_timer_t *timer)
{
    struct work *work = timer->data;
    const struct iovec piece = {work->payload, work->size_bytes};
    grpc_call_send(work->call, &piece, 1);
    grpc_call_finish(work->call, GRPC_OK, NULL);
}

static void slow_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    uint64_t numbers[4];
    if (grpc_call_data(call))
        return;
    read_numbers(bytes, size_bytes, numbers);
    struct work *work = begin_work(call, 1, 4);
    if (numbers[3] > 0)
        uv_timer_start(&work->timer, answer_late, numbers[3], 0);
    printf("Slow began\n");
    fflush(stdout);
}

static void work_closed(struct grpc_call *call)
{
    struct work *work = grpc_call_data(call);
    if (work)
        uv_close((uv_handle_t *)&work->timer, free_work);
}

static void stream_closed(struct grpc_call *call, enum grpc_status status)
{
    work_closed(call);
    say_closed("Stream", status);
}

static void slow_closed(struct grpc_call *call, enum grpc_status status)
{
    work_closed(call);
    say_closed("Slow", status);
}

/* ---- Fail, Who
 * --------------------------------------------------------------------------------------------- */

static void fail_start(struct grpc_call *call)
{
    const char *message = grpc_call_header(call, "fail-with");
    grpc_call_finish(call, GRPC_FAILED_PRECONDITION, message);
}

static void ignore_message(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    (void)call;
    (void)bytes;
    (void)size_bytes;
}

static void who_half_closed(struct grpc_call *call)
{
    char text[256] = {1 << 3 | 2};
    const uint8_t *digest = grpc_call_certificate_sha256(call);
    int n = snprintf(text + 2, 120, "%s%s ", grpc_call_address(call), grpc_call_has_tls(call) ? " tls" : "");
    for (int i = 0; digest && i < 4; i++)
        n += snprintf(text + 2 + n, 8, "%02x", digest[i]);
    text[1] = (char)n;
    const struct iovec piece = {text, (size_t)n + 2};
    grpc_call_send(call, &piece, 1);
    grpc_call_finish(call, GRPC_OK, NULL);
}

static const struct grpc_method methods[] = {
    {.path = "/berth.test.Echo/Unary", .start = start, .message = unary_message, .closed = unary_closed},
    {.path = "/berth.test.Echo/Small", .max_message_bytes = 1000, .start = start, .message = unary_message},
    {.path = "/berth.test.Echo/Upload",
     .start = start,
     .message = upload_message,
     .half_closed = upload_half_closed,
     .closed = upload_closed},
    {.path = "/berth.test.Echo/Stream",
     .start = start,
     .message = stream_message,
     .writable = stream_on,
     .closed = stream_closed},
    {.path = "/berth.test.Echo/Slow", .start = start, .message = slow_message, .closed = slow_closed},
    {.path = "/berth.test.Echo/Fail", .start = fail_start, .message = ignore_message},
    {.path = "/berth.test.Echo/Who",
     .start = start,
     .message = ignore_message,
     .half_closed = who_half_closed},
    {0},
};

/* ---- The program
 * ------------------------------------------------------------------------------------------- */

static void drained(void *payload)
{
    struct program *program = payload;
    printf("drained\n");
    fflush(stdout);
    grpc_server_free(program->server);
    uv_close((uv_handle_t *)&program->terminate, NULL);
    uv_close((uv_handle_t *)&program->counts, NULL);
}

static void terminate(uv_signal_t *handle, int number)
{
    struct program *program = handle->data;
    (void)number;
    grpc_server_drain(program->server, drained, program);
}

static void print_counts(uv_signal_t *handle, int number)
{
    struct program *program = handle->data;
    struct grpc_server_counts counts;
    (void)number;
    grpc_server_counts(program->server, &counts);
    printf("counts %u %u %" PRIu64 " %" PRIu64 "\n", counts.connections, counts.calls,
           counts.refused_connections, counts.protocol_errors);
    fflush(stdout);
}

static int set_option(struct grpc_server_options *options, const char *name, const char *text)
{
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {
        {"max_connections", &options->max_connections},
        {"max_connections_per_address", &options->max_connections_per_address},
        {"max_calls_per_connection", &options->max_calls_per_connection},
        {"handshake_timeout_ms", &options->handshake_timeout_ms},
        {"header_timeout_ms", &options->header_timeout_ms},
        {"body_timeout_ms", &options->body_timeout_ms},
        {"idle_timeout_ms", &options->idle_timeout_ms},
    };
    unsigned long long value = strtoull(text, NULL, 10);
    if (strcmp(name, "max_message_bytes") == 0)
        options->max_message_bytes = value;
    else if (strcmp(name, "max_buffered_bytes") == 0)
        options->max_buffered_bytes = value;
    else
        for (size_t i = 0; i <= sizeof numbers / sizeof *numbers; i++) {
            if (i == sizeof numbers / sizeof *numbers)
                return -1;
            if (strcmp(numbers[i].name, name) == 0) {
                *numbers[i].number = (uint32_t)value;
                break;
            }
        }
    return 0;
}

static int read_arguments(char **arguments, struct grpc_server_options *options,
                          struct tls_server_options *tls)
{
    for (; *arguments; arguments++) {
        char *value = strchr(*arguments, '=');
        if (!value)
            return -1;
        *value++ = '\0';
        if (strcmp(*arguments, "tls") == 0) {
            tls->certificate = value;
            tls->key = strchr(value, ',') + 1;
            *strchr(value, ',') = '\0';
        } else if (strcmp(*arguments, "client_ca") == 0) {
            tls->client_ca = value;
        } else if (strcmp(*arguments, "client_required") == 0) {
            tls->client_required = true;
        } else if (set_option(options, *arguments, value) < 0) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    struct grpc_server_options options;
    struct tls_server_options tls_options = {0};
    cleanup_tls_identity struct tls_identity *tls = NULL;
    cleanup_error berth_error *error = NULL;
    uint16_t port;
    grpc_server_options_init(&options);
    options.methods = methods;
    options.owner = &program;
    options.max_message_bytes = 64 << 20;
    if (argc < 1 || read_arguments(argv + 1, &options, &tls_options) < 0)
        return 64;
    if (tls_options.certificate && tls_identity_new_server(&tls_options, &tls, &error) != BERTH_OK) {
        fprintf(stderr, "%s\n", berth_error_message(error));
        return 1;
    }
    uv_loop_init(&program.loop);
    if (grpc_server_new(&program.loop, &options, &program.server) < 0 ||
        grpc_server_listen(program.server, "127.0.0.1", 0, -1, tls, &port) < 0)
        return 1;
    program.terminate.data = program.counts.data = &program;
    uv_signal_init(&program.loop, &program.terminate);
    uv_signal_start(&program.terminate, terminate, SIGTERM);
    uv_signal_init(&program.loop, &program.counts);
    uv_signal_start(&program.counts, print_counts, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    printf("port %u\n", port);
    fflush(stdout);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&program.loop) == 0 ? 0 : 2;
}

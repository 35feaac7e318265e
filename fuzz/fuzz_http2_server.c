/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server that hears anything at all: nothing crashes, every call that began ends once, and nothing is
 * left of a connection that is gone.
 *
 * The first byte of the input says in what portions (1 to 256 bytes) the rest arrives; how often the loop
 * turns in between follows from it too.
 */
#include <stdint.h>
#include <stdlib.h>

#include "net/grpc_server.h"
#include "net/stream_transport.h"

/* A stream whose peer is the input, and that swallows what it is sent. */
struct input_stream {
    struct stream base;
    uv_idle_t handle; /* ends with the loop's help */
    struct world *world;
};

struct world {
    struct grpc_server *server;
    struct input_stream *stream; /* NULL once it is gone */
    uint64_t n_started, n_closed;
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* ---- Stream */

static void swallow(struct stream *stream)
{
    byte_queue_drop(&stream->output, stream->output.size_bytes);
}

static void set_reading(struct stream *stream, bool reading)
{
    (void)stream;
    (void)reading;
}

static void stream_handle_closed(uv_handle_t *handle)
{
    struct input_stream *stream = handle->data;
    stream->world->stream = NULL;
    stream_ended(&stream->base);
    free(stream);
}

static void end_stream(struct stream *base, bool politely)
{
    struct input_stream *stream = (struct input_stream *)base;
    (void)politely;
    if (!uv_is_closing((uv_handle_t *)&stream->handle))
        uv_close((uv_handle_t *)&stream->handle, stream_handle_closed);
}

static const struct stream_transport transport = {
    .flush = swallow, .set_reading = set_reading, .end = end_stream};

static void open_stream(uv_loop_t *loop, struct world *world)
{
    struct input_stream *stream = calloc(1, sizeof *stream);
    must(stream != NULL);
    stream_begin(&stream->base, &transport, NULL, NULL);
    stream->base.open = true;
    uv_idle_init(loop, &stream->handle);
    stream->handle.data = stream;
    stream->world = world;
    world->stream = stream;
}

/* ---- Calls */

static void start(struct grpc_call *call)
{
    struct world *world = grpc_call_owner(call);
    world->n_started++;
    must(grpc_call_header(call, ":path") != NULL);
}

static void echo(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    const struct iovec piece = {bytes, size_bytes};
    must(size_bytes <= 1 << 16);
    if (size_bytes % 2)
        free(grpc_call_take_message(call));
    else
        grpc_call_send(call, &piece, 1);
}

static void finish(struct grpc_call *call)
{
    grpc_call_finish(call, GRPC_ABORTED, "100%\x01\xff");
}

static void closed(struct grpc_call *call, enum grpc_status status)
{
    struct world *world = grpc_call_owner(call);
    (void)status;
    world->n_closed++;
}

static const struct grpc_method methods[] = {
    {.path = "/e", .start = start, .message = echo, .half_closed = finish, .closed = closed},
    {.path = "/n", .max_message_bytes = 3, .start = start, .message = echo, .closed = closed},
    {0},
};

static void feed(uv_loop_t *loop, struct world *world, const uint8_t *data, size_t size)
{
    size_t portion = (size_t)data[0] + 1;
    size_t at = 1;
    while (at < size && world->stream) {
        size_t length = size - at < portion ? size - at : portion;
        stream_received(&world->stream->base, data + at, length);
        at += length;
        if (portion % 3 == 0 || world->stream->base.ending)
            uv_run(loop, UV_RUN_NOWAIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {0};
    struct grpc_server_options options;
    struct grpc_server_counts counts;
    uv_loop_t loop;
    if (size == 0)
        return 0;
    grpc_server_options_init(&options);
    options.methods = methods;
    options.owner = &world;
    options.max_message_bytes = 1 << 16;
    options.max_buffered_bytes = 1 << 20;
    must(uv_loop_init(&loop) == 0);
    must(grpc_server_new(&loop, &options, &world.server) == 0);
    open_stream(&loop, &world);
    must(grpc_server_add_stream(world.server, &world.stream->base) == 0);
    feed(&loop, &world, data, size);
    uv_run(&loop, UV_RUN_NOWAIT);
    if (world.stream) /* the peer leaves */
        stream_over(&world.stream->base);
    for (int turns = 0; turns < 3; turns++)
        uv_run(&loop, UV_RUN_NOWAIT);
    grpc_server_counts(world.server, &counts);
    must(counts.connections == 0 && counts.calls == 0);
    must(world.n_started == world.n_closed);
    grpc_server_free(world.server);
    uv_run(&loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&loop) == 0);
    return 0;
}

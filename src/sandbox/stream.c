/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. */
#include "sandbox/stream.h"

#include <errno.h>
#include <string.h>

#include "base/checked_math.h"

enum {
    RING_BYTES = 64 << 10,
    RING_BYTES_MIN = 64 << 10, /* one fd_write must fit: wasi.h */
    /* From here on a write goes straight from guest memory to the descriptor. */
    DIRECT_BYTES = 16 << 10,
};

int stream_init(struct stream *stream, const struct berth_stream *options, int number,
                struct output_account *account)
{
    uint32_t size = options->buffer_size ? options->buffer_size : RING_BYTES;
    *stream = (struct stream){
        .kind = options->kind,
        .number = (uint8_t)number,
        .ring = {.capacity = size < RING_BYTES_MIN ? RING_BYTES_MIN : size},
        .endpoint = ENDPOINT_NONE,
        .account = account,
    };
    if (options->kind == BERTH_STREAM_FD)
        return endpoint_open(&stream->endpoint, options->descriptor, number > 0);
    return 0;
}

void stream_done(struct stream *stream)
{
    ring_drop(&stream->ring, stream->ring.length);
    endpoint_close(&stream->endpoint);
}

static void stop(struct stream *stream, enum stream_stop why, int failure)
{
    struct output_account *account = stream->account;
    if (account->stop != STREAM_GOES_ON)
        return;
    account->stop = why;
    account->failure = failure;
    account->failed_stream = stream->number;
}

static void fail(struct stream *stream, int failure)
{
    stop(stream, failure == -EPIPE || failure == -ECONNRESET ? STREAM_READER_GONE : STREAM_BROKEN, failure);
    ring_drop(&stream->ring, stream->ring.length);
}

bool stream_pump(struct stream *stream)
{
    while (stream_has_output(stream)) {
        struct iovec pieces[2];
        int n_pieces = ring_peek(&stream->ring, pieces);
        int64_t moved = endpoint_write(&stream->endpoint, pieces, n_pieces);
        if (moved == -EINTR)
            continue;
        if (moved == -EAGAIN)
            return false;
        if (moved < 0)
            fail(stream, (int)moved);
        else
            ring_drop(&stream->ring, (size_t)moved);
    }
    return true;
}

/* Shortens the vector in place to `size` bytes; returns its new length. */
static int truncate_vector(struct iovec *vector, int n_vector, uint64_t size)
{
    int n = 0;
    for (; n < n_vector && size > 0; n++) {
        if (vector[n].iov_len > size)
            vector[n].iov_len = size;
        size -= vector[n].iov_len;
    }
    return n;
}

static int append(struct stream *stream, const struct iovec *vector, int n_vector)
{
    for (int i = 0; i < n_vector; i++) {
        int r = ring_append(&stream->ring, vector[i].iov_base, vector[i].iov_len);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Past the pieces that a short write has taken, the rest goes through the ring. */
static int write_direct(struct stream *stream, struct iovec *vector, int n_vector)
{
    int64_t moved = endpoint_write(&stream->endpoint, vector, n_vector);
    if (moved < 0 && moved != -EAGAIN && moved != -EINTR) {
        fail(stream, (int)moved);
        return WASI_STREAM_LIMIT;
    }
    size_t skip = moved < 0 ? 0 : (size_t)moved;
    for (; n_vector > 0 && skip >= vector->iov_len; vector++, n_vector--)
        skip -= vector->iov_len;
    if (n_vector > 0) {
        vector->iov_base = (uint8_t *)vector->iov_base + skip;
        vector->iov_len -= skip;
    }
    return append(stream, vector, n_vector);
}

static int take(struct stream *stream, struct iovec *vector, int n_vector, uint64_t total)
{
    if (stream->kind == BERTH_STREAM_NONE)
        return 0;
    if (total > ring_room(&stream->ring))
        stream_pump(stream);
    if (stream->account->stop != STREAM_GOES_ON)
        return WASI_STREAM_LIMIT;
    if (total > ring_room(&stream->ring))
        return WASI_STREAM_BLOCKED;
    if (stream->kind == BERTH_STREAM_FD && stream->ring.length == 0 && total >= DIRECT_BYTES)
        return write_direct(stream, vector, n_vector);
    return append(stream, vector, n_vector);
}

static int stream_write(void *context, const struct iovec *caller_vector, int n_vector)
{
    struct stream *stream = context;
    struct output_account *account = stream->account;
    struct stream *other = &account->streams[stream->number == 1 ? 2 : 1];
    struct iovec vector[WASI_STREAM_VECTOR_MAX];
    uint64_t total = 0;
    if (account->stop != STREAM_GOES_ON)
        return WASI_STREAM_LIMIT;
    /* Promised by the caller; on this side of the border it is checked all the same. */
    if (n_vector > WASI_STREAM_VECTOR_MAX)
        return -EINVAL;
    for (int i = 0; i < n_vector; i++) {
        vector[i] = caller_vector[i];
        total += vector[i].iov_len;
    }
    uint64_t left = saturating_sub_u64(account->limit_bytes, account->written_bytes);
    uint64_t wanted = total;
    if (total > left) {
        n_vector = truncate_vector(vector, n_vector, left);
        total = left;
    }
    if (stream_has_output(other))
        stream_pump(other);
    int r = take(stream, vector, n_vector, total);
    if (r != 0)
        return r;
    account->written_bytes += total;
    if (wanted > total) {
        stop(stream, STREAM_OVER_LIMIT, 0);
        return WASI_STREAM_LIMIT;
    }
    return 0;
}

static int stream_read(void *context, const struct iovec *vector, int n_vector, size_t *ret_size)
{
    struct stream *stream = context;
    *ret_size = 0;
    if (stream->kind == BERTH_STREAM_NONE)
        return 0;
    if (stream->kind == BERTH_STREAM_BUFFER) {
        if (stream->ring.length == 0)
            return stream->ended ? 0 : WASI_STREAM_BLOCKED;
        for (int i = 0; i < n_vector; i++)
            *ret_size += ring_take(&stream->ring, vector[i].iov_base, vector[i].iov_len);
    } else {
        int64_t moved;
        do /* an interrupted read of a file must not wait: nothing would ever wake it */
            moved = endpoint_read(&stream->endpoint, vector, n_vector);
        while (moved == -EINTR);
        if (moved == -EAGAIN)
            return WASI_STREAM_BLOCKED;
        if (moved < 0)
            return (int)moved;
        *ret_size = (size_t)moved;
    }
    return 0;
}

static bool stream_ready(void *context, uint64_t *ret_bytes, bool *ret_hangup)
{
    struct stream *stream = context;
    bool writes = stream->number > 0;
    *ret_hangup = false;
    *ret_bytes = 0;
    switch (stream->kind) {
    case BERTH_STREAM_NONE:
        *ret_hangup = !writes;
        return true;
    case BERTH_STREAM_BUFFER:
        *ret_bytes = writes ? ring_room(&stream->ring) : stream->ring.length;
        *ret_hangup = !writes && stream->ended;
        return *ret_bytes > 0 || *ret_hangup;
    case BERTH_STREAM_FD:
        break;
    }
    if (writes) {
        stream_pump(stream);
        *ret_bytes = ring_room(&stream->ring);
        return *ret_bytes > 0;
    }
    bool ready = endpoint_ready(&stream->endpoint, ret_hangup);
    *ret_bytes = ready ? 1 : 0;
    return ready;
}

const struct wasi_stream_operations stream_operations = {
    .read = stream_read,
    .write = stream_write,
    .ready = stream_ready,
};

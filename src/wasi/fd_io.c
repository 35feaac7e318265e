/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving data: fd_read, fd_write, fd_pread, fd_pwrite, fd_seek, fd_tell.
 *
 * Files are read and written straight from and to guest memory, at most TRANSFER_BYTES a call, so that no
 * call keeps a thread for long; short counts are what every guest must expect. Streams never block: what
 * cannot move now makes the call wait.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/checked_math.h"
#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"
#include "wasi/resolve.h"

enum { TRANSFER_BYTES = 1 << 20, STREAM_TRANSFER_BYTES = 1 << 16 };

/* Beyond this no file system goes; below, offset plus length cannot wrap. */
#define OFFSET_MAX (UINT64_C(1) << 62)

/* ---- Streams ---- */

static int stream_errno(int r)
{
    return r == WASI_STREAM_LIMIT ? CALL_LIMIT : guest_errno(r);
}

static int wait_for_stream(struct wasi_context *context, const struct descriptor *descriptor)
{
    if (descriptor->flags & FDFLAGS_NONBLOCK && !context->deterministic)
        return ERRNO_AGAIN;
    context->wait =
        (struct wasi_wait){.deadline_ns = UINT64_MAX, .sources = (uint8_t)(1U << descriptor->stream)};
    return CALL_WAIT;
}

/* Streams are promised no more items than this. */
static int stream_items(const struct guest_vector *vector)
{
    return vector->n_items < WASI_STREAM_VECTOR_MAX ? vector->n_items : WASI_STREAM_VECTOR_MAX;
}

/* Deterministic: how the input happens to arrive must not show, so a read ends when its buffer is full or the
 * input has ended. What was read before a wait is kept in the guest's buffer and counted in the context. */
static int read_stream_fully(struct call *call, const struct descriptor *descriptor,
                             struct guest_vector *vector, size_t *ret_size)
{
    struct wasi_context *context = call->context;
    const struct wasi_stream *stream = &context->streams[descriptor->stream];
    uint64_t done = context->pending.done_bytes;
    if (done > vector->total_bytes)
        done = vector->total_bytes;
    guest_vector_advance(vector, done);
    while (vector->total_bytes) {
        size_t size = 0;
        int r = stream->operations->read(stream->stream, vector->items, stream_items(vector), &size);
        context->pending.done_bytes = done;
        if (r == WASI_STREAM_BLOCKED)
            return wait_for_stream(context, descriptor);
        if (r && !done)
            return stream_errno(r);
        if (r || !size)
            break;
        guest_vector_advance(vector, size);
        done += size;
    }
    *ret_size = done;
    return 0;
}

static int read_stream(struct call *call, const struct descriptor *descriptor, struct guest_vector *vector,
                       size_t *ret_size)
{
    const struct wasi_stream *stream = &call->context->streams[descriptor->stream];
    if (!vector->total_bytes) {
        *ret_size = 0;
        return 0;
    }
    if (call->context->deterministic)
        return read_stream_fully(call, descriptor, vector, ret_size);
    int r = stream->operations->read(stream->stream, vector->items, stream_items(vector), ret_size);
    if (r == WASI_STREAM_BLOCKED)
        return wait_for_stream(call->context, descriptor);
    return r ? stream_errno(r) : 0;
}

static int write_stream(struct call *call, const struct descriptor *descriptor, struct guest_vector *vector,
                        size_t *ret_size)
{
    const struct wasi_stream *stream = &call->context->streams[descriptor->stream];
    guest_vector_limit(vector, STREAM_TRANSFER_BYTES);
    while (vector->n_items > WASI_STREAM_VECTOR_MAX)
        vector->total_bytes -= vector->items[--vector->n_items].iov_len;
    *ret_size = vector->total_bytes;
    if (!vector->total_bytes)
        return 0;
    int r = stream->operations->write(stream->stream, vector->items, vector->n_items);
    if (r == WASI_STREAM_BLOCKED)
        return wait_for_stream(call->context, descriptor);
    return r ? stream_errno(r) : 0;
}

/* ---- Files ---- */

static int read_file(const struct descriptor *file, const struct guest_vector *vector, int64_t offset,
                     size_t *ret_size)
{
    ssize_t size;
    do
        size = offset < 0 ? readv(file->fd, vector->items, vector->n_items)
                          : preadv(file->fd, vector->items, vector->n_items, offset);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return guest_errno(errno);
    *ret_size = (size_t)size;
    return 0;
}

static int write_once(const struct descriptor *file, const struct guest_vector *vector, int64_t offset,
                      size_t *ret_size)
{
    ssize_t size;
    do
        size = offset < 0 ? writev(file->fd, vector->items, vector->n_items)
                          : pwritev(file->fd, vector->items, vector->n_items, offset);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return guest_errno(errno);
    *ret_size = (size_t)size;
    return 0;
}

/* Where a write will begin: the end of the file if it appends (Linux does so for pwrite too). */
static int64_t write_start(const struct descriptor *file, int64_t offset, const struct stat *status)
{
    if (file->flags & FDFLAGS_APPEND)
        return status->st_size;
    return offset < 0 ? lseek(file->fd, 0, SEEK_CUR) : offset;
}

/* Shortens the write to what the quota has left, then measures what the file has really grown by. */
static int write_in_quota(struct call *call, const struct descriptor *file, struct guest_vector *vector,
                          int64_t offset, size_t *ret_size)
{
    struct stat before, after;
    quota_guard quota = quota_lock(file->mount->quota);
    if (fstat(file->fd, &before) < 0)
        return guest_errno(errno);
    int64_t start = write_start(file, offset, &before);
    if (start < 0)
        return guest_errno(errno);
    uint64_t end_max = saturating_add_u64((uint64_t)before.st_size, quota_available(quota));
    if (vector->total_bytes && end_max <= (uint64_t)start)
        return deny_quota(call, file->mount, NULL);
    if (end_max - (uint64_t)start < vector->total_bytes)
        guest_vector_limit(vector, end_max - (uint64_t)start);
    int r = write_once(file, vector, offset, ret_size);
    if (fstat(file->fd, &after) == 0)
        quota_resized(quota, (uint64_t)before.st_size, (uint64_t)after.st_size);
    return r;
}

static int write_file(struct call *call, const struct descriptor *file, struct guest_vector *vector,
                      int64_t offset, size_t *ret_size)
{
    int r = file->mount->quota->limit_bytes ? write_in_quota(call, file, vector, offset, ret_size)
                                            : write_once(file, vector, offset, ret_size);
    if (!r)
        call->context->usage.written_bytes += *ret_size;
    return r;
}

/* ---- Functions ---- */

/* The vector and the place for the count, of a call with those two arguments. */
static int import_transfer(struct call *call, unsigned count_index, struct guest_vector *vector,
                           uint8_t **ret_count)
{
    int r = guest_range(call, "the count", call_u32(call, count_index), 4, 4, ret_count);
    return r ? r : guest_vector_import(call, call_u32(call, 1), call_u32(call, 2), TRANSFER_BYTES, vector);
}

int call_fd_read(struct call *call)
{
    cleanup_vector struct guest_vector vector = {0};
    struct descriptor *descriptor;
    uint8_t *count;
    size_t size = 0;
    int r = import_transfer(call, 3, &vector, &count);
    if (!r)
        r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (!r && descriptor->kind == DESCRIPTOR_DIRECTORY)
        r = ERRNO_ISDIR;
    if (!r)
        r = descriptor_require(call, descriptor, RIGHTS_FD_READ, NULL);
    if (!r)
        r = descriptor->kind == DESCRIPTOR_STREAM ? read_stream(call, descriptor, &vector, &size)
                                                  : read_file(descriptor, &vector, -1, &size);
    if (r)
        return r;
    call->context->usage.input_bytes += size;
    store_u32(count, (uint32_t)size);
    return 0;
}

int call_fd_write(struct call *call)
{
    cleanup_vector struct guest_vector vector = {0};
    struct descriptor *descriptor;
    uint8_t *count;
    size_t size = 0;
    int r = import_transfer(call, 3, &vector, &count);
    if (!r)
        r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (!r && descriptor->kind == DESCRIPTOR_DIRECTORY)
        r = ERRNO_ISDIR;
    if (!r)
        r = descriptor_require(call, descriptor, RIGHTS_FD_WRITE, NULL);
    if (!r)
        r = descriptor->kind == DESCRIPTOR_STREAM ? write_stream(call, descriptor, &vector, &size)
                                                  : write_file(call, descriptor, &vector, -1, &size);
    if (r)
        return r;
    store_u32(count, (uint32_t)size);
    return 0;
}

int call_fd_pread(struct call *call)
{
    cleanup_vector struct guest_vector vector = {0};
    struct descriptor *file;
    uint8_t *count;
    size_t size = 0;
    int r = import_transfer(call, 4, &vector, &count);
    if (!r)
        r = descriptor_find_file(call, call_u32(call, 0), RIGHTS_FD_READ, &file);
    if (!r && call_u64(call, 3) > OFFSET_MAX)
        r = ERRNO_INVAL;
    if (!r)
        r = read_file(file, &vector, (int64_t)call_u64(call, 3), &size);
    if (r)
        return r;
    call->context->usage.input_bytes += size;
    store_u32(count, (uint32_t)size);
    return 0;
}

int call_fd_pwrite(struct call *call)
{
    cleanup_vector struct guest_vector vector = {0};
    struct descriptor *file;
    uint8_t *count;
    size_t size = 0;
    int r = import_transfer(call, 4, &vector, &count);
    if (!r)
        r = descriptor_find_file(call, call_u32(call, 0), RIGHTS_FD_WRITE, &file);
    if (!r && call_u64(call, 3) > OFFSET_MAX)
        r = call_u64(call, 3) > INT64_MAX ? ERRNO_INVAL : ERRNO_FBIG;
    if (!r)
        r = write_file(call, file, &vector, (int64_t)call_u64(call, 3), &size);
    if (r)
        return r;
    store_u32(count, (uint32_t)size);
    return 0;
}

/* The right to seek includes the right to tell. */
static int require_tell(struct call *call, uint32_t number, struct descriptor **ret_file)
{
    int r = descriptor_find_file(call, number, 0, ret_file);
    return r || (*ret_file)->rights_base & (RIGHTS_FD_SEEK | RIGHTS_FD_TELL) ? r : ERRNO_NOTCAPABLE;
}

int call_fd_seek(struct call *call)
{
    static const int whences[] = {[WHENCE_SET] = SEEK_SET, [WHENCE_CUR] = SEEK_CUR, [WHENCE_END] = SEEK_END};
    int64_t delta = (int64_t)call_u64(call, 1);
    uint32_t whence = call_u32(call, 2);
    struct descriptor *file;
    uint8_t *result;
    int r = guest_range(call, "the result", call_u32(call, 3), 8, 8, &result);
    if (!r && whence > WHENCE_END)
        r = ERRNO_INVAL;
    if (!r)
        r = delta == 0 && whence == WHENCE_CUR
                ? require_tell(call, call_u32(call, 0), &file)
                : descriptor_find_file(call, call_u32(call, 0), RIGHTS_FD_SEEK, &file);
    if (r)
        return r;
    off_t offset = lseek(file->fd, delta, whences[whence]);
    if (offset < 0)
        return guest_errno(errno);
    store_u64(result, (uint64_t)offset);
    return 0;
}

int call_fd_tell(struct call *call)
{
    struct descriptor *file;
    uint8_t *result;
    int r = guest_range(call, "the result", call_u32(call, 1), 8, 8, &result);
    if (!r)
        r = require_tell(call, call_u32(call, 0), &file);
    if (r)
        return r;
    off_t offset = lseek(file->fd, 0, SEEK_CUR);
    if (offset < 0)
        return guest_errno(errno);
    store_u64(result, (uint64_t)offset);
    return 0;
}

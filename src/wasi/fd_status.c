/* SPDX-License-Identifier: Apache-2.0 */
/* What a descriptor is and may: fd_fdstat_*, fd_prestat_*, fd_close, fd_renumber, fd_sync, fd_datasync,
 * fd_advise, fd_allocate. */
#include <errno.h>
#include <fcntl.h>

#include "wasi/context.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"

static uint8_t descriptor_filetype(const struct wasi_context *context, const struct descriptor *descriptor)
{
    if (descriptor->kind == DESCRIPTOR_DIRECTORY)
        return FILETYPE_DIRECTORY;
    if (descriptor->kind == DESCRIPTOR_FILE)
        return FILETYPE_REGULAR_FILE;
    return context->streams[descriptor->stream].terminal ? FILETYPE_CHARACTER_DEVICE : FILETYPE_UNKNOWN;
}

int call_fd_fdstat_get(struct call *call)
{
    struct descriptor *descriptor;
    uint8_t *record;
    int r = guest_range(call, "the result", call_u32(call, 1), FDSTAT_SIZE, 8, &record);
    if (!r)
        r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (r)
        return r;
    memset(record, 0, FDSTAT_SIZE);
    store_u8(record + FDSTAT_FILETYPE, descriptor_filetype(call->context, descriptor));
    store_u16(record + FDSTAT_FLAGS, descriptor->flags);
    store_u64(record + FDSTAT_BASE, descriptor->rights_base);
    store_u64(record + FDSTAT_INHERITING, descriptor->rights_inheriting);
    return 0;
}

/* Linux changes O_APPEND of an open file, but not its sync flags. */
static int set_append(const struct descriptor *file, uint32_t flags)
{
    int host = O_NONBLOCK | (flags & FDFLAGS_APPEND ? O_APPEND : 0);
    return fcntl(file->fd, F_SETFL, host) < 0 ? guest_errno(errno) : 0;
}

int call_fd_fdstat_set_flags(struct call *call)
{
    uint32_t flags = call_u32(call, 1);
    struct descriptor *descriptor;
    if (flags & ~(uint32_t)FDFLAGS_ALL)
        return ERRNO_INVAL;
    int r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (!r)
        r = descriptor_require(call, descriptor, RIGHTS_FD_FDSTAT_SET_FLAGS, NULL);
    if (r)
        return r;
    uint32_t changed = flags ^ descriptor->flags;
    if (changed & FDFLAGS_ANY_SYNC)
        return ERRNO_NOTSUP;
    if (changed & FDFLAGS_APPEND && descriptor->kind != DESCRIPTOR_FILE)
        return ERRNO_INVAL;
    if (changed & FDFLAGS_APPEND) {
        r = descriptor_require(call, descriptor, RIGHTS_FD_WRITE, NULL);
        if (!r)
            r = set_append(descriptor, flags);
        if (r)
            return r;
    }
    descriptor->flags = (uint16_t)flags;
    return 0;
}

int call_fd_fdstat_set_rights(struct call *call)
{
    uint64_t base = call_u64(call, 1), inheriting = call_u64(call, 2);
    struct descriptor *descriptor;
    int r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (r)
        return r;
    if (base & ~descriptor->rights_base || inheriting & ~descriptor->rights_inheriting)
        return ERRNO_NOTCAPABLE;
    descriptor->rights_base = base;
    descriptor->rights_inheriting = inheriting;
    return 0;
}

/* ERRNO_BADF for everything that is not a preopen: that is how a guest's libc finds the end of them. */
static int find_preopen(struct call *call, struct descriptor **ret)
{
    int r = descriptor_find(call, call_u32(call, 0), ret);
    return r || (*ret)->preopen ? r : ERRNO_BADF;
}

int call_fd_prestat_get(struct call *call)
{
    struct descriptor *descriptor;
    uint8_t *record;
    int r = guest_range(call, "the result", call_u32(call, 1), PRESTAT_SIZE, 4, &record);
    if (!r)
        r = find_preopen(call, &descriptor);
    if (r)
        return r;
    store_u32(record + PRESTAT_TAG, PREOPENTYPE_DIR);
    store_u32(record + PRESTAT_NAME_LEN, (uint32_t)strlen(descriptor->mount->guest));
    return 0;
}

int call_fd_prestat_dir_name(struct call *call)
{
    struct descriptor *descriptor;
    uint8_t *bytes;
    int r = guest_range(call, "the name", call_u32(call, 1), call_u32(call, 2), 1, &bytes);
    if (!r)
        r = find_preopen(call, &descriptor);
    if (r)
        return r;
    size_t length = strlen(descriptor->mount->guest);
    if (call_u32(call, 2) < length)
        return ERRNO_NAMETOOLONG;
    memcpy(bytes, descriptor->mount->guest, length);
    return 0;
}

int call_fd_close(struct call *call)
{
    struct descriptor *descriptor;
    int r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (!r)
        descriptor_close(call->context, descriptor);
    return r;
}

/* Only onto a number in use: otherwise a guest could make the table as long as its numbers are large. */
int call_fd_renumber(struct call *call)
{
    struct descriptor *from, *to;
    int r = descriptor_find(call, call_u32(call, 0), &from);
    if (!r)
        r = descriptor_find(call, call_u32(call, 1), &to);
    if (!r)
        descriptor_move(call->context, from, to);
    return r;
}

/* On a read-only mount there is nothing of the guest's to be written out. */
static int synchronize(struct call *call, int (*flush)(int fd), uint64_t right)
{
    struct descriptor *descriptor;
    int r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (r)
        return r;
    if (descriptor->kind == DESCRIPTOR_STREAM)
        return ERRNO_INVAL;
    if (!descriptor->mount->writable || descriptor->preopen)
        return 0;
    r = descriptor_require(call, descriptor, right, NULL);
    return !r && flush(descriptor->fd) < 0 ? guest_errno(errno) : r;
}

int call_fd_sync(struct call *call)
{
    return synchronize(call, fsync, RIGHTS_FD_SYNC);
}

int call_fd_datasync(struct call *call)
{
    struct descriptor *descriptor;
    int r = descriptor_find(call, call_u32(call, 0), &descriptor);
    uint64_t right = !r && descriptor->kind == DESCRIPTOR_FILE ? RIGHTS_FD_DATASYNC : RIGHTS_FD_SYNC;
    return r ? r : synchronize(call, fdatasync, right);
}

/* Checked, then not passed on: advice could make the host read a file as large as it is. */
int call_fd_advise(struct call *call)
{
    struct descriptor *file;
    uint64_t end;
    if (call_u32(call, 3) > ADVICE_MAX)
        return ERRNO_INVAL;
    if (__builtin_add_overflow(call_u64(call, 1), call_u64(call, 2), &end) || end > INT64_MAX)
        return ERRNO_INVAL;
    return descriptor_find_file(call, call_u32(call, 0), RIGHTS_FD_ADVISE, &file);
}

/* Linux could do it, most other hosts cannot, and programs must cope; fd_filestat_set_size makes room as
 * well. */
int call_fd_allocate(struct call *call)
{
    struct descriptor *file;
    int r = descriptor_find_file(call, call_u32(call, 0), RIGHTS_FD_ALLOCATE, &file);
    return r ? r : ERRNO_NOTSUP;
}

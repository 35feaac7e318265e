/* SPDX-License-Identifier: Apache-2.0 */
/* See filestat.h; and fd_filestat_get, fd_filestat_set_size, fd_filestat_set_times, path_filestat_get,
 * path_filestat_set_times. */
#include "wasi/filestat.h"

#include <errno.h>

#include "base/clock.h"
#include "wasi/denial.h"
#include "wasi/guest_clock.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"
#include "wasi/resolve.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 62)

enum filetype filetype_of_mode(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return FILETYPE_REGULAR_FILE;
    case S_IFDIR:
        return FILETYPE_DIRECTORY;
    case S_IFLNK:
        return FILETYPE_SYMBOLIC_LINK;
    case S_IFBLK:
        return FILETYPE_BLOCK_DEVICE;
    case S_IFCHR:
        return FILETYPE_CHARACTER_DEVICE;
    case S_IFSOCK:
        return FILETYPE_SOCKET_STREAM;
    default:
        return FILETYPE_UNKNOWN;
    }
}

/* FNV-1a, 64 bits. */
static uint64_t hashed(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t filestat_hashed_inode(const struct mount *mount, int fd, const char *name)
{
    uint64_t hash = hashed(UINT64_C(0xcbf29ce484222325), mount->guest);
    cleanup_free struct mount_location *location = malloc(sizeof *location);
    if (!location || mount_locate(mount, fd, location) < 0)
        return hash;
    if (*location->path)
        hash = hashed(hashed(hash, "/"), location->path);
    return name ? hashed(hashed(hash, "/"), name) : hash;
}

/* As coarse as the guest's clock, which a file that the guest writes would otherwise be a finer one than. */
static uint64_t timestamp_ns(const struct wasi_context *context, const struct timespec *time)
{
    if (time->tv_sec < 0 || context->deterministic)
        return 0;
    if ((uint64_t)time->tv_sec > UINT64_MAX / NS_PER_S - 1)
        return UINT64_MAX;
    uint64_t exact = (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_nsec;
    return exact - exact % guest_clock_grain_ns(context);
}

int filestat_store(const struct wasi_context *context, const struct mount *mount, int fd, uint8_t *record)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return guest_errno(errno);
    bool directory = S_ISDIR(status.st_mode);
    bool vague = directory && (mount->hide || context->deterministic);
    uint64_t inode = context->deterministic ? filestat_hashed_inode(mount, fd, NULL) : status.st_ino;
    memset(record, 0, FILESTAT_SIZE);
    store_u64(record + FILESTAT_DEV, mount->index + 1ULL);
    store_u64(record + FILESTAT_INO, inode);
    store_u8(record + FILESTAT_FILETYPE, (uint8_t)filetype_of_mode(status.st_mode));
    store_u64(record + FILESTAT_NLINK, vague ? 1 : status.st_nlink);
    store_u64(record + FILESTAT_LENGTH, vague ? 0 : (uint64_t)status.st_size);
    store_u64(record + FILESTAT_ATIM, timestamp_ns(context, &status.st_atim));
    store_u64(record + FILESTAT_MTIM, timestamp_ns(context, &status.st_mtim));
    store_u64(record + FILESTAT_CTIM, timestamp_ns(context, &status.st_ctim));
    return 0;
}

static struct timespec chosen_time(uint64_t ns, bool set, bool now)
{
    if (now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!set)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

int filestat_times(uint64_t atim, uint64_t mtim, uint32_t fstflags, struct timespec ret_times[2])
{
    bool atim_set = fstflags & FSTFLAGS_ATIM, atim_now = fstflags & FSTFLAGS_ATIM_NOW;
    bool mtim_set = fstflags & FSTFLAGS_MTIM, mtim_now = fstflags & FSTFLAGS_MTIM_NOW;
    if (fstflags & ~(uint32_t)FSTFLAGS_ALL || (atim_set && atim_now) || (mtim_set && mtim_now))
        return ERRNO_INVAL;
    ret_times[0] = chosen_time(atim, atim_set, atim_now);
    ret_times[1] = chosen_time(mtim, mtim_set, mtim_now);
    return 0;
}

static void store_stream(const struct wasi_stream *stream, uint8_t *record)
{
    memset(record, 0, FILESTAT_SIZE);
    store_u8(record + FILESTAT_FILETYPE, stream->terminal ? FILETYPE_CHARACTER_DEVICE : FILETYPE_UNKNOWN);
}

int call_fd_filestat_get(struct call *call)
{
    struct wasi_context *context = call->context;
    struct descriptor *descriptor;
    uint8_t *record;
    int r = guest_range(call, "the result", call_u32(call, 1), FILESTAT_SIZE, 8, &record);
    if (!r)
        r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (!r)
        r = descriptor_require(call, descriptor, RIGHTS_FD_FILESTAT_GET, NULL);
    if (r)
        return r;
    if (descriptor->kind != DESCRIPTOR_STREAM)
        return filestat_store(context, descriptor->mount, descriptor->fd, record);
    store_stream(&context->streams[descriptor->stream], record);
    return 0;
}

int call_fd_filestat_set_size(struct call *call)
{
    uint64_t size = call_u64(call, 1);
    struct descriptor *file;
    struct stat status;
    int r = descriptor_find_file(call, call_u32(call, 0), RIGHTS_FD_FILESTAT_SET_SIZE, &file);
    if (!r && size > SIZE_MAX_BYTES)
        r = size > INT64_MAX ? ERRNO_INVAL : ERRNO_FBIG;
    if (r)
        return r;
    quota_guard quota = quota_lock(file->mount->quota);
    if (quota && fstat(file->fd, &status) < 0)
        return guest_errno(errno);
    if (quota && size > (uint64_t)status.st_size && size - (uint64_t)status.st_size > quota_available(quota))
        return deny_quota(call, file->mount, NULL);
    if (ftruncate(file->fd, (off_t)size) < 0)
        return guest_errno(errno);
    if (quota)
        quota_resized(quota, (uint64_t)status.st_size, size);
    return 0;
}

int call_fd_filestat_set_times(struct call *call)
{
    struct timespec times[2];
    struct descriptor *descriptor;
    int r = filestat_times(call_u64(call, 1), call_u64(call, 2), call_u32(call, 3), times);
    if (!r)
        r = descriptor_find(call, call_u32(call, 0), &descriptor);
    if (!r && descriptor->kind == DESCRIPTOR_STREAM)
        r = ERRNO_INVAL;
    if (!r)
        r = descriptor_require(call, descriptor, RIGHTS_FD_FILESTAT_SET_TIMES, NULL);
    if (r)
        return r;
    return utimensat(descriptor->fd, "", times, AT_EMPTY_PATH) < 0 ? guest_errno(errno) : 0;
}

/* Opens what a path_filestat_* call names, without access to its contents. */
static int open_named(struct call *call, uint64_t right, unsigned path_index, int *ret_fd,
                      const struct mount **ret_mount)
{
    uint32_t lookupflags = call_u32(call, 1);
    struct descriptor *directory;
    struct guest_path path;
    if (lookupflags & ~(uint32_t)LOOKUPFLAGS_SYMLINK_FOLLOW)
        return ERRNO_INVAL;
    int r = guest_path_import(call, call_u32(call, path_index), call_u32(call, path_index + 1), &path);
    if (!r)
        r = descriptor_find_directory(call, call_u32(call, 0), right, &path, &directory);
    if (r)
        return r;
    *ret_mount = directory->mount;
    int flags = O_PATH | (lookupflags & LOOKUPFLAGS_SYMLINK_FOLLOW ? 0 : O_NOFOLLOW);
    return resolve_open(call, directory, &path, flags, ret_fd);
}

int call_path_filestat_get(struct call *call)
{
    cleanup_close int fd = -1;
    const struct mount *mount;
    uint8_t *record;
    int r = guest_range(call, "the result", call_u32(call, 4), FILESTAT_SIZE, 8, &record);
    if (!r)
        r = open_named(call, RIGHTS_PATH_FILESTAT_GET, 2, &fd, &mount);
    return r ? r : filestat_store(call->context, mount, fd, record);
}

/* By the opened object, never by name: a name with a slash behind it would be followed by the kernel. */
int call_path_filestat_set_times(struct call *call)
{
    cleanup_close int fd = -1;
    const struct mount *mount;
    struct timespec times[2];
    struct stat status;
    int r = filestat_times(call_u64(call, 4), call_u64(call, 5), call_u32(call, 6), times);
    if (!r)
        r = open_named(call, RIGHTS_PATH_FILESTAT_SET_TIMES, 2, &fd, &mount);
    if (r)
        return r;
    if (fstat(fd, &status) < 0)
        return guest_errno(errno);
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode))
        return ERRNO_NOTCAPABLE;
    return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? guest_errno(errno) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path_open.
 *
 * What the guest asks for is turned into a request (what must be allowed, which host flags), everything is
 * checked, then the file is opened, looked at, and only at the very end truncated: nothing has happened when
 * the call refuses. Only regular files and directories are opened; the open of anything else neither blocks
 * nor is kept.
 */
#include <errno.h>
#include <fcntl.h>

#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"
#include "wasi/resolve.h"

/* A name that comes and goes while we look is reported as missing after that many looks. */
enum { CREATE_ATTEMPTS = 4 };

struct open_request {
    const struct descriptor *directory;
    struct guest_path path;
    bool follow;
    uint32_t oflags;
    uint32_t fdflags;
    uint64_t rights_base;
    uint64_t rights_inheriting;
    int host_flags;
};

/* The access the guest wants. Rights that go with writing count only where they can apply: a libc that opens
 * for reading asks for many of them. */
static bool wants_writing(const struct open_request *request)
{
    uint64_t rights = RIGHTS_FD_WRITE;
    if (!(request->oflags & OFLAGS_DIRECTORY) && request->directory->mount->writable)
        rights |= RIGHTS_FD_ALLOCATE | RIGHTS_FD_FILESTAT_SET_SIZE;
    return request->rights_base & rights || request->oflags & OFLAGS_TRUNC;
}

static int host_flags(const struct open_request *request)
{
    bool writing = wants_writing(request);
    bool reading = request->rights_base & (RIGHTS_FD_READ | RIGHTS_FD_READDIR) || !writing;
    int flags = !writing ? O_RDONLY : reading ? O_RDWR : O_WRONLY;
    if (request->oflags & OFLAGS_DIRECTORY)
        flags |= O_DIRECTORY;
    if (!request->follow)
        flags |= O_NOFOLLOW;
    if (request->fdflags & FDFLAGS_APPEND)
        flags |= O_APPEND;
    if (request->fdflags & (FDFLAGS_SYNC | FDFLAGS_RSYNC))
        flags |= O_SYNC;
    if (request->fdflags & FDFLAGS_DSYNC)
        flags |= O_DSYNC;
    return flags;
}

static int import_request(struct call *call, struct open_request *request)
{
    uint32_t lookupflags = call_u32(call, 1);
    struct descriptor *directory;
    request->oflags = call_u32(call, 4);
    request->fdflags = call_u32(call, 7);
    request->follow = lookupflags & LOOKUPFLAGS_SYMLINK_FOLLOW;
    if (lookupflags & ~(uint32_t)LOOKUPFLAGS_SYMLINK_FOLLOW || request->oflags & ~(uint32_t)OFLAGS_ALL ||
        request->fdflags & ~(uint32_t)FDFLAGS_ALL)
        return ERRNO_INVAL;
    if (request->oflags & OFLAGS_CREAT && request->oflags & OFLAGS_DIRECTORY)
        return ERRNO_INVAL;
    int r = guest_path_import(call, call_u32(call, 2), call_u32(call, 3), &request->path);
    if (r)
        return r;
    uint64_t needed = RIGHTS_PATH_OPEN;
    if (request->oflags & OFLAGS_CREAT)
        needed |= RIGHTS_PATH_CREATE_FILE;
    if (request->oflags & OFLAGS_TRUNC)
        needed |= RIGHTS_PATH_FILESTAT_SET_SIZE;
    r = descriptor_find_directory(call, call_u32(call, 0), needed, &request->path, &directory);
    if (r)
        return r;
    request->directory = directory;
    request->rights_base = call_u64(call, 5) & directory->rights_inheriting;
    request->rights_inheriting = call_u64(call, 6) & directory->rights_inheriting;
    if (!directory->mount->writable && wants_writing(request))
        return deny_writing(call, directory->mount, &request->path);
    request->host_flags = host_flags(request);
    return 0;
}

static int open_existing(struct call *call, const struct open_request *request, int *ret_fd)
{
    return resolve_open(call, request->directory, &request->path, request->host_flags, ret_fd);
}

/* Makes the file if there is none; the entry is charged before it exists. */
static int create_new(struct call *call, const struct open_request *request, const struct place *place,
                      int *ret_fd)
{
    struct mount *mount = request->directory->mount;
    quota_guard quota = quota_lock(mount->quota);
    if (!quota_charge(quota, QUOTA_ENTRY_BYTES))
        return deny_quota(call, mount, &request->path);
    int r = place_create_file(place, request->host_flags, ret_fd);
    if (r)
        quota_refund(quota, QUOTA_ENTRY_BYTES);
    return r;
}

static int open_or_create(struct call *call, const struct open_request *request, int *ret_fd)
{
    cleanup_place struct place place = PLACE_NONE;
    struct stat status;
    int r = resolve_place(call, request->directory, &request->path, PLACE_NEW, ERRNO_ISDIR, &place);
    if (r)
        return r;
    if (place.directory)
        return ERRNO_ISDIR;
    for (int i = 0; i < CREATE_ATTEMPTS; i++) {
        bool exists = place_status(&place, &status) == 0;
        if (exists && request->oflags & OFLAGS_EXCL)
            return ERRNO_EXIST;
        r = exists ? open_existing(call, request, ret_fd) : create_new(call, request, &place, ret_fd);
        bool vanished = exists && r == ERRNO_NOENT && !S_ISLNK(status.st_mode);
        bool appeared = !exists && r == ERRNO_EXIST && !(request->oflags & OFLAGS_EXCL);
        if (!vanished && !appeared)
            return r;
    }
    return ERRNO_NOENT;
}

/* Known to the quota first: what another guest has unlinked since it was opened is refused before any effect.
 */
static int take_file(struct mount *mount, int fd, bool truncate)
{
    struct stat status;
    quota_guard quota = quota_lock(mount->quota);
    if (quota && fstat(fd, &status) < 0)
        return guest_errno(errno);
    int r = quota_file_opened(quota, fd);
    if (r)
        return guest_errno(r);
    if (truncate && ftruncate(fd, 0) < 0) {
        r = guest_errno(errno);
        quota_file_closing(quota, fd);
        return r;
    }
    if (truncate && quota)
        quota_resized(quota, (uint64_t)status.st_size, 0);
    return 0;
}

/* Looks at what has been opened and makes it a descriptor. */
static int adopt(struct call *call, const struct open_request *request, int *fd, uint32_t *ret_number)
{
    struct mount *mount = request->directory->mount;
    struct stat status;
    if (fstat(*fd, &status) < 0)
        return guest_errno(errno);
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return ERRNO_NOTCAPABLE;
    bool directory = S_ISDIR(status.st_mode);
    enum descriptor_kind kind = directory ? DESCRIPTOR_DIRECTORY : DESCRIPTOR_FILE;
    int r = directory ? 0 : take_file(mount, *fd, request->oflags & OFLAGS_TRUNC);
    if (r)
        return r;
    struct descriptor descriptor = {
        .kind = (uint8_t)kind,
        .flags = (uint16_t)request->fdflags,
        .fd = take_fd(fd),
        .listing_fd = -1,
        .mount = mount,
        .rights_base = request->rights_base & descriptor_rights(kind, mount),
        .rights_inheriting = directory ? request->rights_inheriting : 0,
    };
    *ret_number = descriptor_add(call, &descriptor);
    return 0;
}

int call_path_open(struct call *call)
{
    cleanup_close int fd = -1;
    struct open_request request;
    uint8_t *result;
    uint32_t number = 0;
    int r = guest_range(call, "the result", call_u32(call, 8), 4, 4, &result);
    if (!r)
        r = import_request(call, &request);
    if (!r)
        r = descriptor_reserve(call);
    if (!r) {
        /* The table may have moved. */
        struct descriptor *directory;
        r = descriptor_find(call, call_u32(call, 0), &directory);
        request.directory = directory;
    }
    if (!r)
        r = request.oflags & OFLAGS_CREAT ? open_or_create(call, &request, &fd)
                                          : open_existing(call, &request, &fd);
    if (!r)
        r = adopt(call, &request, &fd, &number);
    if (r)
        return r;
    store_u32(result, number);
    return 0;
}

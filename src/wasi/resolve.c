/* SPDX-License-Identifier: Apache-2.0 */
/* See resolve.h. */
#include "wasi/resolve.h"

#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_errno.h"

/* openat2 says EAGAIN when a rename anywhere on the host, whoever makes it, might have let a ".." escape: the
 * longer the path, the likelier. So try often; a guest whose renames never pause gets the errno. */
enum { ATTEMPTS = 256 };

enum { FLAGS_ALLOWED = O_ACCMODE | O_PATH | O_DIRECTORY | O_NOFOLLOW | O_APPEND | O_SYNC | O_DSYNC };

static int openat2_retrying(int directory, const char *path, struct open_how how)
{
    int r = -EAGAIN;
    how.resolve |= RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    for (int i = 0; i < ATTEMPTS && (r == -EAGAIN || r == -EINTR); i++) {
        long fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
        r = fd < 0 ? -errno : (int)fd;
    }
    return r;
}

int wasi_host_check(void)
{
    cleanup_close int fd = openat2_retrying(AT_FDCWD, ".", (struct open_how){.flags = O_PATH | O_CLOEXEC});
    return fd < 0 ? -ENOSYS : 0;
}

int open_beneath(int directory, const char *path, int flags, uint64_t more)
{
    flags &= FLAGS_ALLOWED;
    flags |= O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY);
    return openat2_retrying(directory, path, (struct open_how){.flags = (unsigned)flags, .resolve = more});
}

static int open_in_mount(const struct mount *mount, int directory, const struct guest_path *path, int flags)
{
    if (path->directory)
        flags |= O_DIRECTORY;
    return mount->hide ? open_visible(mount, directory, path, flags)
                       : open_beneath(directory, path->text, flags, 0);
}

/* The guest's errno for a lookup that failed. What cannot be opened because of its kind is not the guest's to
 * know more about. */
static int lookup_errno(struct call *call, const struct mount *mount, const struct guest_path *path, int r)
{
    if (r == -EXDEV)
        return deny_escape(call, mount, path);
    if (r == -ENXIO || r == -ENODEV)
        return ERRNO_NOTCAPABLE;
    return guest_errno(r);
}

/* `shown` is what the guest passed: the path itself, or more than it. */
static int open_shown(struct call *call, const struct descriptor *directory, const struct guest_path *path,
                      const struct guest_path *shown, int flags, int *ret_fd)
{
    if (path->text[0] == '/')
        return deny_escape(call, directory->mount, shown);
    int fd = open_in_mount(directory->mount, directory->fd, path, flags);
    if (fd < 0)
        return lookup_errno(call, directory->mount, shown, fd);
    *ret_fd = fd;
    return 0;
}

int resolve_open(struct call *call, const struct descriptor *directory, const struct guest_path *path,
                 int flags, int *ret_fd)
{
    return open_shown(call, directory, path, path, flags, ret_fd);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Opens everything before the last component. */
static int open_parent(struct call *call, const struct descriptor *directory, const struct guest_path *path,
                       const char *name, struct place *place)
{
    struct guest_path parent = {.directory = true};
    if (name == path->text) {
        place->parent = directory->fd;
        return 0;
    }
    parent.length = (size_t)(name - path->text);
    memcpy(parent.text, path->text, parent.length);
    while (parent.length > 1 && parent.text[parent.length - 1] == '/')
        parent.length--;
    parent.text[parent.length] = '\0';
    int r = open_shown(call, directory, &parent, path, O_PATH | O_DIRECTORY, &place->parent);
    place->owns_parent = !r;
    return r;
}

static int check_hidden(struct call *call, const struct mount *mount, const struct guest_path *path,
                        const struct place *place, enum place_use use)
{
    struct stat status;
    if (!mount->hide)
        return 0;
    if (use == PLACE_NEW)
        return name_hidden(mount, place->parent, place->name, HIDE_ANY) ? deny_hidden(call, mount, path) : 0;
    if (name_hidden(mount, place->parent, place->name, HIDE_OTHER))
        return ERRNO_NOENT;
    if (!name_hidden(mount, place->parent, place->name, HIDE_DIRECTORY))
        return 0;
    if (place->directory || place_status(place, &status) || S_ISDIR(status.st_mode))
        return ERRNO_NOENT;
    return 0;
}

int resolve_place(struct call *call, const struct descriptor *directory, const struct guest_path *path,
                  enum place_use use, int dots_errno, struct place *ret)
{
    *ret = PLACE_NONE;
    const char *slash = memrchr(path->text, '/', path->length);
    const char *name = slash ? slash + 1 : path->text;
    if (path->text[0] == '/')
        return deny_escape(call, directory->mount, path);
    if (is_dots(name)) {
        cleanup_close int fd = -1;
        int r = resolve_open(call, directory, path, O_PATH, &fd);
        return r ? r : dots_errno;
    }
    if (path->length - (size_t)(name - path->text) > NAME_MAX)
        return ERRNO_NAMETOOLONG;
    memcpy(ret->name, name, path->length - (size_t)(name - path->text) + 1);
    ret->directory = path->directory;
    int r = open_parent(call, directory, path, name, ret);
    return r ? r : check_hidden(call, directory->mount, path, ret, use);
}

void place_done(struct place *place)
{
    if (place->owns_parent)
        close_keeping_errno(place->parent);
    *place = PLACE_NONE;
}

int place_status(const struct place *place, struct stat *ret)
{
    return fstatat(place->parent, place->name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? guest_errno(errno) : 0;
}

int place_create_file(const struct place *place, int flags, int *ret_fd)
{
    flags = (flags & FLAGS_ALLOWED & ~(O_PATH | O_DIRECTORY)) | O_CREAT | O_EXCL | O_NOFOLLOW;
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), .mode = 0666};
    int fd = openat2_retrying(place->parent, place->name, how);
    if (fd < 0)
        return guest_errno(fd);
    *ret_fd = fd;
    return 0;
}

bool target_stays_below(const char *target)
{
    if (*target == '/')
        return false;
    for (const char *p = target; *p; p += strspn(p, "/")) {
        size_t length = strcspn(p, "/");
        if (length == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += length;
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See mount.h. */
#include "wasi/mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/cleanup.h"

static void mount_done(struct mount *mount)
{
    close_keeping_errno(mount->fd);
    hide_rules_free(mount->hide);
    quota_done(&mount->own_quota);
    free(mount->guest);
    free(mount->host);
}

/* Without /proc a hidden name could not be told from a visible one: then the mount is not made at all. */
int wasi_host_open_proc(int *ret_descriptor)
{
    struct statfs status;
    cleanup_close int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstatfs(fd, &status) < 0)
        return -errno;
    if (status.f_type != PROC_SUPER_MAGIC)
        return -ENOSYS;
    *ret_descriptor = take_fd(&fd);
    return 0;
}

static int get_proc(struct wasi_mounts *mounts, int given)
{
    if (mounts->proc_fd >= 0)
        return 0;
    if (given < 0)
        return wasi_host_open_proc(&mounts->proc_fd);
    mounts->proc_fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
    return mounts->proc_fd < 0 ? -errno : 0;
}

static int mount_open(struct mount *mount, const struct wasi_mount_options *options)
{
    struct stat status;
    mount->fd = options->descriptor;
    if (mount->fd < 0 && options->host)
        mount->fd = open(options->host, O_PATH | O_DIRECTORY | O_CLOEXEC);
    else if (mount->fd < 0)
        return -EINVAL;
    if (mount->fd < 0 || fstat(mount->fd, &status) < 0)
        return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

static int mount_init(struct mount *mount, struct wasi_mounts *mounts,
                      const struct wasi_mount_options *options, int proc_descriptor)
{
    int r = mount_open(mount, options);
    if (r)
        return r;
    if (!options->guest || options->guest[0] != '/')
        return -EINVAL;
    mount->writable = options->writable;
    mount->guest = strdup(options->guest);
    mount->host = options->host ? strdup(options->host) : NULL;
    if (!mount->guest || (options->host && !mount->host))
        return -ENOMEM;
    r = hide_rules_new(options->hide, options->n_hide, &mount->hide);
    if (r || !mount->hide)
        return r;
    r = get_proc(mounts, proc_descriptor);
    mount->proc_fd = mounts->proc_fd;
    if (r)
        return r;
    struct mount_location location;
    return mount_locate(mount, mount->fd, &location);
}

int wasi_mounts_new(const struct wasi_mount_options *options, size_t n_options, int proc_descriptor,
                    struct wasi_mounts **ret, size_t *ret_failed)
{
    struct wasi_mounts *mounts = calloc(1, sizeof *mounts + n_options * sizeof mounts->mounts[0]);
    int r = mounts ? 0 : -ENOMEM;
    size_t i = 0;
    if (mounts) {
        atomic_init(&mounts->references, 1);
        mounts->proc_fd = -1;
    }
    for (; !r && i < n_options; i++) {
        struct mount *mount = &mounts->mounts[i];
        mount->fd = -1;
        mount->proc_fd = -1;
        mount->index = (uint32_t)i;
        mount->quota = &mount->own_quota;
        r = quota_init(mount->quota, options[i].quota_bytes);
        if (r)
            break;
        mounts->n_mounts = i + 1;
        r = mount_init(mount, mounts, &options[i], proc_descriptor);
        if (r)
            break;
    }
    if (!r) {
        *ret = mounts;
        return 0;
    }
    /* Descriptors that were given stay the caller's when nothing is made. */
    for (size_t k = 0; mounts && k < mounts->n_mounts; k++)
        if (options[k].descriptor >= 0)
            mounts->mounts[k].fd = -1;
    wasi_mounts_unref(mounts);
    *ret_failed = i;
    return r;
}

struct wasi_mounts *wasi_mounts_ref(struct wasi_mounts *mounts)
{
    if (mounts)
        atomic_fetch_add_explicit(&mounts->references, 1, memory_order_relaxed);
    return mounts;
}

void wasi_mounts_unref(struct wasi_mounts *mounts)
{
    if (!mounts || atomic_fetch_sub_explicit(&mounts->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < mounts->n_mounts; i++)
        mount_done(&mounts->mounts[i]);
    close_keeping_errno(mounts->proc_fd);
    wasi_mounts_unref(mounts->quotas_of);
    free(mounts);
}

void wasi_mounts_share_quotas(struct wasi_mounts *mounts, struct wasi_mounts *of)
{
    for (size_t i = 0; i < mounts->n_mounts && i < of->n_mounts; i++)
        mounts->mounts[i].quota = of->mounts[i].quota;
    mounts->quotas_of = wasi_mounts_ref(of);
}

/* The host path of an open file into buffer[PATH_MAX + 1]. */
static int read_location(int proc_fd, int fd, char *buffer)
{
    char name[32];
    int directory = proc_fd >= 0 ? proc_fd : AT_FDCWD;
    snprintf(name, sizeof name, "%s%d", proc_fd >= 0 ? "" : "/proc/self/fd/", fd);
    ssize_t length = readlinkat(directory, name, buffer, PATH_MAX + 1);
    if (length < 0)
        return -errno;
    if (length > PATH_MAX)
        return -ENAMETOOLONG;
    buffer[length] = '\0';
    return buffer[0] == '/' ? 0 : -ESTALE;
}

/* The root is asked for each time: the host may move it while guests run, and its descriptor goes with it. */
int mount_locate(const struct mount *mount, int fd, struct mount_location *ret)
{
    cleanup_free char *root = malloc(PATH_MAX + 1);
    if (!root)
        return -ENOMEM;
    int r = read_location(mount->proc_fd, mount->fd, root);
    if (!r)
        r = read_location(mount->proc_fd, fd, ret->buffer);
    if (r)
        return r;
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(ret->buffer, root, length) != 0)
        return -ESTALE;
    ret->path = ret->buffer + length;
    if (*ret->path == '/')
        ret->path++;
    else if (*ret->path)
        return -ESTALE;
    return 0;
}

bool mount_hides(const struct mount *mount, int fd)
{
    static const char deleted[] = " (deleted)";
    struct stat status;
    if (!mount->hide)
        return false;
    cleanup_free struct mount_location *location = malloc(sizeof *location);
    if (!location || fstat(fd, &status) < 0 || mount_locate(mount, fd, location) < 0)
        return true;
    enum hide_kind kind = S_ISDIR(status.st_mode) ? HIDE_DIRECTORY : HIDE_OTHER;
    if (hide_matches(mount->hide, location->path, kind))
        return true;
    /* The kernel adds this to the path of what has lost its name; the name may also end so. */
    size_t length = strlen(location->path);
    if (length < sizeof deleted - 1 || strcmp(location->path + length - (sizeof deleted - 1), deleted) != 0)
        return false;
    location->path[length - (sizeof deleted - 1)] = '\0';
    return hide_matches(mount->hide, location->path, kind);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See module_cache.h: where the cache is, whether it may be trusted, and how a file appears in it. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <openssl/rand.h>

#include "base/error.h"
#include "sandbox/module_cache.h"

enum { PATH_BYTES_SHOWN = 512 };

/* ---- Where -------------------------------------------------------------------------------------- */

/* XDG Base Directory Specification 0.8: a path there that is not absolute counts as not set. */
static int default_path(struct text *ret_path)
{
    const char *cache = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    if (cache && *cache == '/')
        text_append_format(ret_path, "%s/berth/modules", cache);
    else if (home && *home == '/')
        text_append_format(ret_path, "%s/.cache/berth/modules", home);
    else
        return -ENOENT;
    return ret_path->failed ? -ENOMEM : 0;
}

berth_status berth_cache_default_directory(char **ret, berth_error **reterr)
{
    cleanup_text struct text path = {0};
    int r = default_path(&path);
    if (r == -ENOENT)
        return error_set(
            reterr, BERTH_NOT_FOUND,
            "there is no place for a module cache: neither XDG_CACHE_HOME nor HOME is an absolute path");
    if (r < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    *ret = text_take(&path);
    return BERTH_OK;
}

/* Makes what is missing of the path, for this user alone. */
static void make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
}

/* ---- Trust -------------------------------------------------------------------------------------- */

static int unsafe(const char *path, const char *why, struct text *reason)
{
    text_append(reason, "the module cache ");
    text_append_escaped(reason, path, strlen(path), PATH_BYTES_SHOWN);
    text_append_format(reason, " %s; machine code from it could be anybody's (--no-cache does without)", why);
    return MODULE_CACHE_UNSAFE;
}

/* Who can put files there can only make us compile again, thanks to the seal; who can read the key could
 * forge it. */
static int check_directory(int directory, const char *path, struct text *reason)
{
    struct stat status;
    if (fstat(directory, &status) < 0)
        return -errno;
    if (status.st_uid != geteuid())
        return unsafe(path, "belongs to another user", reason);
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return unsafe(path, "may be written by other users", reason);
    return 0;
}

int module_cache_directory_open(const char *path, bool make, int *ret_directory, struct text *reason)
{
    cleanup_text struct text copy = {0};
    int r = 0;
    if (path)
        text_append(&copy, path);
    else
        r = default_path(&copy);
    if (r == 0 && copy.failed)
        r = -ENOMEM;
    if (r == 0 && copy.length == 0)
        r = -ENOENT;
    if (r < 0)
        return r;
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    cleanup_close int directory = open(copy.data, flags);
    if (directory < 0 && errno == ENOENT && make) {
        make_directories(copy.data);
        directory = open(copy.data, flags);
    }
    /* With both flags, a symbolic link is ENOTDIR. */
    struct stat status;
    if (directory < 0 && errno == ENOTDIR && lstat(copy.data, &status) == 0 && S_ISLNK(status.st_mode))
        return unsafe(copy.data, "is a symbolic link", reason);
    if (directory < 0)
        return -errno;
    r = check_directory(directory, copy.data, reason);
    if (r == 0)
        *ret_directory = take_fd(&directory);
    return r;
}

/* ---- Files appear complete ---------------------------------------------------------------------- */

static int write_parts(int fd, struct iovec *parts, int n_parts)
{
    while (n_parts > 0) {
        ssize_t written = writev(fd, parts, n_parts);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        for (; n_parts > 0 && (size_t)written >= parts->iov_len; parts++, n_parts--)
            written -= (ssize_t)parts->iov_len;
        if (n_parts > 0) {
            parts->iov_base = (char *)parts->iov_base + written;
            parts->iov_len -= (size_t)written;
        }
    }
    return 0;
}

/* Not every file system has files without a name. */
static int put_by_linking(int directory, const char *name, struct iovec *parts, int n_parts)
{
    uint64_t random;
    char temporary[sizeof(MODULE_CACHE_UNFINISHED_PREFIX) + 16];
    RAND_bytes((uint8_t *)&random, sizeof(random));
    snprintf(temporary, sizeof(temporary), "%s%016" PRIx64, MODULE_CACHE_UNFINISHED_PREFIX, random);
    cleanup_close int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_parts(fd, parts, n_parts);
    /* Not rename(2): the first one wins, which is what makes processes agree on a key. */
    if (r == 0 && linkat(directory, temporary, directory, name, 0) < 0)
        r = -errno;
    unlinkat(directory, temporary, 0);
    return r;
}

int module_cache_directory_put(int directory, const char *name, struct iovec *parts, int n_parts)
{
    char self[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    cleanup_close int fd = openat(directory, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd < 0 || access("/proc/self/fd", X_OK) < 0)
        return put_by_linking(directory, name, parts, n_parts);
    int r = write_parts(fd, parts, n_parts);
    if (r < 0)
        return r;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, directory, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookups on a mount with hidden names: what is hidden behaves as what is not there.
 *
 * The name that a guest types says little about where it leads, so what counts is where the kernel says that
 * the opened object is. That alone is not enough: an error, or a detour through a hidden directory and back
 * with
 * "..", also tells that something is there. Therefore:
 *
 *   1. The path as typed, put after the true place of its directory, is checked component by component.
 * Without symbolic links this is exact, and it does not depend on what exists.
 *   2. The path is opened with O_PATH and RESOLVE_NO_SYMLINKS. If this works, or fails for another reason
 * than a symbolic link, the answer is the kernel's.
 *   3. With a symbolic link on the way, every prefix before a ".." is located, then the path is opened;
 * whatever goes wrong is ENOENT, because the reason might be the kind or the mode of something hidden.
 *   4. What has been opened is located; if it is hidden, ENOENT. Only then the real open is done, and located
 * too.
 *
 * Guests cannot make symbolic links that hide a detour in their target (place_holds_target() refuses ".."
 * behind a name), so a link through a hidden directory is one that the owner of the data has made.
 */
#include <linux/openat2.h>
#include <string.h>

#include "wasi/resolve.h"

/* A path under construction: where the directory is, then what is to be looked up in it. */
struct lexical_path {
    size_t length;
    char text[2 * PATH_MAX + 2];
};

static bool lexical_append(struct lexical_path *path, const char *name, size_t length)
{
    if (path->length + length + 2 > sizeof path->text)
        return false;
    if (path->length)
        path->text[path->length++] = '/';
    memcpy(path->text + path->length, name, length);
    path->length += length;
    path->text[path->length] = '\0';
    return true;
}

static void lexical_up(struct lexical_path *path)
{
    char *slash = memrchr(path->text, '/', path->length);
    path->length = slash ? (size_t)(slash - path->text) : 0;
    path->text[path->length] = '\0';
}

/* The lexical path of a directory; NULL if the kernel cannot say, or there is no memory. */
static struct lexical_path *locate_directory(const struct mount *mount, int directory)
{
    struct lexical_path *path = calloc(1, sizeof *path);
    cleanup_free struct mount_location *location = malloc(sizeof *location);
    if (!path || !location || mount_locate(mount, directory, location) < 0 ||
        (*location->path && !lexical_append(path, location->path, strlen(location->path)))) {
        free(path);
        return NULL;
    }
    return path;
}

bool name_hidden(const struct mount *mount, int directory, const char *name, enum hide_kind kind)
{
    cleanup_free struct lexical_path *path = locate_directory(mount, directory);
    return !path || !lexical_append(path, name, strlen(name)) || hide_matches(mount->hide, path->text, kind);
}

/* Step 1. */
static bool typed_path_hidden(const struct mount *mount, int directory, const char *text,
                              bool must_be_directory)
{
    cleanup_free struct lexical_path *path = locate_directory(mount, directory);
    if (!path || hide_matches(mount->hide, path->text, HIDE_DIRECTORY))
        return true;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, "/");
        const char *next = p + length + strspn(p + length, "/");
        bool last = !*next && !must_be_directory;
        if (length == 2 && p[0] == '.' && p[1] == '.') {
            if (!path->length)
                return false; /* leads out: the kernel refuses it */
            lexical_up(path);
        } else if (length && !(length == 1 && *p == '.')) {
            if (!lexical_append(path, p, length) ||
                hide_matches(mount->hide, path->text, last ? HIDE_OTHER : HIDE_DIRECTORY))
                return true;
        }
        p = next;
    }
    return false;
}

/* Whether what was opened may be shown: the descriptor again, or -ENOENT. */
static int only_visible(const struct mount *mount, int fd)
{
    if (fd < 0 || !mount_hides(mount, fd))
        return fd;
    close_keeping_errno(fd);
    return -ENOENT;
}

/* Step 3: whether the path turns back with ".." from something that is hidden or cannot be opened. */
static bool turns_back_in_hidden(const struct mount *mount, int directory, const char *text)
{
    cleanup_free char *prefix = strdup(text);
    if (!prefix)
        return true;
    for (char *p = prefix; *p;) {
        size_t length = strcspn(p, "/");
        if (length == 2 && p[0] == '.' && p[1] == '.' && p > prefix) {
            char *end = p - 1, kept = *end;
            *end = '\0';
            int fd = only_visible(mount, open_beneath(directory, prefix, O_PATH | O_DIRECTORY, 0));
            if (fd < 0)
                return true;
            close_keeping_errno(fd);
            *end = kept;
        }
        p += length;
        p += strspn(p, "/");
    }
    return false;
}

static bool is_shortage(int r)
{
    return r == -EAGAIN || r == -EINTR || r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static int open_through_links(const struct mount *mount, int directory, const char *text, int flags)
{
    if (turns_back_in_hidden(mount, directory, text))
        return -ENOENT;
    int fd = open_beneath(directory, text, flags, 0);
    return fd >= 0 || is_shortage(fd) ? fd : -ENOENT;
}

int open_visible(const struct mount *mount, int directory, const struct guest_path *path, int flags)
{
    if (typed_path_hidden(mount, directory, path->text, path->directory))
        return -ENOENT;
    int probe_flags = O_PATH | (flags & (O_NOFOLLOW | O_DIRECTORY));
    int fd = open_beneath(directory, path->text, probe_flags, RESOLVE_NO_SYMLINKS);
    if (fd == -ELOOP)
        fd = open_through_links(mount, directory, path->text, probe_flags);
    fd = only_visible(mount, fd);
    if (fd < 0 || flags & O_PATH)
        return fd;
    close_keeping_errno(fd);
    return only_visible(mount, open_beneath(directory, path->text, flags, 0));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookups on a mount with hidden names: what is hidden behaves as what is not there.
 *
 * The name that a guest types says little about where it leads, so what counts is where the kernel says that
 * the opened object is. That alone is not enough: an error, or a detour through a hidden directory or link
 * and back, also tells that something is there. Therefore:
 *
 *   1. The path is probed with O_PATH and RESOLVE_NO_SYMLINKS. If that is ENOENT, it is the answer. If it
 * works and there is no "..", the way to the object is the object's own path.
 *   2. Otherwise the way is walked, component by component and link by link, only to see whether it touches
 * something hidden: then the answer is ENOENT, as if the walk had ended there. What the walk finds is never
 * used for anything else, so racing it gains no access. Each step asks the kernel, so steps are limited.
 *   3. The kernel walks the whole path; what it opens is located once more before it is used.
 */
#include <linux/openat2.h>
#include <string.h>

#include "wasi/resolve.h"

enum {
    LINKS_MAX = 40,  /* as the kernel */
    STEPS_MAX = 256, /* components on the way, also those that links add */
};

bool name_hidden(const struct mount *mount, int directory, const char *name, enum hide_kind kind)
{
    cleanup_free struct mount_location *location = malloc(sizeof *location);
    if (!location || mount_locate(mount, directory, location) < 0)
        return true;
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s%s%s", location->path, *location->path ? "/" : "", name) < 0) {
        path = NULL;
        return true;
    }
    return hide_matches(mount->hide, path, kind);
}

/* Whether what was opened may be shown: the descriptor again, or -ENOENT. */
static int only_visible(const struct mount *mount, int fd)
{
    if (fd < 0 || !mount_hides(mount, fd))
        return fd;
    close_keeping_errno(fd);
    return -ENOENT;
}

/* A walk from a directory: where it is, without links, and what is still to be walked. */
struct walk {
    const struct mount *mount;
    int directory;
    bool follow_last;
    int n_links;
    int n_steps;
    size_t length;
    char at[PATH_MAX];
    char rest[PATH_MAX];
};

enum step {
    STEP_ON,
    STEP_HIDDEN, /* it touches something hidden */
    STEP_LIMIT,  /* too long to be looked at */
    STEP_END,    /* nothing hidden on the way; the kernel's own answer can be told */
};

/* The kernel goes up only from a directory that may be searched; so must the walk, or it would find hidden
 * names behind a file that the kernel stops at. */
static bool can_go_up(struct walk *walk)
{
    memcpy(walk->at + walk->length, "/.", sizeof "/.");
    cleanup_close int fd = open_beneath(walk->directory, walk->at, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    walk->at[walk->length] = '\0';
    return fd >= 0;
}

static void walk_up(struct walk *walk)
{
    char *slash = memrchr(walk->at, '/', walk->length);
    walk->length = slash ? (size_t)(slash - walk->at) : 0;
    walk->at[walk->length] = '\0';
}

/* Puts the text of a link before the rest. */
static enum step walk_link(struct walk *walk, int link)
{
    char text[PATH_MAX];
    ssize_t length = readlinkat(link, "", text, sizeof text);
    size_t rest = strlen(walk->rest);
    if (length <= 0 || text[0] == '/' || ++walk->n_links > LINKS_MAX)
        return STEP_END; /* an absolute link leads out, and so on: the kernel refuses */
    if ((size_t)length + rest + 2 > sizeof walk->rest)
        return STEP_LIMIT;
    memmove(walk->rest + length + 1, walk->rest, rest + 1);
    memcpy(walk->rest, text, (size_t)length);
    walk->rest[length] = '/';
    walk_up(walk);
    return STEP_ON;
}

/* Goes to `name`, which is neither "." nor "..". */
static enum step walk_into(struct walk *walk, const char *name, size_t length)
{
    struct stat status;
    if (walk->length + length + sizeof "//." > sizeof walk->at)
        return STEP_HIDDEN; /* too deep to be located, as mount_hides() would find */
    if (walk->length)
        walk->at[walk->length++] = '/';
    memcpy(walk->at + walk->length, name, length);
    walk->length += length;
    walk->at[walk->length] = '\0';
    cleanup_close int fd = open_beneath(walk->directory, walk->at, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd < 0 || fstat(fd, &status) < 0) /* absent, or a mount point of the host */
        return fd != -ENOENT && name_hidden(walk->mount, walk->directory, walk->at, HIDE_ANY) ? STEP_HIDDEN
                                                                                              : STEP_END;
    if (mount_hides(walk->mount, fd))
        return STEP_HIDDEN;
    bool last = !walk->rest[strspn(walk->rest, "/")];
    if (S_ISLNK(status.st_mode) && (!last || walk->follow_last))
        return walk_link(walk, fd);
    return STEP_ON;
}

static enum step walk_step(struct walk *walk)
{
    char name[NAME_MAX + 1];
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");
    if (!length || length > NAME_MAX)
        return STEP_END;
    memcpy(name, start, length);
    name[length] = '\0';
    memmove(walk->rest, start + length, strlen(start + length) + 1);
    if (strcmp(name, ".") == 0)
        return STEP_ON;
    if (++walk->n_steps > STEPS_MAX)
        return STEP_LIMIT;
    if (strcmp(name, "..") != 0)
        return walk_into(walk, name, length);
    if (!walk->length || !can_go_up(walk))
        return STEP_END; /* leads out, or no further */
    walk_up(walk);
    return STEP_ON;
}

/* 0, -ENOENT if the way touches something hidden, -ELOOP if links make it too long to tell: with hidden files
 * and without, since it is the visible part before them that is too long. */
static int look_ahead(const struct mount *mount, int directory, const struct guest_path *path,
                      bool follow_last)
{
    enum step step = STEP_ON;
    cleanup_free struct walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return -ENOENT;
    walk->mount = mount;
    walk->directory = directory;
    walk->follow_last = follow_last;
    memcpy(walk->rest, path->text, path->length + 1);
    while (step == STEP_ON)
        step = walk_step(walk);
    return step == STEP_HIDDEN ? -ENOENT : step == STEP_LIMIT ? -ELOOP : 0;
}

static bool has_too_many_steps(const char *path)
{
    int n_steps = 0;
    for (const char *p = path + strspn(path, "/"); *p; p += strspn(p, "/")) {
        size_t length = strcspn(p, "/");
        n_steps += !(length == 1 && *p == '.');
        p += length;
    }
    return n_steps > STEPS_MAX;
}

static bool turns_back(const char *path)
{
    for (const char *p = path; *p; p += strspn(p, "/")) {
        size_t length = strcspn(p, "/");
        if (length == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += length;
    }
    return false;
}

int open_visible(const struct mount *mount, int directory, const struct guest_path *path, int flags)
{
    int probe_flags = O_PATH | (flags & (O_NOFOLLOW | O_DIRECTORY));
    if (has_too_many_steps(path->text))
        return -ENAMETOOLONG;
    int fd = open_beneath(directory, path->text, probe_flags, RESOLVE_NO_SYMLINKS);
    if (fd == -ENOENT)
        return fd;
    if (fd < 0 || turns_back(path->text)) {
        int r = look_ahead(mount, directory, path, !(flags & O_NOFOLLOW));
        if (r) {
            close_keeping_errno(fd);
            return r;
        }
    }
    if (fd == -ELOOP)
        fd = open_beneath(directory, path->text, probe_flags, 0);
    fd = only_visible(mount, fd);
    if (fd < 0 || flags & O_PATH)
        return fd;
    close_keeping_errno(fd);
    return only_visible(mount, open_beneath(directory, path->text, flags, 0));
}

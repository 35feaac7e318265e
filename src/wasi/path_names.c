/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, removing, moving and reading names: path_create_directory, path_remove_directory, path_unlink_file,
 * path_rename, path_link, path_symlink, path_readlink.
 *
 * Each works on a place: an open parent and one component. Entries are charged to the quota before they are
 * made and refunded after they are gone.
 */
#include <errno.h>
#include <fcntl.h>

#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"
#include "wasi/resolve.h"

/* A path argument and the directory it starts from. */
struct target {
    struct descriptor *directory;
    struct guest_path path;
};

static int import_target(struct call *call, unsigned fd_index, unsigned path_index, uint64_t right,
                         struct target *ret)
{
    int r = guest_path_import(call, call_u32(call, path_index), call_u32(call, path_index + 1), &ret->path);
    return r ? r
             : descriptor_find_directory(call, call_u32(call, fd_index), right, &ret->path, &ret->directory);
}

static int failure(int result)
{
    return result < 0 ? guest_errno(errno) : 0;
}

int call_path_create_directory(struct call *call)
{
    cleanup_place struct place place = PLACE_NONE;
    struct target target;
    int r = import_target(call, 0, 1, RIGHTS_PATH_CREATE_DIRECTORY, &target);
    if (!r)
        r = resolve_place(call, target.directory, &target.path, PLACE_NEW, ERRNO_EXIST, &place);
    if (r)
        return r;
    struct mount *mount = target.directory->mount;
    quota_guard quota = quota_lock(mount->quota);
    if (!quota_charge(quota, QUOTA_ENTRY_BYTES))
        return deny_quota(call, mount, &target.path);
    r = failure(mkdirat(place.parent, place.name, 0777));
    if (r)
        quota_refund(quota, QUOTA_ENTRY_BYTES);
    return r;
}

int call_path_remove_directory(struct call *call)
{
    cleanup_place struct place place = PLACE_NONE;
    struct target target;
    int r = import_target(call, 0, 1, RIGHTS_PATH_REMOVE_DIRECTORY, &target);
    if (!r)
        r = resolve_place(call, target.directory, &target.path, PLACE_EXISTING, ERRNO_INVAL, &place);
    if (r)
        return r;
    quota_guard quota = quota_lock(target.directory->mount->quota);
    r = failure(unlinkat(place.parent, place.name, AT_REMOVEDIR));
    if (!r)
        quota_refund(quota, QUOTA_ENTRY_BYTES);
    return r;
}

int call_path_unlink_file(struct call *call)
{
    cleanup_place struct place place = PLACE_NONE;
    struct target target;
    struct stat status;
    int r = import_target(call, 0, 1, RIGHTS_PATH_UNLINK_FILE, &target);
    if (!r)
        r = resolve_place(call, target.directory, &target.path, PLACE_EXISTING, ERRNO_ISDIR, &place);
    if (r)
        return r;
    quota_guard quota = quota_lock(target.directory->mount->quota);
    r = place_status(&place, &status);
    if (!r && S_ISDIR(status.st_mode))
        r = ERRNO_ISDIR;
    if (!r && place.directory)
        r = ERRNO_NOTDIR;
    if (!r)
        r = failure(unlinkat(place.parent, place.name, 0));
    if (!r)
        quota_entry_removed(quota, &status);
    return r;
}

/* A link is made under its plain name only: with a slash behind it, it would have to be a directory. */
static int refuse_slash(const struct place *place)
{
    struct stat status;
    if (!place->directory)
        return 0;
    int r = place_status(place, &status);
    return r ? r : ERRNO_EXIST;
}

/* The text of a symbolic link that a guest makes, moves or gives a second name. One that is absolute or holds
 * ".." would be harmless to us, who do not follow it out, but tools of the host follow links too; and since
 * directories move, no count of ".." is right for good. */
static int check_link_text(struct call *call, const struct mount *mount, const struct guest_path *text)
{
    return target_stays_below(text->text) ? 0 : deny_escape(call, mount, text);
}

static int check_existing_link(struct call *call, const struct mount *mount, const struct place *place)
{
    struct guest_path text = {0};
    ssize_t length = readlinkat(place->parent, place->name, text.text, sizeof text.text - 1);
    if (length < 0)
        return guest_errno(errno);
    text.length = (size_t)length;
    text.text[length] = '\0';
    return check_link_text(call, mount, &text);
}

/* Hard links are a second way to the same data, so they stay where the same rules hold: inside one writable
 * mount. */
static int check_link_source(struct call *call, const struct mount *mount, const struct place *place)
{
    struct stat status;
    int r = place_status(place, &status);
    if (r)
        return r;
    if (S_ISLNK(status.st_mode))
        return place->directory ? ERRNO_PERM : check_existing_link(call, mount, place);
    if (!S_ISREG(status.st_mode))
        return ERRNO_PERM;
    return place->directory ? ERRNO_NOTDIR : 0;
}

int call_path_link(struct call *call)
{
    cleanup_place struct place from = PLACE_NONE, to = PLACE_NONE;
    struct target source, target;
    if (call_u32(call, 1))
        return ERRNO_INVAL; /* following a symbolic link here has let secrets in elsewhere */
    int r = import_target(call, 0, 2, RIGHTS_PATH_LINK_SOURCE, &source);
    if (!r)
        r = import_target(call, 4, 5, RIGHTS_PATH_LINK_TARGET, &target);
    if (!r && source.directory->mount != target.directory->mount)
        r = ERRNO_XDEV;
    if (!r)
        r = resolve_place(call, source.directory, &source.path, PLACE_EXISTING, ERRNO_PERM, &from);
    if (!r)
        r = resolve_place(call, target.directory, &target.path, PLACE_NEW, ERRNO_EXIST, &to);
    if (!r)
        r = check_link_source(call, source.directory->mount, &from);
    if (!r)
        r = refuse_slash(&to);
    if (r)
        return r;
    struct mount *mount = target.directory->mount;
    quota_guard quota = quota_lock(mount->quota);
    if (!quota_charge(quota, QUOTA_ENTRY_BYTES))
        return deny_quota(call, mount, &target.path);
    r = failure(linkat(from.parent, from.name, to.parent, to.name, 0));
    if (r)
        quota_refund(quota, QUOTA_ENTRY_BYTES);
    return r;
}

int call_path_symlink(struct call *call)
{
    cleanup_place struct place place = PLACE_NONE;
    struct guest_path text;
    struct target target;
    char slashed[PATH_MAX + 1];
    int r = guest_path_import(call, call_u32(call, 0), call_u32(call, 1), &text);
    if (!r)
        r = import_target(call, 2, 3, RIGHTS_PATH_SYMLINK, &target);
    if (!r)
        r = resolve_place(call, target.directory, &target.path, PLACE_NEW, ERRNO_EXIST, &place);
    if (!r)
        r = refuse_slash(&place);
    if (!r)
        r = check_link_text(call, target.directory->mount, &text);
    if (r)
        return r;
    snprintf(slashed, sizeof slashed, "%s%s", text.text, text.directory ? "/" : "");
    struct mount *mount = target.directory->mount;
    quota_guard quota = quota_lock(mount->quota);
    if (!quota_charge(quota, QUOTA_ENTRY_BYTES))
        return deny_quota(call, mount, &target.path);
    r = failure(symlinkat(slashed, place.parent, place.name));
    if (r)
        quota_refund(quota, QUOTA_ENTRY_BYTES);
    return r;
}

int call_path_readlink(struct call *call)
{
    cleanup_close int fd = -1;
    struct target target;
    struct stat status;
    char text[PATH_MAX];
    uint32_t size = call_u32(call, 4);
    uint8_t *bytes, *used;
    int r = guest_range(call, "the buffer", call_u32(call, 3), size, 1, &bytes);
    if (!r)
        r = guest_range(call, "the size", call_u32(call, 5), 4, 4, &used);
    if (!r)
        r = import_target(call, 0, 1, RIGHTS_PATH_READLINK, &target);
    if (!r)
        r = resolve_open(call, target.directory, &target.path, O_PATH | O_NOFOLLOW, &fd);
    if (r)
        return r;
    if (fstat(fd, &status) < 0)
        return guest_errno(errno);
    if (!S_ISLNK(status.st_mode))
        return ERRNO_INVAL;
    ssize_t length = readlinkat(fd, "", text, sizeof text);
    if (length < 0)
        return guest_errno(errno);
    uint32_t shown = (uint32_t)length < size ? (uint32_t)length : size;
    memcpy(bytes, text, shown);
    store_u32(used, shown);
    return 0;
}

/* What may not move: a link that leads up, and a directory on a mount whose hidden names depend on where they
 * are. */
static int check_move(struct call *call, const struct target *source, const struct place *from,
                      const struct place *to)
{
    const struct mount *mount = source->directory->mount;
    struct stat status;
    int r = place_status(from, &status);
    if (r)
        return r;
    if (!S_ISDIR(status.st_mode))
        return from->directory || to->directory ? ERRNO_NOTDIR
               : S_ISLNK(status.st_mode)        ? check_existing_link(call, mount, from)
                                                : 0;
    if (!hide_has_anchors(mount->hide))
        return 0;
    deny(call, &(struct denial){.mount = mount,
                                .path = &source->path,
                                .rule = "grants.mount.hide",
                                .observed = "a move of a directory",
                                .allowed = "moves of files, since hide patterns with a slash name places",
                                .remedy = "hide patterns without an inner slash"});
    return ERRNO_NOTCAPABLE;
}

static int move(struct mount *mount, const struct place *from, const struct place *to)
{
    struct stat moved, replaced;
    quota_guard quota = quota_lock(mount->quota);
    bool replaces = quota && place_status(from, &moved) == 0 && place_status(to, &replaced) == 0;
    int r = failure(renameat(from->parent, from->name, to->parent, to->name));
    /* Two names of one file: rename(2) then does nothing. */
    bool same = replaces && replaced.st_dev == moved.st_dev && replaced.st_ino == moved.st_ino;
    if (!r && replaces && !same)
        quota_entry_removed(quota, &replaced);
    return r;
}

int call_path_rename(struct call *call)
{
    cleanup_place struct place from = PLACE_NONE, to = PLACE_NONE;
    struct target source, target;
    int r = import_target(call, 0, 1, RIGHTS_PATH_RENAME_SOURCE, &source);
    if (!r)
        r = import_target(call, 3, 4, RIGHTS_PATH_RENAME_TARGET, &target);
    if (!r && source.directory->mount != target.directory->mount)
        r = ERRNO_XDEV;
    if (!r)
        r = resolve_place(call, source.directory, &source.path, PLACE_EXISTING, ERRNO_BUSY, &from);
    if (!r)
        r = resolve_place(call, target.directory, &target.path, PLACE_NEW, ERRNO_BUSY, &to);
    if (!r)
        r = check_move(call, &source, &from, &to);
    return r ? r : move(source.directory->mount, &from, &to);
}

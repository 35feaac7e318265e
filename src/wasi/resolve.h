/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door from a guest's path to an object of the host.
 *
 * The kernel walks the path (openat2 with RESOLVE_BENEATH, NO_MAGICLINKS and NO_XDEV, from the descriptor of
 * a mount or of a directory that was opened through here); berth never walks by itself, because a walk in
 * steps can be raced. There are two forms:
 *
 *   resolve_open()   opens the object that a whole path names;
 *   resolve_place()  opens the parent and gives the last component, which is then one name without a slash
 * that is neither "." nor "..", fit for the *at() calls that make, remove and rename names.
 *
 * On a mount with hidden names both behave as if what is hidden was not there. How: resolve_hidden.c.
 */
#ifndef BERTH_WASI_RESOLVE_H
#define BERTH_WASI_RESOLVE_H

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "wasi/descriptor.h"

/* Opens what the path names. `flags` are the access mode and O_PATH, O_DIRECTORY, O_NOFOLLOW, O_APPEND,
 * O_SYNC or O_DSYNC; never O_CREAT or O_TRUNC. Never blocks: opens of FIFOs return at once. 0, or the guest's
 * errno; ERRNO_NOTCAPABLE (with a denial) for a path that leads out. */
int resolve_open(struct call *call, const struct descriptor *directory, const struct guest_path *path,
                 int flags, int *ret_fd);

/* A name in a directory. */
struct place {
    int parent;       /* O_PATH is enough */
    bool owns_parent; /* else it is the descriptor's */
    bool directory;   /* a slash followed the name */
    char name[NAME_MAX + 1];
};

enum place_use {
    PLACE_EXISTING, /* something there is to be used: a hidden name is ERRNO_NOENT */
    PLACE_NEW,      /* something is to be made there: a hidden name is ERRNO_NOTCAPABLE, with a denial */
};

/* `dots_errno` is the answer if the path is well but its last component is "." or ".."; it depends on the
 * call. 0, or the guest's errno. Release with place_done() in any case. */
int resolve_place(struct call *call, const struct descriptor *directory, const struct guest_path *path,
                  enum place_use use, int dots_errno, struct place *ret);
void place_done(struct place *place);
#define cleanup_place cleanup(place_done)
#define PLACE_NONE    ((struct place){.parent = -1})

/* The status of what is there, not following a symbolic link. 0, or the guest's errno. */
int place_status(const struct place *place, struct stat *ret);

/* Makes a file there and opens it; fails with ERRNO_EXIST if there is anything. */
int place_create_file(const struct place *place, int flags, int *ret_fd);

/* Whether a symbolic link with that target stays below its own directory, wherever that is or is moved to:
 * relative and without "..". */
bool target_stays_below(const char *target);

/* ---- Between resolve.c and resolve_hidden.c ---- */

/* openat2 from `directory`; a descriptor, or a negative errno. `more` is RESOLVE_NO_SYMLINKS or 0. */
int open_beneath(int directory, const char *path, int flags, uint64_t more);

/* open_beneath() for a mount with hidden names: a descriptor, or a negative errno. */
int open_visible(const struct mount *mount, int directory, const struct guest_path *path, int flags);

/* Whether `name` in the directory is hidden. */
bool name_hidden(const struct mount *mount, int directory, const char *name, enum hide_kind kind);

#endif

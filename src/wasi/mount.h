/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A granted directory: an open descriptor, the name the guest knows it by, whether it may be written, which
 * names it does not show, how much it may grow.
 *
 * Nothing here takes a path of a guest; that is resolve.h. What is here is the kernel's own answer to the
 * question where an open file is (/proc/self/fd), which is what hidden names are decided by.
 */
#ifndef BERTH_WASI_MOUNT_H
#define BERTH_WASI_MOUNT_H

#include <limits.h>
#include <stdatomic.h>

#include "wasi/hide.h"
#include "wasi/quota.h"
#include "wasi/wasi.h"

struct mount {
    char *guest;
    char *host;  /* NULL if the mount was given as a descriptor */
    int fd;      /* O_PATH is enough */
    int proc_fd; /* /proc/self/fd if there are hidden names, else -1; a copy of the mounts' */
    uint32_t index;
    bool writable;
    struct hide_rules *hide; /* NULL: nothing is hidden */
    struct quota *quota;     /* own_quota, or that of a mount of `quotas_of` */
    struct quota own_quota;
};

struct wasi_mounts {
    atomic_uint references;
    int proc_fd;                   /* -1: not needed */
    struct wasi_mounts *quotas_of; /* a reference; NULL: all are its own */
    size_t n_mounts;
    struct mount mounts[];
};

/* Where the kernel says that a file is, below a mount. */
struct mount_location {
    char *path;                /* in `buffer`: "" for the root of the mount */
    char buffer[PATH_MAX + 1]; /* the absolute host path */
};

/* Asks the kernel where `fd` is. 0; -ESTALE if it is not below the root of the mount any more; -ENAMETOOLONG;
 * or another negative errno if /proc is not there. */
int mount_locate(const struct mount *mount, int fd, struct mount_location *ret);

/* Whether what `fd` has open is hidden; a file that cannot be located is. */
bool mount_hides(const struct mount *mount, int fd);

#endif

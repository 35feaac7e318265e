/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a directory of a mount entry by entry, from any position, in the kernel's order.
 *
 * Left out are what is hidden and names that are not UTF-8, which no guest could use. A position is the
 * kernel's own (d_off), so that it survives entries that come and go as well as the file system can make it.
 */
#ifndef BERTH_WASI_DIRECTORY_H
#define BERTH_WASI_DIRECTORY_H

#include "wasi/mount.h"

struct directory {
    const struct mount *mount;
    int fd;
    char *location; /* where it is below the mount; NULL if nothing is hidden there */
    size_t used, filled;
    unsigned n_skipped;
    _Alignas(8) char buffer[4096];
};

struct directory_entry {
    const char *name; /* good until the next call; NULL: the end, or if `next` is set a pause after much was
                         skipped */
    uint64_t inode;
    uint64_t next; /* the position after it */
    uint8_t filetype;
};

/* `fd` is a directory that is open for reading, and nobody else moves its position. 0, or the guest's errno.
 * Release with directory_done() in any case. */
int directory_start(struct directory *directory, const struct mount *mount, int fd, uint64_t position);
int directory_next(struct directory *directory, struct directory_entry *ret);
void directory_done(struct directory *directory);

#endif

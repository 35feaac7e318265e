/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest sees of a file's attributes.
 *
 * The device is the number of the mount, counted from 1 (0 is for streams). In deterministic mode, where the
 * host must not show, the inode is a hash of the guest path and times are 0; otherwise times are rounded down
 * as the guest's clock is. Size and link count of a directory tell how many entries it has: where entries are
 * hidden, and in deterministic mode, they are 0 and 1.
 */
#ifndef BERTH_WASI_FILESTAT_H
#define BERTH_WASI_FILESTAT_H

#include <sys/stat.h>

#include "wasi/context.h"

enum filetype filetype_of_mode(mode_t mode);

/* For deterministic mode: the inode of `name` in the directory, or of the directory itself if it is NULL. */
uint64_t filestat_hashed_inode(const struct mount *mount, int fd, const char *name);

/* Writes the record of what `fd` has open. 0, or the guest's errno. */
int filestat_store(const struct wasi_context *context, const struct mount *mount, int fd, uint8_t *record);

/* The two timestamps of a call for utimensat. ERRNO_INVAL for unknown or contradictory flags. */
int filestat_times(uint64_t atim, uint64_t mtim, uint32_t fstflags, struct timespec ret_times[2]);

#endif

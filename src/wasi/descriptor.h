/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's descriptors: 0 to 2 are streams, from 3 on the mounts, then what the guest opens.
 *
 * New descriptors get the lowest free number from 3 on; 0 to 2 are never given to a file, so that output
 * meant for a closed stdout cannot land in one. The table grows with use and never beyond streams, mounts and
 * the contract's open files.
 *
 * Rights can only shrink: a descriptor has at most the inheriting rights of the directory it was opened from,
 * those that its kind can have, and those that the mode of its mount allows.
 */
#ifndef BERTH_WASI_DESCRIPTOR_H
#define BERTH_WASI_DESCRIPTOR_H

#include "wasi/call.h"
#include "wasi/guest_path.h"
#include "wasi/mount.h"

enum descriptor_kind { DESCRIPTOR_FREE, DESCRIPTOR_STREAM, DESCRIPTOR_FILE, DESCRIPTOR_DIRECTORY };

enum { FIRST_DESCRIPTOR = 3 };

struct listing;
struct watch;

struct descriptor {
    uint8_t kind;
    uint8_t stream; /* 0 to 2; stays when the descriptor is renumbered */
    bool preopen;
    uint16_t flags;          /* the guest's fdflags */
    int fd;                  /* the host's; of a preopen it is the mount's and not closed */
    int listing_fd;          /* of a preopen: its own open directory for fd_readdir, or -1 */
    struct mount *mount;     /* NULL for streams */
    struct listing *listing; /* of a directory in deterministic mode, or NULL */
    struct watch *watch;     /* once the guest has waited for a change of it, or NULL */
    uint64_t rights_base;
    uint64_t rights_inheriting;
};

/* What a descriptor of that kind can have at all. */
uint64_t descriptor_rights(enum descriptor_kind kind, const struct mount *mount);

/* ERRNO_BADF if there is none. */
int descriptor_find(struct call *call, uint32_t number, struct descriptor **ret);

/* A file that has all of `rights`: 0, ERRNO_BADF, ERRNO_ISDIR, ERRNO_SPIPE (a stream), ERRNO_ROFS or
 * ERRNO_NOTCAPABLE. */
int descriptor_find_file(struct call *call, uint32_t number, uint64_t rights, struct descriptor **ret);

/* A directory that has all of `rights`; `path` (may be NULL) is what is to be looked up there, for the
 * denial. 0, ERRNO_BADF, ERRNO_NOTDIR, ERRNO_ROFS or ERRNO_NOTCAPABLE. */
int descriptor_find_directory(struct call *call, uint32_t number, uint64_t rights,
                              const struct guest_path *path, struct descriptor **ret);

/* Whether it has all of `rights`: 0, ERRNO_ROFS (with a denial) or ERRNO_NOTCAPABLE. */
int descriptor_require(struct call *call, const struct descriptor *descriptor, uint64_t rights,
                       const struct guest_path *path);

/* Whether one more may be opened: 0, ERRNO_MFILE (with a denial) or ERRNO_NOMEM. Room is reserved. */
int descriptor_reserve(struct call *call);

/* Puts it into the slot that was reserved; cannot fail. */
uint32_t descriptor_add(struct call *call, const struct descriptor *descriptor);

/* Closes it and frees its number. */
void descriptor_close(struct wasi_context *context, struct descriptor *descriptor);

/* Moves `from` to the number of `to`, which is closed. */
void descriptor_move(struct wasi_context *context, struct descriptor *from, struct descriptor *to);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that the contract refused, told to the embedder in words.
 *
 * All denials are counted; the first few of a context are told, so that a guest cannot fill a log. Only what
 * the contract could allow is a denial: a hidden file that a guest asks for is absent, and no denial.
 */
#ifndef BERTH_WASI_DENIAL_H
#define BERTH_WASI_DENIAL_H

#include "wasi/guest_path.h"
#include "wasi/mount.h"

enum { DENIALS_TOLD = 16 };

struct denial {
    const struct mount *mount;     /* may be NULL */
    const struct guest_path *path; /* may be NULL */
    const char *purpose;           /* "for writing", or NULL */
    const char *rule;
    const char *observed;
    const char *allowed;
    const char *remedy;
};

void deny(struct call *call, const struct denial *denial);

/* The guest wants to change something on a read-only mount. Returns ERRNO_ROFS. */
int deny_writing(struct call *call, const struct mount *mount, const struct guest_path *path);

/* The path leads, or would lead, out of its directory. Returns ERRNO_NOTCAPABLE. */
int deny_escape(struct call *call, const struct mount *mount, const struct guest_path *path);

/* The guest wants to make a name that is hidden. Returns ERRNO_NOTCAPABLE. */
int deny_hidden(struct call *call, const struct mount *mount, const struct guest_path *path);

/* The quota of the mount is used up. Returns ERRNO_DQUOT. */
int deny_quota(struct call *call, const struct mount *mount, const struct guest_path *path);

#endif

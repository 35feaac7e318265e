/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's entries, sorted by the bytes of their names: what fd_readdir shows in deterministic mode.
 *
 * A context keeps one, that of the directory read last, so that a guest with many open directories cannot
 * make the host hold them all.
 */
#ifndef BERTH_WASI_LISTING_H
#define BERTH_WASI_LISTING_H

#include "wasi/context.h"

enum { LISTING_ENTRIES_MAX = 65536 };

struct listing_entry {
    uint8_t filetype;
    char *name;
};

struct listing {
    const struct descriptor *owner; /* only compared */
    size_t n_entries;               /* without "." and ".." */
    size_t capacity;
    struct listing_entry *entries;
};

/* Reads the directory that `fd` has open, without what is hidden. 0, or the guest's errno; ERRNO_OVERFLOW for
 * more than LISTING_ENTRIES_MAX entries. The listing is the context's. */
int listing_read(struct wasi_context *context, const struct descriptor *owner, int fd,
                 const struct listing **ret);

/* The listing of that descriptor, or NULL. */
const struct listing *listing_of(const struct wasi_context *context, const struct descriptor *owner);

/* Drops the listing if it is that descriptor's; NULL: whosever it is. */
void listing_forget(struct wasi_context *context, const struct descriptor *owner);

#endif

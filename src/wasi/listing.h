/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's entries, sorted by the bytes of their names: what fd_readdir shows in deterministic mode.
 *
 * It stays with its descriptor until the directory is read from its start again, because a cookie is the
 * number of an entry: a guest that removes what it lists would otherwise skip what moves up. A guest with
 * many open directories cannot make the host hold them all: beyond LISTING_ENTRIES_MAX entries in a context
 * the listings of its other descriptors are dropped, and read again when they are asked for.
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
    size_t n_entries; /* without "." and ".." */
    size_t capacity;
    struct listing_entry *entries;
};

/* Reads what `fd` has open, without what is hidden, into descriptor->listing. 0, or the guest's errno;
 * ERRNO_OVERFLOW for more than LISTING_ENTRIES_MAX entries. */
int listing_read(struct wasi_context *context, struct descriptor *descriptor, int fd);

/* Drops the listing of the descriptor, if it has one. */
void listing_forget(struct wasi_context *context, struct descriptor *descriptor);

#endif

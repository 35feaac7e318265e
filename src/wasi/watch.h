/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: what a guest learns of changes to what it has open.
 *
 * One inotify descriptor serves all contexts of a thread (wasi_watches), because a user may only have a
 * hundred or so. The kernel has one watch per inode, the watch point, which the watches of all descriptors
 * that have this inode open share. A watch belongs to a guest's descriptor, begins with its first wait and
 * ends when it is closed; in between it remembers that something changed, once, until the guest has been
 * told. Names that a mount hides do not count.
 */
#ifndef BERTH_WASI_WATCH_H
#define BERTH_WASI_WATCH_H

#include "wasi/context.h"

/* Begins to watch what the descriptor has open. 0, or a negative errno (-ENOENT without /proc, -EACCES,
 * -ENOSPC: the user's watches are used up). */
int watch_begin(struct wasi_context *context, struct descriptor *descriptor);

/* Whether something changed since the last time it was asked. */
bool watch_take(struct descriptor *descriptor);

/* Ends the watch of the descriptor, if it has one. */
void watch_forget(struct descriptor *descriptor);

#endif

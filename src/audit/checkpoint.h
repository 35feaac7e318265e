/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves what was committed from the journal into the file, on a thread of its own, so that commits do not
 * wait for the disk. (SQLite by itself does that inside a commit every 1,000 pages, with two fsync: tens of
 * milliseconds in which the front's loop would stand still.)
 *
 * Under load the journal hardly ever is moved to its end and so cannot begin anew; from a certain size on the
 * commit moves the rest itself, of which there is little then.
 */
#ifndef BERTH_AUDIT_CHECKPOINT_H
#define BERTH_AUDIT_CHECKPOINT_H

#include <sqlite3.h>

struct checkpoint;

/* `writer`: the connection whose commits are followed. `own`: another one to the same file; it is taken over,
 * also when this fails. 0 or a negative errno. */
int checkpoint_start(sqlite3 *writer, sqlite3 *own, struct checkpoint **ret);
/* Before the writer is closed. Accepts NULL. */
void checkpoint_stop(struct checkpoint *checkpoint);

#endif

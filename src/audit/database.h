/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SQLite file of ours: one kind of content, mode 0600, one writer at a time, any number of readers beside
 * it.
 *
 * - A new file gets its tables under another name and is then renamed, so a file that is empty, cut off or of
 *   somebody else is never taken for a new one: it is an error, and nothing is repaired.
 * - The writer holds a lock on FILE-lock. SQLite's own locks would also keep readers out.
 * - The file is hostile: its triggers, views and functions are not obeyed.
 *
 * A connection is used by one thread at a time.
 */
#ifndef BERTH_AUDIT_DATABASE_H
#define BERTH_AUDIT_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include <berth/error.h>

#include "base/cleanup.h"

struct database_kind {
    const char *noun;   /* "audit log": what sentences call it */
    const char *schema; /* the statements that make its tables */
    int32_t application_id;
    int32_t version;
};

struct checkpoint;

struct database {
    sqlite3 *connection;
    struct checkpoint *checkpoint;
    int lock; /* descriptor, or -1 */
};

/* Makes the file if there is none. `prepare` puts the first rows into a new one; may be NULL. A negative
 * errno with a sentence: -EWOULDBLOCK: another writer; -EBADMSG: empty, damaged or no such database; -ENOSPC;
 * -EACCES, -EROFS, -ENOENT and others of open(2); -EIO. */
int database_open(const char *path, const struct database_kind *kind, bool full_sync,
                  int (*prepare)(sqlite3 *connection, const void *payload), const void *payload,
                  struct database *ret, berth_error **reterr);
/* Rolls back. Its statements must be finalized before. */
void database_close(struct database *database);

/* Errors: BERTH_NOT_FOUND, BERTH_INVALID (no such database), BERTH_IO. Close it with sqlite3_close(). */
berth_status database_open_to_read(const char *path, const struct database_kind *kind, sqlite3 **ret,
                                   berth_error **reterr);

/* What an SQLite result code means: 0 for SQLITE_OK, _ROW and _DONE; -ENOSPC also for a quota or a limit on
 * file sizes; -EBADMSG for damage; -EEXIST for a constraint; -EWOULDBLOCK; -ENOMEM; -EACCES; -EROFS; -EIO. */
int database_errno(sqlite3 *connection, int code);

/* A statement that is kept. 0 or a negative errno. */
int database_prepare(sqlite3 *connection, const char *sql, sqlite3_stmt **ret);

/* Steps a statement that gives no rows, and resets it. */
int database_run(sqlite3_stmt *statement);

/* One number from a pragma or a query; 0 if there is no row. */
int database_number(sqlite3 *connection, const char *sql, int64_t *ret);

/* "the audit log '/var/lib/…'", escaped and bounded; the caller frees it; NULL if memory is short. */
char *database_name(const struct database_kind *kind, const char *path);

DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
#define cleanup_statement cleanup(sqlite3_finalize_cleanup)
DEFINE_CLEANUP(sqlite3 *, sqlite3_close)
#define cleanup_connection cleanup(sqlite3_close_cleanup)

#endif

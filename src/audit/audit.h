/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: what was asked, decided and done, in order, so that nothing can be taken out or changed
 * later without being seen. SQLite (WAL). Each entry holds the hash of the one before; each commit is signed
 * with Ed25519.
 *
 * Writing is in two steps: audit_append() adds to the batch, audit_commit() makes the batch durable against
 * the end of the process (and of the machine with AUDIT_SYNC_FULL). What an entry allows must not happen
 * before the commit: if it fails, nothing of the batch counts, and the node runs nothing.
 *
 * Reading and verifying need no key and work beside a writer. chain.h says what is hashed and signed. A log
 * is used by one thread at a time.
 */
#ifndef BERTH_AUDIT_AUDIT_H
#define BERTH_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/audit.h>

#include "base/cleanup.h"

struct audit_log;

enum { AUDIT_FIELD_MAX_BYTES = 1 << 20 }; /* of one text of an entry */

enum audit_sync { AUDIT_SYNC_NORMAL = 0, AUDIT_SYNC_FULL = 1 };

struct audit_signer {
    uint8_t public_key[32]; /* Ed25519 */
    /* 0 or a negative errno. */
    int (*sign)(void *payload, const void *bytes, size_t size_bytes, uint8_t ret_signature[static 64]);
    void *payload;
};

/* Opens or makes the file (mode 0600) and checks the end of the chain. A negative errno with a sentence:
 * -EIO, -ENOSPC, -EBADMSG (no audit log, of another node, or broken; it is never repaired silently),
 * -EWOULDBLOCK (another writer), -EACCES, -EROFS and others of open(2). */
int audit_open(const char *path, enum audit_sync sync, const struct audit_signer *signer,
               struct audit_log **ret, berth_error **reterr);
void audit_close(struct audit_log *log); /* commits nothing; accepts NULL */
DEFINE_CLEANUP(struct audit_log *, audit_close)

/* Adds one entry to the batch. event: "run_started", from the table in docs/operations.md; subject: principal
 * or ""; run: run id or ""; details: a JSON object without line breaks, or NULL. Everything is copied. 0,
 * -ENOMEM, or -EINVAL: a text is longer than AUDIT_FIELD_MAX_BYTES. Then the entry is not in the batch. */
int audit_append(struct audit_log *log, const char *event, const char *subject, const char *run,
                 const char *details);

/* Entries in the batch. */
size_t audit_pending(const struct audit_log *log);

/* Makes the batch durable and empties it. A negative errno: then the batch is dropped. After -ENOSPC or -EIO
 * a later commit may succeed again; -EBADMSG: somebody else wrote into the file; -ENOENT: it was moved or
 * removed. */
int audit_commit(struct audit_log *log);

#endif

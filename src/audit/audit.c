/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer. The batch lies in one growing block; a commit is one pass over it: hash, insert, and at the end
 * one signature. Every commit compares the end of the file with the end it knows, so what somebody else wrote
 * into the file stops the node instead of being signed.
 */
#include "audit/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "audit/chain.h"
#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/peer_id.h"

enum {
    CHECKED_AT_OPEN = 1000, /* entries: what a process that was killed can have had a part in, and more */
    BATCH_KEEP_BYTES = 1 << 20,
};

/* Offsets are into the batch's block. */
struct pending {
    int64_t time_ns;
    size_t offset[CHAIN_FIELDS];
    uint32_t size_bytes[CHAIN_FIELDS];
};

struct batch {
    char *text;
    size_t length, capacity;
    struct pending *entries;
    size_t n_entries, entries_capacity;
};

enum { BEGIN = 0, COMMIT, ROLLBACK, READ_END, INSERT_ENTRY, INSERT_SIGNATURE, STATEMENTS };

static const char *const statement_texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [READ_END] = "SELECT " CHAIN_COLUMNS " FROM entries ORDER BY number DESC LIMIT 1",
    [INSERT_ENTRY] = "INSERT INTO entries (" CHAIN_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [INSERT_SIGNATURE] = "INSERT INTO signatures (number, signature) VALUES (?1, ?2)",
};

struct audit_log {
    struct database database;
    struct audit_signer signer;
    sqlite3_stmt *statements[STATEMENTS];
    struct batch batch;
    uint64_t number; /* of the last entry in the file */
    uint8_t hash[CHAIN_HASH_BYTES];
};

/* ---- opening --------------------------------------------------------------------------------------- */

static int insert_key(sqlite3 *connection, const void *payload)
{
    const struct audit_signer *signer = payload;
    cleanup_statement sqlite3_stmt *statement = NULL;
    int r = database_prepare(connection, "INSERT INTO node (public_key) VALUES (?1)", &statement);
    if (r < 0)
        return r;
    sqlite3_bind_blob(statement, 1, signer->public_key, CHAIN_KEY_BYTES, SQLITE_STATIC);
    return database_run(statement);
}

/* The last entry of the file; zeros if there is none. */
static int read_end(struct audit_log *log, uint64_t *ret_number, uint8_t ret_hash[static CHAIN_HASH_BYTES])
{
    sqlite3_stmt *statement = log->statements[READ_END];
    struct chain_entry entry = {0};
    int code = sqlite3_step(statement);
    int r = database_errno(log->database.connection, code);
    if (r == 0 && code == SQLITE_ROW && (chain_entry_read(statement, &entry) || entry.number >= INT64_MAX))
        r = -EBADMSG;
    sqlite3_reset(statement);
    *ret_number = entry.number;
    memcpy(ret_hash, entry.hash, CHAIN_HASH_BYTES);
    return r;
}

static int check_key(struct audit_log *log, const char *name, berth_error **reterr)
{
    uint8_t key[CHAIN_KEY_BYTES];
    char peer_id[PEER_ID_CHARACTERS];
    int r = chain_key(log->database.connection, key);
    if (r < 0) {
        error_set_errno(reterr, r, "cannot read %s", name);
        return r;
    }
    if (r == 1) {
        error_set(reterr, BERTH_INVALID, "%s does not say whose it is", name);
        return -EBADMSG;
    }
    if (memcmp(key, log->signer.public_key, sizeof key) != 0) {
        peer_id_of_ed25519(key, peer_id);
        error_set(reterr, BERTH_INVALID, "%s belongs to the node %s; move it away to begin a new one", name,
                  peer_id);
        return -EBADMSG;
    }
    return 0;
}

static int check_end(struct audit_log *log, const char *name, berth_error **reterr)
{
    cleanup_text struct text fault = {0};
    struct chain_end end = {0};
    int r = read_end(log, &log->number, log->hash);
    uint64_t first = saturating_sub_u64(log->number, CHECKED_AT_OPEN) + 1;
    if (r == 0)
        r = chain_walk(log->database.connection, first, log->signer.public_key, NULL, &end, &fault);
    if (r == 1) {
        error_set(reterr, BERTH_INVALID, "%s is broken: %s; 'berth audit verify' looks at all of it", name,
                  fault.data);
        return -EBADMSG;
    }
    if (r < 0)
        error_set_errno(reterr, r, "cannot read the end of %s", name);
    return r;
}

static int open_log(struct audit_log *log, const char *path, enum audit_sync sync, const char *name,
                    berth_error **reterr)
{
    int r = database_open(path, &chain_database, sync == AUDIT_SYNC_FULL, insert_key, &log->signer,
                          &log->database, reterr);
    if (r < 0)
        return r;
    for (int i = 0; i < STATEMENTS; i++) {
        r = database_prepare(log->database.connection, statement_texts[i], &log->statements[i]);
        if (r < 0) {
            error_set_errno(reterr, r, "cannot use %s", name);
            return r;
        }
    }
    r = check_key(log, name, reterr);
    return r < 0 ? r : check_end(log, name, reterr);
}

int audit_open(const char *path, enum audit_sync sync, const struct audit_signer *signer,
               struct audit_log **ret, berth_error **reterr)
{
    cleanup_free char *name = database_name(&chain_database, path);
    struct audit_log *log = calloc(1, sizeof *log);
    if (!log || !name) {
        free(log);
        error_set(reterr, BERTH_NO_MEMORY, "out of memory");
        return -ENOMEM;
    }
    log->database.lock = -1;
    log->signer = *signer;
    int r = open_log(log, path, sync, name, reterr);
    if (r < 0)
        audit_close(log);
    else
        *ret = log;
    return r;
}

void audit_close(struct audit_log *log)
{
    if (!log)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(log->statements[i]);
    database_close(&log->database);
    free(log->batch.text);
    free(log->batch.entries);
    free(log);
}

/* ---- the batch ------------------------------------------------------------------------------------- */

static int reserve_text(struct batch *batch, size_t size)
{
    size_t needed;
    if (!checked_add_size(batch->length, size, &needed))
        return -ENOMEM;
    if (needed <= batch->capacity)
        return 0;
    size_t capacity = batch->capacity ? batch->capacity : 4096;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    char *grown = realloc(batch->text, capacity);
    if (!grown)
        return -ENOMEM;
    batch->text = grown;
    batch->capacity = capacity;
    return 0;
}

static int reserve_entry(struct batch *batch)
{
    if (batch->n_entries < batch->entries_capacity)
        return 0;
    size_t capacity = batch->entries_capacity ? batch->entries_capacity * 2 : 16;
    struct pending *grown = reallocarray(batch->entries, capacity, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    batch->entries = grown;
    batch->entries_capacity = capacity;
    return 0;
}

/* A burst's memory is given back. */
static void empty(struct batch *batch)
{
    batch->length = batch->n_entries = 0;
    if (batch->capacity > BATCH_KEEP_BYTES) {
        free(batch->text);
        batch->text = NULL;
        batch->capacity = 0;
    }
}

int audit_append(struct audit_log *log, const char *event, const char *subject, const char *run,
                 const char *details)
{
    const char *const text[CHAIN_FIELDS] = {event, subject, run, details ? details : "{}"};
    struct batch *batch = &log->batch;
    struct pending entry = {.time_ns = (int64_t)clock_now_ns(CLOCK_REALTIME)};
    size_t total = 0;
    for (int i = 0; i < CHAIN_FIELDS; i++) {
        size_t size = strlen(text[i]);
        if (size > AUDIT_FIELD_MAX_BYTES)
            return -EINVAL;
        entry.size_bytes[i] = (uint32_t)size;
        entry.offset[i] = batch->length + total;
        total += size + 1;
    }
    if (reserve_text(batch, total) < 0 || reserve_entry(batch) < 0)
        return -ENOMEM;
    for (int i = 0; i < CHAIN_FIELDS; i++)
        memcpy(batch->text + entry.offset[i], text[i], (size_t)entry.size_bytes[i] + 1);
    batch->length += total;
    batch->entries[batch->n_entries++] = entry;
    return 0;
}

size_t audit_pending(const struct audit_log *log)
{
    return log->batch.n_entries;
}

/* ---- committing ------------------------------------------------------------------------------------ */

static int check_unchanged(struct audit_log *log)
{
    uint64_t number;
    uint8_t hash[CHAIN_HASH_BYTES];
    int moved = 0;
    sqlite3_file_control(log->database.connection, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved)
        return -ENOENT;
    int r = read_end(log, &number, hash);
    if (r < 0)
        return r;
    return number == log->number && memcmp(hash, log->hash, sizeof hash) == 0 ? 0 : -EBADMSG;
}

static int insert_entry(struct audit_log *log, const struct chain_entry *entry)
{
    sqlite3_stmt *statement = log->statements[INSERT_ENTRY];
    sqlite3_bind_int64(statement, 1, (int64_t)entry->number);
    sqlite3_bind_int64(statement, 2, entry->time_ns);
    for (int i = 0; i < CHAIN_FIELDS; i++)
        sqlite3_bind_text(statement, 3 + i, entry->text[i], (int)entry->size_bytes[i], SQLITE_STATIC);
    sqlite3_bind_blob(statement, 3 + CHAIN_FIELDS, entry->hash, CHAIN_HASH_BYTES, SQLITE_STATIC);
    return database_run(statement);
}

static int insert_signature(struct audit_log *log, uint64_t number,
                            const uint8_t hash[static CHAIN_HASH_BYTES])
{
    sqlite3_stmt *statement = log->statements[INSERT_SIGNATURE];
    uint8_t signed_bytes[CHAIN_SIGNED_BYTES], signature[CHAIN_SIGNATURE_BYTES];
    chain_signed_bytes(number, hash, signed_bytes);
    int r = log->signer.sign(log->signer.payload, signed_bytes, sizeof signed_bytes, signature);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, (int64_t)number);
    sqlite3_bind_blob(statement, 2, signature, sizeof signature, SQLITE_STATIC);
    return database_run(statement);
}

static int insert_batch(struct audit_log *log, struct chain_entry *ret_last)
{
    const struct batch *batch = &log->batch;
    uint8_t previous[CHAIN_HASH_BYTES];
    memcpy(previous, log->hash, sizeof previous);
    for (size_t i = 0; i < batch->n_entries; i++) {
        const struct pending *pending = &batch->entries[i];
        struct chain_entry entry = {.number = log->number + 1 + i, .time_ns = pending->time_ns};
        if (entry.number >= INT64_MAX)
            return -EBADMSG;
        for (int j = 0; j < CHAIN_FIELDS; j++) {
            entry.text[j] = batch->text + pending->offset[j];
            entry.size_bytes[j] = pending->size_bytes[j];
        }
        chain_hash(previous, &entry, entry.hash);
        int r = insert_entry(log, &entry);
        if (r < 0)
            return r;
        memcpy(previous, entry.hash, sizeof previous);
        *ret_last = entry;
    }
    return insert_signature(log, ret_last->number, ret_last->hash);
}

static int write_batch(struct audit_log *log)
{
    struct chain_entry last = {0};
    int r = database_run(log->statements[BEGIN]);
    if (r < 0)
        return r;
    r = check_unchanged(log);
    if (r == 0)
        r = insert_batch(log, &last);
    if (r == 0)
        r = database_run(log->statements[COMMIT]);
    if (r < 0) {
        if (!sqlite3_get_autocommit(log->database.connection))
            database_run(log->statements[ROLLBACK]);
        return r;
    }
    log->number = last.number;
    memcpy(log->hash, last.hash, sizeof log->hash);
    return 0;
}

int audit_commit(struct audit_log *log)
{
    int r = log->batch.n_entries ? write_batch(log) : 0;
    empty(&log->batch);
    return r;
}

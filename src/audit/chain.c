/* SPDX-License-Identifier: Apache-2.0 */
/* See chain.h. */
#include "audit/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/curve25519.h>
#include <openssl/sha.h>

static const char entry_domain[20] = "berth audit entry 1";
static const char commit_domain[21] = "berth audit commit 1";

const struct database_kind chain_database = {
    .noun = "audit log",
    .application_id = 0x62417564, /* "bAud" */
    .version = 1,
    .schema =
        "CREATE TABLE node (public_key BLOB NOT NULL) STRICT;"
        "CREATE TABLE entries (number INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, event TEXT NOT NULL,"
        " subject TEXT NOT NULL, run TEXT NOT NULL, details TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
        "CREATE TABLE signatures (number INTEGER PRIMARY KEY, signature BLOB NOT NULL) STRICT;",
};

static void write_u64(uint8_t *ret, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        ret[i] = (uint8_t)(number >> (56 - 8 * i));
}

void chain_hash(const uint8_t previous[static CHAIN_HASH_BYTES], const struct chain_entry *entry,
                uint8_t ret[static CHAIN_HASH_BYTES])
{
    SHA256_CTX context;
    uint8_t numbers[16];
    SHA256_Init(&context);
    SHA256_Update(&context, entry_domain, sizeof entry_domain);
    SHA256_Update(&context, previous, CHAIN_HASH_BYTES);
    write_u64(numbers, entry->number);
    write_u64(numbers + 8, (uint64_t)entry->time_ns);
    SHA256_Update(&context, numbers, sizeof numbers);
    for (int i = 0; i < CHAIN_FIELDS; i++) {
        uint32_t size = entry->size_bytes[i];
        uint8_t length[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                             (uint8_t)size};
        SHA256_Update(&context, length, sizeof length);
        SHA256_Update(&context, entry->text[i], size);
    }
    SHA256_Final(ret, &context);
}

void chain_signed_bytes(uint64_t number, const uint8_t hash[static CHAIN_HASH_BYTES],
                        uint8_t ret[static CHAIN_SIGNED_BYTES])
{
    memcpy(ret, commit_domain, sizeof commit_domain);
    write_u64(ret + sizeof commit_domain, number);
    memcpy(ret + sizeof commit_domain + 8, hash, CHAIN_HASH_BYTES);
}

/* ---- rows ------------------------------------------------------------------------------------------ */

const char *chain_entry_read(sqlite3_stmt *row, struct chain_entry *ret)
{
    static const char *const no_text[CHAIN_FIELDS] = {"its event is no text", "its subject is no text",
                                                      "its run is no text", "its details are no text"};
    enum { FIRST_TEXT = 2, HASH = FIRST_TEXT + CHAIN_FIELDS };
    ret->number = (uint64_t)sqlite3_column_int64(row, 0);
    ret->time_ns = sqlite3_column_int64(row, 1);
    if (sqlite3_column_type(row, 1) != SQLITE_INTEGER)
        return "its time is no number";
    for (int i = 0; i < CHAIN_FIELDS; i++) {
        ret->text[i] = sqlite3_column_type(row, FIRST_TEXT + i) == SQLITE_TEXT
                           ? (const char *)sqlite3_column_text(row, FIRST_TEXT + i)
                           : NULL;
        ret->size_bytes[i] = (uint32_t)sqlite3_column_bytes(row, FIRST_TEXT + i);
        if (!ret->text[i] || strlen(ret->text[i]) != ret->size_bytes[i])
            return no_text[i];
    }
    const void *hash = sqlite3_column_blob(row, HASH);
    if (sqlite3_column_type(row, HASH) != SQLITE_BLOB ||
        sqlite3_column_bytes(row, HASH) != CHAIN_HASH_BYTES || !hash)
        return "its hash is no SHA-256";
    memcpy(ret->hash, hash, CHAIN_HASH_BYTES);
    return NULL;
}

int chain_key(sqlite3 *connection, uint8_t ret[static CHAIN_KEY_BYTES])
{
    cleanup_statement sqlite3_stmt *statement = NULL;
    int r = database_prepare(connection, "SELECT public_key FROM node", &statement);
    if (r < 0)
        return r;
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 1 : database_errno(connection, code);
    const void *key = sqlite3_column_blob(statement, 0);
    if (!key || sqlite3_column_bytes(statement, 0) != CHAIN_KEY_BYTES)
        return 1;
    memcpy(ret, key, CHAIN_KEY_BYTES);
    code = sqlite3_step(statement);
    return code == SQLITE_DONE ? 0 : code == SQLITE_ROW ? 1 : database_errno(connection, code);
}

/* ---- walking --------------------------------------------------------------------------------------- */

struct walk {
    sqlite3 *connection;
    sqlite3_stmt *entries, *signatures;
    const uint8_t *public_key, *head;
    struct chain_end *end;
    struct text *fault;
    uint64_t first;
    uint64_t signed_up_to;
    bool head_seen;
};

__attribute__((format(printf, 2, 3))) static int stumble(struct walk *walk, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_append_format_list(walk->fault, format, arguments);
    va_end(arguments);
    return walk->fault->failed ? -ENOMEM : 1;
}

static void look_for_head(struct walk *walk)
{
    if (walk->head && memcmp(walk->head, walk->end->hash, CHAIN_HASH_BYTES) == 0)
        walk->head_seen = true;
}

static int missing(struct walk *walk, uint64_t from, uint64_t to)
{
    if (from == to)
        return stumble(walk, "entry %" PRIu64 " is missing", from);
    return stumble(walk, "entries %" PRIu64 " to %" PRIu64 " are missing", from, to);
}

/* The hash that the first entry builds on. */
static int find_predecessor(struct walk *walk)
{
    cleanup_statement sqlite3_stmt *statement = NULL;
    struct chain_entry entry;
    if (walk->first <= 1)
        return 0;
    int r = database_prepare(walk->connection, "SELECT " CHAIN_COLUMNS " FROM entries WHERE number = ?1",
                             &statement);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, (int64_t)(walk->first - 1));
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? missing(walk, walk->first - 1, walk->first - 1)
                                   : database_errno(walk->connection, code);
    const char *wrong = chain_entry_read(statement, &entry);
    if (wrong)
        return stumble(walk, "entry %" PRIu64 ": %s", walk->first - 1, wrong);
    walk->end->number = entry.number;
    memcpy(walk->end->hash, entry.hash, CHAIN_HASH_BYTES);
    return 0;
}

static int check_entry(struct walk *walk)
{
    struct chain_entry entry;
    uint8_t hash[CHAIN_HASH_BYTES];
    uint64_t expected = walk->end->number + 1;
    int64_t number = sqlite3_column_int64(walk->entries, 0);
    if (number < (int64_t)expected)
        return stumble(walk, "entry %" PRId64 " does not belong here: numbers begin with 1", number);
    if ((uint64_t)number != expected)
        return missing(walk, expected, (uint64_t)number - 1);
    const char *wrong = chain_entry_read(walk->entries, &entry);
    if (wrong)
        return stumble(walk, "entry %" PRIu64 ": %s", expected, wrong);
    chain_hash(walk->end->hash, &entry, hash);
    if (memcmp(hash, entry.hash, CHAIN_HASH_BYTES) != 0)
        return stumble(walk,
                       "entry %" PRIu64
                       " was changed, inserted or moved: its hash does not fit it and the entry before",
                       expected);
    walk->end->number = expected;
    memcpy(walk->end->hash, hash, CHAIN_HASH_BYTES);
    look_for_head(walk);
    return 0;
}

/* The signature that stands at the entry that was just checked. */
static int check_signature(struct walk *walk)
{
    uint8_t signed_bytes[CHAIN_SIGNED_BYTES];
    const uint8_t *signature = sqlite3_column_blob(walk->signatures, 1);
    chain_signed_bytes(walk->end->number, walk->end->hash, signed_bytes);
    if (!signature || sqlite3_column_bytes(walk->signatures, 1) != CHAIN_SIGNATURE_BYTES ||
        ED25519_verify(signed_bytes, sizeof signed_bytes, signature, walk->public_key) != 1)
        return stumble(walk,
                       "entry %" PRIu64 ": its signature is not the node's; what came since entry %" PRIu64
                       " cannot be trusted",
                       walk->end->number, walk->signed_up_to + 1);
    walk->signed_up_to = walk->end->number;
    walk->end->signatures++;
    return 0;
}

/* Both tables in step. */
static int walk_rows(struct walk *walk)
{
    int signature_row = sqlite3_step(walk->signatures);
    for (;;) {
        int entry_row = sqlite3_step(walk->entries);
        if (entry_row != SQLITE_ROW && entry_row != SQLITE_DONE)
            return database_errno(walk->connection, entry_row);
        int r = entry_row == SQLITE_ROW ? check_entry(walk) : 0;
        if (r != 0)
            return r;
        if (signature_row != SQLITE_ROW && signature_row != SQLITE_DONE)
            return database_errno(walk->connection, signature_row);
        int64_t at = signature_row == SQLITE_ROW ? sqlite3_column_int64(walk->signatures, 0) : INT64_MAX;
        if (entry_row == SQLITE_DONE && signature_row == SQLITE_ROW)
            return stumble(
                walk, "entry %" PRId64 " is signed but missing: the log was cut back after entry %" PRIu64,
                at, walk->end->number);
        if (entry_row == SQLITE_DONE)
            return 0;
        if (at < (int64_t)walk->end->number)
            return stumble(walk, "entry %" PRId64 " is signed but missing", at);
        if ((uint64_t)at == walk->end->number) {
            r = check_signature(walk);
            if (r != 0)
                return r;
            signature_row = sqlite3_step(walk->signatures);
        }
    }
}

static int prepare_from(struct walk *walk, const char *sql, sqlite3_stmt **ret)
{
    int r = database_prepare(walk->connection, sql, ret);
    if (r == 0) /* from the first, look at what is below it, too */
        sqlite3_bind_int64(*ret, 1, walk->first <= 1 ? INT64_MIN : (int64_t)walk->first);
    return r;
}

static int check_end(struct walk *walk)
{
    if (walk->end->number > walk->signed_up_to)
        return stumble(walk, "entry %" PRIu64 " is not signed: signatures end with entry %" PRIu64,
                       walk->signed_up_to + 1, walk->signed_up_to);
    if (walk->head && !walk->head_seen)
        return stumble(walk,
                       "the hash that was to be found is not in the log, which ends with entry %" PRIu64
                       ": it was cut back, or is another log",
                       walk->end->number);
    return 0;
}

int chain_walk(sqlite3 *connection, uint64_t first, const uint8_t public_key[static CHAIN_KEY_BYTES],
               const uint8_t *head, struct chain_end *ret, struct text *fault)
{
    cleanup_statement sqlite3_stmt *entries = NULL;
    cleanup_statement sqlite3_stmt *signatures = NULL;
    struct walk walk = {.connection = connection,
                        .public_key = public_key,
                        .head = head,
                        .end = ret,
                        .fault = fault,
                        .first = first,
                        .signed_up_to = first ? first - 1 : 0};
    *ret = (struct chain_end){0};
    int r = prepare_from(&walk, "SELECT " CHAIN_COLUMNS " FROM entries WHERE number >= ?1 ORDER BY number",
                         &entries);
    if (r == 0)
        r = prepare_from(&walk, "SELECT number, signature FROM signatures WHERE number >= ?1 ORDER BY number",
                         &signatures);
    walk.entries = entries;
    walk.signatures = signatures;
    if (r == 0)
        r = find_predecessor(&walk);
    look_for_head(&walk);
    if (r == 0)
        r = walk_rows(&walk);
    if (r == -EBADMSG)
        return stumble(&walk, "the file is damaged after entry %" PRIu64, ret->number);
    return r == 0 ? check_end(&walk) : r;
}

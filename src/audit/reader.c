/* SPDX-License-Identifier: Apache-2.0 */
/* The log for those who have no key: each call opens the file, looks at one snapshot of it and closes it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <berth/audit.h>

#include "audit/chain.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/peer_id.h"

/* ---- list ------------------------------------------------------------------------------------------ */

#define SELECTED                                                                                          \
    "SELECT " CHAIN_COLUMNS                                                                               \
    " FROM entries WHERE number >= ?1 AND (?2 IS NULL OR time_ns >= ?2) AND (?3 IS NULL OR time_ns < ?3)" \
    " AND (?4 IS NULL OR event = ?4) AND (?5 IS NULL OR subject = ?5) AND (?6 IS NULL OR run = ?6)"

static const char select_all[] = SELECTED " ORDER BY number";
static const char select_newest[] =
    "SELECT * FROM (" SELECTED " ORDER BY number DESC LIMIT ?7) ORDER BY number";

static int64_t clamp_i64(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static int prepare_query(sqlite3 *connection, const struct berth_audit_query *query, sqlite3_stmt **ret)
{
    const char *const words[] = {query->event, query->subject, query->run};
    int r = database_prepare(connection, query->limit ? select_newest : select_all, ret);
    if (r < 0)
        return r;
    sqlite3_bind_int64(*ret, 1, clamp_i64(query->from_number));
    if (query->since_ns)
        sqlite3_bind_int64(*ret, 2, query->since_ns);
    if (query->until_ns)
        sqlite3_bind_int64(*ret, 3, query->until_ns);
    for (int i = 0; i < 3; i++)
        if (words[i])
            sqlite3_bind_text64(*ret, 4 + i, words[i], strlen(words[i]), SQLITE_STATIC, SQLITE_UTF8);
    if (query->limit)
        sqlite3_bind_int64(*ret, 7, clamp_i64(query->limit));
    return 0;
}

static berth_status unreadable(int r, const char *name, berth_error **reterr)
{
    if (r == -EBADMSG)
        return error_set(reterr, BERTH_INVALID, "%s is damaged", name);
    return error_set_errno(reterr, r, "cannot read %s", name);
}

static berth_status visit_rows(sqlite3_stmt *statement, const char *name, berth_audit_visit_fn *visit,
                               void *payload, berth_error **reterr)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct chain_entry row;
        const char *wrong = chain_entry_read(statement, &row);
        if (wrong)
            return error_set(reterr, BERTH_INVALID, "entry %" PRIu64 " of %s is damaged: %s", row.number,
                             name, wrong);
        struct berth_audit_entry entry = {
            .number = row.number,
            .time_ns = row.time_ns,
            .event = row.text[FIELD_EVENT],
            .subject = row.text[FIELD_SUBJECT],
            .run = row.text[FIELD_RUN],
            .details = row.text[FIELD_DETAILS],
        };
        hex_write(row.hash, sizeof row.hash, entry.hash);
        if (!visit(payload, &entry))
            return BERTH_OK;
    }
    int r = database_errno(sqlite3_db_handle(statement), code);
    return r < 0 ? unreadable(r, name, reterr) : BERTH_OK;
}

BERTH_API berth_status berth_audit_list(const char *path, const struct berth_audit_query *query,
                                        berth_audit_visit_fn *visit, void *payload, berth_error **reterr)
{
    static const struct berth_audit_query everything = {.size = sizeof everything};
    cleanup_connection sqlite3 *connection = NULL;
    cleanup_statement sqlite3_stmt *statement = NULL;
    cleanup_free char *name = database_name(&chain_database, path);
    if (!name)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (query && query->size != sizeof *query)
        return error_set(reterr, BERTH_INVALID, "the audit query was not made for this version of berth");
    berth_status status = database_open_to_read(path, &chain_database, &connection, reterr);
    if (status != BERTH_OK)
        return status;
    int r = prepare_query(connection, query ? query : &everything, &statement);
    return r < 0 ? unreadable(r, name, reterr) : visit_rows(statement, name, visit, payload, reterr);
}

/* ---- verify ---------------------------------------------------------------------------------------- */

static berth_status check_node(const uint8_t *key, const char *node, const char *name,
                               struct berth_audit_verdict *verdict, berth_error **reterr)
{
    char peer_id[PEER_ID_CHARACTERS];
    _Static_assert(sizeof verdict->node >= PEER_ID_CHARACTERS, "room for the peer id");
    peer_id_of_ed25519(key, peer_id);
    if (node && strcmp(node, peer_id) != 0)
        return error_set(
            reterr, BERTH_REFUSED,
            "%s: entry 1 and all that follow are signed by the node %s, not by the one that was named", name,
            peer_id);
    memcpy(verdict->node, peer_id, sizeof peer_id);
    return BERTH_OK;
}

static berth_status verify(sqlite3 *connection, const char *name, const char *node, const uint8_t *head,
                           struct berth_audit_verdict *verdict, berth_error **reterr)
{
    cleanup_text struct text fault = {0};
    uint8_t key[CHAIN_KEY_BYTES];
    struct chain_end end;
    /* One snapshot for both tables, while the node goes on writing. */
    int r = database_errno(connection, sqlite3_exec(connection, "BEGIN", NULL, NULL, NULL));
    if (r == 0)
        r = chain_key(connection, key);
    if (r < 0)
        return unreadable(r, name, reterr);
    if (r == 1)
        return error_set(reterr, BERTH_REFUSED, "%s: entry 1 cannot be checked: the node's key is missing",
                         name);
    berth_status status = check_node(key, node, name, verdict, reterr);
    if (status != BERTH_OK)
        return status;
    r = chain_walk(connection, 1, key, head, &end, &fault);
    if (r < 0)
        return unreadable(r, name, reterr);
    if (r == 1)
        return error_set(reterr, BERTH_REFUSED, "%s: %s", name, fault.data);
    verdict->entries = end.number;
    verdict->signatures = end.signatures;
    hex_write(end.hash, sizeof end.hash, verdict->head);
    return BERTH_OK;
}

BERTH_API berth_status berth_audit_verify(const char *path, const char *node, const char *head,
                                          struct berth_audit_verdict *ret, berth_error **reterr)
{
    cleanup_connection sqlite3 *connection = NULL;
    cleanup_free char *name = database_name(&chain_database, path);
    struct berth_audit_verdict verdict = {0};
    uint8_t head_hash[CHAIN_HASH_BYTES];
    if (!name)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (head && hex_read(head, head_hash, sizeof head_hash) < 0)
        return error_set(reterr, BERTH_INVALID,
                         "the hash to look for must have 64 lowercase hexadecimal digits");
    berth_status status = database_open_to_read(path, &chain_database, &connection, reterr);
    if (status == BERTH_OK)
        status = verify(connection, name, node, head ? head_hash : NULL, &verdict, reterr);
    if (status == BERTH_OK)
        *ret = verdict;
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See run_store.h. One transaction is open from the first write to run_store_commit(), so reads see
 * everything. A write that fails takes the whole batch with it: until the commit that reports it, further
 * writes fail, too.
 *
 * Order is by `number`, in which runs were inserted: clocks jump.
 */
#include "node/front/run_store.h"

#include <errno.h>
#include <string.h>

#include "audit/database.h"
#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"

enum {
    EXPIRED_AT_ONCE = 100,         /* runs; the front has other things to do */
    MODULES_PER_PRINCIPAL = 10000, /* the one that was made known first goes first */
    SECONDS_PER_DAY = 86400,
};

static const struct database_kind kind = {
    .noun = "run store",
    .application_id = 0x6252756e, /* "bRun" */
    .version = 1,
    .schema =
        "CREATE TABLE runs (number INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, principal TEXT, "
        "capability TEXT,"
        " name TEXT, module_sha256 TEXT, state TEXT NOT NULL, cause TEXT, exit_code INTEGER NOT NULL,"
        " started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, detached INTEGER NOT NULL,"
        " survive_restart INTEGER NOT NULL, last_sequence INTEGER NOT NULL, request BLOB, receipt TEXT,"
        " n_events INTEGER NOT NULL DEFAULT 0, event_bytes INTEGER NOT NULL DEFAULT 0,"
        " dropped_up_to INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE INDEX runs_of_principal ON runs (principal, number);"
        "CREATE INDEX runs_running ON runs (number) WHERE ended_ns = 0;"
        "CREATE INDEX runs_ended ON runs (ended_ns) WHERE ended_ns <> 0;"
        "CREATE TABLE events (run INTEGER NOT NULL, sequence INTEGER NOT NULL, time_ns INTEGER NOT NULL,"
        " text BLOB NOT NULL, PRIMARY KEY (run, sequence)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE modules (number INTEGER PRIMARY KEY, principal TEXT NOT NULL, sha256 BLOB NOT NULL,"
        " UNIQUE (principal, sha256)) STRICT;"
        "CREATE INDEX modules_of_principal ON modules (principal, number);",
};

enum {
    BEGIN = 0,
    COMMIT,
    ROLLBACK,
    INSERT_RUN,
    SET_STATE,
    END_RUN,
    FIND_RUN,
    LIST_ALL,
    LIST_OF_PRINCIPAL,
    LIST_RUNNING,
    COUNT_EVENT,
    INSERT_EVENT,
    DROP_EVENT,
    SET_EVENTS,
    FIND_EVENTS,
    LIST_EVENTS,
    ADD_MODULE,
    FIND_MODULE,
    LIMIT_MODULES,
    EXPIRE_EVENTS,
    EXPIRE_RUNS,
    STATEMENTS,
};

#define RUN_COLUMNS                                                                                      \
    "run_id, principal, capability, name, module_sha256, state, cause, exit_code, started_ns, ended_ns," \
    " detached, survive_restart, last_sequence, request, receipt"
#define EXPIRED \
    "SELECT number FROM runs WHERE ended_ns <> 0 AND ended_ns <= ?1 ORDER BY ended_ns, number LIMIT ?2"

static const char *const statement_texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT_RUN] = "INSERT INTO runs (" RUN_COLUMNS ")"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    [SET_STATE] = "UPDATE runs SET state = ?2 WHERE run_id = ?1",
    [END_RUN] = "UPDATE runs SET state = ?2, cause = ?3, exit_code = ?4, ended_ns = ?5, receipt = ?6 WHERE "
                "run_id = ?1",
    [FIND_RUN] = "SELECT " RUN_COLUMNS " FROM runs WHERE run_id = ?1",
    [LIST_ALL] = "SELECT " RUN_COLUMNS " FROM runs ORDER BY number DESC LIMIT ?2",
    [LIST_OF_PRINCIPAL] =
        "SELECT " RUN_COLUMNS " FROM runs WHERE principal = ?1 ORDER BY number DESC LIMIT ?2",
    [LIST_RUNNING] = "SELECT " RUN_COLUMNS " FROM runs INDEXED BY runs_running"
                     " WHERE ended_ns = 0 AND (?1 IS NULL OR principal = ?1) ORDER BY number DESC LIMIT ?2",
    [COUNT_EVENT] = "UPDATE runs SET last_sequence = last_sequence + 1, n_events = n_events + 1,"
                    " event_bytes = event_bytes + ?2 WHERE run_id = ?1"
                    " RETURNING number, last_sequence, n_events, event_bytes, dropped_up_to",
    [INSERT_EVENT] = "INSERT INTO events (run, sequence, time_ns, text) VALUES (?1, ?2, ?3, ?4)",
    [DROP_EVENT] = "DELETE FROM events WHERE run = ?1 AND sequence = ?2 RETURNING length(text)",
    [SET_EVENTS] = "UPDATE runs SET n_events = ?2, event_bytes = ?3, dropped_up_to = ?4 WHERE number = ?1",
    [FIND_EVENTS] = "SELECT number, dropped_up_to FROM runs WHERE run_id = ?1",
    [LIST_EVENTS] = "SELECT sequence, time_ns, text FROM events WHERE run = ?1 AND sequence > ?2"
                    " ORDER BY sequence LIMIT ?3",
    [ADD_MODULE] = "INSERT INTO modules (principal, sha256) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    [FIND_MODULE] = "SELECT 1 FROM modules WHERE principal = ?1 AND sha256 = ?2",
    [LIMIT_MODULES] = "DELETE FROM modules WHERE number IN (SELECT number FROM modules WHERE principal = ?1"
                      " ORDER BY number DESC LIMIT -1 OFFSET ?2)",
    [EXPIRE_EVENTS] = "DELETE FROM events WHERE run IN (" EXPIRED ")",
    [EXPIRE_RUNS] = "DELETE FROM runs WHERE number IN (" EXPIRED ")",
};

struct run_store {
    struct database database;
    struct run_store_limits limits;
    sqlite3_stmt *statements[STATEMENTS];
    int lost; /* why the batch was dropped, to be reported by the next commit; or 0 */
};

int run_store_open(const char *path, const struct run_store_limits *limits, struct run_store **ret,
                   berth_error **reterr)
{
    struct run_store *store = calloc(1, sizeof *store);
    if (!store) {
        error_set(reterr, BERTH_NO_MEMORY, "out of memory");
        return -ENOMEM;
    }
    store->limits = *limits;
    int r = database_open(path, &kind, false, NULL, NULL, &store->database, reterr);
    if (r < 0) {
        free(store);
        return r;
    }
    for (int i = 0; i < STATEMENTS && r == 0; i++)
        r = database_prepare(store->database.connection, statement_texts[i], &store->statements[i]);
    if (r < 0) {
        cleanup_free char *name = database_name(&kind, path);
        error_set_errno(reterr, r, "cannot use %s", name ? name : kind.noun);
        run_store_close(store);
        return r;
    }
    *ret = store;
    return 0;
}

void run_store_close(struct run_store *store)
{
    if (!store)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    database_close(&store->database);
    free(store);
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* What was bound before stays bound otherwise. */
static void done_with(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

static int drop_batch(struct run_store *store, int r)
{
    if (!sqlite3_get_autocommit(store->database.connection))
        database_run(store->statements[ROLLBACK]);
    store->lost = r;
    return r;
}

static int begin(struct run_store *store)
{
    if (store->lost < 0)
        return store->lost;
    if (!sqlite3_get_autocommit(store->database.connection))
        return 0;
    return database_run(store->statements[BEGIN]);
}

/* -EEXIST is the caller's own mistake and costs nothing else. */
static int write_row(struct run_store *store, sqlite3_stmt *statement)
{
    int r = begin(store);
    if (r == 0) {
        r = database_run(statement);
        if (r < 0 && r != -EEXIST)
            drop_batch(store, r);
    }
    done_with(statement);
    return r;
}

static int write_row_of_run(struct run_store *store, sqlite3_stmt *statement)
{
    int r = write_row(store, statement);
    return r < 0 ? r : sqlite3_changes(store->database.connection) == 0;
}

static void bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    if (text)
        sqlite3_bind_text64(statement, column, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(statement, column);
}

int run_store_insert(struct run_store *store, const struct run_record *record)
{
    sqlite3_stmt *statement = store->statements[INSERT_RUN];
    const char *const texts[] = {record->run_id,        record->principal, record->capability, record->name,
                                 record->module_sha256, record->state,     record->cause};
    int column = 1;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        bind_text(statement, column++, texts[i]);
    sqlite3_bind_int64(statement, column++, record->exit_code);
    sqlite3_bind_int64(statement, column++, record->started_ns);
    sqlite3_bind_int64(statement, column++, record->ended_ns);
    sqlite3_bind_int(statement, column++, record->detached);
    sqlite3_bind_int(statement, column++, record->survive_restart);
    sqlite3_bind_int64(statement, column++, (sqlite3_int64)record->last_sequence);
    if (record->request)
        sqlite3_bind_blob64(statement, column, record->request, record->request_bytes, SQLITE_STATIC);
    bind_text(statement, column + 1, record->receipt);
    return write_row(store, statement);
}

int run_store_set_state(struct run_store *store, const char *run_id, const char *state)
{
    sqlite3_stmt *statement = store->statements[SET_STATE];
    bind_text(statement, 1, run_id);
    bind_text(statement, 2, state);
    return write_row_of_run(store, statement);
}

int run_store_end(struct run_store *store, const char *run_id, const char *state, const char *cause,
                  uint32_t exit_code, int64_t ended_ns, const char *receipt)
{
    sqlite3_stmt *statement = store->statements[END_RUN];
    bind_text(statement, 1, run_id);
    bind_text(statement, 2, state);
    bind_text(statement, 3, cause);
    sqlite3_bind_int64(statement, 4, exit_code);
    sqlite3_bind_int64(statement, 5, ended_ns);
    bind_text(statement, 6, receipt);
    return write_row_of_run(store, statement);
}

int run_store_commit(struct run_store *store)
{
    int r = store->lost;
    store->lost = 0;
    if (r < 0 || sqlite3_get_autocommit(store->database.connection))
        return r;
    r = database_run(store->statements[COMMIT]);
    if (r < 0)
        drop_batch(store, r);
    store->lost = 0;
    return r;
}

/* ---- events ---------------------------------------------------------------------------------------- */

struct event_account {
    int64_t run, last_sequence, n_events, size_bytes, dropped_up_to;
};

/* 0, 1: there is no such run; or a negative errno. */
static int count_event(struct run_store *store, const char *run_id, size_t size_bytes,
                       struct event_account *ret)
{
    sqlite3_stmt *statement = store->statements[COUNT_EVENT];
    bind_text(statement, 1, run_id);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)size_bytes);
    int code = sqlite3_step(statement);
    bool found = code == SQLITE_ROW;
    if (found)
        *ret = (struct event_account){
            .run = sqlite3_column_int64(statement, 0),
            .last_sequence = sqlite3_column_int64(statement, 1),
            .n_events = sqlite3_column_int64(statement, 2),
            .size_bytes = sqlite3_column_int64(statement, 3),
            .dropped_up_to = sqlite3_column_int64(statement, 4),
        };
    while (code == SQLITE_ROW)
        code = sqlite3_step(statement);
    int r = database_errno(store->database.connection, code);
    done_with(statement);
    return r < 0 ? r : !found;
}

static int insert_event(struct run_store *store, const struct event_account *account, int64_t time_ns,
                        const char *text, size_t size_bytes)
{
    sqlite3_stmt *statement = store->statements[INSERT_EVENT];
    sqlite3_bind_int64(statement, 1, account->run);
    sqlite3_bind_int64(statement, 2, account->last_sequence);
    sqlite3_bind_int64(statement, 3, time_ns);
    sqlite3_bind_blob64(statement, 4, size_bytes ? text : "", size_bytes, SQLITE_STATIC);
    int r = database_run(statement);
    done_with(statement);
    return r;
}

static int drop_oldest_event(struct run_store *store, struct event_account *account)
{
    sqlite3_stmt *statement = store->statements[DROP_EVENT];
    sqlite3_bind_int64(statement, 1, account->run);
    sqlite3_bind_int64(statement, 2, account->dropped_up_to + 1);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        account->n_events--;
        account->size_bytes -= sqlite3_column_int64(statement, 0);
        code = sqlite3_step(statement);
    }
    account->dropped_up_to++;
    int r = database_errno(store->database.connection, code);
    done_with(statement);
    return r;
}

static bool over_limits(const struct run_store *store, const struct event_account *account)
{
    return (uint64_t)account->n_events > store->limits.max_events_per_run ||
           (uint64_t)account->size_bytes > store->limits.max_event_bytes_per_run;
}

/* An event that is larger than all that may be kept goes, too. */
static int drop_old_events(struct run_store *store, struct event_account *account)
{
    sqlite3_stmt *statement = store->statements[SET_EVENTS];
    if (!over_limits(store, account))
        return 0;
    while (over_limits(store, account) && account->dropped_up_to < account->last_sequence) {
        int r = drop_oldest_event(store, account);
        if (r < 0)
            return r;
    }
    sqlite3_bind_int64(statement, 1, account->run);
    sqlite3_bind_int64(statement, 2, account->n_events);
    sqlite3_bind_int64(statement, 3, account->size_bytes);
    sqlite3_bind_int64(statement, 4, account->dropped_up_to);
    return database_run(statement);
}

int run_store_add_event(struct run_store *store, const char *run_id, int64_t time_ns, const char *text,
                        size_t size_bytes, uint64_t *ret_sequence)
{
    struct event_account account = {0};
    int r = begin(store);
    if (r < 0)
        return r;
    r = count_event(store, run_id, size_bytes, &account);
    if (r == 1)
        return 1;
    if (r == 0)
        r = insert_event(store, &account, time_ns, text, size_bytes);
    if (r == 0)
        r = drop_old_events(store, &account);
    if (r < 0)
        return drop_batch(store, r);
    *ret_sequence = (uint64_t)account.last_sequence;
    return 0;
}

/* 0, 1: there is no such run; or a negative errno. */
static int find_events(struct run_store *store, const char *run_id, int64_t *ret_run,
                       uint64_t *ret_dropped_up_to)
{
    sqlite3_stmt *statement = store->statements[FIND_EVENTS];
    bind_text(statement, 1, run_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret_run = sqlite3_column_int64(statement, 0);
        *ret_dropped_up_to = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    int r = database_errno(store->database.connection, code);
    done_with(statement);
    return r < 0 ? r : code == SQLITE_DONE;
}

/* LIMIT -1 is none. */
static sqlite3_int64 sql_limit(uint32_t limit)
{
    return limit ? (sqlite3_int64)limit : -1;
}

int run_store_events(struct run_store *store, const char *run_id, uint64_t after, uint32_t limit,
                     event_visit_fn *visit, void *payload, uint64_t *ret_dropped_up_to)
{
    sqlite3_stmt *statement = store->statements[LIST_EVENTS];
    int64_t run = 0;
    int code;
    bool more = true;
    int r = find_events(store, run_id, &run, ret_dropped_up_to);
    if (r != 0)
        return r;
    sqlite3_bind_int64(statement, 1, run);
    sqlite3_bind_int64(statement, 2, after > INT64_MAX ? INT64_MAX : (sqlite3_int64)after);
    sqlite3_bind_int64(statement, 3, sql_limit(limit));
    while (more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = sqlite3_column_blob(statement, 2);
        more =
            visit(payload, (uint64_t)sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                  text ? text : "", (size_t)sqlite3_column_bytes(statement, 2));
    }
    r = more ? database_errno(store->database.connection, code) : 0;
    done_with(statement);
    return r;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static struct run_record record_of(sqlite3_stmt *row)
{
    int column = 0;
    struct run_record record = {0};
    const char **const texts[] = {&record.run_id,        &record.principal, &record.capability, &record.name,
                                  &record.module_sha256, &record.state,     &record.cause};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = (const char *)sqlite3_column_text(row, column++);
    record.exit_code = (uint32_t)sqlite3_column_int64(row, column++);
    record.started_ns = sqlite3_column_int64(row, column++);
    record.ended_ns = sqlite3_column_int64(row, column++);
    record.detached = sqlite3_column_int(row, column++);
    record.survive_restart = sqlite3_column_int(row, column++);
    record.last_sequence = (uint64_t)sqlite3_column_int64(row, column++);
    record.request = sqlite3_column_blob(row, column);
    record.request_bytes = (size_t)sqlite3_column_bytes(row, column++);
    record.receipt = (const char *)sqlite3_column_text(row, column);
    return record;
}

/* 0, 1: there was no row; or a negative errno. */
static int visit_rows(struct run_store *store, sqlite3_stmt *statement, run_visit_fn *visit, void *payload)
{
    int code;
    bool more = true, any = false;
    while (more && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct run_record record = record_of(statement);
        any = true;
        more = visit(payload, &record);
    }
    int r = more ? database_errno(store->database.connection, code) : 0;
    done_with(statement);
    return r < 0 ? r : !any;
}

int run_store_list(struct run_store *store, const char *principal, bool running, uint32_t limit,
                   run_visit_fn *visit, void *payload)
{
    sqlite3_stmt *statement = store->statements[running     ? LIST_RUNNING
                                                : principal ? LIST_OF_PRINCIPAL
                                                            : LIST_ALL];
    if (principal)
        bind_text(statement, 1, principal);
    sqlite3_bind_int64(statement, 2, sql_limit(limit));
    int r = visit_rows(store, statement, visit, payload);
    return r < 0 ? r : 0;
}

int run_store_find(struct run_store *store, const char *run_id, run_visit_fn *visit, void *payload)
{
    sqlite3_stmt *statement = store->statements[FIND_RUN];
    bind_text(statement, 1, run_id);
    return visit_rows(store, statement, visit, payload);
}

/* ---- modules --------------------------------------------------------------------------------------- */

int run_store_add_module(struct run_store *store, const char *principal, const uint8_t sha256[static 32])
{
    sqlite3_stmt *statement = store->statements[ADD_MODULE];
    bind_text(statement, 1, principal);
    sqlite3_bind_blob(statement, 2, sha256, 32, SQLITE_STATIC);
    int r = write_row(store, statement);
    if (r < 0 || sqlite3_changes(store->database.connection) == 0)
        return r;
    statement = store->statements[LIMIT_MODULES];
    bind_text(statement, 1, principal);
    sqlite3_bind_int64(statement, 2, MODULES_PER_PRINCIPAL);
    return write_row(store, statement);
}

bool run_store_knows_module(struct run_store *store, const char *principal, const uint8_t sha256[static 32])
{
    sqlite3_stmt *statement = store->statements[FIND_MODULE];
    bind_text(statement, 1, principal);
    sqlite3_bind_blob(statement, 2, sha256, 32, SQLITE_STATIC);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    done_with(statement);
    return found;
}

/* ---- expiry ---------------------------------------------------------------------------------------- */

int run_store_expire(struct run_store *store, int64_t now_ns)
{
    static const int steps[] = {EXPIRE_EVENTS, EXPIRE_RUNS};
    uint64_t kept_ns = saturating_mul_u64(store->limits.keep_days, SECONDS_PER_DAY * NS_PER_S);
    int64_t before_ns;
    if (kept_ns > INT64_MAX || __builtin_sub_overflow(now_ns, (int64_t)kept_ns, &before_ns))
        return 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        sqlite3_stmt *statement = store->statements[steps[i]];
        sqlite3_bind_int64(statement, 1, before_ns);
        sqlite3_bind_int(statement, 2, EXPIRED_AT_ONCE);
        int r = write_row(store, statement);
        if (r < 0)
            return r;
    }
    return sqlite3_changes(store->database.connection) == EXPIRED_AT_ONCE;
}

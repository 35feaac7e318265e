/* SPDX-License-Identifier: Apache-2.0 */
/* See database.h. */
#include "audit/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "audit/checkpoint.h"
#include "base/error.h"
#include "base/text.h"

enum {
    BUSY_MS = 250, /* only a shell beside us can make us wait */
    VALUE_MAX_BYTES = 64 << 20,
    JOURNAL_KEEP_BYTES = 64 << 20,
    SHOWN_PATH_MAX = 512,
};

char *database_name(const struct database_kind *kind, const char *path)
{
    struct text text = {0};
    text_append_format(&text, "the %s '", kind->noun);
    text_append_escaped(&text, path, strlen(path), SHOWN_PATH_MAX);
    text_append(&text, "'");
    return text_take(&text);
}

/* The operating system's reason, if it gave one. SQLite forgets it when a commit fails, but the journal
 * knows. */
static int system_errno(sqlite3 *connection)
{
    sqlite3_file *journal = NULL;
    int system = connection ? sqlite3_system_errno(connection) : 0;
    if (connection && system == 0)
        sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal);
    if (journal && journal->pMethods)
        journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO, &system);
    if (system == EDQUOT || system == EFBIG)
        return -ENOSPC;
    return system > 0 ? -system : -EIO;
}

int database_errno(sqlite3 *connection, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EWOULDBLOCK;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_ERROR: /* the statements are ours: what they name is not there */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return -EBADMSG;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
        return -EACCES;
    default:
        return system_errno(connection);
    }
}

int database_prepare(sqlite3 *connection, const char *sql, sqlite3_stmt **ret)
{
    return database_errno(connection,
                          sqlite3_prepare_v3(connection, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

int database_run(sqlite3_stmt *statement)
{
    int r = database_errno(sqlite3_db_handle(statement), sqlite3_step(statement));
    sqlite3_reset(statement);
    return r;
}

int database_number(sqlite3 *connection, const char *sql, int64_t *ret)
{
    cleanup_statement sqlite3_stmt *statement = NULL;
    *ret = 0;
    int r = database_prepare(connection, sql, &statement);
    if (r < 0)
        return r;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    return database_errno(connection, code);
}

static int execute(sqlite3 *connection, const char *sql)
{
    return database_errno(connection, sqlite3_exec(connection, sql, NULL, NULL, NULL));
}

/* ---- connecting ------------------------------------------------------------------------------------ */

/* As a URI, so that no file name has a meaning of its own (":memory:"). */
static char *uri_of(const char *path, const char *query)
{
    struct text text = {0};
    text_append(&text, path[0] == '/' ? "file://" : "file:./");
    for (const char *c = path; *c; c++) {
        if (*c == '%' || *c == '?' || *c == '#')
            text_append_format(&text, "%%%02x", (unsigned)*c);
        else
            text_append_bytes(&text, c, 1);
    }
    text_append(&text, query);
    return text_take(&text);
}

static int connect_to(const char *path, const char *query, int flags, sqlite3 **ret)
{
    cleanup_free char *uri = uri_of(path, query);
    cleanup_connection sqlite3 *connection = NULL;
    if (!uri)
        return -ENOMEM;
    int code = sqlite3_open_v2(uri, &connection, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return database_errno(connection, code);
    sqlite3_busy_timeout(connection, BUSY_MS);
    sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    int r = execute(connection, "PRAGMA cell_size_check = 1");
    if (r == 0)
        *ret = take_ptr(connection);
    return r;
}

enum { KIND_OTHER = 1, KIND_NEWER = 2 };

/* 0, one of the above, or a negative errno. */
static int check_kind(sqlite3 *connection, const struct database_kind *kind)
{
    int64_t application_id, version;
    int r = database_number(connection, "PRAGMA application_id", &application_id);
    if (r == 0)
        r = database_number(connection, "PRAGMA user_version", &version);
    if (r < 0)
        return r;
    if (application_id != kind->application_id)
        return KIND_OTHER;
    return version == kind->version ? 0 : KIND_NEWER;
}

/* The sentence for what kept us from opening, and the errno to return. */
static int refuse(berth_error **reterr, int r, const struct database_kind *kind, const char *path)
{
    cleanup_free char *name = database_name(kind, path);
    const char *shown = name ? name : kind->noun;
    if (r == KIND_OTHER || r == KIND_NEWER) {
        error_set(reterr, BERTH_INVALID,
                  r == KIND_OTHER ? "%s is a database of something else"
                                  : "%s was made by another version of berth",
                  shown);
        return -EBADMSG;
    }
    if (r == -EBADMSG)
        error_set(reterr, BERTH_INVALID, "%s is damaged, cut off, or no database at all", shown);
    else if (r == -EWOULDBLOCK)
        error_set(reterr, BERTH_BUSY, "%s is being written by another process", shown);
    else
        error_set_errno(reterr, r, "cannot open %s", shown);
    return r;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static char *beside(const char *path, const char *suffix)
{
    struct text text = {0};
    text_append(&text, path);
    text_append(&text, suffix);
    return text_take(&text);
}

static int lock(const char *path, int *ret)
{
    cleanup_free char *lock_path = beside(path, "-lock");
    if (!lock_path)
        return -ENOMEM;
    cleanup_close int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    *ret = take_fd(&fd);
    return 0;
}

static int fill(const char *path, const struct database_kind *kind,
                int (*prepare)(sqlite3 *connection, const void *payload), const void *payload)
{
    cleanup_connection sqlite3 *connection = NULL;
    char identity[96];
    int r = connect_to(path, "", SQLITE_OPEN_READWRITE, &connection);
    snprintf(identity, sizeof identity, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             kind->application_id, kind->version);
    const char *const steps[] = {"PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE", identity, kind->schema};
    for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
        r = execute(connection, steps[i]);
    if (r == 0 && prepare)
        r = prepare(connection, payload);
    return r == 0 ? execute(connection, "COMMIT") : r;
}

static void remove_all_of(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        cleanup_free char *file = beside(path, suffixes[i]);
        if (file)
            unlink(file);
    }
}

static int sync_directory_of(const char *path)
{
    cleanup_free char *directory = beside(path, "");
    if (!directory)
        return -ENOMEM;
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory ? 1 : 0] = '\0';
    cleanup_close int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int make(const char *path, const struct database_kind *kind,
                int (*prepare)(sqlite3 *connection, const void *payload), const void *payload)
{
    cleanup_free char *new_path = beside(path, "-new");
    if (!new_path)
        return -ENOMEM;
    remove_all_of(new_path); /* of a process that was killed here; the lock is ours */
    int fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    close(fd);
    int r = fill(new_path, kind, prepare, payload);
    if (r == 0 && rename(new_path, path) < 0)
        r = -errno;
    if (r < 0)
        remove_all_of(new_path);
    return r < 0 ? r : sync_directory_of(path);
}

/* Whether the file is to be made (1) or opened (0). SQLite would replay a journal without its file into the
 * next file of that name, and it holds entries: it must not vanish. Readers leave empty ones. */
static int look(const char *path, const struct database_kind *kind, berth_error **reterr)
{
    struct stat status;
    cleanup_free char *name = database_name(kind, path);
    cleanup_free char *journal = beside(path, "-wal");
    if (!name || !journal)
        return refuse(reterr, -ENOMEM, kind, path);
    if (stat(path, &status) < 0) {
        if (errno != ENOENT)
            return refuse(reterr, -errno, kind, path);
        if (lstat(journal, &status) < 0 || status.st_size == 0)
            return 1;
        error_set(reterr, BERTH_INVALID,
                  "%s is gone but its journal (-wal) is there; put the file back, or move both away", name);
        return -EBADMSG;
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        error_set(reterr, BERTH_INVALID,
                  S_ISREG(status.st_mode) ? "%s is empty; move it away to begin a new one"
                                          : "%s is no regular file",
                  name);
        return -EBADMSG;
    }
    if ((status.st_mode & 077) && chmod(path, 0600) < 0)
        return refuse(reterr, -errno, kind, path);
    return 0;
}

static int configure(sqlite3 *connection, bool full_sync)
{
    char settings[160];
    if (sqlite3_db_readonly(connection, "main") == 1)
        return -EACCES;
    snprintf(settings, sizeof settings,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA wal_autocheckpoint = 0;"
             "PRAGMA journal_size_limit = %d",
             full_sync ? "FULL" : "NORMAL", JOURNAL_KEEP_BYTES);
    return execute(connection, settings);
}

static int open_existing(const char *path, const struct database_kind *kind, bool full_sync,
                         struct database *ret)
{
    cleanup_connection sqlite3 *second = NULL;
    int r = connect_to(path, "", SQLITE_OPEN_READWRITE, &ret->connection);
    if (r == 0) /* before anything is changed */
        r = check_kind(ret->connection, kind);
    if (r == 0)
        r = configure(ret->connection, full_sync);
    if (r == 0)
        r = connect_to(path, "", SQLITE_OPEN_READWRITE, &second);
    if (r == 0)
        r = configure(second, full_sync);
    return r == 0 ? checkpoint_start(ret->connection, take_ptr(second), &ret->checkpoint) : r;
}

int database_open(const char *path, const struct database_kind *kind, bool full_sync,
                  int (*prepare)(sqlite3 *connection, const void *payload), const void *payload,
                  struct database *ret, berth_error **reterr)
{
    struct database database = {.lock = -1};
    int r = lock(path, &database.lock);
    if (r < 0)
        return refuse(reterr, r, kind, path);
    r = look(path, kind, reterr);
    if (r < 0) {
        database_close(&database);
        return r;
    }
    if (r == 1)
        r = make(path, kind, prepare, payload);
    if (r == 0)
        r = open_existing(path, kind, full_sync, &database);
    if (r != 0) {
        database_close(&database);
        return refuse(reterr, r, kind, path);
    }
    *ret = database;
    return 0;
}

void database_close(struct database *database)
{
    checkpoint_stop(database->checkpoint);
    if (database->connection)
        sqlite3_close(database->connection);
    close_keeping_errno(database->lock);
    *database = (struct database){.lock = -1};
}

/* ---- reading --------------------------------------------------------------------------------------- */

/* A copy on a read-only place cannot have SQLite's index of the journal beside it, and needs none if it has
 * no journal. */
static int connect_to_copy(const char *path, sqlite3 **ret)
{
    struct stat status;
    cleanup_free char *journal = beside(path, "-wal");
    if (!journal)
        return -ENOMEM;
    if (stat(journal, &status) == 0 && status.st_size > 0)
        return -EACCES;
    return connect_to(path, "?immutable=1", SQLITE_OPEN_READONLY, ret);
}

berth_status database_open_to_read(const char *path, const struct database_kind *kind, sqlite3 **ret,
                                   berth_error **reterr)
{
    cleanup_connection sqlite3 *connection = NULL;
    cleanup_connection sqlite3 *copy = NULL;
    struct stat status;
    if (stat(path, &status) < 0) {
        cleanup_free char *name = database_name(kind, path);
        return error_set_errno(reterr, -errno, "cannot open %s", name ? name : kind->noun);
    }
    int r = connect_to(path, "", SQLITE_OPEN_READONLY, &connection);
    if (r == 0)
        r = check_kind(connection, kind);
    if (r < 0 && r != -EBADMSG && r != -ENOMEM && r != -EWOULDBLOCK && access(path, R_OK) == 0 &&
        connect_to_copy(path, &copy) == 0)
        r = check_kind(copy, kind);
    if (r != 0) {
        refuse(reterr, r, kind, path);
        return r == -EBADMSG || r > 0 ? BERTH_INVALID
               : r == -ENOMEM         ? BERTH_NO_MEMORY
               : r == -ENOENT         ? BERTH_NOT_FOUND
                                      : BERTH_IO;
    }
    *ret = copy ? take_ptr(copy) : take_ptr(connection);
    return BERTH_OK;
}

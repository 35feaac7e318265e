/* SPDX-License-Identifier: Apache-2.0 */
/* See test_fixture.h. */
#include "audit/test_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/curve25519.h>
#include <sqlite3.h>

#include "base/error.h"

static int sign(void *payload, const void *bytes, size_t size_bytes, uint8_t ret_signature[static 64])
{
    const struct audit_test *test = payload;
    return ED25519_sign(ret_signature, bytes, size_bytes, test->private_key) == 1 ? 0 : -EIO;
}

void audit_test_use_key(struct audit_test *test, uint8_t seed)
{
    uint8_t seeds[32];
    memset(seeds, seed, sizeof seeds);
    ED25519_keypair_from_seed(test->signer.public_key, test->private_key, seeds);
    peer_id_of_ed25519(test->signer.public_key, test->node);
    test->signer.sign = sign;
    test->signer.payload = test;
}

int audit_test_set_up(void **state)
{
    struct audit_test *test = calloc(1, sizeof *test);
    snprintf(test->directory, sizeof test->directory, "/tmp/berth-test-audit-XXXXXX");
    if (!mkdtemp(test->directory))
        return -1;
    snprintf(test->path, sizeof test->path, "%s/audit.db", test->directory);
    audit_test_use_key(test, 7);
    *state = test;
    return 0;
}

int audit_test_tear_down(void **state)
{
    struct audit_test *test = *state;
    DIR *directory = opendir(test->directory);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        closedir(directory);
    int r = rmdir(test->directory);
    free(test);
    return r;
}

struct audit_log *audit_test_open(struct audit_test *test)
{
    cleanup_error berth_error *error = NULL;
    struct audit_log *log = NULL;
    if (audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, &error) < 0)
        fail_msg("%s", berth_error_message(error));
    return log;
}

void audit_test_write(struct audit_log *log, int commits, int per_commit)
{
    for (int i = 0; i < commits; i++) {
        for (int j = 1; j <= per_commit; j++) {
            char run[16];
            snprintf(run, sizeof run, "r%d", i * per_commit + j);
            assert_int_equal(audit_append(log, "run_started", "alice", run, "{\"module\":\"m\"}"), 0);
        }
        assert_int_equal(audit_commit(log), 0);
    }
}

void audit_test_make(struct audit_test *test, int commits, int per_commit)
{
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, commits, per_commit);
    audit_close(log);
}

void audit_test_sql(const struct audit_test *test, const char *sql)
{
    sqlite3 *connection;
    char *message = NULL;
    assert_int_equal(sqlite3_open(test->path, &connection), SQLITE_OK);
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(connection);
}

void audit_test_expect_whole(const struct audit_test *test, uint64_t entries, struct berth_audit_verdict *ret)
{
    cleanup_error berth_error *error = NULL;
    struct berth_audit_verdict verdict;
    if (berth_audit_verify(test->path, test->node, NULL, &verdict, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    assert_int_equal(verdict.entries, entries);
    if (ret)
        *ret = verdict;
}

static void expect_words(const berth_error *error, const char *words)
{
    if (!strstr(berth_error_message(error), words))
        fail_msg("'%s' is not in: %s", words, berth_error_message(error));
}

void audit_test_expect_broken(const struct audit_test *test, const char *head, const char *words)
{
    cleanup_error berth_error *error = NULL;
    struct berth_audit_verdict verdict;
    assert_int_equal(berth_audit_verify(test->path, test->node, head, &verdict, &error), BERTH_REFUSED);
    expect_words(error, words);
}

void audit_test_expect_closed(struct audit_test *test, int negative_errno, const char *words)
{
    cleanup_error berth_error *error = NULL;
    struct audit_log *log = NULL;
    int r = audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, &error);
    if (r != negative_errno)
        fail_msg("%d: %s", r, berth_error_message(error));
    assert_null(log);
    expect_words(error, words);
}

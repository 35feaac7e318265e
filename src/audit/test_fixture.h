/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with an audit log in it, the key that signs it, and a way behind the log's back. */
#ifndef BERTH_AUDIT_TEST_FIXTURE_H
#define BERTH_AUDIT_TEST_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "base/peer_id.h"

struct audit_test {
    char directory[64];
    char path[96];
    uint8_t private_key[64];
    struct audit_signer signer;
    char node[PEER_ID_CHARACTERS];
};

/* For cmocka: *state is a struct audit_test. */
int audit_test_set_up(void **state);
int audit_test_tear_down(void **state);

/* A key that is made from that byte. */
void audit_test_use_key(struct audit_test *test, uint8_t seed);

struct audit_log *audit_test_open(struct audit_test *test);
/* Commits of `per_commit` entries "run_started" each, subject "alice", run "r1", "r2", …. */
void audit_test_write(struct audit_log *log, int commits, int per_commit);
/* A new log with that in it, closed again. */
void audit_test_make(struct audit_test *test, int commits, int per_commit);
/* Runs SQL on the file. */
void audit_test_sql(const struct audit_test *test, const char *sql);

/* The log verifies, and has so many entries. *ret may be NULL. */
void audit_test_expect_whole(const struct audit_test *test, uint64_t entries,
                             struct berth_audit_verdict *ret);
/* It does not, and the sentence has these words. */
void audit_test_expect_broken(const struct audit_test *test, const char *head, const char *words);
/* It is not opened to write, for that reason, and the sentence has these words. */
void audit_test_expect_closed(struct audit_test *test, int negative_errno, const char *words);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is done to the file without the key, verifying names the first entry that it touched. */
#include "audit/test_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/curve25519.h>

#include "audit/chain.h"
#include "base/hex.h"

enum { COMMITS = 5, PER_COMMIT = 3, ENTRIES = COMMITS * PER_COMMIT };

static void every_column_of_an_entry_is_protected(void **state)
{
    static const char *const changes[] = {
        "time_ns = time_ns + 1",
        "event = 'run_ended'",
        "event = event || ' '",
        "subject = 'mallory'",
        "subject = 'alicer', run = substr(run, 2)", /* the same bytes, another border */
        "run = ''",
        "details = '{}'",
        "hash = zeroblob(32)",
        "hash = x'00'",
    };
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_expect_whole(test, ENTRIES, NULL);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char sql[256];
        audit_test_sql(test, "CREATE TABLE kept AS SELECT * FROM entries");
        snprintf(sql, sizeof sql, "UPDATE entries SET %s WHERE number = 8", changes[i]);
        audit_test_sql(test, sql);
        audit_test_expect_broken(test, NULL, "entry 8");
        audit_test_sql(test, "DELETE FROM entries; INSERT INTO entries SELECT * FROM kept; DROP TABLE kept");
        audit_test_expect_whole(test, ENTRIES, NULL);
    }
}

static void a_missing_entry_is_named(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test, "DELETE FROM entries WHERE number = 4");
    audit_test_expect_broken(test, NULL, "entry 4 is missing");
    audit_test_sql(test, "DELETE FROM entries WHERE number IN (5, 6)");
    audit_test_expect_broken(test, NULL, "entries 4 to 6 are missing");
    audit_test_sql(test, "DELETE FROM entries WHERE number < 10");
    audit_test_expect_broken(test, NULL, "entries 1 to 9 are missing");
}

static void closing_the_gap_does_not_hide_it(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test, "DELETE FROM entries WHERE number = 4;"
                         "UPDATE entries SET number = number - 1 WHERE number > 4");
    audit_test_expect_broken(test, NULL, "entry 4 was changed, inserted or moved");
}

static void an_inserted_entry_is_named(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test,
                   "UPDATE entries SET number = -number WHERE number >= 7;"
                   "UPDATE entries SET number = 1 - number WHERE number < 0;"
                   "INSERT INTO entries SELECT 7, time_ns, event, subject, run, details, hash FROM entries"
                   " WHERE number = 6");
    audit_test_expect_broken(test, NULL, "entry 7 was changed, inserted or moved");
}

static void an_entry_before_the_first_is_seen(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test,
                   "INSERT INTO entries SELECT 0, time_ns, event, subject, run, details, hash FROM entries"
                   " WHERE number = 1");
    audit_test_expect_broken(test, NULL, "entry 0 does not belong here");
}

static void swapped_entries_are_seen(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test, "UPDATE entries SET number = 100 WHERE number = 5;"
                         "UPDATE entries SET number = 5 WHERE number = 6;"
                         "UPDATE entries SET number = 6 WHERE number = 100");
    audit_test_expect_broken(test, NULL, "entry 5 ");
}

static void an_entry_that_nobody_signed_is_named(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test, "DELETE FROM signatures WHERE number = 15");
    audit_test_expect_broken(test, NULL, "entry 13 is not signed: signatures end with entry 12");
    audit_test_expect_closed(test, -EBADMSG, "entry 13 is not signed");
    audit_test_sql(test, "DELETE FROM signatures");
    audit_test_expect_broken(test, NULL, "entry 1 is not signed");
}

static void a_changed_signature_is_named(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test,
                   "UPDATE signatures SET signature = (SELECT signature FROM signatures WHERE number = 3)"
                   " WHERE number = 9");
    audit_test_expect_broken(test, NULL,
                             "entry 9: its signature is not the node's; what came since entry 7 ");
    audit_test_sql(test, "UPDATE signatures SET signature = x'00' WHERE number = 9");
    audit_test_expect_broken(test, NULL, "entry 9: its signature is not the node's");
}

static void a_tail_that_was_cut_needs_a_head_to_be_seen(void **state)
{
    struct audit_test *test = *state;
    struct berth_audit_verdict before, after;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_expect_whole(test, ENTRIES, &before);
    audit_test_sql(test, "DELETE FROM entries WHERE number > 12");
    audit_test_expect_broken(test, NULL,
                             "entry 15 is signed but missing: the log was cut back after entry 12");
    audit_test_sql(test, "DELETE FROM signatures WHERE number > 12");
    audit_test_expect_whole(test, 12, &after);
    audit_test_expect_broken(test, before.head, "which ends with entry 12: it was cut back");
    assert_int_equal(berth_audit_verify(test->path, NULL, after.head, &after, NULL), BERTH_OK);
}

/* The head of an earlier day is still in the chain today. */
static void an_earlier_head_is_found(void **state)
{
    struct audit_test *test = *state;
    struct berth_audit_verdict before, after;
    audit_test_make(test, 1, 1);
    audit_test_expect_whole(test, 1, &before);
    audit_test_make(test, COMMITS, PER_COMMIT);
    assert_int_equal(berth_audit_verify(test->path, test->node, before.head, &after, NULL), BERTH_OK);
    assert_int_equal(after.entries, 1 + ENTRIES);
    assert_int_equal(after.signatures, 1 + COMMITS);
}

static void another_key_is_not_the_node(void **state)
{
    struct audit_test *test = *state;
    struct berth_audit_verdict verdict;
    char forger[PEER_ID_CHARACTERS];
    audit_test_make(test, COMMITS, PER_COMMIT);
    memcpy(forger, test->node, sizeof forger);
    audit_test_use_key(test, 8);
    audit_test_expect_broken(test, NULL, "entry 1 and all that follow are signed by the node ");
    audit_test_expect_broken(test, NULL, forger);
    audit_test_expect_closed(test, -EBADMSG, "belongs to the node ");
    assert_int_equal(berth_audit_verify(test->path, NULL, NULL, &verdict, NULL), BERTH_OK);
    assert_string_equal(verdict.node, forger);
}

static void a_replaced_or_missing_key_is_seen(void **state)
{
    struct audit_test *test = *state;
    struct berth_audit_verdict verdict;
    audit_test_make(test, COMMITS, PER_COMMIT);
    audit_test_sql(test, "UPDATE node SET public_key = zeroblob(32)");
    assert_int_equal(berth_audit_verify(test->path, NULL, NULL, &verdict, NULL), BERTH_REFUSED);
    audit_test_sql(test, "DELETE FROM node");
    audit_test_expect_broken(test, NULL, "the node's key is missing");
    audit_test_expect_closed(test, -EBADMSG, "does not say whose it is");
}

/* What a forger can do who knows the format but not the key; and what the node could do, whose clock was set
 * back. */
static void rewrite_entry(const struct audit_test *test, int64_t number, const char *set)
{
    sqlite3 *connection;
    sqlite3_stmt *row, *update;
    uint8_t previous[CHAIN_HASH_BYTES];
    char sql[256];
    snprintf(sql, sizeof sql, "UPDATE entries SET %s WHERE number = %d", set, (int)number);
    audit_test_sql(test, sql);
    assert_int_equal(sqlite3_open(test->path, &connection), SQLITE_OK);
    assert_int_equal(
        database_prepare(connection, "SELECT " CHAIN_COLUMNS " FROM entries WHERE number >= ?1", &row), 0);
    assert_int_equal(database_prepare(connection, "UPDATE entries SET hash = ?2 WHERE number = ?1", &update),
                     0);
    sqlite3_bind_int64(row, 1, number - 1);
    while (sqlite3_step(row) == SQLITE_ROW) {
        struct chain_entry entry;
        assert_null(chain_entry_read(row, &entry));
        if (entry.number >= (uint64_t)number) {
            chain_hash(previous, &entry, entry.hash);
            sqlite3_bind_int64(update, 1, (int64_t)entry.number);
            sqlite3_bind_blob(update, 2, entry.hash, CHAIN_HASH_BYTES, SQLITE_STATIC);
            assert_int_equal(database_run(update), 0);
        }
        memcpy(previous, entry.hash, sizeof previous);
    }
    sqlite3_finalize(row);
    sqlite3_finalize(update);
    sqlite3_close(connection);
}

static void recomputed_hashes_do_not_fit_the_signature(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, COMMITS, PER_COMMIT);
    rewrite_entry(test, 8, "subject = 'mallory'");
    audit_test_expect_broken(test, NULL,
                             "entry 9: its signature is not the node's; what came since entry 7 ");
}

static void times_may_go_backwards(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 1, 2);
    audit_close(log);
    rewrite_entry(test, 2, "time_ns = -5");
    audit_test_sql(test, "DELETE FROM signatures");
    sqlite3 *connection;
    sqlite3_stmt *statement;
    uint8_t signed_bytes[CHAIN_SIGNED_BYTES], signature[CHAIN_SIGNATURE_BYTES];
    assert_int_equal(sqlite3_open(test->path, &connection), SQLITE_OK);
    assert_int_equal(database_prepare(connection, "SELECT hash FROM entries WHERE number = 2", &statement),
                     0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    chain_signed_bytes(2, sqlite3_column_blob(statement, 0), signed_bytes);
    sqlite3_finalize(statement);
    test->signer.sign(test, signed_bytes, sizeof signed_bytes, signature);
    assert_int_equal(database_prepare(connection, "INSERT INTO signatures VALUES (2, ?1)", &statement), 0);
    sqlite3_bind_blob(statement, 1, signature, sizeof signature, SQLITE_STATIC);
    assert_int_equal(database_run(statement), 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    audit_test_expect_whole(test, 2, NULL);
    audit_test_make(test, 1, 1);
    audit_test_expect_whole(test, 3, NULL);
}

static void the_hash_is_what_the_header_says(void **state)
{
    static const char expected[] = "3b05b357447fb75316a593507c763d69287b5fcb7b8363ed73f05ad295e5f296";
    struct chain_entry entry = {
        .number = 1, .time_ns = -1, .text = {"e", "s", "", "{}"}, .size_bytes = {1, 1, 0, 2}};
    uint8_t previous[CHAIN_HASH_BYTES] = {0}, hash[CHAIN_HASH_BYTES];
    char shown[2 * CHAIN_HASH_BYTES + 1];
    (void)state;
    chain_hash(previous, &entry, hash);
    hex_write(hash, sizeof hash, shown);
    assert_string_equal(shown, expected);
}

static void triggers_and_views_in_the_file_are_not_obeyed(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, 1, 2);
    audit_test_sql(test,
                   "CREATE TRIGGER keeps_quiet BEFORE INSERT ON entries BEGIN SELECT RAISE(IGNORE); END");
    audit_test_make(test, 1, 2);
    audit_test_expect_whole(test, 4, NULL);
    audit_test_sql(test, "DROP TRIGGER keeps_quiet; ALTER TABLE entries RENAME TO others;"
                         "CREATE VIEW entries AS SELECT * FROM others");
    struct berth_audit_verdict verdict;
    assert_int_not_equal(berth_audit_verify(test->path, NULL, NULL, &verdict, NULL), BERTH_OK);
}

static void a_column_of_the_wrong_type_is_named(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, 1, 3);
    audit_test_sql(
        test, "CREATE TABLE loose (number INTEGER PRIMARY KEY, time_ns, event, subject, run, details, hash);"
              "INSERT INTO loose SELECT * FROM entries; DROP TABLE entries;"
              "ALTER TABLE loose RENAME TO entries; UPDATE entries SET subject = x'00' WHERE number = 2");
    audit_test_expect_broken(test, NULL, "entry 2: its subject is no text");
    audit_test_sql(test, "UPDATE entries SET subject = 'a' || char(0) || 'b' WHERE number = 2");
    audit_test_expect_broken(test, NULL, "entry 2: its subject is no text");
    audit_test_sql(test, "UPDATE entries SET time_ns = 'then' WHERE number = 1");
    audit_test_expect_broken(test, NULL, "entry 1: its time is no number");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_test_set_up, audit_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_column_of_an_entry_is_protected),
        TEST(a_missing_entry_is_named),
        TEST(closing_the_gap_does_not_hide_it),
        TEST(an_inserted_entry_is_named),
        TEST(an_entry_before_the_first_is_seen),
        TEST(swapped_entries_are_seen),
        TEST(an_entry_that_nobody_signed_is_named),
        TEST(a_changed_signature_is_named),
        TEST(a_tail_that_was_cut_needs_a_head_to_be_seen),
        TEST(an_earlier_head_is_found),
        TEST(another_key_is_not_the_node),
        TEST(a_replaced_or_missing_key_is_seen),
        TEST(recomputed_hashes_do_not_fit_the_signature),
        TEST(times_may_go_backwards),
        cmocka_unit_test(the_hash_is_what_the_header_says),
        TEST(triggers_and_views_in_the_file_are_not_obeyed),
        TEST(a_column_of_the_wrong_type_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

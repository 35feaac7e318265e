/* SPDX-License-Identifier: Apache-2.0 */
/* What was committed is there, whole and in order, whoever reads and whenever the writer is killed. */
#include "audit/test_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

enum { ROUNDS = 20 };

struct seen {
    struct berth_audit_entry last;
    char event[64], subject[64], run[64], details[256];
    uint64_t first, count;
    bool in_order;
};

static bool look(void *payload, const struct berth_audit_entry *entry)
{
    struct seen *seen = payload;
    if (seen->count++ == 0)
        seen->first = entry->number;
    else if (entry->number <= seen->last.number)
        fail_msg("%d after %d", (int)entry->number, (int)seen->last.number);
    seen->last = *entry;
    snprintf(seen->event, sizeof seen->event, "%s", entry->event);
    snprintf(seen->subject, sizeof seen->subject, "%s", entry->subject);
    snprintf(seen->run, sizeof seen->run, "%s", entry->run);
    snprintf(seen->details, sizeof seen->details, "%s", entry->details);
    return true;
}

static struct seen list(const struct audit_test *test, struct berth_audit_query query)
{
    cleanup_error berth_error *error = NULL;
    struct seen seen = {0};
    query.size = sizeof query;
    if (berth_audit_list(test->path, &query, look, &seen, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    return seen;
}

static void what_was_committed_is_read_back(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    int64_t before_ns = (int64_t)clock_now_ns(CLOCK_REALTIME);
    assert_int_equal(audit_append(log, "node_started", "", "", NULL), 0);
    assert_int_equal(audit_append(log, "run_started", "alice ü", "r1", "{\"a\":\"\\n\"}"), 0);
    assert_int_equal(audit_pending(log), 2);
    assert_int_equal(list(test, (struct berth_audit_query){0}).count, 0);
    assert_int_equal(audit_commit(log), 0);
    assert_int_equal(audit_pending(log), 0);
    struct seen seen = list(test, (struct berth_audit_query){0});
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.first, 1);
    assert_string_equal(seen.event, "run_started");
    assert_string_equal(seen.subject, "alice ü");
    assert_string_equal(seen.run, "r1");
    assert_string_equal(seen.details, "{\"a\":\"\\n\"}");
    assert_true(seen.last.time_ns >= before_ns);
    assert_string_equal(list(test, (struct berth_audit_query){.event = "node_started"}).details, "{}");
    struct berth_audit_verdict verdict;
    audit_test_expect_whole(test, 2, &verdict);
    assert_int_equal(verdict.signatures, 1);
    assert_string_equal(verdict.head, seen.last.hash);
    assert_string_equal(verdict.node, test->node);
    audit_close(log);
}

static void a_query_selects(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, 10, 4);
    struct seen seen = list(test, (struct berth_audit_query){.limit = 3});
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.first, 38);
    assert_int_equal(list(test, (struct berth_audit_query){.from_number = 31}).count, 10);
    assert_int_equal(list(test, (struct berth_audit_query){.from_number = 31, .limit = 4}).first, 37);
    assert_int_equal(list(test, (struct berth_audit_query){.run = "r7"}).first, 7);
    assert_int_equal(list(test, (struct berth_audit_query){.run = "r7", .event = "run_ended"}).count, 0);
    assert_int_equal(list(test, (struct berth_audit_query){.subject = "alice", .limit = 1}).last.number, 40);
    assert_int_equal(list(test, (struct berth_audit_query){.subject = "' OR 1 = 1 --"}).count, 0);
    int64_t at_ns = list(test, (struct berth_audit_query){.run = "r20"}).last.time_ns;
    assert_int_equal(list(test, (struct berth_audit_query){.since_ns = at_ns}).first, 20);
    assert_int_equal(list(test, (struct berth_audit_query){.until_ns = at_ns}).last.number, 19);
    assert_int_equal(list(test, (struct berth_audit_query){.from_number = UINT64_MAX}).count, 0);
    assert_int_equal(list(test, (struct berth_audit_query){.limit = UINT64_MAX}).count, 40);
}

static void an_empty_log_is_whole(void **state)
{
    struct audit_test *test = *state;
    struct berth_audit_verdict verdict;
    struct audit_log *log = audit_test_open(test);
    assert_int_equal(audit_commit(log), 0);
    audit_close(log);
    audit_test_expect_whole(test, 0, &verdict);
    assert_int_equal(strspn(verdict.head, "0"), 64);
    assert_int_equal(list(test, (struct berth_audit_query){0}).count, 0);
    audit_close(audit_test_open(test));
}

static void what_was_not_committed_is_not_there(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 1, 2);
    assert_int_equal(audit_append(log, "run_started", "", "", NULL), 0);
    audit_close(log);
    audit_test_expect_whole(test, 2, NULL);
    audit_close(NULL);
}

static void the_chain_goes_on_after_a_restart(void **state)
{
    struct audit_test *test = *state;
    for (int i = 0; i < 3; i++)
        audit_test_make(test, 2, 700); /* longer than what is checked when it is opened */
    audit_test_expect_whole(test, 4200, NULL);
}

static void an_endless_text_is_refused_and_costs_nothing_else(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    char *endless = malloc(AUDIT_FIELD_MAX_BYTES + 2);
    memset(endless, 'x', AUDIT_FIELD_MAX_BYTES + 1);
    endless[AUDIT_FIELD_MAX_BYTES + 1] = '\0';
    assert_int_equal(audit_append(log, "denial", endless, "", NULL), -EINVAL);
    endless[AUDIT_FIELD_MAX_BYTES] = '\0';
    assert_int_equal(audit_append(log, "denial", endless, endless, NULL), 0);
    assert_int_equal(audit_pending(log), 1);
    assert_int_equal(audit_commit(log), 0);
    audit_test_write(log, 1, 1);
    audit_close(log);
    audit_test_expect_whole(test, 2, NULL);
    free(endless);
}

static void only_the_owner_may_read_it(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    struct audit_test *test = *state;
    mode_t mask = umask(0);
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 1, 1);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        struct stat status;
        char path[128];
        snprintf(path, sizeof path, "%s%s", test->path, suffixes[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    audit_close(log);
    umask(mask);
}

static void a_second_writer_is_refused_and_readers_are_not(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 1, 1);
    audit_test_expect_closed(test, -EWOULDBLOCK, "is being written by another process");
    audit_test_expect_whole(test, 1, NULL);
    audit_test_write(log, 1, 1);
    audit_close(log);
    audit_test_make(test, 1, 1);
    audit_test_expect_whole(test, 3, NULL);
}

static bool commit_meanwhile(void *payload, const struct berth_audit_entry *entry)
{
    (void)entry;
    audit_test_write(payload, 1, 1);
    return true;
}

static void a_reader_sees_one_moment_while_the_writer_goes_on(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 3, 1);
    assert_int_equal(berth_audit_list(test->path, NULL, commit_meanwhile, log, NULL), BERTH_OK);
    audit_close(log);
    audit_test_expect_whole(test, 6, NULL);
}

static void verifying_beside_a_writer_never_stumbles(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    pid_t reader = fork();
    if (reader == 0) {
        struct berth_audit_verdict verdict = {0};
        uint64_t last = 0;
        bool good = true;
        while (good && last < 400) {
            good = berth_audit_verify(test->path, test->node, NULL, &verdict, NULL) == BERTH_OK &&
                   verdict.entries >= last && verdict.entries % 4 == 0;
            last = verdict.entries;
        }
        _exit(good ? 0 : 1);
    }
    audit_test_write(log, 100, 4);
    int status;
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    audit_close(log);
}

/* A writer that never rests, with more than the journal may hold. */
static void the_journal_stays_within_its_bounds(void **state)
{
    enum { TEXTS = 90, BOUND_BYTES = 80 << 20 };
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    char journal[128];
    char *text = malloc(AUDIT_FIELD_MAX_BYTES + 1);
    memset(text, 'x', AUDIT_FIELD_MAX_BYTES);
    text[AUDIT_FIELD_MAX_BYTES] = '\0';
    snprintf(journal, sizeof journal, "%s-wal", test->path);
    for (int i = 0; i < TEXTS; i++) {
        struct stat status;
        assert_int_equal(audit_append(log, "denial", "", "", text), 0);
        assert_int_equal(audit_commit(log), 0);
        assert_int_equal(stat(journal, &status), 0);
        assert_true(status.st_size < BOUND_BYTES);
    }
    audit_close(log);
    audit_test_expect_whole(test, TEXTS, NULL);
    free(text);
}

/* Tells the number of each commit that has succeeded, until it is killed. */
static void write_until_killed(struct audit_test *test, int pipe)
{
    struct audit_log *log;
    if (audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, NULL) < 0)
        _exit(1);
    for (uint32_t commits = 1;; commits++) {
        for (int i = 0; i < 4; i++)
            if (audit_append(log, "run_started", "alice", "r", "{\"module\":\"0123456789abcdef\"}") < 0)
                _exit(1);
        if (audit_commit(log) < 0 || write(pipe, &commits, sizeof commits) != sizeof commits)
            _exit(1);
    }
}

static void after_kill_9_the_chain_verifies_and_nothing_that_was_committed_is_gone(void **state)
{
    struct audit_test *test = *state;
    uint64_t at_least = 0;
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        uint32_t commits = 0, wanted = 1 + (uint32_t)(rand() % 40);
        struct berth_audit_verdict verdict;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0)
            write_until_killed(test, ends[1]);
        close(ends[1]);
        while (commits < wanted && read(ends[0], &commits, sizeof commits) == sizeof commits)
            continue;
        /* Somewhere inside one of the next commits. */
        usleep((useconds_t)(rand() % 300));
        kill(child, SIGKILL);
        while (read(ends[0], &commits, sizeof commits) == sizeof commits)
            continue;
        close(ends[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_true(commits >= wanted);
        at_least += (uint64_t)commits * 4;
        assert_int_equal(berth_audit_verify(test->path, test->node, NULL, &verdict, NULL), BERTH_OK);
        assert_true(verdict.entries >= at_least && verdict.entries <= at_least + 4);
        at_least = verdict.entries;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_test_set_up, audit_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_read_back),
        TEST(a_query_selects),
        TEST(an_empty_log_is_whole),
        TEST(what_was_not_committed_is_not_there),
        TEST(the_chain_goes_on_after_a_restart),
        TEST(an_endless_text_is_refused_and_costs_nothing_else),
        TEST(only_the_owner_may_read_it),
        TEST(a_second_writer_is_refused_and_readers_are_not),
        TEST(a_reader_sees_one_moment_while_the_writer_goes_on),
        TEST(verifying_beside_a_writer_never_stumbles),
        TEST(the_journal_stays_within_its_bounds),
        TEST(after_kill_9_the_chain_verifies_and_nothing_that_was_committed_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

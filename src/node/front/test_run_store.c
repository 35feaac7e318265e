/* SPDX-License-Identifier: Apache-2.0 */
/* What the node remembers of runs is what was committed, within its bounds, whoever was killed when. */
#include "node/front/run_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/error.h"

enum { KEEP_DAYS = 7, ROUNDS = 10 };

#define DAY_NS INT64_C(86400000000000)

struct fixture {
    char directory[64], path[96];
    struct run_store_limits limits;
    struct run_store *store;
};

static void open_store(struct fixture *fixture)
{
    cleanup_error berth_error *error = NULL;
    if (run_store_open(fixture->path, &fixture->limits, &fixture->store, &error) < 0)
        fail_msg("%s", berth_error_message(error));
}

static void open_again(struct fixture *fixture)
{
    run_store_close(fixture->store);
    open_store(fixture);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/berth-test-runs-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    snprintf(fixture->path, sizeof fixture->path, "%s/runs.db", fixture->directory);
    fixture->limits = (struct run_store_limits){
        .max_events_per_run = 10, .max_event_bytes_per_run = 1000, .keep_days = KEEP_DAYS};
    open_store(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    run_store_close(fixture->store);
    DIR *directory = opendir(fixture->directory);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        closedir(directory);
    int r = rmdir(fixture->directory);
    free(fixture);
    return r;
}

static int insert(struct run_store *store, const char *run_id, const char *principal)
{
    return run_store_insert(
        store, &(struct run_record){.run_id = run_id, .principal = principal, .state = "running"});
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static bool copy_ids(void *payload, const struct run_record *record)
{
    char *ids = payload;
    size_t length = strlen(ids);
    snprintf(ids + length, 64 - length, "%s ", record->run_id);
    return true;
}

static void expect_listed(struct fixture *fixture, const char *principal, bool running, uint32_t limit,
                          const char *expected)
{
    char ids[64] = "";
    assert_int_equal(run_store_list(fixture->store, principal, running, limit, copy_ids, ids), 0);
    assert_string_equal(ids, expected);
}

static bool expect_all_of_it(void *payload, const struct run_record *record)
{
    const struct run_record *expected = payload;
    const char *const texts[] = {record->run_id, record->principal,     record->capability, record->name,
                                 record->state,  record->module_sha256, record->cause,      record->receipt};
    const char *const wanted[] = {expected->run_id, expected->principal, expected->capability,
                                  expected->name,   expected->state,     expected->module_sha256,
                                  expected->cause,  expected->receipt};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (wanted[i])
            assert_string_equal(texts[i], wanted[i]);
        else
            assert_null(texts[i]);
    }
    assert_int_equal(record->exit_code, expected->exit_code);
    assert_int_equal(record->started_ns, expected->started_ns);
    assert_int_equal(record->ended_ns, expected->ended_ns);
    assert_int_equal(record->detached, expected->detached);
    assert_int_equal(record->survive_restart, expected->survive_restart);
    assert_int_equal(record->last_sequence, expected->last_sequence);
    assert_int_equal(record->request_bytes, expected->request_bytes);
    if (expected->request)
        assert_memory_equal(record->request, expected->request, expected->request_bytes);
    else
        assert_null(record->request);
    return true;
}

static void a_run_that_survives_a_restart_is_found_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t request[] = {0, 1, 2, 0xff, 0, '\'', '"'};
    struct run_record record = {
        .run_id = "r1",
        .principal = "alice",
        .capability = "logs",
        .name = "watch'; DROP TABLE runs; --",
        .module_sha256 = "ab",
        .state = "running",
        .exit_code = 4294967295u,
        .started_ns = INT64_MAX,
        .detached = true,
        .survive_restart = true,
        .last_sequence = 7,
        .request = request,
        .request_bytes = sizeof request,
    };
    assert_int_equal(run_store_insert(fixture->store, &record), 0);
    assert_int_equal(run_store_commit(fixture->store), 0);
    open_again(fixture);
    assert_int_equal(run_store_find(fixture->store, "r1", expect_all_of_it, &record), 0);
    expect_listed(fixture, NULL, true, 0, "r1 ");
    record.state = "exited";
    record.cause = "it returned";
    record.exit_code = 3;
    record.ended_ns = 99;
    record.receipt = "{}";
    assert_int_equal(run_store_end(fixture->store, "r1", "exited", "it returned", 3, 99, "{}"), 0);
    assert_int_equal(run_store_find(fixture->store, "r1", expect_all_of_it, &record), 0);
    expect_listed(fixture, NULL, true, 0, "");
}

static bool nothing(void *payload, const struct run_record *record)
{
    (void)payload;
    (void)record;
    fail();
    return false;
}

static void what_is_not_there_is_said_to_be_not_there(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number;
    assert_int_equal(run_store_find(fixture->store, "r1", nothing, NULL), 1);
    assert_int_equal(run_store_set_state(fixture->store, "r1", "lost"), 1);
    assert_int_equal(run_store_end(fixture->store, "r1", "lost", NULL, 0, 1, NULL), 1);
    assert_int_equal(run_store_add_event(fixture->store, "r1", 1, "x", 1, &number), 1);
    assert_int_equal(run_store_events(fixture->store, "r1", 0, 0, NULL, NULL, &number), 1);
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    assert_int_equal(insert(fixture->store, "r1", "bob"), -EEXIST);
    assert_int_equal(run_store_commit(fixture->store), 0);
    expect_listed(fixture, NULL, false, 0, "r1 ");
    expect_listed(fixture, "bob", false, 0, "");
}

static void lists_are_newest_first_by_insertion_whatever_the_clock_says(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 1; i <= 5; i++) {
        char run_id[4];
        snprintf(run_id, sizeof run_id, "r%d", i);
        assert_int_equal(
            run_store_insert(fixture->store, &(struct run_record){.run_id = run_id,
                                                                  .principal = i % 2 ? "alice" : "bob",
                                                                  .state = "queued",
                                                                  .started_ns = 100 - i}),
            0);
    }
    assert_int_equal(run_store_set_state(fixture->store, "r5", "running"), 0);
    assert_int_equal(run_store_end(fixture->store, "r3", "exited", NULL, 0, 5, NULL), 0);
    for (int i = 0; i < 2; i++) {
        expect_listed(fixture, NULL, false, 0, "r5 r4 r3 r2 r1 ");
        expect_listed(fixture, NULL, false, 2, "r5 r4 ");
        expect_listed(fixture, "alice", false, 0, "r5 r3 r1 ");
        expect_listed(fixture, "alice", true, 0, "r5 r1 ");
        expect_listed(fixture, "bob", true, 1, "r4 ");
        expect_listed(fixture, NULL, true, UINT32_MAX, "r5 r4 r2 r1 ");
        expect_listed(fixture, "carol", false, 0, "");
        assert_int_equal(run_store_commit(fixture->store), 0);
        open_again(fixture);
    }
}

static void what_was_not_committed_is_seen_but_not_kept(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    assert_int_equal(run_store_commit(fixture->store), 0);
    assert_int_equal(insert(fixture->store, "r2", "alice"), 0);
    assert_int_equal(run_store_end(fixture->store, "r1", "exited", NULL, 0, 5, NULL), 0);
    expect_listed(fixture, NULL, true, 0, "r2 ");
    open_again(fixture);
    expect_listed(fixture, NULL, false, 0, "r1 ");
    expect_listed(fixture, NULL, true, 0, "r1 ");
    assert_int_equal(run_store_commit(fixture->store), 0);
}

/* ---- events ---------------------------------------------------------------------------------------- */

struct events {
    uint64_t first, last, count, bytes;
};

static bool count_events(void *payload, uint64_t sequence, int64_t time_ns, const char *text,
                         size_t size_bytes)
{
    struct events *events = payload;
    assert_int_equal(time_ns, (int64_t)sequence * 10);
    if (size_bytes)
        assert_int_equal((uint8_t)text[0], sequence % 256);
    if (events->count++ == 0)
        events->first = sequence;
    else
        assert_int_equal(sequence, events->last + 1);
    events->last = sequence;
    events->bytes += size_bytes;
    return true;
}

static struct events events_after(struct fixture *fixture, uint64_t after, uint32_t limit,
                                  uint64_t expected_dropped)
{
    struct events events = {0};
    uint64_t dropped = UINT64_MAX;
    assert_int_equal(run_store_events(fixture->store, "r1", after, limit, count_events, &events, &dropped),
                     0);
    assert_int_equal(dropped, expected_dropped);
    return events;
}

static void add_events(struct fixture *fixture, uint64_t from, uint64_t to, size_t size_bytes)
{
    char text[4096];
    for (uint64_t i = from; i <= to; i++) {
        uint64_t sequence = 0;
        memset(text, (int)(i % 256), sizeof text);
        assert_int_equal(
            run_store_add_event(fixture->store, "r1", (int64_t)i * 10, text, size_bytes, &sequence), 0);
        assert_int_equal(sequence, i);
    }
}

static void events_are_bounded_in_number(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    assert_int_equal(events_after(fixture, 0, 0, 0).count, 0);
    add_events(fixture, 1, 10, 1);
    assert_int_equal(events_after(fixture, 0, 0, 0).count, 10);
    add_events(fixture, 11, 25, 1);
    struct events events = events_after(fixture, 0, 0, 15);
    assert_int_equal(events.first, 16);
    assert_int_equal(events.count, 10);
    assert_int_equal(events_after(fixture, 20, 3, 15).first, 21);
    assert_int_equal(events_after(fixture, 20, 3, 15).count, 3);
    assert_int_equal(events_after(fixture, 25, 0, 15).count, 0);
    assert_int_equal(events_after(fixture, UINT64_MAX, 0, 15).count, 0);
    assert_int_equal(run_store_commit(fixture->store), 0);
    open_again(fixture);
    add_events(fixture, 26, 26, 1);
    assert_int_equal(events_after(fixture, 0, 0, 16).last, 26);
}

static void events_are_bounded_in_bytes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    add_events(fixture, 1, 3, 333);
    assert_int_equal(events_after(fixture, 0, 0, 0).bytes, 999);
    add_events(fixture, 4, 4, 2);
    assert_int_equal(events_after(fixture, 0, 0, 1).bytes, 668);
    add_events(fixture, 5, 5, 1000); /* exactly all of it */
    assert_int_equal(events_after(fixture, 0, 0, 4).count, 1);
    add_events(fixture, 6, 6, 1001); /* more than all of it */
    assert_int_equal(events_after(fixture, 0, 0, 6).count, 0);
    add_events(fixture, 7, 7, 0);
    assert_int_equal(events_after(fixture, 0, 0, 6).first, 7);
}

static void events_of_one_run_do_not_push_out_those_of_another(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number;
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    assert_int_equal(insert(fixture->store, "r2", "mallory"), 0);
    add_events(fixture, 1, 2, 100);
    for (int i = 0; i < 50; i++)
        assert_int_equal(run_store_add_event(fixture->store, "r2", 1, "x", 1, &number), 0);
    assert_int_equal(events_after(fixture, 0, 0, 0).count, 2);
}

/* ---- modules and expiry ---------------------------------------------------------------------------- */

static void what_one_principal_has_sent_another_does_not_know(void **state)
{
    struct fixture *fixture = *state;
    uint8_t one[32] = {1}, other[32] = {2};
    assert_int_equal(run_store_add_module(fixture->store, "alice", one), 0);
    assert_int_equal(run_store_add_module(fixture->store, "alice", one), 0);
    assert_true(run_store_knows_module(fixture->store, "alice", one));
    assert_false(run_store_knows_module(fixture->store, "alice", other));
    assert_false(run_store_knows_module(fixture->store, "bob", one));
    assert_int_equal(run_store_commit(fixture->store), 0);
    open_again(fixture);
    assert_true(run_store_knows_module(fixture->store, "alice", one));
    assert_false(run_store_knows_module(fixture->store, "", one));
}

static void a_principal_can_make_known_only_so_many_modules(void **state)
{
    struct fixture *fixture = *state;
    uint8_t kept[32] = {0xff}, sha256[32] = {0};
    assert_int_equal(run_store_add_module(fixture->store, "bob", kept), 0);
    for (uint32_t i = 0; i <= 10000; i++) {
        memcpy(sha256, &i, sizeof i);
        assert_int_equal(run_store_add_module(fixture->store, "alice", sha256), 0);
    }
    assert_true(run_store_knows_module(fixture->store, "alice", sha256));
    memset(sha256, 0, sizeof sha256);
    assert_false(run_store_knows_module(fixture->store, "alice", sha256));
    sha256[0] = 1;
    assert_true(run_store_knows_module(fixture->store, "alice", sha256));
    assert_true(run_store_knows_module(fixture->store, "bob", kept));
}

static void ended_runs_expire_with_their_events_and_running_ones_never(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_ns = 100 * DAY_NS;
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    add_events(fixture, 1, 3, 1);
    assert_int_equal(insert(fixture->store, "r2", "alice"), 0);
    assert_int_equal(insert(fixture->store, "r3", "alice"), 0);
    assert_int_equal(
        run_store_end(fixture->store, "r1", "exited", NULL, 0, now_ns - KEEP_DAYS * DAY_NS, NULL), 0);
    assert_int_equal(
        run_store_end(fixture->store, "r2", "exited", NULL, 0, now_ns - KEEP_DAYS * DAY_NS + 1, NULL), 0);
    assert_int_equal(run_store_expire(fixture->store, now_ns - 1), 0);
    expect_listed(fixture, NULL, false, 0, "r3 r2 r1 ");
    assert_int_equal(run_store_expire(fixture->store, now_ns), 0);
    expect_listed(fixture, NULL, false, 0, "r3 r2 ");
    assert_int_equal(run_store_expire(fixture->store, INT64_MAX), 0);
    expect_listed(fixture, NULL, false, 0, "r3 ");
    assert_int_equal(run_store_expire(fixture->store, INT64_MIN), 0);
    /* The events are gone, too: a run that takes over the number has none. */
    assert_int_equal(insert(fixture->store, "r1", "alice"), 0);
    assert_int_equal(events_after(fixture, 0, 0, 0).count, 0);
    assert_int_equal(run_store_commit(fixture->store), 0);
}

static void expiry_is_cut_into_portions(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 250; i++) {
        char run_id[8];
        snprintf(run_id, sizeof run_id, "r%d", i);
        assert_int_equal(insert(fixture->store, run_id, "alice"), 0);
        assert_int_equal(run_store_end(fixture->store, run_id, "exited", NULL, 0, 1 + i, NULL), 0);
    }
    assert_int_equal(run_store_expire(fixture->store, 100 * DAY_NS), 1);
    assert_int_equal(run_store_expire(fixture->store, 100 * DAY_NS), 1);
    assert_int_equal(run_store_expire(fixture->store, 100 * DAY_NS), 0);
    expect_listed(fixture, NULL, false, 0, "");
}

/* ---- failures -------------------------------------------------------------------------------------- */

static void it_is_for_one_node_and_one_owner(void **state)
{
    struct fixture *fixture = *state;
    struct run_store *other = NULL;
    struct stat status;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(run_store_open(fixture->path, &fixture->limits, &other, &error), -EWOULDBLOCK);
    assert_non_null(strstr(berth_error_message(error), "the run store '"));
    assert_non_null(strstr(berth_error_message(error), "is being written by another process"));
}

static void a_file_of_another_kind_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    cleanup_error berth_error *error = NULL;
    run_store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(truncate(fixture->path, 5000), 0);
    assert_int_equal(run_store_open(fixture->path, &fixture->limits, &fixture->store, &error), -EBADMSG);
    assert_int_equal(truncate(fixture->path, 0), 0);
    assert_int_equal(run_store_open(fixture->path, &fixture->limits, &fixture->store, &error), -EBADMSG);
    assert_non_null(strstr(berth_error_message(error), "is empty"));
}

static int fill_up(struct fixture *fixture)
{
    struct rlimit limit;
    char request[4096] = {0};
    int r = 0;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 512 << 10;
    setrlimit(RLIMIT_FSIZE, &limit);
    open_store(fixture);
    for (int i = 0; i < 10000 && r == 0; i++) {
        char run_id[8];
        snprintf(run_id, sizeof run_id, "r%d", i);
        run_store_insert(fixture->store, &(struct run_record){.run_id = run_id,
                                                              .principal = "alice",
                                                              .state = "queued",
                                                              .request = request,
                                                              .request_bytes = sizeof request});
        r = run_store_commit(fixture->store);
    }
    if (r != -ENOSPC)
        return 1;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    r = insert(fixture->store, "after", "bob");
    if (r == 0)
        r = run_store_commit(fixture->store);
    return r == 0 ? 0 : 2;
}

static void on_a_full_disk_a_commit_fails_and_the_next_may_succeed(void **state)
{
    struct fixture *fixture = *state;
    int status;
    run_store_close(fixture->store);
    fixture->store = NULL;
    pid_t child = fork();
    if (child == 0)
        _exit(fill_up(fixture));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    open_store(fixture);
    expect_listed(fixture, "bob", false, 0, "after ");
}

static void run_until_killed(struct fixture *fixture, int round, int pipe)
{
    fixture->store = NULL;
    if (run_store_open(fixture->path, &fixture->limits, &fixture->store, NULL) < 0)
        _exit(1);
    for (uint32_t commits = 1;; commits++) {
        char run_id[32];
        uint64_t sequence;
        snprintf(run_id, sizeof run_id, "%d-%u", round, commits);
        if (insert(fixture->store, run_id, "alice") != 0 ||
            run_store_add_event(fixture->store, run_id, 10, "\1", 1, &sequence) != 0 ||
            run_store_end(fixture->store, run_id, "exited", NULL, 0, 1, "{}") != 0 ||
            run_store_commit(fixture->store) != 0 || write(pipe, &commits, sizeof commits) != sizeof commits)
            _exit(1);
    }
}

static bool expect_ended(void *payload, const struct run_record *record)
{
    assert_string_equal(record->state, "exited");
    assert_string_equal(record->receipt, "{}");
    assert_int_equal(record->last_sequence, 1);
    ++*(uint64_t *)payload;
    return true;
}

static void after_kill_9_each_run_is_there_as_a_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at_least = 0;
    srand(2);
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        uint32_t commits = 0, wanted = 1 + (uint32_t)(rand() % 40);
        uint64_t found = 0;
        run_store_close(fixture->store);
        fixture->store = NULL;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0)
            run_until_killed(fixture, round, ends[1]);
        close(ends[1]);
        while (commits < wanted && read(ends[0], &commits, sizeof commits) == sizeof commits)
            continue;
        usleep((useconds_t)(rand() % 300));
        kill(child, SIGKILL);
        while (read(ends[0], &commits, sizeof commits) == sizeof commits)
            continue;
        close(ends[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_true(commits >= wanted);
        at_least += commits;
        open_store(fixture);
        assert_int_equal(run_store_list(fixture->store, NULL, false, 0, expect_ended, &found), 0);
        assert_true(found == at_least || found == at_least + 1);
        at_least = found;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_that_survives_a_restart_is_found_as_it_was),
        TEST(what_is_not_there_is_said_to_be_not_there),
        TEST(lists_are_newest_first_by_insertion_whatever_the_clock_says),
        TEST(what_was_not_committed_is_seen_but_not_kept),
        TEST(events_are_bounded_in_number),
        TEST(events_are_bounded_in_bytes),
        TEST(events_of_one_run_do_not_push_out_those_of_another),
        TEST(what_one_principal_has_sent_another_does_not_know),
        TEST(a_principal_can_make_known_only_so_many_modules),
        TEST(ended_runs_expire_with_their_events_and_running_ones_never),
        TEST(expiry_is_cut_into_portions),
        TEST(it_is_for_one_node_and_one_owner),
        TEST(a_file_of_another_kind_is_left_alone),
        TEST(on_a_full_disk_a_commit_fails_and_the_next_may_succeed),
        TEST(after_kill_9_each_run_is_there_as_a_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that are full, files that are not ours or not whole: each is an error with a sentence, and nothing is
 * repaired, begun anew or overwritten. */
#include "audit/test_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

enum { NOBODY = 65534, SKIPPED = 77 };

static void write_file(const char *path, const char *bytes, size_t size_bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size_bytes), size_bytes);
    close(fd);
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) < 0 ? -1 : status.st_size;
}

static berth_status verify(const struct audit_test *test)
{
    struct berth_audit_verdict verdict;
    return berth_audit_verify(test->path, NULL, NULL, &verdict, NULL);
}

/* ---- what is no audit log -------------------------------------------------------------------------- */

static void no_file_is_not_found_by_readers(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(verify(test), BERTH_NOT_FOUND);
    assert_int_equal(size_of(test->path), -1);
}

static void an_empty_file_is_not_taken_for_a_new_one(void **state)
{
    struct audit_test *test = *state;
    write_file(test->path, "", 0);
    audit_test_expect_closed(test, -EBADMSG, "is empty; move it away");
    assert_int_equal(verify(test), BERTH_INVALID);
    assert_int_equal(size_of(test->path), 0);
}

static void a_text_file_is_left_alone(void **state)
{
    struct audit_test *test = *state;
    static const char text[] = "these are my notes, and there are more of them than a header has bytes: "
                               "one hundred of them would be needed, and here they are.";
    write_file(test->path, text, sizeof text);
    audit_test_expect_closed(test, -EBADMSG, "no database at all");
    assert_int_equal(verify(test), BERTH_INVALID);
    assert_int_equal(size_of(test->path), sizeof text);
}

static void a_database_of_something_else_is_left_alone(void **state)
{
    struct audit_test *test = *state;
    audit_test_sql(test, "CREATE TABLE entries (number INTEGER PRIMARY KEY, note TEXT)");
    audit_test_expect_closed(test, -EBADMSG, "is a database of something else");
    assert_int_equal(verify(test), BERTH_INVALID);
}

static void a_log_of_a_later_version_is_left_alone(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, 1, 1);
    audit_test_sql(test, "PRAGMA user_version = 2");
    audit_test_expect_closed(test, -EBADMSG, "was made by another version of berth");
    assert_int_equal(verify(test), BERTH_INVALID);
}

static void a_directory_is_no_log(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(mkdir(test->path, 0700), 0);
    audit_test_expect_closed(test, -EBADMSG, "is no regular file");
    assert_int_not_equal(verify(test), BERTH_OK);
    assert_int_equal(rmdir(test->path), 0);
}

static void a_journal_without_its_file_is_not_lost(void **state)
{
    struct audit_test *test = *state;
    char journal[128];
    snprintf(journal, sizeof journal, "%s-wal", test->path);
    write_file(journal, "entries", 7);
    audit_test_expect_closed(test, -EBADMSG, "is gone but its journal (-wal) is there");
    assert_int_equal(size_of(journal), 7);
    assert_int_equal(size_of(test->path), -1);
}

static void a_log_can_be_verified_and_moved_away(void **state)
{
    struct audit_test *test = *state;
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s.1", test->path);
    audit_test_make(test, 1, 3);
    assert_int_equal(verify(test), BERTH_OK);
    assert_int_equal(rename(test->path, elsewhere), 0);
    audit_test_make(test, 1, 1);
    audit_test_expect_whole(test, 1, NULL);
}

static void names_have_no_meaning_for_sqlite(void **state)
{
    static const char *const names[] = {":memory:", "file:x", "a%20b", "a?mode=memory", "a#b"};
    struct audit_test *test = *state;
    char path[sizeof test->path];
    memcpy(path, test->path, sizeof path);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(test->path, sizeof test->path, "%s/%s", test->directory, names[i]);
        audit_test_make(test, 1, 1);
        audit_test_expect_whole(test, 1, NULL);
        assert_true(size_of(test->path) > 0);
    }
    memcpy(test->path, path, sizeof path);
}

static void what_a_sentence_shows_of_a_path_is_safe(void **state)
{
    struct audit_test *test = *state;
    snprintf(test->path, sizeof test->path, "%s/a\nb", test->directory);
    write_file(test->path, "", 0);
    audit_test_expect_closed(test, -EBADMSG, "/a\\nb' is empty");
}

/* ---- what is damaged ------------------------------------------------------------------------------- */

static void a_log_that_was_cut_off_is_noticed(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, 50, 4);
    off_t size = size_of(test->path);
    for (off_t cut = size - 1; cut > 0; cut = cut / 2) {
        assert_int_equal(truncate(test->path, cut), 0);
        cleanup_error berth_error *error = NULL;
        struct audit_log *log = NULL;
        assert_int_equal(audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, &error), -EBADMSG);
        assert_int_not_equal(verify(test), BERTH_OK);
        assert_int_equal(size_of(test->path), cut);
    }
}

/* Every page in turn is overwritten. What the walk does not see (free space) may verify; what it sees must
 * not. */
static void a_page_of_rubbish_is_noticed(void **state)
{
    enum { PAGE = 4096 };
    struct audit_test *test = *state;
    audit_test_make(test, 50, 4);
    off_t size = size_of(test->path);
    char kept[PAGE], rubbish[PAGE];
    memset(rubbish, 0xa5, sizeof rubbish);
    int fd = open(test->path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 0; at < size; at += PAGE) {
        assert_int_equal(pread(fd, kept, PAGE, at), PAGE);
        assert_int_equal(pwrite(fd, rubbish, PAGE, at), PAGE);
        assert_int_not_equal(verify(test), BERTH_OK);
        assert_int_equal(pwrite(fd, kept, PAGE, at), PAGE);
    }
    close(fd);
    audit_test_expect_whole(test, 200, NULL);
}

static void one_flipped_bit_anywhere_never_changes_what_is_read(void **state)
{
    struct audit_test *test = *state;
    struct berth_audit_verdict whole;
    audit_test_make(test, 4, 2);
    audit_test_expect_whole(test, 8, &whole);
    off_t size = size_of(test->path);
    int fd = open(test->path, O_RDWR);
    assert_true(fd >= 0);
    srand(1);
    for (int i = 0; i < 500; i++) {
        uint8_t byte, other;
        off_t at = rand() % size;
        struct berth_audit_verdict verdict;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        other = byte ^ (uint8_t)(1u << (rand() % 8));
        assert_int_equal(pwrite(fd, &other, 1, at), 1);
        if (berth_audit_verify(test->path, test->node, NULL, &verdict, NULL) == BERTH_OK)
            assert_memory_equal(&verdict, &whole, sizeof whole);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

static void a_process_that_was_killed_while_it_made_the_file_leaves_nothing(void **state)
{
    struct audit_test *test = *state;
    char half[128];
    snprintf(half, sizeof half, "%s-new", test->path);
    write_file(half, "half", 4);
    audit_test_make(test, 1, 1);
    audit_test_expect_whole(test, 1, NULL);
    assert_int_equal(size_of(half), -1);
}

/* ---- what happens behind our back ------------------------------------------------------------------ */

static void a_log_that_was_moved_away_stops_the_writer(void **state)
{
    struct audit_test *test = *state;
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s.1", test->path);
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 1, 1);
    assert_int_equal(rename(test->path, elsewhere), 0);
    assert_int_equal(audit_append(log, "run_started", "", "", NULL), 0);
    assert_int_equal(audit_commit(log), -ENOENT);
    assert_int_equal(rename(elsewhere, test->path), 0);
    audit_test_write(log, 1, 1);
    audit_close(log);
    audit_test_expect_whole(test, 2, NULL);
}

static void what_somebody_else_wrote_is_not_signed(void **state)
{
    struct audit_test *test = *state;
    struct audit_log *log = audit_test_open(test);
    audit_test_write(log, 1, 2);
    audit_test_sql(test,
                   "INSERT INTO entries SELECT 3, time_ns, event, 'mallory', run, details, hash FROM entries"
                   " WHERE number = 2");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(audit_append(log, "run_started", "", "", NULL), 0);
        assert_int_equal(audit_commit(log), -EBADMSG);
    }
    audit_test_sql(test, "DELETE FROM entries WHERE number = 3");
    audit_test_write(log, 1, 1);
    audit_close(log);
    audit_test_expect_whole(test, 3, NULL);
}

static int refuse_to_sign(void *payload, const void *bytes, size_t size_bytes,
                          uint8_t ret_signature[static 64])
{
    (void)payload;
    (void)bytes;
    (void)size_bytes;
    ret_signature[0] = 0;
    return -EIO;
}

static void without_a_signature_nothing_counts(void **state)
{
    struct audit_test *test = *state;
    audit_test_make(test, 1, 1);
    test->signer.sign = refuse_to_sign;
    struct audit_log *log = audit_test_open(test);
    assert_int_equal(audit_append(log, "run_started", "", "", NULL), 0);
    assert_int_equal(audit_commit(log), -EIO);
    assert_int_equal(audit_pending(log), 0);
    audit_close(log);
    audit_test_expect_whole(test, 1, NULL);
}

/* ---- the disk -------------------------------------------------------------------------------------- */

/* In a child, whose limits are its own; what fails there is shown and fails here. */
static void in_child(struct audit_test *test, int (*child_main)(struct audit_test *test))
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(child_main(test));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int append_until_full(struct audit_log *log)
{
    for (int i = 0; i < 100000; i++) {
        if (audit_append(log, "run_started", "alice", "r", NULL) < 0)
            return 1;
        int r = audit_commit(log);
        if (r < 0)
            return r;
    }
    return 1;
}

/* The line of the step that failed. */
#define EXPECT(condition)          \
    do {                           \
        if (!(condition))          \
            return __LINE__ % 256; \
    } while (0)

static int fill_up_to_a_limit(struct audit_test *test)
{
    struct audit_log *log = NULL;
    struct rlimit limit = {.rlim_cur = 200 << 10, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    EXPECT(audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, NULL) == 0);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 200 << 10;
    EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    EXPECT(append_until_full(log) == -ENOSPC);
    EXPECT(audit_pending(log) == 0);
    EXPECT(append_until_full(log) == -ENOSPC);
    EXPECT(verify(test) == BERTH_OK);
    limit.rlim_cur = limit.rlim_max;
    EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    EXPECT(audit_append(log, "run_started", "alice", "r", NULL) == 0);
    EXPECT(audit_commit(log) == 0);
    audit_close(log);
    return 0;
}

static void over_a_limit_on_file_sizes_commits_fail_and_the_chain_stays_whole(void **state)
{
    struct audit_test *test = *state;
    in_child(test, fill_up_to_a_limit);
    assert_int_equal(verify(test), BERTH_OK);
    audit_test_make(test, 1, 1);
    assert_int_equal(verify(test), BERTH_OK);
}

static bool write_proc(const char *path, const char *line)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
}

/* Where users may not have namespaces of their own, there is no small disk. */
static bool mount_small_disk(const char *directory)
{
    char users[32], groups[32];
    snprintf(users, sizeof users, "0 %u 1", getuid());
    snprintf(groups, sizeof groups, "0 %u 1", getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_proc("/proc/self/uid_map", users) &&
           write_proc("/proc/self/setgroups", "deny") && write_proc("/proc/self/gid_map", groups) &&
           mount("tmpfs", directory, "tmpfs", 0, "size=256k") == 0;
}

static int fill_a_small_disk(struct audit_test *test)
{
    struct audit_log *log = NULL;
    cleanup_error berth_error *error = NULL;
    char ballast[128];
    if (!mount_small_disk(test->directory))
        return SKIPPED;
    EXPECT(audit_open(test->path, AUDIT_SYNC_FULL, &test->signer, &log, NULL) == 0);
    EXPECT(append_until_full(log) == -ENOSPC);
    EXPECT(append_until_full(log) == -ENOSPC);
    EXPECT(verify(test) == BERTH_OK);
    EXPECT(mount("tmpfs", test->directory, "tmpfs", MS_REMOUNT, "size=8m") == 0);
    EXPECT(audit_append(log, "run_started", "alice", "r", NULL) == 0);
    EXPECT(audit_commit(log) == 0);
    EXPECT(verify(test) == BERTH_OK);
    audit_close(log);
    log = NULL;
    /* Now there is no room for a log at all. */
    EXPECT(unlink(test->path) == 0);
    snprintf(ballast, sizeof ballast, "%s/ballast", test->directory);
    int fd = open(ballast, O_WRONLY | O_CREAT, 0600);
    EXPECT(fd >= 0);
    char page[4096] = {0};
    while (write(fd, page, sizeof page) > 0)
        continue;
    close(fd);
    EXPECT(audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, &error) == -ENOSPC);
    EXPECT(strstr(berth_error_message(error), "No space left on device"));
    EXPECT(size_of(test->path) == -1);
    return 0;
}

static void on_a_full_disk_commits_fail_and_the_chain_stays_whole(void **state)
{
    in_child(*state, fill_a_small_disk);
}

static int work_in_a_read_only_directory(struct audit_test *test)
{
    cleanup_error berth_error *error = NULL;
    struct audit_log *log = NULL;
    EXPECT(chmod(test->directory, 0500) == 0);
    if (getuid() == 0) {
        EXPECT(chown(test->directory, NOBODY, NOBODY) == 0 && chown(test->path, NOBODY, NOBODY) == 0);
        EXPECT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    }
    EXPECT(audit_open(test->path, AUDIT_SYNC_NORMAL, &test->signer, &log, &error) == -EACCES);
    EXPECT(strstr(berth_error_message(error), "Permission denied"));
    EXPECT(verify(test) == BERTH_OK);
    return 0;
}

static void in_a_read_only_directory_it_is_read_and_not_written(void **state)
{
    struct audit_test *test = *state;
    char lock[128];
    audit_test_make(test, 3, 1);
    snprintf(lock, sizeof lock, "%s-lock", test->path);
    unlink(lock);
    in_child(test, work_in_a_read_only_directory);
    chmod(test->directory, 0700);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_test_set_up, audit_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_file_is_not_found_by_readers),
        TEST(an_empty_file_is_not_taken_for_a_new_one),
        TEST(a_text_file_is_left_alone),
        TEST(a_database_of_something_else_is_left_alone),
        TEST(a_log_of_a_later_version_is_left_alone),
        TEST(a_directory_is_no_log),
        TEST(a_journal_without_its_file_is_not_lost),
        TEST(a_log_can_be_verified_and_moved_away),
        TEST(names_have_no_meaning_for_sqlite),
        TEST(what_a_sentence_shows_of_a_path_is_safe),
        TEST(a_log_that_was_cut_off_is_noticed),
        TEST(a_page_of_rubbish_is_noticed),
        TEST(one_flipped_bit_anywhere_never_changes_what_is_read),
        TEST(a_process_that_was_killed_while_it_made_the_file_leaves_nothing),
        TEST(a_log_that_was_moved_away_stops_the_writer),
        TEST(what_somebody_else_wrote_is_not_signed),
        TEST(without_a_signature_nothing_counts),
        TEST(over_a_limit_on_file_sizes_commits_fail_and_the_chain_stays_whole),
        TEST(on_a_full_disk_commits_fail_and_the_chain_stays_whole),
        TEST(in_a_read_only_directory_it_is_read_and_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

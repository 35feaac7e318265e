/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler process, and the parent that must survive whatever it does. Where the program has to misbehave
 * on purpose, a small script stands in for it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "sandbox/compile_process.h"
#include "sandbox/test_wasm.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define skip_if_sanitized() skip() /* the program then has no memory limit and no filter */
#else
#define skip_if_sanitized() ((void)0)
#endif

static const struct engine_settings settings;
static const struct compile_limits generous = {.memory_mb = 2048, .cpu_seconds = 60, .wall_seconds = 120};

static const char *compiler(void)
{
    const char *path = getenv("BERTH_COMPILER");
    assert_non_null(path);
    return path;
}

static int run_with(const char *program, const struct compile_limits *limits, struct wasm wasm,
                    struct text *reason)
{
    cleanup_machine_code struct machine_code code = {0};
    int r = compile_process_run(program, &settings, limits, wasm.bytes, wasm.size_bytes, -1, &code, reason);
    if (r == 0) {
        assert_true(code.size_bytes > 4);
        assert_memory_equal(code.bytes,
                            "\x7f"
                            "ELF",
                            4);
    }
    wasm_done(&wasm);
    return r;
}

static void assert_compiles(void)
{
    cleanup_text struct text reason = {0};
    int r = run_with(compiler(), &generous, wasm_command(), &reason);
    if (r != 0)
        fail_msg("%d: %s", r, reason.data);
}

static void assert_outcome(int r, int wanted, const struct text *reason, const char *clause)
{
    if (r != wanted || !reason->data || !strstr(reason->data, clause))
        fail_msg("%d instead of %d: %s", r, wanted, reason->data ? reason->data : "no reason");
}

/* Far more than one second of work on any machine. */
static struct wasm bomb(void)
{
    return wasm_heavy(400, 20000);
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *stream = opendir("/proc/self/fd");
    assert_non_null(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count;
}

/* Around each test: nothing is left open, no child is left. */
static int before(void **state)
{
    *state = (void *)(intptr_t)count_descriptors();
    return 0;
}

static int after(void **state)
{
    assert_int_equal(count_descriptors(), (intptr_t)*state);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return 0;
}

/* ---- Good modules ------------------------------------------------------------------------------- */

static void test_a_module_becomes_machine_code(void **state)
{
    (void)state;
    assert_compiles();
}

static void test_the_same_module_gives_the_same_code(void **state)
{
    cleanup_text struct text reason = {0};
    cleanup_machine_code struct machine_code one = {0}, two = {0};
    cleanup_wasm struct wasm wasm = wasm_heavy(3, 100);
    (void)state;
    assert_int_equal(
        compile_process_run(compiler(), &settings, &generous, wasm.bytes, wasm.size_bytes, -1, &one, &reason),
        0);
    assert_int_equal(
        compile_process_run(compiler(), &settings, &generous, wasm.bytes, wasm.size_bytes, -1, &two, &reason),
        0);
    assert_int_equal(one.size_bytes, two.size_bytes);
    assert_memory_equal(one.bytes, two.bytes, one.size_bytes);
}

/* ---- Limits ------------------------------------------------------------------------------------- */

static void test_too_much_processor_time_is_a_refusal(void **state)
{
    struct compile_limits limits = generous;
    cleanup_text struct text reason = {0};
    (void)state;
    limits.cpu_seconds = 1;
    int r = run_with(compiler(), &limits, bomb(), &reason);
    assert_outcome(r, COMPILE_REFUSED, &reason, "takes more than 1 s of CPU time");
    assert_compiles();
}

static void test_too_much_memory_is_a_refusal(void **state)
{
    struct compile_limits limits = generous;
    cleanup_text struct text reason = {0};
    (void)state;
    skip_if_sanitized();
    limits.memory_mb = 30;
    int r = run_with(compiler(), &limits, bomb(), &reason);
    assert_outcome(r, COMPILE_REFUSED, &reason, "takes more than 30 MiB of memory");
    assert_compiles();
}

static void test_bytes_that_were_not_scanned_are_refused_with_the_compilers_words(void **state)
{
    cleanup_text struct text reason = {0};
    struct wasm wasm = {0};
    (void)state;
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_CODE, "\1\2\0\x0b");
    int r = run_with(compiler(), &generous, wasm, &reason);
    assert_outcome(r, COMPILE_REFUSED, &reason, "the compiler does not take it");
}

/* ---- What the process gives away ---------------------------------------------------------------- */

/* The line of /proc/PID/status that begins so, or "". */
static void status_line(pid_t pid, const char *prefix, char *line, size_t capacity)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    while (file && fgets(line, (int)capacity, file))
        if (strncmp(line, prefix, strlen(prefix)) == 0)
            break;
    if (!file || strncmp(line, prefix, strlen(prefix)) != 0)
        line[0] = '\0';
    if (file)
        fclose(file);
}

/* Some child of ours, by asking every process for its parent. 0 if there is none. */
static pid_t find_child(void)
{
    pid_t found = 0;
    char wanted[32], line[128];
    snprintf(wanted, sizeof(wanted), "PPid:\t%d\n", (int)getpid());
    DIR *stream = opendir("/proc");
    assert_non_null(stream);
    for (const struct dirent *item; !found && (item = readdir(stream));) {
        pid_t pid = (pid_t)strtol(item->d_name, NULL, 10);
        if (pid <= 0)
            continue;
        status_line(pid, "PPid:", line, sizeof(line));
        if (strcmp(line, wanted) == 0)
            found = pid;
    }
    closedir(stream);
    return found;
}

/* Descriptors of a process; -1 if they are not ours to see, as they are only root's of a process that gave
 * its rights away. */
static int count_descriptors_of(pid_t pid)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *stream = opendir(path);
    if (!stream)
        return -1;
    for (const struct dirent *item; (item = readdir(stream));)
        count += item->d_name[0] != '.';
    closedir(stream);
    return count;
}

struct work {
    const char *program;
    struct compile_limits limits;
    struct text reason;
    int r;
    atomic_bool over;
};

static void *work_on_bomb(void *argument)
{
    struct work *work = argument;
    work->r = run_with(work->program, &work->limits, bomb(), &work->reason);
    atomic_store(&work->over, true);
    return NULL;
}

static void test_the_process_compiles_without_rights(void **state)
{
    struct work work = {.program = compiler(), .limits = generous};
    pthread_t thread;
    char filter[64] = "", privileges[64] = "";
    pid_t child = 0;
    (void)state;
    skip_if_sanitized();
    int leaked = dup2(STDERR_FILENO, 99); /* without FD_CLOEXEC */
    assert_int_equal(pthread_create(&thread, NULL, work_on_bomb, &work), 0);
    /* The filter comes after the engine; from then on it compiles for seconds. */
    while (!atomic_load(&work.over) && strcmp(filter, "Seccomp:\t2\n") != 0) {
        child = find_child();
        if (child)
            status_line(child, "Seccomp:", filter, sizeof(filter));
    }
    status_line(child, "NoNewPrivs:", privileges, sizeof(privileges));
    int descriptors = count_descriptors_of(child);
    if (child)
        kill(child, SIGTERM);
    pthread_join(thread, NULL);
    close(leaked);
    assert_true(descriptors == 3 || descriptors == -1);
    assert_string_equal(filter, "Seccomp:\t2\n");
    assert_string_equal(privileges, "NoNewPrivs:\t1\n");
    assert_outcome(work.r, -EIO, &work.reason, "stopped from outside (signal 15)");
    text_done(&work.reason);
}

/* ---- A program that misbehaves ------------------------------------------------------------------ */

enum { SCRIPT_BYTES = 256 };

struct stand_in {
    char script[64], report[64];
};

/* `commands` may use $report, a file with the report's bytes. */
static void stand_in_init(struct stand_in *stand_in, const char *commands,
                          const struct compile_report *report, size_t report_bytes)
{
    char script[SCRIPT_BYTES];
    snprintf(stand_in->report, sizeof(stand_in->report), "/tmp/berth-report-XXXXXX");
    snprintf(stand_in->script, sizeof(stand_in->script), "/tmp/berth-compiler-XXXXXX");
    int fd = mkostemp(stand_in->report, O_CLOEXEC);
    assert_int_equal(write(fd, report, report_bytes), report_bytes);
    close(fd);
    int length = snprintf(script, sizeof(script), "#!/bin/sh\nreport=%s\n%s\n", stand_in->report, commands);
    assert_in_range(length, 1, sizeof(script) - 1);
    fd = mkostemp(stand_in->script, O_CLOEXEC);
    assert_int_equal(write(fd, script, (size_t)length), length);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
}

static void stand_in_done(const struct stand_in *stand_in)
{
    unlink(stand_in->script);
    unlink(stand_in->report);
}

static void assert_stand_in(const char *commands, const struct compile_report *report, size_t report_bytes,
                            const struct compile_limits *limits, int wanted, const char *clause)
{
    cleanup(stand_in_done) struct stand_in stand_in;
    cleanup_text struct text reason = {0};
    stand_in_init(&stand_in, commands, report, report_bytes);
    int r = run_with(stand_in.script, limits, wasm_command(), &reason);
    assert_outcome(r, wanted, &reason, clause);
}

static void test_a_crash_is_a_refusal_with_its_signal(void **state)
{
    const struct compile_report abort_report = {.kind = COMPILE_REPORT_SIGNAL, .signal = SIGABRT};
    const struct compile_report overflow = {.kind = COMPILE_REPORT_SIGNAL, .signal = SIGSEGV};
    (void)state;
    assert_stand_in("cat $report", &abort_report, sizeof(abort_report), &generous, COMPILE_REFUSED,
                    "the compiler crashed on it (signal 6)");
    assert_stand_in("cat $report", &overflow, sizeof(overflow), &generous, COMPILE_REFUSED,
                    "the compiler crashed on it (signal 11)");
    assert_stand_in("echo memory allocation of 9 bytes failed >&2; cat $report", &abort_report,
                    sizeof(abort_report), &generous, COMPILE_REFUSED, "takes more than 2048 MiB of memory");
}

static void test_a_process_that_hangs_is_killed(void **state)
{
    struct compile_limits limits = generous;
    (void)state;
    limits.wall_seconds = 1;
    assert_stand_in("exec sleep 1000", NULL, 0, &limits, COMPILE_REFUSED, "takes longer than 1 s");
}

static void test_a_process_that_says_nothing_is_an_error_of_the_system(void **state)
{
    (void)state;
    assert_stand_in("exit 3", NULL, 0, &generous, -EIO, "without a word (status 3)");
    assert_stand_in("kill -KILL $$", NULL, 0, &generous, -EIO, "stopped from outside (signal 9)");
    assert_stand_in("printf short", NULL, 0, &generous, -EIO, "without a word");
}

static void test_results_that_lie_are_not_taken(void **state)
{
    const struct compile_report too_long = {.kind = COMPILE_REPORT_DONE, .code_bytes = 1 << 20};
    const struct compile_report longest = {.kind = COMPILE_REPORT_DONE, .code_bytes = UINT64_MAX};
    const struct compile_report nothing = {.kind = COMPILE_REPORT_DONE};
    struct compile_report hostile = {.kind = COMPILE_REPORT_NOT_TAKEN};
    struct compile_report unknown = {.kind = 77};
    (void)state;
    memset(hostile.message, '\x1b', sizeof(hostile.message));
    assert_stand_in("cat $report", &too_long, sizeof(too_long), &generous, -EPROTO, "cannot be read");
    assert_stand_in("cat $report", &longest, sizeof(longest), &generous, -EPROTO, "cannot be read");
    assert_stand_in("cat $report", &nothing, sizeof(nothing), &generous, -EPROTO, "cannot be read");
    assert_stand_in("cat $report", &hostile, sizeof(hostile), &generous, COMPILE_REFUSED, "\\x1b\\x1b");
    assert_stand_in("cat $report", &unknown, sizeof(unknown), &generous, -EIO, "without a word");
}

static void test_the_module_cannot_be_changed_and_nothing_is_inherited(void **state)
{
    const struct compile_report good = {.kind = COMPILE_REPORT_FAILED, .message = "as it should be"};
    (void)state;
    assert_int_equal(setenv("BERTH_TEST_SECRET", "yes", 1), 0);
    assert_stand_in("[ -z \"$BERTH_TEST_SECRET\" ] && ! echo x 2>/dev/null 1<>/dev/fd/0 && cat $report",
                    &good, sizeof(good), &generous, -EIO, "as it should be");
}

static void test_a_missing_program_is_named(void **state)
{
    cleanup_text struct text reason = {0};
    (void)state;
    int r = run_with("/nowhere/berth-compiler", &generous, wasm_command(), &reason);
    assert_outcome(r, -ENOENT, &reason, "the compiler program /nowhere/berth-compiler does not start");
    text_done(&reason);
    r = run_with("/tmp", &generous, wasm_command(), &reason);
    assert_outcome(r, -EACCES, &reason, "the compiler program /tmp does not start");
}

/* ---- An embedder with habits -------------------------------------------------------------------- */

static void test_an_embedder_may_ignore_its_children(void **state)
{
    struct compile_limits limits = generous;
    cleanup_text struct text reason = {0};
    (void)state;
    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    assert_compiles();
    limits.cpu_seconds = 1;
    int r = run_with(compiler(), &limits, bomb(), &reason);
    assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
    assert_outcome(r, COMPILE_REFUSED, &reason, "of CPU time");
}

static void reap_all(int number)
{
    int saved = errno;
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static void test_an_embedder_may_reap_children_that_are_not_its_own(void **state)
{
    (void)state;
    assert_true(signal(SIGCHLD, reap_all) != SIG_ERR);
    for (int i = 0; i < 5; i++)
        assert_compiles();
    assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

static void test_an_embedder_may_have_closed_its_standard_streams(void **state)
{
    int saved[3];
    cleanup_text struct text reason = {0};
    (void)state;
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        close(fd);
    }
    int r = run_with(compiler(), &generous, wasm_command(), &reason);
    for (int fd = 0; fd < 3; fd++)
        if (saved[fd] >= 0) {
            dup2(saved[fd], fd);
            close(saved[fd]);
        }
    assert_int_equal(r, 0);
}

static void test_an_embedder_may_block_signals(void **state)
{
    struct compile_limits limits = generous;
    cleanup_text struct text reason = {0};
    sigset_t all, old;
    (void)state;
    limits.cpu_seconds = 1;
    sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
    int r = run_with(compiler(), &limits, bomb(), &reason);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    assert_outcome(r, COMPILE_REFUSED, &reason, "of CPU time");
}

#define compile_test(test) cmocka_unit_test_setup_teardown(test, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        compile_test(test_a_module_becomes_machine_code),
        compile_test(test_the_same_module_gives_the_same_code),
        compile_test(test_too_much_processor_time_is_a_refusal),
        compile_test(test_too_much_memory_is_a_refusal),
        compile_test(test_bytes_that_were_not_scanned_are_refused_with_the_compilers_words),
        compile_test(test_the_process_compiles_without_rights),
        compile_test(test_a_crash_is_a_refusal_with_its_signal),
        compile_test(test_a_process_that_hangs_is_killed),
        compile_test(test_a_process_that_says_nothing_is_an_error_of_the_system),
        compile_test(test_results_that_lie_are_not_taken),
        compile_test(test_the_module_cannot_be_changed_and_nothing_is_inherited),
        compile_test(test_a_missing_program_is_named),
        compile_test(test_an_embedder_may_ignore_its_children),
        compile_test(test_an_embedder_may_reap_children_that_are_not_its_own),
        compile_test(test_an_embedder_may_have_closed_its_standard_streams),
        compile_test(test_an_embedder_may_block_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

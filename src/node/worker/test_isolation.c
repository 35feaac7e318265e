/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call that is not on the list ends the process; those that are bound to an argument end it with
 * any other; files are out of reach but for the directories. Each act is tried by a child that has confined
 * itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "node/worker/isolation.h"

enum {
    CALLS = 512, /* more than there are */
    POSSIBLE = 100,
    DIED = -1,
};

/* readable/file, writable/file, and a file outside of both. */
struct place {
    char path[64];
    int readable, writable, root, socket, channel;
};

static int open_beneath(int directory, const char *path, uint64_t flags)
{
    const struct open_how how = {.flags = flags | O_CLOEXEC, .mode = flags & O_CREAT ? 0600 : 0};
    long fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

static void make(const char *base, const char *name, bool directory)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", base, name);
    if (directory) {
        assert_int_equal(mkdir(path, 0700), 0);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static int open_place(void **state)
{
    static struct place place;
    int pair[2];
    *state = &place;
    snprintf(place.path, sizeof(place.path), "/tmp/berth-isolation-XXXXXX");
    assert_non_null(mkdtemp(place.path));
    make(place.path, "readable", true);
    make(place.path, "writable", true);
    make(place.path, "readable/file", false);
    make(place.path, "writable/file", false);
    make(place.path, "outside", false);
    place.root = open(place.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    place.readable = openat(place.root, "readable", O_PATH | O_DIRECTORY | O_CLOEXEC);
    place.writable = openat(place.root, "writable", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    place.channel = pair[0];
    place.socket = pair[1];
    return 0;
}

static int close_place(void **state)
{
    struct place *place = *state;
    unlinkat(place->readable, "file", 0);
    unlinkat(place->writable, "file", 0);
    unlinkat(place->writable, "made", 0);
    unlinkat(place->root, "outside", 0);
    unlinkat(place->root, "readable", AT_REMOVEDIR);
    unlinkat(place->root, "writable", AT_REMOVEDIR);
    rmdir(place->path);
    close(place->root);
    close(place->readable);
    close(place->writable);
    close(place->channel);
    close(place->socket);
    return 0;
}

/* ---- Children --------------------------------------------------------------------------------------- */

typedef int act_fn(const struct place *place, const long *arguments);

static void confine(const struct place *place, bool watch)
{
    const struct isolation_directory directories[] = {{place->readable, false}, {place->writable, true}};
    const struct isolation isolation = {
        .directories = directories,
        .n_directories = 2,
        .control = place->channel,
        .channel = place->channel,
        .watch = watch,
    };
    unsigned layers = 0;
    if (isolation_begin(&isolation, &layers) < 0 || isolation_finish(&isolation, &layers) < 0 ||
        layers != ISOLATION_ALL)
        _exit(POSSIBLE + 1);
}

/* DIED by the filter, or what the act returned: an errno, or POSSIBLE. */
static int attempt(const struct place *place, bool watch, act_fn *act, const long *arguments)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* The test framework's handlers are not for here. */
        signal(SIGSYS, SIG_DFL);
        confine(place, watch);
        int r = act(place, arguments);
        _exit(r < 0 ? -r : POSSIBLE);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGSYS);
        return DIED;
    }
    assert_int_not_equal(WEXITSTATUS(status), POSSIBLE + 1);
    return WEXITSTATUS(status);
}

static int call(const struct place *place, const long *a)
{
    (void)place;
    return syscall(a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? -errno : 0;
}

static int call_with(const struct place *place, long number, long a, long b, long c)
{
    const long arguments[6] = {number, a, b, c};
    return attempt(place, false, call, arguments);
}

/* ---- System calls ----------------------------------------------------------------------------------- */

/* uretprobe and uprobe of x86: the kernel lets no filter see them, and they do nothing but from its own code.
 */
static bool is_a_trampoline(long number)
{
#ifdef __x86_64__
    return number == 335 || number == 336;
#else
    return number < 0;
#endif
}

static void what_is_not_on_the_list_ends_the_process(void **state)
{
    const struct place *place = *state;
    int n_denied = 0;
    for (long number = 0; number < CALLS; number++) {
        if (isolation_allows((int)number, false) || is_a_trampoline(number))
            continue;
        if (call_with(place, number, 0, 0, 0) != DIED)
            fail_msg("system call %ld is possible", number);
        n_denied++;
    }
    print_message("%d of %d numbers are denied\n", n_denied, CALLS);
    assert_true(n_denied > CALLS - 110);
}

static void the_dangerous_ones_are_not_on_the_list(void **state)
{
    static const int calls[] = {
        SYS_socket,
        SYS_connect,
        SYS_bind,
        SYS_sendto,
        SYS_recvfrom,
        SYS_execve,
        SYS_execveat,
        SYS_ptrace,
        SYS_clone,
        SYS_clone3,
        SYS_kill,
        SYS_tkill,
        SYS_mount,
        SYS_unshare,
        SYS_setns,
        SYS_bpf,
        SYS_keyctl,
        SYS_io_uring_setup,
        SYS_chroot,
        SYS_setuid,
        SYS_capset,
        SYS_ioctl,
        SYS_pidfd_open,
        SYS_process_vm_readv,
        SYS_fchmod,
        SYS_fchownat,
        SYS_name_to_handle_at,
        SYS_userfaultfd,
        SYS_perf_event_open,
        SYS_open_by_handle_at,
        SYS_memfd_secret,
        SYS_shmget,
        SYS_mknodat,
        SYS_pidfd_getfd,
        SYS_seccomp,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        assert_false(isolation_allows(calls[i], true));
}

static void libraries_that_open_by_path_are_told_no(void **state)
{
    const struct place *place = *state;
    long path = (long)(uintptr_t)place->path;
    assert_int_equal(call_with(place, SYS_openat, AT_FDCWD, path, O_RDONLY), EACCES);
    assert_int_equal(call_with(place, SYS_openat, place->readable, (long)(uintptr_t)"file", O_RDONLY),
                     EACCES);
#ifdef SYS_open
    assert_int_equal(call_with(place, SYS_open, path, O_RDONLY, 0), EACCES);
#endif
}

/* The kernel takes the lower half of the register. */
static void the_working_directory_is_no_directory(void **state)
{
    static const uint64_t here[] = {(uint64_t)AT_FDCWD, UINT32_MAX - 99,
                                    0x1234567800000000 | (UINT32_MAX - 99), UINT64_MAX, 0x80000000};
    static const long calls[] = {SYS_openat2,    SYS_newfstatat, SYS_mkdirat,  SYS_unlinkat,
                                 SYS_readlinkat, SYS_utimensat,  SYS_renameat, SYS_linkat};
    const struct place *place = *state;
    long name = (long)(uintptr_t)"file";
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        for (size_t j = 0; j < sizeof(here) / sizeof(here[0]); j++)
            assert_int_equal(call_with(place, calls[i], (long)here[j], name, 0), DIED);
    assert_int_equal(call_with(place, SYS_renameat, place->writable, name, AT_FDCWD), DIED);
    assert_int_equal(call_with(place, SYS_linkat, place->writable, name, AT_FDCWD), DIED);
    assert_int_equal(call_with(place, SYS_symlinkat, name, AT_FDCWD, name), DIED);
}

static void sockets_are_bound_by_number(void **state)
{
    const struct place *place = *state;
    static struct msghdr empty;
    long message = (long)(uintptr_t)&empty;
    assert_int_equal(call_with(place, SYS_sendmsg, place->channel, message, MSG_DONTWAIT), POSSIBLE);
    assert_int_equal(call_with(place, SYS_sendmsg, place->socket, message, MSG_DONTWAIT), DIED);
    assert_int_equal(call_with(place, SYS_recvmsg, place->socket, message, MSG_DONTWAIT), DIED);
    assert_int_equal(call_with(place, SYS_setsockopt, place->channel, SOL_SOCKET, SO_PASSCRED), DIED);
    assert_int_equal(call_with(place, SYS_setsockopt, place->socket, SOL_SOCKET, SO_SNDBUF), DIED);
}

static void commands_are_bound(void **state)
{
    const struct place *place = *state;
    assert_int_equal(call_with(place, SYS_fcntl, place->channel, F_GETFL, 0), POSSIBLE);
    assert_int_equal(call_with(place, SYS_fcntl, place->channel, F_SETOWN, 1), DIED);
    assert_int_equal(call_with(place, SYS_fcntl, place->channel, F_NOTIFY, 1), DIED);
    assert_int_equal(call_with(place, SYS_prctl, PR_SET_DUMPABLE, 1, 0), DIED);
    assert_int_equal(call_with(place, SYS_prctl, PR_SET_PTRACER, -1, 0), DIED);
    assert_int_equal(call_with(place, SYS_tgkill, getppid(), getppid(), 0), DIED);
}

static void watching_is_for_nodes_that_grant_it(void **state)
{
    const struct place *place = *state;
    const long add[6] = {SYS_inotify_add_watch, -1, (long)(uintptr_t)".", 1};
    assert_int_equal(attempt(place, false, call, add), DIED);
    assert_int_equal(attempt(place, true, call, add), EBADF);
}

#ifdef __x86_64__
static void other_ways_into_the_kernel_are_closed(void **state)
{
    const struct place *place = *state;
    /* x32: the same call under another number. */
    assert_int_equal(call_with(place, 0x40000000 | SYS_getpid, 0, 0, 0), DIED);
}
#endif

/* ---- Files ------------------------------------------------------------------------------------------ */

struct opening {
    const char *from; /* "readable", "writable", "root" */
    const char *path;
    uint64_t flags;
    int expected;
};

static int open_it(const struct place *place, const long *arguments)
{
    const struct opening *opening = (const struct opening *)(uintptr_t)arguments[0];
    int from = strcmp(opening->from, "readable") == 0   ? place->readable
               : strcmp(opening->from, "writable") == 0 ? place->writable
                                                        : place->root;
    return open_beneath(from, opening->path, opening->flags);
}

static void files_are_out_of_reach_but_for_the_directories(void **state)
{
    static const struct opening openings[] = {
        {"readable", "file", O_RDONLY, POSSIBLE},
        {"readable", ".", O_RDONLY | O_DIRECTORY, POSSIBLE},
        {"readable", "file", O_WRONLY, EACCES},
        {"readable", "file", O_RDONLY | O_TRUNC, EACCES},
        {"readable", "made", O_WRONLY | O_CREAT, EACCES},
        {"readable", ".", O_WRONLY | O_TMPFILE, EACCES},
        {"readable", "../outside", O_RDONLY, EACCES},
        {"readable", "/etc/passwd", O_RDONLY, EACCES},
        {"readable", "/proc/self/exe", O_RDONLY, EACCES},
        {"readable", "/proc/self/mem", O_RDWR, EACCES},
        {"readable", "/proc/self/environ", O_RDONLY, EACCES},
        {"readable", "/dev/null", O_RDONLY, EACCES},
        {"writable", "file", O_RDWR, POSSIBLE},
        {"writable", "file", O_RDWR | O_TRUNC, POSSIBLE},
        {"writable", "made", O_WRONLY | O_CREAT, POSSIBLE},
        {"writable", "../outside", O_RDONLY, EACCES},
        {"root", "outside", O_RDONLY, EACCES},
        {"root", ".", O_RDONLY | O_DIRECTORY, EACCES},
        {"root", "readable/file", O_RDONLY, POSSIBLE},
        {"root", "readable/file", O_RDWR, EACCES},
    };
    const struct place *place = *state;
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        const long arguments[6] = {(long)(uintptr_t)&openings[i]};
        int r = attempt(place, false, open_it, arguments);
        if (r != openings[i].expected)
            fail_msg("%s from %s: %d, not %d", openings[i].path, openings[i].from, r, openings[i].expected);
    }
}

static int remove_a_file(const struct place *place, const long *arguments)
{
    (void)arguments;
    return unlinkat(place->readable, "file", 0) < 0 ? -errno : 0;
}

static int move_a_file_out(const struct place *place, const long *arguments)
{
    (void)arguments;
    return renameat(place->readable, "file", place->writable, "moved") < 0 ? -errno : 0;
}

static void nothing_leaves_a_directory_that_is_to_be_read(void **state)
{
    const struct place *place = *state;
    const long none[6] = {0};
    assert_int_equal(attempt(place, false, remove_a_file, none), EACCES);
    int r = attempt(place, false, move_a_file_out, none);
    assert_true(r == EACCES || r == EXDEV);
}

/* ---- The rest --------------------------------------------------------------------------------------- */

static int say_what_is_set(const struct place *place, const long *arguments)
{
    char line[128];
    int found = 0;
    FILE *status = fdopen((int)arguments[0], "r");
    (void)place;
    while (status && fgets(line, sizeof(line), status)) {
        found += strncmp(line, "NoNewPrivs:\t1", 13) == 0;
        found += strncmp(line, "Seccomp:\t2", 10) == 0;
    }
    return found == 2 ? 0 : -EINVAL;
}

static int show_limits(const struct place *place, const long *arguments)
{
    (void)place, (void)arguments;
    char *block = malloc(1 << 20); /* memory goes on working */
    if (!block)
        return -ENOMEM;
    memset(block, 1, 1 << 20);
    free(block);
    return 0;
}

static void the_process_itself_is_marked(void **state)
{
    const struct place *place = *state;
    /* Of the child: the file follows whoever reads it through "thread-self" only when opened, so each child
     * opens its own before it is confined. */
    int status;
    pid_t child = fork();
    if (child == 0) {
        const long arguments[6] = {open("/proc/self/status", O_RDONLY | O_CLOEXEC)};
        confine(place, false);
        _exit(say_what_is_set(place, arguments) == 0 ? POSSIBLE : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), POSSIBLE);
    const long none[6] = {0};
    assert_int_equal(attempt(place, false, show_limits, none), POSSIBLE);
}

static void the_self_test_finds_nothing_here(void **state)
{
    const struct place *place = *state;
    const struct isolation_directory directories[] = {{place->readable, false}, {place->writable, true}};
    const struct isolation isolation = {
        .directories = directories, .n_directories = 2, .control = place->channel, .channel = place->channel};
    const char *act = NULL;
    assert_int_equal(isolation_probe(&isolation, place->root, &act), 0);
    /* Unconfined, the same acts are possible: the test can fail. */
    assert_int_equal(isolation_verify(&isolation, place->root, ISOLATION_ALL, &act), 1);
    assert_non_null(act);
}

static void descriptors_that_are_not_kept_are_closed(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int first = dup(0), kept = dup(0), last = fcntl(0, F_DUPFD, 900);
        bool good = isolation_close_others(&kept, 1) == 0 && fcntl(first, F_GETFD) < 0 &&
                    fcntl(last, F_GETFD) < 0 && fcntl(kept, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void the_report_names_each_layer_once(void **state)
{
    (void)state;
    cleanup_free char *all = isolation_report(ISOLATION_ALL);
    cleanup_free char *some = isolation_report(ISOLATION_LIMITS);
    assert_string_equal(all, "{\"isolation\": [\"no_new_privileges\", \"no_dump\", \"limits\", \"files\", "
                             "\"network\", \"system_calls\"], \"missing\": []}");
    assert_string_equal(some,
                        "{\"isolation\": [\"limits\"], \"missing\": [\"no_new_privileges\", \"no_dump\", "
                        "\"files\", \"network\", \"system_calls\"]}");
}

/* A kernel without Landlock or seccomp has nothing to be tested. */
static bool kernel_lacks_layers(void)
{
    static const struct isolation isolation = {0};
    int status;
    pid_t child = fork();
    if (child == 0) {
        unsigned layers = 0;
        bool stands = isolation_begin(&isolation, &layers) == 0 && isolation_finish(&isolation, &layers) == 0;
        _exit(stands && layers != ISOLATION_ALL);
    }
    return child < 0 || waitpid(child, &status, 0) < 0 || status != 0;
}

enum { SKIPPED = 77 }; /* to Meson */

int main(void)
{
    if (kernel_lacks_layers())
        return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_on_the_list_ends_the_process),
        cmocka_unit_test(the_dangerous_ones_are_not_on_the_list),
        cmocka_unit_test(libraries_that_open_by_path_are_told_no),
        cmocka_unit_test(the_working_directory_is_no_directory),
        cmocka_unit_test(sockets_are_bound_by_number),
        cmocka_unit_test(commands_are_bound),
        cmocka_unit_test(watching_is_for_nodes_that_grant_it),
#ifdef __x86_64__
        cmocka_unit_test(other_ways_into_the_kernel_are_closed),
#endif
        cmocka_unit_test(files_are_out_of_reach_but_for_the_directories),
        cmocka_unit_test(nothing_leaves_a_directory_that_is_to_be_read),
        cmocka_unit_test(the_process_itself_is_marked),
        cmocka_unit_test(the_self_test_finds_nothing_here),
        cmocka_unit_test(descriptors_that_are_not_kept_are_closed),
        cmocka_unit_test(the_report_names_each_layer_once),
    };
    return cmocka_run_group_tests_name("isolation", tests, open_place, close_place);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test: nothing is believed that was not tried. The filter answers with death, so an act is tried in
 * a child that has confined itself as the worker will; what is refused with an error, the worker tries itself
 * as well once it is confined.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/worker/isolation_layers.h"

/* root: "/", opened before. Negative: refused. One that ends the process says nothing any more. */
typedef long act_fn(const struct isolation *isolation, int root);

static long result(long value)
{
    return value < 0 ? -errno : 0;
}

static long make_socket(const struct isolation *isolation, int root)
{
    (void)isolation, (void)root;
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static long start_program(const struct isolation *isolation, int root)
{
    char *const arguments[] = {NULL};
    (void)isolation, (void)root;
    return result(execve("/proc/self/exe", arguments, arguments));
}

static long make_process(const struct isolation *isolation, int root)
{
    (void)isolation, (void)root;
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(0);
    return result(child);
}

static long trace(const struct isolation *isolation, int root)
{
    (void)isolation, (void)root;
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static long signal_another(const struct isolation *isolation, int root)
{
    (void)isolation, (void)root;
    return result(kill(1, 0));
}

static long open_by_path(const struct isolation *isolation, int root)
{
    (void)isolation, (void)root;
    return result(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static long open_from_here(const struct isolation *isolation, int root)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
    (void)isolation, (void)root;
    return result(syscall(SYS_openat2, AT_FDCWD, "/proc/self/exe", &how, sizeof(how)));
}

static long send_elsewhere(const struct isolation *isolation, int root)
{
    struct msghdr message = {0};
    (void)isolation, (void)root;
    return result(sendmsg(STDERR_FILENO, &message, 0));
}

static long leave_namespace(const struct isolation *isolation, int root)
{
    (void)isolation, (void)root;
    return result(unshare(CLONE_NEWUSER));
}

static long open_beneath(int directory, const char *path, uint64_t flags)
{
    const struct open_how how = {.flags = flags | O_CLOEXEC};
    cleanup_close int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
    return result(fd);
}

static long open_outside(const struct isolation *isolation, int root)
{
    (void)isolation;
    return open_beneath(root, ".", O_RDONLY | O_DIRECTORY);
}

/* The file would have no name. */
static long write_where_one_reads(const struct isolation *isolation, int root)
{
    (void)root;
    for (size_t i = 0; i < isolation->n_directories; i++)
        if (!isolation->directories[i].writable &&
            open_beneath(isolation->directories[i].descriptor, ".", O_WRONLY | O_TMPFILE) == 0)
            return 0;
    return -EACCES;
}

static const struct act {
    const char *name;
    act_fn *try;
    enum isolation_layer layer; /* that must refuse it */
    bool inside;                /* it is refused with an error */
} acts[] = {
    {"making a socket", make_socket, ISOLATION_SYSTEM_CALLS, false},
    {"starting a program", start_program, ISOLATION_SYSTEM_CALLS, false},
    {"making a process", make_process, ISOLATION_SYSTEM_CALLS, false},
    {"tracing", trace, ISOLATION_SYSTEM_CALLS, false},
    {"signalling another process", signal_another, ISOLATION_SYSTEM_CALLS, false},
    {"opening a file by its path", open_by_path, ISOLATION_SYSTEM_CALLS, true},
    {"opening a file from the working directory", open_from_here, ISOLATION_SYSTEM_CALLS, false},
    {"sending on another descriptor", send_elsewhere, ISOLATION_SYSTEM_CALLS, false},
    {"making a namespace", leave_namespace, ISOLATION_SYSTEM_CALLS, false},
    {"opening what is outside of the mounts", open_outside, ISOLATION_FILES, true},
    {"writing to a mount that is to be read", write_where_one_reads, ISOLATION_FILES, true},
};

enum { N_ACTS = sizeof(acts) / sizeof(acts[0]) };
enum { CHILD_REFUSED = 0, CHILD_POSSIBLE = 1, CHILD_CANNOT_TELL = 2 };

static _Noreturn void try_in_child(const struct isolation *isolation, int root, const struct act *act)
{
    unsigned layers = 0;
    if (isolation_begin(isolation, &layers) < 0 || isolation_finish(isolation, &layers) < 0)
        _exit(CHILD_CANNOT_TELL);
    /* A layer that is missing is reported as that. */
    if (!(layers & act->layer))
        _exit(CHILD_REFUSED);
    _exit(act->try(isolation, root) < 0 ? CHILD_REFUSED : CHILD_POSSIBLE);
}

/* 0: refused, in whatever way. 1: possible. */
static int try_act(const struct isolation *isolation, int root, const struct act *act)
{
    int status;
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        try_in_child(isolation, root, act);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? 0 : -EIO;
    return WEXITSTATUS(status) == CHILD_REFUSED ? 0 : WEXITSTATUS(status) == CHILD_POSSIBLE ? 1 : -EIO;
}

int isolation_probe(const struct isolation *isolation, int root, const char **ret_act)
{
    for (size_t i = 0; i < N_ACTS; i++) {
        int r = try_act(isolation, root, &acts[i]);
        *ret_act = acts[i].name;
        if (r != 0)
            return r;
    }
    return 0;
}

int isolation_verify(const struct isolation *isolation, int root, unsigned layers, const char **ret_act)
{
    for (size_t i = 0; i < N_ACTS; i++) {
        *ret_act = acts[i].name;
        if (acts[i].inside && layers & acts[i].layer && acts[i].try(isolation, root) >= 0)
            return 1;
    }
    return 0;
}

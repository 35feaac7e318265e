/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of a worker (seccomp(2) by libseccomp), for all its threads: a list of what guests, engine
 * and C library need; anything else kills the process. Calls that take a directory take an open one, never
 * the working directory; sockets are written to and read from by number.
 *
 * A number of a descriptor is an int: the kernel looks at its lower 32 bits, so the filter does, too. What
 * lies behind pointers (paths, the flags of openat2) it cannot see; that is Landlock's part.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/worker/isolation_layers.h"

#define LOW_BITS UINT64_C(0xffffffff)
#define SIGN_BIT UINT64_C(0x80000000)

/* Without conditions. */
static const int plain_calls[] = {
    /* Memory. Machine code is mapped when a module comes, so executable mappings stay possible. */
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    SCMP_SYS(memfd_create),
    /* Threads that stand already, signals of traps, time, ending. */
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* A thread that was made just before says this of itself when it has its first turn. */
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    /* Waiting. */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(eventfd2),
    /* Files that are open. */
    SCMP_SYS(close),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(getdents64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fadvise64),
    SCMP_SYS(dup3),
};

/* The first argument is a directory that is open. */
static const int calls_at[] = {
    SCMP_SYS(openat2),   SCMP_SYS(newfstatat), SCMP_SYS(statx),     SCMP_SYS(mkdirat),
    SCMP_SYS(unlinkat),  SCMP_SYS(renameat),   SCMP_SYS(renameat2), SCMP_SYS(linkat),
    SCMP_SYS(symlinkat), SCMP_SYS(readlinkat), SCMP_SYS(utimensat),
};

/* Asked for by libraries that can do without. */
static const int refused_calls[] = {
    SCMP_SYS(open), SCMP_SYS(openat),   SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(stat), SCMP_SYS(readlink), SCMP_SYS(uname),  SCMP_SYS(sysinfo),
};

static const int watch_calls[] = {SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch),
                                  SCMP_SYS(inotify_rm_watch)};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool is_in(const int *list, size_t n_list, int system_call)
{
    for (size_t i = 0; i < n_list; i++)
        if (list[i] == system_call)
            return true;
    return false;
}

/* ---- Rules ------------------------------------------------------------------------------------------ */

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t n_calls)
{
    int r = 0;
    for (size_t i = 0; i < n_calls && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

/* A renaming and a link have two directories. */
static int second_directory_of(int system_call)
{
    return system_call == SCMP_SYS(renameat) || system_call == SCMP_SYS(renameat2) ||
                   system_call == SCMP_SYS(linkat)
               ? 2
           : system_call == SCMP_SYS(symlinkat) ? 1
                                                : -1;
}

static int allow_at(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; i < COUNT(calls_at) && r == 0; i++) {
        int second = second_directory_of(calls_at[i]);
        const struct scmp_arg_cmp first_open = SCMP_A0(SCMP_CMP_MASKED_EQ, SIGN_BIT, 0);
        const struct scmp_arg_cmp second_open = {(unsigned)(second < 0 ? 0 : second), SCMP_CMP_MASKED_EQ,
                                                 SIGN_BIT, 0};
        if (second == 1) /* symlinkat(target, directory, name) */
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls_at[i], 1, second_open);
        else if (second > 0)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls_at[i], 2, first_open, second_open);
        else
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls_at[i], 1, first_open);
    }
    return r;
}

static int allow_first(scmp_filter_ctx filter, int system_call, int first)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, system_call, 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, LOW_BITS, (uint32_t)first));
}

/* Packets over the two sockets, and the size of a new channel's buffer. */
static int allow_sockets(scmp_filter_ctx filter, const struct isolation *isolation)
{
    const int sockets[] = {isolation->control, isolation->channel};
    int r = 0;
    for (int i = 0; i < 2 && r == 0; i++) {
        r = allow_first(filter, SCMP_SYS(sendmsg), sockets[i]);
        if (r == 0)
            r = allow_first(filter, SCMP_SYS(recvmsg), sockets[i]);
    }
    return r < 0 ? r
                 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 3,
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, LOW_BITS, (uint32_t)isolation->channel),
                                    SCMP_A1(SCMP_CMP_MASKED_EQ, LOW_BITS, SOL_SOCKET),
                                    SCMP_A2(SCMP_CMP_MASKED_EQ, LOW_BITS, SO_SNDBUF));
}

/* Copies of descriptors, flags of open files, the seals of artifacts. */
static int allow_fcntl(scmp_filter_ctx filter)
{
    static const int commands[] = {F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,    F_GETFL,
                                   F_SETFL,         F_GET_SEALS, F_ADD_SEALS};
    int r = 0;
    for (size_t i = 0; i < COUNT(commands) && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, LOW_BITS, (uint32_t)commands[i]));
    return r;
}

/* abort(), and what a new thread calls itself. */
static int allow_own(scmp_filter_ctx filter)
{
    int r = allow_first(filter, SCMP_SYS(tgkill), getpid());
    if (r == 0)
        r = allow_first(filter, SCMP_SYS(prctl), PR_SET_NAME);
    return r < 0 ? r : allow_first(filter, SCMP_SYS(prctl), PR_SET_TIMERSLACK);
}

static int refuse(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; i < COUNT(refused_calls) && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused_calls[i], 0);
    return r;
}

static int add_rules(scmp_filter_ctx filter, const struct isolation *isolation)
{
    int r = allow_all(filter, plain_calls, COUNT(plain_calls));
    if (r == 0 && isolation->watch)
        r = allow_all(filter, watch_calls, COUNT(watch_calls));
    if (r == 0)
        r = allow_at(filter);
    if (r == 0)
        r = allow_sockets(filter, isolation);
    if (r == 0)
        r = allow_fcntl(filter);
    if (r == 0)
        r = allow_own(filter);
    return r < 0 ? r : refuse(filter);
}

int isolation_filter_calls(const struct isolation *isolation, unsigned *layers)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return -ENOMEM;
    int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    if (r == 0)
        r = add_rules(filter, isolation);
    if (r == 0) {
        r = seccomp_load(filter);
        if (r == 0)
            *layers |= ISOLATION_SYSTEM_CALLS;
        else if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -ECANCELED)
            r = 0; /* a kernel without it */
    }
    seccomp_release(filter);
    return r;
}

bool isolation_allows(int system_call, bool watch)
{
    static const int conditional[] = {SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(setsockopt),
                                      SCMP_SYS(fcntl),   SCMP_SYS(tgkill),  SCMP_SYS(prctl)};
    return is_in(plain_calls, COUNT(plain_calls), system_call) ||
           is_in(calls_at, COUNT(calls_at), system_call) ||
           is_in(conditional, COUNT(conditional), system_call) ||
           is_in(refused_calls, COUNT(refused_calls), system_call) ||
           (watch && is_in(watch_calls, COUNT(watch_calls), system_call));
}

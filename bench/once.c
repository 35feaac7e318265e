/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command once, reads its output as fast as it comes and prints what it took: seconds, seconds until
 * the first byte (-1: none), seconds of processor time, peak resident KiB, exit status. A program of its own
 * because a process begins with the peak of the one that it was forked from.
 *
 *   once COMMAND [ARGUMENT…]
 */
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "process.h"

enum { READ_BYTES = 1 << 20 };

static unsigned char bytes[READ_BYTES];

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    int ends[2], status;
    pid_t child;
    if (argc < 2 || pipe(ends) < 0)
        return 64;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    double start = now_us(), first = 0;
    int failure = posix_spawn(&child, argv[1], &actions, NULL, argv + 1, environ);
    if (failure != 0) {
        fprintf(stderr, "once: %s: %s\n", argv[1], strerror(failure));
        return 127;
    }
    close(ends[1]);
    while (read(ends[0], bytes, sizeof(bytes)) > 0)
        if (first == 0)
            first = now_us();
    if (wait4(child, &status, 0, &usage) != child)
        return 125;
    double end = now_us();
    printf("%.6f %.6f %.6f %ld %d\n", (end - start) / 1e6, first == 0 ? -1 : (first - start) / 1e6,
           seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime), usage.ru_maxrss,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

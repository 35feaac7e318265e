/* SPDX-License-Identifier: Apache-2.0 */
/* See child.h. */
#include "node/supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/checked_math.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "node/process.h"

enum {
    PAUSE_FIRST_MS = 100,
    PAUSE_LAST_MS = 10000,
    HEALTHY_AFTER_S = 60,
    SEND_PATIENCE_S = 5, /* a child that does not read its messages cannot hold us up for longer */
};

void child_init(struct child *child, const char *role, unsigned number)
{
    *child = (struct child){.role = role, .number = number, .control = -1, .pause_ms = PAUSE_FIRST_MS};
}

/* The signals that the supervisor takes in its own way. */
static void default_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
}

static int place_descriptors(posix_spawn_file_actions_t *actions, int control)
{
    int r = posix_spawn_file_actions_adddup2(actions, control, CONTROL_FD);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, CONTROL_FD + 1);
    return r;
}

static int spawn(const struct child *child, int control, pid_t *ret)
{
    char number[16], program[] = "berth", role[32];
    char *arguments[] = {program, role, strcmp(child->role, ROLE_WORKER) == 0 ? number : NULL, NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    snprintf(number, sizeof(number), "%u", child->number);
    snprintf(role, sizeof(role), "%s", child->role);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    default_signals(&attributes);
    int r = place_descriptors(&actions, control);
    if (r == 0)
        r = posix_spawn(ret, "/proc/self/exe", &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

int child_start(struct child *child, uint64_t now_ns)
{
    const struct timeval patience = {.tv_sec = SEND_PATIENCE_S};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    cleanup_close int ours = ends[0], theirs = ends[1];
    if (setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
        return -errno;
    int r = spawn(child, theirs, &child->pid);
    if (r < 0) {
        child->pid = 0;
        return r;
    }
    child->control = take_fd(&ours);
    child->started_ns = now_ns;
    child->fresh = true;
    child->ready = false;
    return 0;
}

void child_signal(const struct child *child, int signal_number)
{
    if (child->pid > 0)
        (void)kill(child->pid, signal_number);
}

void child_retire(struct child *child, uint64_t now_ns)
{
    if (child->ready && now_ns - child->started_ns >= HEALTHY_AFTER_S * NS_PER_S)
        child->pause_ms = PAUSE_FIRST_MS;
    child->start_at_ns = saturating_add_u64(now_ns, child->pause_ms * NS_PER_MS);
    child->pause_ms = child->pause_ms < PAUSE_LAST_MS / 2 ? child->pause_ms * 2 : PAUSE_LAST_MS;
    child->control = close_keeping_errno(child->control);
    child->pid = 0;
    child->fresh = child->ready = child->failed = false;
}

void child_name(const struct child *child, char ret[static CHILD_NAME_BYTES])
{
    if (strcmp(child->role, ROLE_WORKER) == 0)
        snprintf(ret, CHILD_NAME_BYTES, "worker %u", child->number);
    else
        snprintf(ret, CHILD_NAME_BYTES, "%s",
                 strcmp(child->role, ROLE_FRONT) == 0 ? "the front" : "the compiler");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See children.h. */
#include "node/supervisor/children.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "node/process.h"

int children_init(struct children *children, size_t n_workers)
{
    *children = (struct children){.settings = -1, .inputs = -1};
    children->all = calloc(CHILD_WORKERS + n_workers, sizeof(*children->all));
    if (!children->all)
        return -ENOMEM;
    children->count = CHILD_WORKERS + n_workers;
    child_init(&children->all[CHILD_FRONT], ROLE_FRONT, 0);
    child_init(&children->all[CHILD_COMPILER], ROLE_COMPILER, 0);
    for (size_t i = CHILD_WORKERS; i < children->count; i++)
        child_init(&children->all[i], ROLE_WORKER, (unsigned)(i - CHILD_WORKERS));
    return 0;
}

void children_done(struct children *children)
{
    for (size_t i = 0; i < children->count; i++)
        close_keeping_errno(children->all[i].control);
    free(children->all);
    *children = (struct children){0};
}

/* A child that cannot be told what it needs is of no use. Its end is noticed as any other. */
static void tell(const struct child *child, uint32_t kind, uint32_t index, const char *text, int descriptor)
{
    if (child->pid > 0 && control_send(child->control, kind, index, text, descriptor) < 0)
        child_signal(child, SIGKILL);
}

/* A description of its own, so that no reader moves another one's offset. */
static void tell_settings(const struct children *children, const struct child *child)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", children->settings);
    cleanup_close int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        child_signal(child, SIGKILL);
    else
        tell(child, CONTROL_SETTINGS, 0, NULL, file);
}

/* What concerns this child alone. */
static void equip(const struct children *children, size_t place)
{
    const struct child *child = &children->all[place];
    tell_settings(children, child);
    if (place == CHILD_COMPILER)
        return;
    if (place == CHILD_FRONT) {
        tell(child, CONTROL_STATE, 0, children->state, -1);
        for (size_t i = 0; i < children->listening->count; i++)
            tell(child, CONTROL_LISTENER, (uint32_t)i, NULL, children->listening->sockets[i]);
    } else {
        for (size_t i = 0; i < children->n_mounts; i++)
            tell(child, CONTROL_MOUNT, (uint32_t)i, NULL, children->mounts[i]);
    }
    tell(child, CONTROL_INPUTS, 0, NULL, children->inputs);
}

/* A new socket pair between the front and this child; the child's end is closed if it does not stand. */
static void connect_to_front(const struct children *children, size_t place)
{
    const struct child *front = &children->all[CHILD_FRONT], *child = &children->all[place];
    uint32_t kind = place == CHILD_COMPILER ? CONTROL_COMPILER : CONTROL_CHANNEL;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        child_signal(child, SIGKILL);
        return;
    }
    cleanup_close int of_front = ends[0], of_child = ends[1];
    tell(front, kind, child->number, NULL, of_front);
    tell(child, kind, child->number, NULL, of_child);
}

static void connect_and_release_fresh(const struct children *children)
{
    const struct child *front = &children->all[CHILD_FRONT];
    for (size_t i = CHILD_COMPILER; i < children->count && front->pid > 0; i++)
        if (front->fresh || children->all[i].fresh)
            connect_to_front(children, i);
    for (size_t i = 0; i < children->count; i++) {
        struct child *child = &children->all[i];
        if (child->fresh)
            tell(child, CONTROL_GO, 0, NULL, -1);
        child->fresh = false;
    }
}

int children_start_due(struct children *children, uint64_t now_ns)
{
    int result = 0;
    bool started = false;
    for (size_t i = 0; i < children->count; i++) {
        struct child *child = &children->all[i];
        if (child->pid > 0 || child->start_at_ns > now_ns)
            continue;
        int r = child_start(child, now_ns);
        if (r < 0) {
            child_retire(child, now_ns);
            result = r;
            continue;
        }
        equip(children, i);
        started = true;
    }
    if (started)
        connect_and_release_fresh(children);
    return result;
}

uint64_t children_next_start_ns(const struct children *children)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < children->count; i++)
        if (children->all[i].pid == 0 && children->all[i].start_at_ns < next)
            next = children->all[i].start_at_ns;
    return next;
}

struct child *children_find(const struct children *children, pid_t pid)
{
    for (size_t i = 0; i < children->count; i++)
        if (children->all[i].pid == pid)
            return &children->all[i];
    return NULL;
}

bool children_are_ready(const struct children *children)
{
    for (size_t i = 0; i < children->count; i++)
        if (!children->all[i].ready)
            return false;
    return true;
}

size_t children_standing(const struct children *children)
{
    size_t standing = 0;
    for (size_t i = 0; i < children->count; i++)
        standing += children->all[i].pid > 0;
    return standing;
}

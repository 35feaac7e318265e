/* SPDX-License-Identifier: Apache-2.0 */
/* See watch.h. wait_for_change is here as well: it is little else. */
#include "wasi/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "wasi/denial.h"
#include "wasi/guest_errno.h"
#include "wasi/resolve.h"

enum {
    BUCKETS = 256,
    EVENT_BUFFER_BYTES = 4096,
    READS_PER_LOOK = 64, /* a file system that never rests must not hold a step */
};

/* Contents, names and attributes; not that something was read. */
enum {
    CHANGES = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |
              IN_MOVE_SELF,
};

struct watch {
    struct wasi_context *context;
    struct watch_point *point; /* NULL: the kernel gave it up (the inode went, its file system too) */
    const struct mount *mount;
    int fd; /* the descriptor's */
    bool changed;
    LIST_ENTRY(watch) next;
};

LIST_HEAD(watch_list, watch);

struct watch_point {
    int number; /* inotify's watch descriptor */
    struct watch_list watches;
    LIST_ENTRY(watch_point) next;
};

LIST_HEAD(watch_point_list, watch_point);

struct wasi_watches {
    int fd;
    void (*on_change)(void *payload);
    struct watch_point_list points[BUCKETS]; /* by number */
};

int wasi_watches_new(void (*on_change)(void *payload), struct wasi_watches **ret)
{
    struct wasi_watches *watches = calloc(1, sizeof *watches);
    if (!watches)
        return -ENOMEM;
    watches->on_change = on_change;
    watches->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watches->fd < 0) {
        int r = -errno;
        free(watches);
        return r;
    }
    *ret = watches;
    return 0;
}

void wasi_watches_free(struct wasi_watches *watches)
{
    if (!watches)
        return;
    close_keeping_errno(watches->fd);
    free(watches);
}

int wasi_watches_descriptor(const struct wasi_watches *watches)
{
    return watches->fd;
}

/* ---- Points ------------------------------------------------------------------------------------- */

static struct watch_point_list *bucket(struct wasi_watches *watches, int number)
{
    return &watches->points[(unsigned)number % BUCKETS];
}

static struct watch_point *find_point(struct wasi_watches *watches, int number)
{
    struct watch_point *point;
    LIST_FOREACH(point, bucket(watches, number), next)
    if (point->number == number)
        return point;
    return NULL;
}

/* The kernel answers with the number that the inode has already, if it has one. */
static int get_point(struct wasi_watches *watches, int fd, struct watch_point **ret)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int number = inotify_add_watch(watches->fd, path, CHANGES);
    if (number < 0)
        return -errno;
    *ret = find_point(watches, number);
    if (*ret)
        return 0;
    *ret = calloc(1, sizeof **ret);
    if (!*ret) {
        inotify_rm_watch(watches->fd, number);
        return -ENOMEM;
    }
    (*ret)->number = number;
    LIST_INSERT_HEAD(bucket(watches, number), *ret, next);
    return 0;
}

static void leave_point(struct watch *watch)
{
    struct watch_point *point = watch->point;
    if (!point)
        return;
    LIST_REMOVE(watch, next);
    watch->point = NULL;
    if (!LIST_EMPTY(&point->watches))
        return;
    inotify_rm_watch(watch->context->watches->fd, point->number);
    LIST_REMOVE(point, next);
    free(point);
}

/* ---- Watches of descriptors --------------------------------------------------------------------- */

int watch_begin(struct wasi_context *context, struct descriptor *descriptor)
{
    struct watch_point *point = NULL;
    struct watch *watch = descriptor->watch;
    if (!watch) {
        watch = calloc(1, sizeof *watch);
        if (!watch)
            return -ENOMEM;
        *watch = (struct watch){.context = context, .mount = descriptor->mount, .fd = descriptor->fd};
        descriptor->watch = watch;
    }
    if (watch->point)
        return 0;
    int r = get_point(context->watches, watch->fd, &point);
    if (r)
        return r;
    watch->point = point;
    LIST_INSERT_HEAD(&point->watches, watch, next);
    return 0;
}

bool watch_take(struct descriptor *descriptor)
{
    bool changed = descriptor->watch->changed;
    descriptor->watch->changed = false;
    return changed;
}

void watch_forget(struct descriptor *descriptor)
{
    if (!descriptor->watch)
        return;
    leave_point(descriptor->watch);
    free(descriptor->watch);
    descriptor->watch = NULL;
}

/* ---- What the kernel says ----------------------------------------------------------------------- */

static void mark(struct wasi_watches *watches, struct watch *watch)
{
    if (watch->changed)
        return;
    watch->changed = true;
    watches->on_change(watch->context->payload);
}

static bool is_hidden(const struct watch *watch, const struct inotify_event *event)
{
    if (!watch->mount->hide)
        return false;
    if (!event->len)
        return mount_hides(watch->mount, watch->fd);
    return name_hidden(watch->mount, watch->fd, event->name,
                       event->mask & IN_ISDIR ? HIDE_DIRECTORY : HIDE_OTHER);
}

/* Changes were lost: anything may have changed. */
static void mark_all(struct wasi_watches *watches)
{
    struct watch_point *point;
    struct watch *watch;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_FOREACH(point, &watches->points[i], next)
    LIST_FOREACH(watch, &point->watches, next)
    mark(watches, watch);
}

/* The kernel watches it no more; a further wait will ask it to. */
static void drop_point(struct wasi_watches *watches, struct watch_point *point)
{
    struct watch *watch;
    while ((watch = LIST_FIRST(&point->watches))) {
        LIST_REMOVE(watch, next);
        watch->point = NULL;
        mark(watches, watch);
    }
    LIST_REMOVE(point, next);
    free(point);
}

static void take_event(struct wasi_watches *watches, const struct inotify_event *event)
{
    struct watch *watch;
    if (event->mask & IN_Q_OVERFLOW) {
        mark_all(watches);
        return;
    }
    struct watch_point *point = find_point(watches, event->wd);
    if (!point) /* of a watch that was ended meanwhile */
        return;
    if (event->mask & IN_IGNORED) {
        drop_point(watches, point);
        return;
    }
    LIST_FOREACH(watch, &point->watches, next)
    if (!watch->changed && !is_hidden(watch, event))
        mark(watches, watch);
}

void wasi_watches_look(struct wasi_watches *watches)
{
    char buffer[EVENT_BUFFER_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    for (int i = 0; i < READS_PER_LOOK; i++) {
        ssize_t length = read(watches->fd, buffer, sizeof buffer);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return;
        for (size_t at = 0; at + sizeof(struct inotify_event) <= (size_t)length;) {
            const struct inotify_event *event = (const void *)(buffer + at);
            at += sizeof *event + event->len;
            take_event(watches, event);
        }
    }
}

/* ---- wait_for_change ---------------------------------------------------------------------------- */

static int find_watchable(struct call *call, struct descriptor **ret)
{
    int r = descriptor_find(call, call_u32(call, 0), ret);
    if (r)
        return r;
    if ((*ret)->kind == DESCRIPTOR_STREAM)
        return ERRNO_INVAL;
    uint64_t needed = (*ret)->kind == DESCRIPTOR_DIRECTORY ? RIGHTS_FD_READDIR : RIGHTS_FD_READ;
    return descriptor_require(call, *ret, needed, NULL);
}

static int deny_watching(struct call *call, const struct descriptor *descriptor)
{
    deny(call, &(struct denial){.mount = descriptor->mount,
                                .rule = "grants.watch",
                                .observed = "one",
                                .allowed = "no waiting for changes",
                                .remedy = "watch = true"});
    return ERRNO_NOTCAPABLE;
}

int call_wait_for_change(struct call *call)
{
    struct wasi_context *context = call->context;
    int64_t timeout_ms = (int64_t)call_u64(call, 1);
    struct descriptor *descriptor;
    int r = find_watchable(call, &descriptor);
    if (r)
        return r;
    if (!context->watch)
        return deny_watching(call, descriptor);
    /* Data that a deterministic run depends on does not change. */
    if (context->deterministic || !context->watches)
        return ERRNO_NOTSUP;
    r = watch_begin(context, descriptor);
    if (r)
        return guest_errno(r);
    wasi_watches_look(context->watches);
    if (watch_take(descriptor))
        return 0;
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t started_ns = context->pending.active ? context->pending.started_ns : now_ns;
    uint64_t timeout_ns = timeout_ms < 0 ? UINT64_MAX : saturating_mul_u64((uint64_t)timeout_ms, NS_PER_MS);
    uint64_t deadline_ns = saturating_add_u64(started_ns, timeout_ns);
    if (deadline_ns <= now_ns)
        return ERRNO_TIMEDOUT;
    context->pending.started_ns = started_ns;
    context->wait = (struct wasi_wait){.deadline_ns = deadline_ns, .sources = WASI_WAIT_CHANGE};
    return CALL_WAIT;
}

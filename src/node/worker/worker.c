/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a worker: a step of the schedule, what leaves, then one wait for the supervisor, the front, the
 * guests' descriptors and the next time, which is no wait at all while a guest can run.
 */
#include "node/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/checked_math.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "node/process.h"

/* What an epoll event is about. */
enum { ABOUT_SUPERVISOR, ABOUT_FRONT, ABOUT_GUESTS, SUBJECTS };

static int watch(struct worker *worker, int operation, int descriptor, uint32_t about, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = about};
    return epoll_ctl(worker->epoll, operation, descriptor, &event) < 0 ? -errno : 0;
}

/* ---- Life ------------------------------------------------------------------------------------------- */

static int make_buffers(struct worker *worker)
{
    worker->packet = malloc(CHANNEL_PACKET_BYTES);
    if (!worker->packet)
        return -ENOMEM;
    for (int i = 0; i < UNSENT_MAX; i++)
        if (!(worker->unsent[i].bytes = malloc(CHANNEL_PACKET_BYTES)))
            return -ENOMEM;
    return 0;
}

static int set_up(struct worker *worker)
{
    int r = make_buffers(worker);
    if (r < 0)
        return r;
    if (berth_schedule_new(worker->engine, &worker->schedule, NULL) != BERTH_OK)
        return -ENOMEM;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0)
        return -errno;
    berth_schedule_step(worker->schedule, &worker->wait);
    r = watch(worker, EPOLL_CTL_ADD, worker->control, ABOUT_SUPERVISOR, EPOLLIN);
    return r < 0 ? r : watch(worker, EPOLL_CTL_ADD, worker->wait.descriptor, ABOUT_GUESTS, EPOLLIN);
}

int worker_new(berth_engine *engine, struct worker_mount *mounts, size_t n_mounts, int control,
               struct worker **ret)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->engine = berth_engine_ref(engine);
    worker->mounts = mounts;
    worker->n_mounts = n_mounts;
    worker->control = control;
    worker->channel = worker->epoll = -1;
    worker->next_deadline_ns = UINT64_MAX;
    TAILQ_INIT(&worker->guests);
    TAILQ_INIT(&worker->waiting);
    int r = set_up(worker);
    if (r < 0) {
        worker->mounts = NULL;
        worker->n_mounts = 0;
        worker_free(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

void worker_free(struct worker *worker)
{
    struct guest *guest;
    if (!worker)
        return;
    while ((guest = TAILQ_FIRST(&worker->guests)))
        guest_free(guest);
    worker_clear_tables(worker);
    for (size_t i = 0; i < worker->n_mounts; i++) {
        close_keeping_errno(worker->mounts[i].descriptor);
        free(worker->mounts[i].host);
    }
    free(worker->mounts);
    close_keeping_errno(worker->epoll);
    berth_schedule_free(worker->schedule);
    berth_engine_unref(worker->engine);
    for (int i = 0; i < UNSENT_MAX; i++)
        free(worker->unsent[i].bytes);
    free(worker->packet);
    free(worker->by_number);
    free(worker);
}

/* ---- Fronts ----------------------------------------------------------------------------------------- */

/* Its descriptor has a fixed number, which the filter of system calls knows; /dev/null keeps the place. */
int worker_connect(struct worker *worker, int channel_taken)
{
    cleanup_close int channel = channel_taken;
    const int size = CHANNEL_BUFFER_BYTES;
    if (worker->channel >= 0) {
        /* What the last front still said holds: a run that it has started and written down, for one. */
        while (worker_listen(worker) == 0)
            ;
        worker_disconnect(worker);
    }
    if (dup3(channel, CHANNEL_FD, O_CLOEXEC) < 0)
        return -errno;
    int r = watch(worker, EPOLL_CTL_ADD, CHANNEL_FD, ABOUT_FRONT, EPOLLIN);
    if (r < 0)
        return r;
    setsockopt(CHANNEL_FD, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    worker->channel = CHANNEL_FD;
    worker->channel_events = EPOLLIN;
    worker->greeted = false;
    return 0;
}

void worker_disconnect(struct worker *worker)
{
    struct guest *guest;
    watch(worker, EPOLL_CTL_DEL, worker->channel, ABOUT_FRONT, 0);
    dup3(STDIN_FILENO, CHANNEL_FD, O_CLOEXEC);
    worker->channel = -1;
    worker->n_unsent = 0;
    /* The next front has its own numbers. */
    worker_clear_tables(worker);
    for (size_t i = 0; i < worker->n_numbers; i++)
        worker->by_number[i] = NULL;
    TAILQ_FOREACH(guest, &worker->guests, all)
    {
        guest->orphaned = true;
        guest->announced = false;
        guest->credit_bytes[0] = guest->credit_bytes[1] = 0;
        if (guest->detached)
            continue;
        guest->unheard = true;
        guest_cancel(guest);
    }
}

/* ---- The loop --------------------------------------------------------------------------------------- */

/* 0; 1: the supervisor has gone. */
static int hear_supervisor(struct worker *worker)
{
    struct control_message message;
    cleanup_close int descriptor = -1;
    int r = control_receive(worker->control, &message, &descriptor);
    if (r == -EAGAIN)
        return 0;
    if (r != 0)
        return r;
    if (message.kind == CONTROL_CHANNEL && descriptor >= 0)
        return worker_connect(worker, take_fd(&descriptor));
    return 0;
}

static int hear_front(struct worker *worker, uint32_t events)
{
    int r = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? worker_listen(worker) : -EAGAIN;
    if (r == 0 || r == -EAGAIN)
        return 0;
    /* Nobody would ever tell the front what became of a run for which there is no memory. */
    if (r == -ENOMEM)
        return r;
    /* Gone, or so wrong that it is better taken for gone. */
    worker_disconnect(worker);
    return 0;
}

static void watch_channel(struct worker *worker)
{
    uint32_t events = worker->n_unsent > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (worker->channel < 0 || events == worker->channel_events)
        return;
    watch(worker, EPOLL_CTL_MOD, worker->channel, ABOUT_FRONT, events);
    worker->channel_events = events;
}

static struct timespec time_to_wait(const struct worker *worker)
{
    uint64_t until_ns = worker->wait.deadline_ns < worker->next_deadline_ns ? worker->wait.deadline_ns
                                                                            : worker->next_deadline_ns;
    uint64_t left_ns = saturating_sub_u64(until_ns, clock_monotonic_ns());
    if (worker->wait.ready || worker->stirred || (!TAILQ_EMPTY(&worker->waiting) && worker->n_unsent == 0))
        left_ns = 0;
    /* Never further than a day: what the kernel takes for a time differs. */
    if (left_ns > 86400 * NS_PER_S)
        left_ns = 86400 * NS_PER_S;
    return (struct timespec){(time_t)(left_ns / NS_PER_S), (long)(left_ns % NS_PER_S)};
}

static int wait_and_hear(struct worker *worker)
{
    struct epoll_event events[SUBJECTS];
    struct timespec timeout = time_to_wait(worker);
    int n = epoll_pwait2(worker->epoll, events, SUBJECTS, &timeout, NULL);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    int r = 0;
    for (int i = 0; i < n && r == 0; i++) {
        if (events[i].data.u32 == ABOUT_SUPERVISOR)
            r = hear_supervisor(worker);
        else if (events[i].data.u32 == ABOUT_FRONT && worker->channel >= 0)
            r = hear_front(worker, events[i].events);
    }
    return r;
}

int worker_serve(struct worker *worker)
{
    int r = 0;
    while (r == 0) {
        berth_schedule_step(worker->schedule, &worker->wait);
        worker->stirred = false;
        guests_expire(worker, clock_monotonic_ns());
        guests_report(worker);
        watch_channel(worker);
        r = wait_and_hear(worker);
    }
    return r > 0 ? 0 : r;
}

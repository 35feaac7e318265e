/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step is one round, or as much of it as there is time for: descriptors that became ready, times that have
 * come, then a slice for each run that was ready when the round began; those it did not come to are first in
 * the next. Times are looked at between any two slices, so a deadline is late by one slice at most, however
 * many runs compute. Without waiting descriptors or cancels a step makes no system call of its own.
 */
#include "sandbox/schedule.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"
#include "sandbox/instance.h"

enum { EVENTS_PER_LOOK = 64, UNWATCHED_RETRY_MS = 10, STEP_MAX_MS = 10 };

berth_status berth_schedule_new(berth_engine *engine, berth_schedule **ret, berth_error **reterr)
{
    berth_schedule *schedule = calloc(1, sizeof(*schedule));
    if (!schedule)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    TAILQ_INIT(&schedule->instances);
    TAILQ_INIT(&schedule->ready);
    schedule->engine = berth_engine_ref(engine);
    schedule->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    schedule->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    schedule->thread_cpu_ns = clock_thread_cpu_ns();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (schedule->epoll_fd < 0 || schedule->cancel_fd < 0 ||
        epoll_ctl(schedule->epoll_fd, EPOLL_CTL_ADD, schedule->cancel_fd, &event) < 0) {
        int r = -errno;
        berth_schedule_free(schedule);
        return error_set_errno(reterr, r, "a schedule needs two descriptors");
    }
    *ret = schedule;
    return BERTH_OK;
}

void berth_schedule_free(berth_schedule *schedule)
{
    if (!schedule)
        return;
    wasi_watches_free(schedule->watches);
    close_keeping_errno(schedule->epoll_fd);
    close_keeping_errno(schedule->cancel_fd);
    heap_done(&schedule->times);
    berth_engine_unref(schedule->engine);
    free(schedule);
}

/* ---- Where a run is ----------------------------------------------------------------------------- */

static berth_instance *instance_of(struct heap_entry *entry)
{
    return (berth_instance *)((char *)entry - offsetof(berth_instance, parking.due));
}

static void unqueue(berth_instance *instance)
{
    if (instance->parking.queued)
        TAILQ_REMOVE(&instance->schedule->ready, instance, queue);
    instance->parking.queued = false;
}

/* Makes the epoll set hold exactly the streams of the mask that have a descriptor which can be waited for.
 * False if the kernel does not watch one of them. */
static bool watch(berth_instance *instance, uint8_t mask)
{
    berth_schedule *schedule = instance->schedule;
    bool all = true;
    for (int i = 0; i < 3; i++) {
        struct endpoint *endpoint = &instance->streams[i].endpoint;
        bool wanted = mask & (1 << i) && endpoint->fd >= 0 && endpoint->way != ENDPOINT_FILE;
        if (wanted == endpoint->watched)
            continue;
        struct epoll_event event = {.events = i == 0 ? EPOLLIN : EPOLLOUT, .data.ptr = instance};
        if (epoll_ctl(schedule->epoll_fd, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, endpoint->fd, &event) < 0 &&
            wanted) {
            all = false;
            continue;
        }
        endpoint->watched = wanted;
        schedule->n_watched += wanted ? 1 : -1U;
    }
    return all;
}

/* Streams with output on its way are watched besides those that a parked guest waits for. */
static bool watch_needed(berth_instance *instance)
{
    uint8_t mask = instance->parking.sources;
    for (int i = 1; i < 3; i++)
        if (stream_has_output(&instance->streams[i]))
            mask |= (uint8_t)(1 << i);
    if (mask || instance->streams[0].endpoint.watched || instance->streams[1].endpoint.watched ||
        instance->streams[2].endpoint.watched)
        return watch(instance, mask);
    return true;
}

static void set_due(berth_instance *instance, uint64_t until_ns)
{
    uint64_t deadline_ns = instance->run.deadline_ns;
    heap_set(&instance->schedule->times, &instance->parking.due,
             until_ns < deadline_ns ? until_ns : deadline_ns);
}

void schedule_add(berth_schedule *schedule, berth_instance *instance)
{
    instance->schedule = schedule;
    TAILQ_INSERT_TAIL(&schedule->instances, instance, all);
    schedule->n_instances++;
}

void schedule_remove(berth_schedule *schedule, berth_instance *instance)
{
    schedule_forget(instance);
    TAILQ_REMOVE(&schedule->instances, instance, all);
    schedule->n_instances--;
}

void schedule_ready(berth_instance *instance)
{
    struct parking *parking = &instance->parking;
    if (instance->run.parked_since_ns) {
        instance->run.parked_ns += saturating_sub_u64(clock_monotonic_ns(), instance->run.parked_since_ns);
        instance->run.parked_since_ns = 0;
    }
    parking->sources = 0;
    watch_needed(instance);
    set_due(instance, UINT64_MAX);
    if (parking->queued)
        return;
    TAILQ_INSERT_TAIL(&instance->schedule->ready, instance, queue);
    parking->queued = true;
    parking->round = instance->schedule->round;
}

void schedule_park(berth_instance *instance, uint64_t until_ns, uint8_t sources)
{
    unqueue(instance);
    instance->run.parked_since_ns = clock_monotonic_ns();
    instance->parking.sources = sources;
    if (!watch_needed(instance)) {
        /* Nobody will say when the descriptor is ready, so look again now and then. */
        uint64_t retry_ns = instance->run.parked_since_ns + UNWATCHED_RETRY_MS * NS_PER_MS;
        until_ns = retry_ns < until_ns ? retry_ns : until_ns;
    }
    set_due(instance, until_ns);
}

void schedule_forget(berth_instance *instance)
{
    unqueue(instance);
    watch(instance, 0);
    heap_set(&instance->schedule->times, &instance->parking.due, UINT64_MAX);
}

void schedule_wake(berth_instance *instance, uint8_t source)
{
    if (instance->parking.sources & source)
        schedule_ready(instance);
}

/* ---- Changes of files --------------------------------------------------------------------------- */

static void on_change(void *payload)
{
    schedule_wake(payload, WASI_WAIT_CHANGE);
}

int schedule_watches(berth_schedule *schedule, struct wasi_watches **ret)
{
    struct wasi_watches *watches;
    if (!schedule->watches) {
        int r = wasi_watches_new(on_change, &watches);
        if (r < 0)
            return r;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = watches};
        if (epoll_ctl(schedule->epoll_fd, EPOLL_CTL_ADD, wasi_watches_descriptor(watches), &event) < 0) {
            r = -errno;
            wasi_watches_free(watches);
            return r;
        }
        schedule->watches = watches;
        schedule->n_watched++;
    }
    *ret = schedule->watches;
    return 0;
}

/* ---- Streams ------------------------------------------------------------------------------------ */

void schedule_pump(berth_instance *instance)
{
    stream_pump(&instance->streams[1]);
    stream_pump(&instance->streams[2]);
    watch_needed(instance);
}

void schedule_stream_moved(berth_instance *instance, int stream)
{
    if (!run_is_active(instance))
        return;
    if (instance->parking.sources & (1 << stream))
        schedule_ready(instance);
    else
        run_output_moved(&instance->run);
}

/* The output may have left between the guest's try and its parking: then nothing moves any more, and it tries
 * again all the same. */
static bool has_room_again(const berth_instance *instance, uint8_t waited)
{
    for (int i = 1; i < 3; i++)
        if (waited & (1 << i) && !stream_has_output(&instance->streams[i]))
            return true;
    return false;
}

/* A watched descriptor of the instance is ready: output leaves, and a guest that waits for a stream tries
 * again. */
static void service(berth_instance *instance)
{
    uint8_t waited = instance->parking.sources;
    size_t before = instance->streams[1].ring.length + instance->streams[2].ring.length;
    schedule_pump(instance);
    size_t after = instance->streams[1].ring.length + instance->streams[2].ring.length;
    bool input = false, hangup;
    if (run_is_active(instance) && stream_has_failed(&instance->account)) {
        run_end(&instance->run, outcome_of_streams(instance));
        return;
    }
    if (waited & 1 && instance->streams[0].endpoint.fd >= 0)
        input = endpoint_ready(&instance->streams[0].endpoint, &hangup);
    if (waited && (input || before != after || has_room_again(instance, waited)))
        schedule_ready(instance);
    else if (run_is_active(instance))
        run_output_moved(&instance->run);
}

static void drain_cancel(berth_schedule *schedule)
{
    uint64_t count;
    berth_instance *instance;
    atomic_store(&schedule->cancel_requested, false);
    while (read(schedule->cancel_fd, &count, sizeof(count)) > 0)
        ;
    TAILQ_FOREACH(instance, &schedule->instances, all)
    if (run_is_active(instance) && atomic_load(&instance->run.cancelled))
        run_cancel(&instance->run);
}

static void look_at_descriptors(berth_schedule *schedule, uint64_t now_ns)
{
    struct epoll_event events[EVENTS_PER_LOOK];
    schedule->events_seen_ns = now_ns;
    if (atomic_load(&schedule->cancel_requested))
        drain_cancel(schedule);
    if (schedule->n_watched == 0)
        return;
    int n = epoll_wait(schedule->epoll_fd, events, EVENTS_PER_LOOK, 0);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr && events[i].data.ptr == schedule->watches)
            wasi_watches_look(schedule->watches);
        else if (events[i].data.ptr)
            service(events[i].data.ptr);
}

/* ---- Steps -------------------------------------------------------------------------------------- */

/* Output on its way through a descriptor that is not watched. */
static void drain_unwatched(berth_instance *instance)
{
    schedule_pump(instance);
    run_output_moved(&instance->run);
    if (run_is_active(instance))
        schedule_park(instance, UINT64_MAX, 0);
}

static void look_at_times(berth_schedule *schedule, uint64_t now_ns)
{
    struct heap_entry *entry;
    while ((entry = heap_first(&schedule->times)) && entry->time_ns <= now_ns) {
        berth_instance *instance = instance_of(entry);
        if (instance->run.deadline_ns <= now_ns)
            run_expire(&instance->run);
        else if (instance->run.phase == RUN_DRAIN)
            drain_unwatched(instance);
        else
            schedule_ready(instance);
    }
}

void berth_schedule_step(berth_schedule *schedule, struct berth_wait *ret_wait)
{
    berth_instance *instance;
    uint64_t now_ns = clock_monotonic_ns(), until_ns = now_ns + STEP_MAX_MS * NS_PER_MS;
    look_at_descriptors(schedule, now_ns);
    look_at_times(schedule, now_ns);
    /* Those that become ready from here on have their turn in the next round. */
    schedule->round++;
    while ((instance = TAILQ_FIRST(&schedule->ready)) && instance->parking.round != schedule->round &&
           now_ns < until_ns) {
        unqueue(instance);
        run_slice(&instance->run);
        if (run_is_active(instance))
            instance_tell_moved(instance);
        now_ns = clock_monotonic_ns();
        if (now_ns - schedule->events_seen_ns >= NS_PER_MS)
            look_at_descriptors(schedule, now_ns);
        look_at_times(schedule, now_ns);
    }
    struct heap_entry *first = heap_first(&schedule->times);
    *ret_wait = (struct berth_wait){
        .ready = !TAILQ_EMPTY(&schedule->ready) || atomic_load(&schedule->cancel_requested),
        .descriptor = schedule->epoll_fd,
        .deadline_ns = first ? first->time_ns : UINT64_MAX,
    };
}

void berth_schedule_wait(berth_schedule *schedule, const struct berth_wait *wait, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = schedule->epoll_fd, .events = POLLIN};
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t until_ns = timeout_ms < 0 ? UINT64_MAX : now_ns + (uint64_t)timeout_ms * NS_PER_MS;
    if (wait->ready)
        return;
    if (wait->deadline_ns < until_ns)
        until_ns = wait->deadline_ns;
    uint64_t left_ns = saturating_sub_u64(until_ns, now_ns);
    struct timespec timeout = {.tv_sec = (time_t)(left_ns / NS_PER_S), .tv_nsec = (long)(left_ns % NS_PER_S)};
    ppoll(&poll_fd, 1, until_ns == UINT64_MAX ? NULL : &timeout, NULL);
}

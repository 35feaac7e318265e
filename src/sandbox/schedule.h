/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a schedule. An instance with an active run is in exactly one of two places: the ready queue, or
 * parked until a time or until one of its sources (a stream, a change of files, room for events) is ready.
 * Besides, each active run has one entry in a heap of times: its wake-up or its deadline, whichever is first,
 * so that a deadline holds whatever the run does.
 */
#ifndef BERTH_SANDBOX_SCHEDULE_H
#define BERTH_SANDBOX_SCHEDULE_H

#include <berth/run.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sandbox/heap.h"

/* The schedule's part of an instance. */
struct parking {
    struct heap_entry due;
    bool queued;     /* in the ready queue */
    uint64_t round;  /* in which step it was put there */
    uint8_t sources; /* as in struct wasi_wait: what wakes it */
};

TAILQ_HEAD(instance_list, berth_instance);

struct berth_schedule {
    berth_engine *engine; /* a reference */
    struct instance_list instances, ready;
    size_t n_instances;
    struct heap times;
    int epoll_fd;
    int cancel_fd; /* eventfd, written by berth_run_cancel() */
    atomic_bool cancel_requested;
    uint64_t round; /* counts steps */
    unsigned n_watched;
    struct wasi_watches *watches; /* from the first instance that may wait for changes on, or NULL */
    uint64_t events_seen_ns;      /* when descriptors were last asked */
    uint64_t thread_cpu_ns;       /* at the last reading */
};

void schedule_add(berth_schedule *schedule, berth_instance *instance);
void schedule_remove(berth_schedule *schedule, berth_instance *instance);

/* Puts an active run at the end of the ready queue. */
void schedule_ready(berth_instance *instance);
/* Parks it until a time (UINT64_MAX: none) or one of the sources, whichever is first. */
void schedule_park(berth_instance *instance, uint64_t until_ns, uint8_t sources);
/* A source other than a stream is ready: who waits for it tries again. */
void schedule_wake(berth_instance *instance, uint8_t source);
/* The schedule's watches, made if there are none yet. 0 or a negative errno. */
struct wasi_watches;
int schedule_watches(berth_schedule *schedule, struct wasi_watches **ret);
/* Takes it out of queue, heap and epoll set: its run has ended. */
void schedule_forget(berth_instance *instance);
/* Moves what a guest wrote to its descriptors as far as it goes, and watches those that are full. */
void schedule_pump(berth_instance *instance);
/* A BERTH_STREAM_BUFFER was read or written by the embedder. */
void schedule_stream_moved(berth_instance *instance, int stream);

#endif

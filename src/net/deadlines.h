/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many points in time, one timer: a heap of deadlines on a loop. A member's place is reserved when it joins,
 * so that setting a deadline cannot fail. Callbacks may set, clear and leave any member.
 */
#ifndef BERTH_NET_DEADLINES_H
#define BERTH_NET_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define DEADLINE_NEVER UINT64_MAX

struct deadline {
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    size_t place;    /* in the heap, from 1; 0: not set */
    void (*due)(void *owner);
    void *owner;
};

struct deadlines {
    uv_timer_t *timer; /* freed by libuv's close callback, which may outlive this struct */
    uint64_t armed_ns; /* when the timer comes: never after the first deadline */
    struct deadline **heap;
    size_t n_set, n_members, capacity;
};

/* 0 or -ENOMEM. */
int deadlines_init(struct deadlines *deadlines, uv_loop_t *loop);
/* All members must have left. */
void deadlines_done(struct deadlines *deadlines);

/* 0 or -ENOMEM. */
int deadline_join(struct deadlines *deadlines, struct deadline *deadline, void (*due)(void *owner),
                  void *owner);
void deadline_leave(struct deadlines *deadlines, struct deadline *deadline);
/* Replaces what was set; DEADLINE_NEVER clears it. A deadline that is due is cleared before its callback. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_ns);

#endif

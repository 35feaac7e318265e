/* SPDX-License-Identifier: Apache-2.0 */
/* See deadlines.h. heap[0] is due first; children of i are 2i+1 and 2i+2. */
#include "net/deadlines.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static void put(struct deadlines *deadlines, size_t index, struct deadline *deadline)
{
    deadlines->heap[index] = deadline;
    deadline->place = index + 1;
}

static void sift_up(struct deadlines *deadlines, size_t index)
{
    struct deadline *moving = deadlines->heap[index];
    while (index > 0 && deadlines->heap[(index - 1) / 2]->due_ns > moving->due_ns) {
        put(deadlines, index, deadlines->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(deadlines, index, moving);
}

static void sift_down(struct deadlines *deadlines, size_t index)
{
    struct deadline *moving = deadlines->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < deadlines->n_set &&
            deadlines->heap[child + 1]->due_ns < deadlines->heap[child]->due_ns)
            child++;
        if (child >= deadlines->n_set || deadlines->heap[child]->due_ns >= moving->due_ns)
            break;
        put(deadlines, index, deadlines->heap[child]);
        index = child;
    }
    put(deadlines, index, moving);
}

static void take_out(struct deadlines *deadlines, struct deadline *deadline)
{
    size_t index = deadline->place - 1;
    struct deadline *last = deadlines->heap[--deadlines->n_set];
    deadline->place = 0;
    if (last == deadline)
        return;
    put(deadlines, index, last);
    sift_up(deadlines, index);
    sift_down(deadlines, last->place - 1);
}

static void timer_due(uv_timer_t *timer);

static void arm(struct deadlines *deadlines)
{
    deadlines->armed_ns = deadlines->n_set > 0 ? deadlines->heap[0]->due_ns : DEADLINE_NEVER;
    if (deadlines->n_set == 0) {
        uv_timer_stop(deadlines->timer);
        return;
    }
    uint64_t now_ns = clock_monotonic_ns(), due_ns = deadlines->armed_ns;
    uint64_t left_ms = due_ns > now_ns ? (due_ns - now_ns) / NS_PER_MS + 1 : 0;
    uv_update_time(deadlines->timer->loop);
    uv_timer_start(deadlines->timer, timer_due, left_ms, 0);
}

static void timer_due(uv_timer_t *timer)
{
    struct deadlines *deadlines = timer->data;
    uint64_t now_ns = clock_monotonic_ns();
    while (deadlines->n_set > 0 && deadlines->heap[0]->due_ns <= now_ns) {
        struct deadline *first = deadlines->heap[0];
        take_out(deadlines, first);
        first->due(first->owner);
    }
    arm(deadlines);
}

int deadlines_init(struct deadlines *deadlines, uv_loop_t *loop)
{
    *deadlines = (struct deadlines){.timer = malloc(sizeof(uv_timer_t)), .armed_ns = DEADLINE_NEVER};
    if (!deadlines->timer)
        return -ENOMEM;
    (void)uv_timer_init(loop, deadlines->timer);
    deadlines->timer->data = deadlines;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void deadlines_done(struct deadlines *deadlines)
{
    if (deadlines->timer)
        uv_close((uv_handle_t *)deadlines->timer, timer_closed);
    free(deadlines->heap);
    *deadlines = (struct deadlines){0};
}

int deadline_join(struct deadlines *deadlines, struct deadline *deadline, void (*due)(void *owner),
                  void *owner)
{
    if (deadlines->n_members == deadlines->capacity) {
        size_t capacity = deadlines->capacity ? deadlines->capacity * 2 : 64;
        struct deadline **grown = reallocarray(deadlines->heap, capacity, sizeof(struct deadline *));
        if (!grown)
            return -ENOMEM;
        deadlines->heap = grown;
        deadlines->capacity = capacity;
    }
    deadlines->n_members++;
    *deadline = (struct deadline){.due_ns = DEADLINE_NEVER, .due = due, .owner = owner};
    return 0;
}

void deadline_leave(struct deadlines *deadlines, struct deadline *deadline)
{
    deadline_set(deadlines, deadline, DEADLINE_NEVER);
    deadlines->n_members--;
}

void deadline_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_ns)
{
    if (deadline->place > 0 && deadline->due_ns == due_ns)
        return;
    if (deadline->place > 0)
        take_out(deadlines, deadline);
    deadline->due_ns = due_ns;
    if (due_ns != DEADLINE_NEVER) {
        deadlines->n_set++;
        put(deadlines, deadlines->n_set - 1, deadline);
        sift_up(deadlines, deadlines->n_set - 1);
    }
    /* One that was put off or cleared costs at most one wake-up in vain. */
    if (due_ns < deadlines->armed_ns)
        arm(deadlines);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a node together: front, compiler and workers, what each of them is given at its start, and
 * the sockets between them. Whoever starts anew gets everything again; the others get the new ends.
 */
#ifndef BERTH_NODE_CHILDREN_H
#define BERTH_NODE_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/supervisor/child.h"
#include "node/supervisor/listening.h"

enum { CHILD_FRONT, CHILD_COMPILER, CHILD_WORKERS /* the first of them */ };

struct children {
    struct child *all; /* CHILD_FRONT, … */
    size_t count;
    /* What they are given; borrowed. */
    int settings; /* memory file */
    const char *state;
    int inputs;
    const int *mounts;
    size_t n_mounts;
    const struct listening *listening;
};

/* 0 or -ENOMEM. */
int children_init(struct children *children, size_t n_workers);
void children_done(struct children *children);

/* Starts all that are due and tells them, and those that talk to them, what they need. 0, or the last
 * negative errno: what could not be started is tried again after its pause. */
int children_start_due(struct children *children, uint64_t now_ns);
/* When that will have something to do; UINT64_MAX: never. */
uint64_t children_next_start_ns(const struct children *children);

/* NULL: none of them is that process. */
struct child *children_find(const struct children *children, pid_t pid);

bool children_are_ready(const struct children *children);
/* How many stand. */
size_t children_standing(const struct children *children);

#endif

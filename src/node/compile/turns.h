/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: work of several principals that share a bounded number of places. Each principal has its own line of
 * bounded length; a free place goes to the principals in turn, so that however much one of them brings, any
 * other waits for one piece of work at most, not for all of it.
 *
 * What waits has a struct turn inside. Nothing is allocated for it but a record per principal, which lives
 * while the principal has something waiting or at work.
 */
#ifndef BERTH_NODE_TURNS_H
#define BERTH_NODE_TURNS_H

#include <stddef.h>
#include <sys/queue.h>

struct turn_taker;

/* All zero, or in a line. */
struct turn {
    TAILQ_ENTRY(turn) next;
    struct turn_taker *taker; /* NULL: in no line */
};

TAILQ_HEAD(turn_list, turn);
TAILQ_HEAD(turn_taker_list, turn_taker);

struct turns {
    struct turn_taker_list waiting, others; /* takers with a line, the next one first; those without */
    size_t n_waiting, n_working;
    size_t places;       /* pieces of work at a time */
    size_t places_each;  /* of one principal */
    size_t waiting_each; /* pieces of work of one principal that may wait */
};

void turns_init(struct turns *turns, size_t places, size_t places_each, size_t waiting_each);
void turns_done(struct turns *turns); /* nothing may wait or work */

enum turns_outcome { TURNS_FULL = 1 };

/* Puts it at the end of the principal's line. 0; TURNS_FULL; -ENOMEM. */
int turns_wait(struct turns *turns, const char *principal, struct turn *turn);
/* Takes it out of its line; nothing happens if it is in none. */
void turns_leave(struct turns *turns, struct turn *turn);

/* Whose turn it is: takes it out of its line. NULL: all places are taken, or nobody who may have one waits.
 * *ret_taker has one place more until turns_finish(). */
struct turn *turns_begin(struct turns *turns, struct turn_taker **ret_taker);
void turns_finish(struct turns *turns, struct turn_taker *taker);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* See turns.h. Principals are few, so they are looked up one by one. */
#include "node/compile/turns.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct turn_taker {
    TAILQ_ENTRY(turn_taker) next;
    struct turn_list line;
    size_t n_waiting, n_working;
    char principal[];
};

void turns_init(struct turns *turns, size_t places, size_t places_each, size_t waiting_each)
{
    *turns = (struct turns){.places = places, .places_each = places_each, .waiting_each = waiting_each};
    TAILQ_INIT(&turns->waiting);
    TAILQ_INIT(&turns->others);
}

static void free_all(struct turn_taker_list *takers)
{
    struct turn_taker *taker;
    while ((taker = TAILQ_FIRST(takers))) {
        TAILQ_REMOVE(takers, taker, next);
        free(taker);
    }
}

void turns_done(struct turns *turns)
{
    free_all(&turns->waiting);
    free_all(&turns->others);
}

static struct turn_taker *find_in(const struct turn_taker_list *takers, const char *principal)
{
    struct turn_taker *taker;
    TAILQ_FOREACH(taker, takers, next)
    if (strcmp(taker->principal, principal) == 0)
        return taker;
    return NULL;
}

/* A taker without a line is among the others while it works, and then no more. */
static struct turn_taker *get_taker(struct turns *turns, const char *principal)
{
    struct turn_taker *taker = find_in(&turns->waiting, principal);
    if (!taker)
        taker = find_in(&turns->others, principal);
    if (taker)
        return taker;
    size_t size = strlen(principal) + 1;
    taker = calloc(1, sizeof(*taker) + size);
    if (!taker)
        return NULL;
    TAILQ_INIT(&taker->line);
    memcpy(taker->principal, principal, size);
    TAILQ_INSERT_TAIL(&turns->others, taker, next);
    return taker;
}

static void release(struct turns *turns, struct turn_taker *taker)
{
    if (taker->n_waiting || taker->n_working)
        return;
    TAILQ_REMOVE(&turns->others, taker, next);
    free(taker);
}

int turns_wait(struct turns *turns, const char *principal, struct turn *turn)
{
    struct turn_taker *taker = get_taker(turns, principal);
    if (!taker)
        return -ENOMEM;
    if (taker->n_waiting >= turns->waiting_each) {
        release(turns, taker);
        return TURNS_FULL;
    }
    if (taker->n_waiting == 0) {
        TAILQ_REMOVE(&turns->others, taker, next);
        TAILQ_INSERT_TAIL(&turns->waiting, taker, next);
    }
    TAILQ_INSERT_TAIL(&taker->line, turn, next);
    turn->taker = taker;
    taker->n_waiting++;
    turns->n_waiting++;
    return 0;
}

static void take_out(struct turns *turns, struct turn *turn)
{
    struct turn_taker *taker = turn->taker;
    TAILQ_REMOVE(&taker->line, turn, next);
    turn->taker = NULL;
    turns->n_waiting--;
    if (--taker->n_waiting > 0)
        return;
    TAILQ_REMOVE(&turns->waiting, taker, next);
    TAILQ_INSERT_TAIL(&turns->others, taker, next);
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    struct turn_taker *taker = turn->taker;
    if (!taker)
        return;
    take_out(turns, turn);
    release(turns, taker);
}

/* Behind all others for its next one. */
static void go_to_end(struct turns *turns, struct turn_taker *taker)
{
    TAILQ_REMOVE(&turns->waiting, taker, next);
    TAILQ_INSERT_TAIL(&turns->waiting, taker, next);
}

struct turn *turns_begin(struct turns *turns, struct turn_taker **ret_taker)
{
    struct turn_taker *taker;
    if (turns->n_working >= turns->places)
        return NULL;
    TAILQ_FOREACH(taker, &turns->waiting, next)
    if (taker->n_working < turns->places_each)
        break;
    if (!taker)
        return NULL;
    struct turn *turn = TAILQ_FIRST(&taker->line);
    go_to_end(turns, taker);
    taker->n_working++;
    turns->n_working++;
    take_out(turns, turn);
    *ret_taker = taker;
    return turn;
}

void turns_finish(struct turns *turns, struct turn_taker *taker)
{
    taker->n_working--;
    turns->n_working--;
    /* Also behind those who came while it had its place. */
    if (taker->n_waiting)
        go_to_end(turns, taker);
    release(turns, taker);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint.h. */
#include "audit/checkpoint.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    PORTION_PAGES = 1000,
    HURRY_PAGES = 8000,  /* from here on, after every commit, so that little is left */
    LIMIT_PAGES = 16000, /* 64 MiB */
};

struct checkpoint {
    sqlite3 *own;
    pthread_t thread;
    pthread_mutex_t lock, moving; /* `moving` is held while something is moved */
    pthread_cond_t wake;
    bool wanted, stop;  /* under the lock */
    int asked_at_pages; /* the writer's */
};

/* A disk that is full makes the commits fail sooner or later, which say so. */
static void move(struct checkpoint *checkpoint, sqlite3 *connection)
{
    pthread_mutex_lock(&checkpoint->moving);
    sqlite3_wal_checkpoint_v2(connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    pthread_mutex_unlock(&checkpoint->moving);
}

static void *thread_main(void *payload)
{
    struct checkpoint *checkpoint = payload;
    pthread_mutex_lock(&checkpoint->lock);
    for (;;) {
        while (!checkpoint->wanted && !checkpoint->stop)
            pthread_cond_wait(&checkpoint->wake, &checkpoint->lock);
        if (checkpoint->stop)
            break;
        checkpoint->wanted = false;
        pthread_mutex_unlock(&checkpoint->lock);
        move(checkpoint, checkpoint->own);
        pthread_mutex_lock(&checkpoint->lock);
    }
    pthread_mutex_unlock(&checkpoint->lock);
    return NULL;
}

static void ask(struct checkpoint *checkpoint, int pages)
{
    checkpoint->asked_at_pages = pages;
    pthread_mutex_lock(&checkpoint->lock);
    checkpoint->wanted = true;
    pthread_cond_signal(&checkpoint->wake);
    pthread_mutex_unlock(&checkpoint->lock);
}

/* `pages` are those in the journal, moved or not. */
static int on_commit(void *payload, sqlite3 *writer, const char *name, int pages)
{
    struct checkpoint *checkpoint = payload;
    (void)name;
    if (pages < checkpoint->asked_at_pages) /* it has begun anew */
        checkpoint->asked_at_pages = 0;
    if (pages >= LIMIT_PAGES)
        move(checkpoint, writer);
    else if (pages >= HURRY_PAGES || pages - checkpoint->asked_at_pages >= PORTION_PAGES)
        ask(checkpoint, pages);
    return SQLITE_OK;
}

/* Signals are for the program's own threads. */
static int start_thread(struct checkpoint *checkpoint)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int r = pthread_create(&checkpoint->thread, NULL, thread_main, checkpoint);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

int checkpoint_start(sqlite3 *writer, sqlite3 *own, struct checkpoint **ret)
{
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (!checkpoint) {
        sqlite3_close(own);
        return -ENOMEM;
    }
    checkpoint->own = own;
    pthread_mutex_init(&checkpoint->lock, NULL);
    pthread_mutex_init(&checkpoint->moving, NULL);
    pthread_cond_init(&checkpoint->wake, NULL);
    int r = start_thread(checkpoint);
    if (r < 0) {
        sqlite3_close(own);
        free(checkpoint);
        return r;
    }
    sqlite3_wal_hook(writer, on_commit, checkpoint);
    *ret = checkpoint;
    return 0;
}

void checkpoint_stop(struct checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    pthread_mutex_lock(&checkpoint->lock);
    checkpoint->stop = true;
    pthread_cond_signal(&checkpoint->wake);
    pthread_mutex_unlock(&checkpoint->lock);
    pthread_join(checkpoint->thread, NULL);
    sqlite3_close(checkpoint->own);
    pthread_mutex_destroy(&checkpoint->lock);
    pthread_mutex_destroy(&checkpoint->moving);
    pthread_cond_destroy(&checkpoint->wake);
    free(checkpoint);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. A thread that waits for the end or for a second to pass, whichever comes first. */
#include "cli/progress.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cli/output.h"

enum { PATIENCE_S = 1 };

static void *watch(void *argument)
{
    struct progress *progress = argument;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&progress->mutex);
    int r = 0;
    while (!progress->over && r == 0)
        r = pthread_cond_timedwait(&progress->changed, &progress->mutex, &until);
    if (!progress->over)
        remark("%s …", progress->activity);
    pthread_mutex_unlock(&progress->mutex);
    return NULL;
}

/* Signals are for the main thread. */
static bool start_thread(struct progress *progress)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&progress->thread, NULL, watch, progress) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void progress_begin(struct progress *progress, const char *activity)
{
    pthread_condattr_t attributes;
    *progress = (struct progress){.activity = activity};
    if (!isatty(STDERR_FILENO))
        return;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&progress->mutex, NULL);
    pthread_cond_init(&progress->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    progress->running = start_thread(progress);
}

void progress_end(struct progress *progress)
{
    if (!progress->running)
        return;
    pthread_mutex_lock(&progress->mutex);
    progress->over = true;
    pthread_cond_signal(&progress->changed);
    pthread_mutex_unlock(&progress->mutex);
    pthread_join(progress->thread, NULL);
    pthread_cond_destroy(&progress->changed);
    pthread_mutex_destroy(&progress->mutex);
    progress->running = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A line on the terminal when something takes longer than a second; silent otherwise. */
#ifndef BERTH_CLI_PROGRESS_H
#define BERTH_CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>

struct progress {
    const char *activity; /* "compiling filter.wasm" */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool running, over;
};

/* Nothing happens if stderr is no terminal. `activity` is borrowed until progress_end(). */
void progress_begin(struct progress *progress, const char *activity);
void progress_end(struct progress *progress);

#endif

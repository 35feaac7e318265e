/* SPDX-License-Identifier: Apache-2.0 */
/* See interrupt.h. The variables here are the only ones of the program: a signal handler gets no argument. */
#include "cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/exit_status.h"

static _Atomic(berth_run *) watched_run;
static volatile sig_atomic_t first_signal;
static volatile sig_atomic_t guest_has_run;

static void handle(int number)
{
    berth_run *run = atomic_load(&watched_run);
    bool impatient = first_signal == SIGINT && number == SIGINT;
    if (impatient || !guest_has_run)
        _exit(number == SIGTERM ? STATUS_TERMINATED : STATUS_INTERRUPTED);
    if (!first_signal)
        first_signal = number;
    if (run)
        berth_run_cancel(run);
}

static void install(int number)
{
    struct sigaction before, handler = {.sa_handler = handle};
    sigemptyset(&handler.sa_mask);
    sigaddset(&handler.sa_mask, SIGINT);
    sigaddset(&handler.sa_mask, SIGTERM);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        sigaction(number, &handler, NULL);
}

void interrupt_prepare(void)
{
    install(SIGINT);
    install(SIGTERM);
}

void interrupt_watch(berth_run *run)
{
    atomic_store(&watched_run, run);
    guest_has_run = 1;
    if (first_signal)
        berth_run_cancel(run);
}

void interrupt_forget(void)
{
    atomic_store(&watched_run, NULL);
}

int interrupt_signal(void)
{
    return first_signal;
}

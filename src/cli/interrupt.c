/* SPDX-License-Identifier: Apache-2.0 */
/* See interrupt.h. The variables here are the only ones of the program: a signal handler gets no argument. */
#include "cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/output.h"

static _Atomic(berth_run *) watched_run;
static _Atomic(berth_client *) watched_client;
static _Atomic(const struct text *) last_words;
static volatile sig_atomic_t first_signal;
static volatile sig_atomic_t guest_has_run;

/* Called by the handler: nothing here may allocate or wait for long. */
static _Noreturn void end_at_once(int number)
{
    const struct text *words = guest_has_run ? NULL : atomic_load(&last_words);
    if (words)
        write_in_time(STDERR_FILENO, words->data, words->length);
    _exit(number == SIGTERM ? STATUS_TERMINATED : STATUS_INTERRUPTED);
}

static void handle(int number)
{
    berth_run *run = atomic_load(&watched_run);
    berth_client *client = atomic_load(&watched_client);
    bool impatient = first_signal == SIGINT && number == SIGINT;
    if (impatient || !guest_has_run)
        end_at_once(number);
    if (!first_signal)
        first_signal = number;
    if (run)
        berth_run_cancel(run);
    if (client)
        berth_client_cancel(client);
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

void interrupt_prepare(const struct text *words)
{
    atomic_store(&last_words, words);
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

void interrupt_watch_client(berth_client *client)
{
    atomic_store(&watched_client, client);
    guest_has_run = 1;
    if (first_signal)
        berth_client_cancel(client);
}

void interrupt_forget(void)
{
    atomic_store(&last_words, NULL);
    atomic_store(&watched_client, NULL);
    atomic_store(&watched_run, NULL);
}

int interrupt_signal(void)
{
    return first_signal;
}

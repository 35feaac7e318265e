/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread ticks while `active` is above zero and for LINGER_TICKS after, so that an embedder that makes
 * many short calls does not pay for waking it each time. Asleep, it waits on the futex word `active` to leave
 * zero.
 */
#include "sandbox/ticker.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wasmtime.h>

#include "base/clock.h"

enum { LINGER_TICKS = 20 };

static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

static void *tick(void *argument)
{
    struct ticker *ticker = argument;
    const struct timespec period = {.tv_nsec = TICK_MS * (long)NS_PER_MS};
    int idle = 0;
    /* The default slack of 50 us is a twentieth of a tick. */
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    prctl(PR_SET_NAME, "berth-ticker", 0, 0, 0);
    while (!atomic_load(&ticker->stopping)) {
        idle = atomic_load(&ticker->active) ? 0 : idle + 1;
        if (idle > LINGER_TICKS) {
            atomic_store(&ticker->asleep, true);
            if (!atomic_load(&ticker->active) && !atomic_load(&ticker->stopping))
                futex_wait(&ticker->active, 0, NULL);
            atomic_store(&ticker->asleep, false);
            idle = 0;
        }
        /* A sleep that ticker_stop() can end. */
        futex_wait(&ticker->stopping, 0, &period);
        wasmtime_engine_increment_epoch(ticker->engine);
    }
    return NULL;
}

int ticker_start(struct ticker *ticker, wasm_engine_t *engine)
{
    sigset_t all, previous;
    *ticker = (struct ticker){.engine = engine};
    /* The embedder's signals are for the embedder's threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int failed = pthread_create(&ticker->thread, NULL, tick, ticker);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    ticker->started = failed == 0;
    return -failed;
}

void ticker_stop(struct ticker *ticker)
{
    if (!ticker->started)
        return;
    atomic_store(&ticker->stopping, 1);
    futex_wake(&ticker->stopping);
    atomic_fetch_add(&ticker->active, 1);
    futex_wake(&ticker->active);
    pthread_join(ticker->thread, NULL);
    ticker->started = false;
}

void ticker_enter(struct ticker *ticker)
{
    atomic_fetch_add(&ticker->active, 1);
    if (atomic_load(&ticker->asleep))
        futex_wake(&ticker->active);
}

void ticker_leave(struct ticker *ticker)
{
    atomic_fetch_sub(&ticker->active, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ticker: a thread that raises the engine's epoch every millisecond while some schedule runs guest code,
 * and sleeps for ever while none does, so that ten thousand parked guests cost no wake-ups.
 */
#ifndef BERTH_SANDBOX_TICKER_H
#define BERTH_SANDBOX_TICKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <wasm.h>

struct ticker {
    pthread_t thread;
    wasm_engine_t *engine;
    _Atomic uint32_t active; /* how many threads run guest code; a futex word */
    atomic_bool asleep;
    _Atomic uint32_t stopping; /* 0 or 1; a futex word */
    bool started;
};

enum { TICK_MS = 1 };

/* 0 or a negative errno. The engine is borrowed until ticker_stop(). */
int ticker_start(struct ticker *ticker, wasm_engine_t *engine);
void ticker_stop(struct ticker *ticker);

/* Around guest code. Entering wakes the thread if it slept. */
void ticker_enter(struct ticker *ticker);
void ticker_leave(struct ticker *ticker);

#endif

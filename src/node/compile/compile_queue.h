/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules as the front sees them: bytes or a hash in, an artifact (verified machine code in a sealed memory
 * file) out. Artifacts of lately used modules are kept here; the rest is the compiler process's, which has
 * the cache on disk and compiles in a child that can be killed.
 *
 * Fair: a bounded number is compiled at a time, taken from the principals in turn; a principal has a bounded
 * number waiting and one in work. Looking a module up in the cache does not wait behind compilations.
 */
#ifndef BERTH_NODE_COMPILE_QUEUE_H
#define BERTH_NODE_COMPILE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "node/settings/settings.h"

struct compile_queue;
struct compile_request;

enum compile_result {
    COMPILE_READY = 0,
    COMPILE_UNKNOWN = 1,        /* asked for by hash, and nobody has it */
    COMPILE_REFUSED_MODULE = 2, /* the sentence says why */
    COMPILE_QUEUE_FULL = 3,     /* too many of this principal wait */
    COMPILE_LOST = 4,           /* the compiler process died or cannot work; try again */
};

/* artifact: borrowed descriptor, valid during the call (and longer in the queue's own cache); -1 unless
 * READY. compiled: false if it came from a cache. */
typedef void compile_done_fn(void *payload, enum compile_result result, int artifact, bool compiled,
                             const char *sentence);

/* channel: socket to the compiler process, taken over; -1: there is none now, everything waits. */
int compile_queue_new(uv_loop_t *loop, int channel, const struct settings *settings,
                      struct compile_queue **ret);
/* Requests that are not answered are dropped without a word. Accepts NULL. */
void compile_queue_free(struct compile_queue *queue);
/* Another compiler process: what was at work is answered COMPILE_LOST, what waits is asked there. Outcomes
 * and channel as above. */
int compile_queue_replace(struct compile_queue *queue, int channel);

/* Which module is wanted, and by whom; borrowed during the call. */
struct compile_wish {
    const char *principal;
    const uint8_t *sha256; /* 32 bytes */
    const void *bytes;     /* copied into a memory file; NULL: by hash alone */
    size_t size_bytes;
    const char *name; /* for messages */
};

/* done is called once, and the request is gone then; perhaps before this returns (then *ret is NULL); never
 * after compile_request_cancel(). From inside of `done`, anything may be asked and cancelled, but not the
 * queue freed. 0 or -ENOMEM. */
int compile_queue_ask(struct compile_queue *queue, const struct compile_wish *wish, compile_done_fn *done,
                      void *payload, struct compile_request **ret);
/* The asker has gone. A compilation in work is killed unless another one waits for the same module. */
void compile_request_cancel(struct compile_request *request);

struct compile_queue_counts {
    uint32_t waiting, working;
    uint64_t compiled_total, refused_total, cache_hits_total;
};
void compile_queue_counts(const struct compile_queue *queue, struct compile_queue_counts *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker processes as the front sees them: it gives them runs and hears what becomes of each. Workers are
 * hostile as soon as a guest has broken out of one, so every message from them is checked; a wrong one ends
 * that worker, and its runs with it.
 *
 * The front tells each worker of modules and contracts once and then refers to them. Output comes under
 * credit: a worker sends no more of a run's output than it was given credit for, then parks the guest.
 */
#ifndef BERTH_NODE_WORKERS_H
#define BERTH_NODE_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <berth/contract.h>
#include <berth/run.h>

#include "node/settings/settings.h"

struct workers;
struct worker_run; /* one run, from start to ended */

enum { RUN_ID_CHARACTERS = 33 }; /* 32 lowercase hex digits and NUL */

/* What the front hears; all on the loop's thread. Text is as the guest gave it, not escaped, unless said. */
struct worker_run_events {
    /* stream: 1 stdout, 2 stderr; at most as many bytes as there was credit. */
    void (*output)(void *payload, int stream, const uint8_t *bytes, size_t size_bytes);
    void (*event)(void *payload, const char *text, size_t size_bytes); /* valid UTF-8, at most 64 KiB */
    void (*denial)(void *payload, const char *sentence);               /* escaped */
    /* Last and once. All output has come before. If the worker died: BERTH_OUTCOME_HOST_ERROR, lost = true.
     */
    void (*ended)(void *payload, const struct berth_outcome *outcome, const struct berth_usage *usage,
                  bool lost);
};

struct worker_run_request {
    char run_id[RUN_ID_CHARACTERS];
    int module;                   /* artifact (berth_module_export); duplicated here */
    const uint8_t *module_sha256; /* 32 bytes */
    const char *name;             /* of the module */
    berth_contract *contract; /* host of each mount: path among settings->mounts, or of inputs_directory */
    const char *const *arguments; /* argv, argv[0] included; ends with NULL */
    const char *const *environment;
    const void *input; /* stdin, copied */
    size_t input_bytes;
    /* Directory to be shown read-only as /inputs (O_PATH descriptor, duplicated here), or -1. */
    int inputs_directory;
    uint64_t random_seed;
    bool watch, events;    /* capability: berth.wait_for_change, push_event */
    bool detached;         /* goes on when the front dies */
    bool exclusive;        /* always on the same worker */
    uint64_t deadline_ns;  /* CLOCK_MONOTONIC, beside the contract's wall limit; UINT64_MAX: none */
    uint32_t credit_bytes; /* of stdout and of stderr, at the start */
    const struct worker_run_events *events_to;
    void *payload;
};

struct workers_options {
    uv_loop_t *loop;
    const int *channels; /* one connected socket per worker, from the supervisor; taken over */
    size_t n_channels;
    /* A run that a worker still has from before this front: the front answers with events_to and payload, or
     * lets it be cancelled by returning false. It has no credit; asked once at most for each run id that was
     * answered with true. */
    bool (*adopt)(void *owner, const char *run_id, struct worker_run *run,
                  const struct worker_run_events **ret_events, void **ret_payload);
    void (*lost)(void *owner, size_t worker); /* its channel closed; the supervisor will send another */
    /* Before `lost`, and before its runs end: it broke the protocol and must be killed (CONTROL_END_WORKER).
     * fault: static, printable. May be NULL. */
    void (*broke)(void *owner, size_t worker, const char *fault);
    void *owner;
};

int workers_new(const struct workers_options *options, struct workers **ret);
void workers_free(struct workers *workers); /* cancels what is not detached; accepts NULL */
/* A new process stands in this place. Takes the descriptor over. */
int workers_replace(struct workers *workers, size_t worker, int channel);

/* Starts on the least loaded worker. 0; -EAGAIN: no worker stands, or all are behind with reading; -ENOMEM;
 * -EMFILE: too many runs; -E2BIG: more than 16 MiB of arguments. Until `ended` the run is alive.
 * Contracts of the same text and capability are one contract: what was added to a quota counts for all runs
 * of an `exclusive` one, as long as its worker lives. */
int workers_start(struct workers *workers, const struct worker_run_request *request, struct worker_run **ret);
/* The reader has taken so much. */
void worker_run_credit(struct worker_run *run, int stream, uint32_t bytes);
/* Asks it to end: `ended` follows. */
void worker_run_cancel(struct worker_run *run);

struct workers_counts {
    uint32_t workers, alive, runs;
    uint64_t lost_total;
};
void workers_counts(const struct workers *workers, struct workers_counts *ret);

#endif

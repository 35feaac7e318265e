/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node remembers of runs, in SQLite (WAL), so that it is true again after any process was killed:
 * state, events, receipts, which principal has sent which module, and the requests of runs that shall start
 * again.
 *
 * Writes are gathered: run_store_commit() makes them durable (it shares the rhythm of the audit log). A write
 * that fails takes with it what was gathered, and the next commit returns why. Events of a run are bounded in
 * number and bytes; the oldest go first. One process writes, one thread at a time; visits must not use the
 * store.
 *
 * Negative errnos everywhere: -ENOSPC, -EIO, -ENOMEM, -EBADMSG (the file is damaged).
 */
#ifndef BERTH_NODE_RUN_STORE_H
#define BERTH_NODE_RUN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/cleanup.h"

struct run_store;

struct run_store_limits {
    uint64_t max_events_per_run;
    uint64_t max_event_bytes_per_run;
    uint32_t keep_days;
};

/* Makes the file (mode 0600) if there is none. Further errors: -EWOULDBLOCK (another node), -EACCES, -EROFS
 * and others of open(2). */
int run_store_open(const char *path, const struct run_store_limits *limits, struct run_store **ret,
                   berth_error **reterr);
void run_store_close(struct run_store *store); /* accepts NULL */

/* Strings are borrowed, in both directions: those of a visit are valid during it. */
struct run_record {
    const char *run_id, *principal, *capability, *name, *module_sha256; /* hex */
    const char *state; /* "queued", "running", an outcome's name, or "lost" */
    const char *cause;
    uint32_t exit_code;
    int64_t started_ns, ended_ns; /* since 1970; ended 0: not yet */
    bool detached, survive_restart;
    uint64_t last_sequence;
    const void *request; /* for survive_restart: what starts it again; may be NULL */
    size_t request_bytes;
    const char *receipt; /* JSON or NULL */
};

/* -EEXIST: there is a run with that id. */
int run_store_insert(struct run_store *store, const struct run_record *record);
/* These return 1 if there is no such run. */
int run_store_set_state(struct run_store *store, const char *run_id, const char *state);
int run_store_end(struct run_store *store, const char *run_id, const char *state, const char *cause,
                  uint32_t exit_code, int64_t ended_ns, const char *receipt);
/* *ret_sequence: the event's number: 1, 2, 3 … in each run. Larger than all that is kept: numbered and
 * dropped. 1: there is no such run. */
int run_store_add_event(struct run_store *store, const char *run_id, int64_t time_ns, const char *text,
                        size_t size_bytes, uint64_t *ret_sequence);

typedef bool run_visit_fn(void *payload, const struct run_record *record);
typedef bool event_visit_fn(void *payload, uint64_t sequence, int64_t time_ns, const char *text,
                            size_t size_bytes);

/* principal NULL: all; running: only what has not ended; limit 0: none. Newest first. What was not committed
 * yet is seen, too. */
int run_store_list(struct run_store *store, const char *principal, bool running, uint32_t limit,
                   run_visit_fn *visit, void *payload);
/* 0, or 1: there is none. */
int run_store_find(struct run_store *store, const char *run_id, run_visit_fn *visit, void *payload);
/* Events after a sequence number, at most `limit` (0: all); *ret_dropped_up_to: the newest that is no longer
 * kept, 0: none. 1: there is no such run. */
int run_store_events(struct run_store *store, const char *run_id, uint64_t after, uint32_t limit,
                     event_visit_fn *visit, void *payload, uint64_t *ret_dropped_up_to);

/* Which modules a principal may refer to by hash alone: the latest 10,000 that it sent. */
int run_store_add_module(struct run_store *store, const char *principal, const uint8_t sha256[static 32]);
bool run_store_knows_module(struct run_store *store, const char *principal, const uint8_t sha256[static 32]);

/* Removes runs that ended more than keep_days ago, with their events; a hundred at a time. 1: there may be
 * more. */
int run_store_expire(struct run_store *store, int64_t now_ns);
/* 0, -ENOSPC, -EIO. */
int run_store_commit(struct run_store *store);

#endif

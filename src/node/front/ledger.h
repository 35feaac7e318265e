/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: audit log and run store with one rhythm. Whatever happens is noted; what must not happen before
 * it is recorded waits for the next commit, of which there is at most one in each turn of the loop, so that
 * many visits share one. Notes that nobody waits for are committed soon.
 *
 * When a commit fails, those who wait hear it and let their run be: no run without audit. The node goes on
 * and answers again once a commit succeeds.
 */
#ifndef BERTH_NODE_LEDGER_H
#define BERTH_NODE_LEDGER_H

#include <stdbool.h>

#include <jansson.h>
#include <uv.h>

#include "audit/audit.h"
#include "base/log.h"
#include "node/front/run_store.h"

struct ledger;

/* Somebody who waits; lies in the waiting object. Zero-initialised: waits for nothing. */
struct ledger_wait {
    void (*done)(void *payload, int result); /* 0 or the negative errno of the commit */
    void *payload;
    struct ledger_wait *next, **link; /* the ledger's */
};

/* Takes over the audit log and the store, also when it fails. 0 or -ENOMEM. */
int ledger_new(uv_loop_t *loop, struct audit_log *audit, struct run_store *store, struct log *log,
               struct ledger **ret);
/* Commits what is left. The memory goes when the loop has closed the handles. Accepts NULL. */
void ledger_free(struct ledger *ledger);

struct run_store *ledger_store(struct ledger *ledger);

/* One entry; subject and run may be NULL; details are taken over and may be NULL. What cannot be noted makes
 * the next commit fail. */
void ledger_note(struct ledger *ledger, const char *event, const char *subject, const char *run,
                 json_t *details);

/* A session_refused entry, of which strangers can cause as many as they like: six hundred at once, then ten a
 * second; the next entry that is written says how many were left out ("left_out"). details are taken over. */
void ledger_note_refused(struct ledger *ledger, const char *subject, json_t *details);

/* Calls `done` after the next commit, never at once. */
void ledger_await(struct ledger *ledger, struct ledger_wait *wait);
/* It waits no more. Harmless if it did not. */
void ledger_forget(struct ledger_wait *wait);

/* False after a commit failed until one succeeds. */
bool ledger_holds(const struct ledger *ledger);
uint64_t ledger_entries(const struct ledger *ledger);  /* committed */
uint64_t ledger_failures(const struct ledger *ledger); /* commits that failed */

#endif

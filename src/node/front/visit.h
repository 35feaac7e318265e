/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A visit: one run of a module for one principal, from admission to its receipt.
 *
 *    admitted ── module (compile queue) ── recorded (ledger) ── running (worker) ── recorded (ledger) ── over
 *
 * Whoever started it hears of it through a visit_listener and may leave; a detached visit goes on without
 * one. Everything that comes out is hashed on its way, so that the receipt speaks of exactly the bytes that
 * were handed on.
 */
#ifndef BERTH_NODE_VISIT_H
#define BERTH_NODE_VISIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/run.h>

#include "node/front/front.h"

enum { VISIT_DENIALS_MAX = 32, VISIT_CREDIT_BYTES = 512 << 10 };

/* How it ended; valid during the call. */
struct visit_end {
    struct berth_outcome outcome;
    struct berth_usage usage;
    bool lost; /* the worker died */
    const char *receipt;
    const char *const *denials;
    size_t n_denials;
};

/* Who hears of a visit. All on the loop's thread; `refused` or `ended` is the last call, after which the
 * visit is gone. */
struct visit_listener {
    void (*started)(void *payload, bool compiled);
    /* visit_took() gives the credit back when the reader has it. */
    void (*output)(void *payload, int stream, const uint8_t *bytes, size_t size_bytes);
    void (*event)(void *payload, uint64_t sequence, int64_t time_ns, const char *text, size_t size_bytes);
    void (*refused)(void *payload, enum grpc_status status, const char *sentence); /* it never ran */
    void (*ended)(void *payload, const struct visit_end *end);
};

/* What is asked for. Everything is borrowed during visit_start(), the contract excepted, which is referenced.
 */
struct visit_request {
    struct principal *principal;
    const struct grant *grant;
    berth_contract *contract; /* effective */
    const void *module;       /* NULL: by hash */
    size_t module_bytes;
    uint8_t module_sha256[32];
    const char *name;
    const char *const *argv; /* ends with NULL */
    const char *const *environment;
    const struct visit_input *inputs;
    size_t n_inputs;
    uint64_t deadline_ns; /* CLOCK_MONOTONIC */
    bool detach, survive_restart;
    const void *stored_request; /* what starts it again, for survive_restart */
    size_t stored_request_bytes;
    const char *run_id; /* of a run that is started again; NULL: a new one */
    const struct visit_listener *listener;
    void *payload;
};

struct visit_input {
    const char *name;
    const char *json; /* one JSON value */
    size_t json_bytes;
};

/* Admits it or not: 0 and a visit; 1 and a refusal (the listener hears nothing); -ENOMEM. */
int visit_start(struct front *front, const struct visit_request *request, struct visit **ret,
                struct refusal *ret_refusal);

const char *visit_run_id(const struct visit *visit);
const char *visit_principal(const struct visit *visit);
bool visit_detached(const struct visit *visit);

/* The reader has taken so many bytes of what `output` gave. */
void visit_took(struct visit *visit, int stream, size_t size_bytes);
/* Nobody listens any more: a visit that is not detached is cancelled. */
void visit_leave(struct visit *visit);
/* Ends it as soon as possible; the listener hears how. `reason` goes to the log: "caller", "deadline",
 * "stop", "drain". */
void visit_cancel(struct visit *visit, const char *reason);

/* The node ends: a visit that survives that is let go without an ending, any other is cancelled. */
void visit_suspend(struct visit *visit);

/* NULL: none that is not over. */
struct visit *visit_find(struct front *front, const char *run_id);
/* A detached run that a worker still has from before. False: it is not known. */
bool visit_adopt(void *front, const char *run_id, struct worker_run *run,
                 const struct worker_run_events **ret_events, void **ret_payload);

/* Those who follow a detached run (watch.c) are told that there is something new. */
struct visit_follower {
    void (*changed)(struct visit_follower *follower); /* new events, or the end */
    struct visit_follower *next, **link;
};
void visit_follow(struct visit *visit, struct visit_follower *follower);
void visit_unfollow(struct visit_follower *follower);

/* ---- Beside it
 * ----------------------------------------------------------------------------------------------- */

/* What a caller asks for over what is granted: {"limits": {…}, "grants": {…}, "deterministic": …} as JSON
 * text, narrowed. NULL or empty text: the grant's own. 0 and a reference; 1 and a sentence in the refusal
 * (INVALID_ARGUMENT). */
int contract_request(const struct grant *grant, const char *json, size_t size_bytes, berth_contract **ret,
                     struct refusal *ret_refusal);

/* SHA-256 of a contract in its TOML form; remembered by pointer. */
int contract_digest(struct front *front, berth_contract *contract, uint8_t ret[static 32]);
int contract_digests_new(struct contract_digests **ret);
void contract_digests_free(struct contract_digests *digests);

/* Inputs as one object for stdin; the caller frees it. 0, -ENOMEM, 1: a refusal. */
int inputs_object(const struct visit_input *inputs, size_t n_inputs, const struct settings *settings,
                  char **ret, size_t *ret_bytes, struct refusal *ret_refusal);
/* Inputs as files in a directory of their own under `parent`: an O_PATH descriptor, or a negative errno. */
int inputs_directory_make(int parent, const char *run_id, const struct visit_input *inputs, size_t n_inputs);
void inputs_directory_remove(int parent, const char *run_id);

#endif

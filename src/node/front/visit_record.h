/* SPDX-License-Identifier: Apache-2.0 */
/* A visit from inside, for visit.c, and for visit_record.c, which writes down what became of it. */
#ifndef BERTH_NODE_VISIT_RECORD_H
#define BERTH_NODE_VISIT_RECORD_H

#include "node/front/visit.h"
#include "wire/hash.h"

struct visit_stream {
    struct hash hash;
    uint64_t bytes;
    uint32_t taken_bytes; /* by the reader, of which the worker has not been told */
};

struct visit {
    struct front *front;
    struct visit *next, **link; /* in front->visits; link NULL: not in it */
    char run_id[RUN_ID_CHARACTERS];
    struct principal *principal; /* borrowed; lives as long as the front */
    char *capability, *name;
    berth_contract *contract; /* NULL if adopted */
    char **argv, **environment;
    char *input; /* stdin */
    size_t input_bytes;
    uint8_t output_sha256[HASH_BYTES]; /* once it has ended */
    uint8_t module_sha256[HASH_BYTES], arguments_sha256[HASH_BYTES], inputs_sha256[HASH_BYTES];
    int inputs_directory, artifact; /* -1: none */
    uint64_t deadline_ns;
    bool watch, events, exclusive, detached, survive_restart;
    bool compiled, inserted, adopted, cancelled, suspended, lost, over;

    const struct visit_listener *listener; /* NULL: nobody listens */
    void *payload;
    struct visit_follower *followers;
    struct refusal *starting; /* while visit_start() is on the stack: where a refusal goes */

    struct compile_request *compiling;
    struct worker_run *run;
    struct ledger_wait recorded, told;

    struct visit_stream streams[2]; /* stdout, stderr */
    struct hash events_hash;
    uint64_t n_events;
    char *denials[VISIT_DENIALS_MAX];
    size_t n_denials;
    int64_t started_ns, ended_ns;
    struct berth_outcome outcome;
    struct berth_usage usage;
    char *cause, *remedy, *receipt;
};

void visit_start_hashing(struct visit *visit);
/* Puts the run into the store as queued or running, or changes its state there; notes run_started if it is
 * going to run.
 */
void visit_record_start(struct visit *visit, bool running, const void *request, size_t request_bytes);
/* Notes run_ended and ends the run in the store. */
void visit_record_end(struct visit *visit);
/* Sets visit->receipt. 0 or a negative errno. */
int visit_make_receipt(struct visit *visit);

/* A visit is gone; the front may be waiting for the last one (front.c). */
void front_visit_is_over(struct front *front);

#endif

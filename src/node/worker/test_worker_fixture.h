/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: real workers (worker_main() in processes of their own) under a real front's `workers`, and runs
 * whose story is written down.
 *
 * A node is made of a supervisor's part (control sockets, settings, mounts) and the front's (loop, workers).
 * fronts come and go: node_lose_front() and node_new_front().
 */
#ifndef BERTH_NODE_TEST_WORKER_FIXTURE_H
#define BERTH_NODE_TEST_WORKER_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "node/process.h"
#include "node/worker/workers.h"

enum { NODE_WORKERS_MAX = 4, NODE_RUNS_MAX = 512 };

/* What became of a run. */
struct story {
    struct worker_run *run;
    char run_id[RUN_ID_CHARACTERS];
    char *output; /* NUL after it */
    size_t output_bytes, errors_bytes;
    size_t untaken_bytes; /* of stdout: came, and no credit was given for it */
    bool takes;           /* credit is given for what comes */
    bool keeps_nothing;   /* counts bytes only */
    size_t n_events, n_denials, n_endings;
    char last_event[32], last_denial[256];
    bool events_in_order; /* "00000", "00001", … */
    struct berth_outcome outcome;
    char cause[256];
    struct berth_usage usage;
    bool lost;
};

struct node {
    uv_loop_t loop;
    struct workers *workers;
    size_t n_workers;
    pid_t pids[NODE_WORKERS_MAX];
    int controls[NODE_WORKERS_MAX];
    char isolation[NODE_WORKERS_MAX][CONTROL_TEXT_BYTES];
    char directory[64];    /* mounted at /data, read-only; holds greeting.txt */
    char inputs[64];       /* where inputs of runs would be */
    int inputs_descriptor; /* a run's, O_PATH; holds greeting.txt, too */
    struct story stories[NODE_RUNS_MAX];
    size_t n_stories;
    size_t n_lost, n_broke;
    char fault[128];
    bool adopts;
    size_t n_adopted;
};

/* Loads the guests once for all tests of the program; before any node. */
int load_guests(void **state);
int unload_guests(void **state);

void node_start(struct node *node, size_t n_workers);
void node_stop(struct node *node);
void node_lose_front(struct node *node);
void node_new_front(struct node *node);
/* After its kill. */
void node_replace_worker(struct node *node, size_t worker);

/* A request with the defaults: no limits of note, credit for a megabyte, no input. */
struct worker_run_request request_for(struct node *node, const char *guest, berth_contract *contract);
struct story *node_run(struct node *node, struct worker_run_request *request);
/* Turns the loop until the condition holds; fails the test after a generous time. */
#define node_until(node, condition)                               \
    do {                                                          \
        uint64_t begun_ns_ = clock_monotonic_ns();                \
        while (!(condition)) {                                    \
            node_turn(node);                                      \
            if (clock_monotonic_ns() - begun_ns_ > 60 * NS_PER_S) \
                fail_msg("never: %s", #condition);                \
        }                                                         \
    } while (0)
void node_turn(struct node *node);
void node_until_ended(struct node *node, struct story *story);

/* A contract from pairs of key and value, ends with NULL; with the node's directory at /data if `mounted`. */
berth_contract *contract_for(struct node *node, bool mounted, ...);

/* Of a line of /proc/PID/smaps_rollup or status, in KiB. */
long process_kib(pid_t pid, const char *file, const char *key);
size_t process_descriptors(pid_t pid);

#endif

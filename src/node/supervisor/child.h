/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of the node as the supervisor sees it: a place that is held by a process or waits for its next
 * one. After each death the pause before the next start doubles, from 100 ms to 10 s; 60 s of life begin
 * anew.
 */
#ifndef BERTH_NODE_CHILD_H
#define BERTH_NODE_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
    const char *role;     /* ROLE_FRONT, … */
    unsigned number;      /* of a worker */
    pid_t pid;            /* 0: none stands */
    int control;          /* our end; -1: none */
    bool fresh;           /* it has not had its CONTROL_GO */
    bool ready;           /* it has said so */
    bool failed;          /* it has said why it cannot go on */
    uint64_t started_ns;  /* CLOCK_MONOTONIC */
    uint64_t start_at_ns; /* while none stands; UINT64_MAX: never again */
    uint32_t pause_ms;
};

void child_init(struct child *child, const char *role, unsigned number);

/* Starts the process with an empty environment, descriptors as in process.h and a session of its own, so that
 * Ctrl-C on the terminal reaches the supervisor alone. 0 or a negative errno. */
int child_start(struct child *child, uint64_t now_ns);

/* Sends a signal to it, if it stands. */
void child_signal(const struct child *child, int signal_number);

/* It has ended and said its last: the place waits for its next start. */
void child_retire(struct child *child, uint64_t now_ns);

/* "worker 2", "the front"; `ret` has CHILD_NAME_BYTES. */
enum { CHILD_NAME_BYTES = 32 };
void child_name(const struct child *child, char ret[static CHILD_NAME_BYTES]);

#endif

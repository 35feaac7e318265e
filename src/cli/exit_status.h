/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How berth ends, as a number for scripts. One table, from which `berth help exit-status`, the man pages and
 * docs/errors.md come. The numbers follow timeout(1) and env(1) (124, 125, 126, 127), the shell (128 +
 * signal) and sysexits (64).
 */
#ifndef BERTH_CLI_EXIT_STATUS_H
#define BERTH_CLI_EXIT_STATUS_H

#include <stdbool.h>

#include <berth/run.h>

enum {
    STATUS_OK = 0,
    STATUS_USAGE = 64,
    STATUS_LIMIT = 123,
    STATUS_WALL = 124,
    STATUS_FAILURE = 125,
    STATUS_REFUSED = 126,
    STATUS_NOT_FOUND = 127,
    STATUS_INTERRUPTED = 130,
    STATUS_TRAPPED = 134,
    STATUS_OUTPUT_CLOSED = 141,
    STATUS_TERMINATED = 143,
};

struct exit_status {
    const char *number; /* "124" */
    const char *meaning;
};

/* Ends with a NULL number. */
extern const struct exit_status exit_statuses[];

/* The status for an error of the library that no caller knows better about. */
int exit_status_of_error(berth_status status);

/* `signal_number`: the signal that asked for the end of the run, or 0. `output_closed`: nobody reads stdout
 * or stderr any more. */
int exit_status_of_outcome(const struct berth_outcome *outcome, int signal_number, bool output_closed);

#endif

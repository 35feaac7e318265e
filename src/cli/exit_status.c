/* SPDX-License-Identifier: Apache-2.0 */
/* See exit_status.h. */
#include "cli/exit_status.h"

#include <signal.h>
#include <stddef.h>

const struct exit_status exit_statuses[] = {
    {"0-255", "the guest's own: 0 if it returned, otherwise what it gave to exit(), modulo 256"},
    {"64", "usage error: an unknown option or command, a bad value, a file or directory that is not there"},
    {"123", "the guest reached a limit other than wall time: memory, fuel or output"},
    {"124", "the guest reached its wall limit, as in timeout(1)"},
    {"125", "berth itself failed: no memory, an output that cannot be written, a kernel that lacks "
            "something, a node "
            "that cannot be reached or cannot be trusted"},
    {"126",
     "the module, the contract or the caller was refused, or a receipt or an audit log does not hold; the "
     "sentence on stderr says why"},
    {"127", "the module, or the run on a node, was not found"},
    {"130", "stopped by Ctrl-C (SIGINT)"},
    {"134", "the guest trapped: it did what WebAssembly or WASI forbids, or called abort()"},
    {"141", "nobody reads stdout or stderr any more"},
    {"143", "stopped by SIGTERM"},
    {NULL, NULL},
};

int exit_status_of_error(berth_status status)
{
    switch (status) {
    case BERTH_OK:
        return STATUS_OK;
    case BERTH_INVALID:
        return STATUS_USAGE;
    case BERTH_REFUSED:
        return STATUS_REFUSED;
    case BERTH_NOT_FOUND:
    case BERTH_BUSY:
    case BERTH_ENDED:
    case BERTH_UNSUPPORTED:
    case BERTH_NO_MEMORY:
    case BERTH_IO:
    case BERTH_INTERNAL:
    case BERTH_CANCELLED:
        break;
    }
    return STATUS_FAILURE;
}

int exit_status_of_outcome(const struct berth_outcome *outcome, int signal_number, bool output_closed)
{
    switch (outcome->kind) {
    case BERTH_OUTCOME_EXITED:
        return (int)(outcome->exit_code & 0xff);
    case BERTH_OUTCOME_TRAPPED:
        return STATUS_TRAPPED;
    case BERTH_OUTCOME_LIMIT:
        return outcome->limit == BERTH_LIMIT_WALL ? STATUS_WALL : STATUS_LIMIT;
    case BERTH_OUTCOME_CANCELLED:
        return signal_number == SIGTERM ? STATUS_TERMINATED : STATUS_INTERRUPTED;
    case BERTH_OUTCOME_REFUSED:
        return STATUS_REFUSED;
    case BERTH_OUTCOME_HOST_ERROR:
        return output_closed ? STATUS_OUTPUT_CLOSED : STATUS_FAILURE;
    case BERTH_OUTCOME_RUNNING:
        break;
    }
    return STATUS_FAILURE;
}

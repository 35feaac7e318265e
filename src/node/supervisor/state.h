/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory of a running node: one node at a time has it (a lock that the kernel lets go of when
 * its holder dies), and the inputs of runs lie in it.
 *
 *    STATE/lock       locked; the process id of the node, as text
 *    STATE/inputs/    a directory per run; emptied at each start
 */
#ifndef BERTH_NODE_STATE_H
#define BERTH_NODE_STATE_H

#include <berth/error.h>

struct state {
    char *path;
    int lock;
    int inputs; /* O_PATH */
};

/* Makes the directory if needed. Errors: BERTH_BUSY (another node has it; the sentence says which process),
 * BERTH_REFUSED (others may write it), BERTH_NOT_FOUND, BERTH_IO, BERTH_NO_MEMORY. On an error nothing is
 * held. */
berth_status state_open(const char *configured, struct state *ret, berth_error **reterr);
void state_close(struct state *state);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon, as the command line sees it, and its processes:
 *
 *    supervisor ── front      sockets, TLS, sealed sessions, policy, keys, audit, metrics
 *               ├─ worker 0…  guests only
 *               └─ compiler   module bytes in, machine code out
 *
 * All are this program again with another role. The supervisor starts them with an empty environment and a
 * fixed set of descriptors, restarts what dies (with a growing pause), and hands every pair its socket: front
 * and worker, front and compiler. See process.h for the descriptors.
 */
#ifndef BERTH_NODE_NODE_H
#define BERTH_NODE_NODE_H

#include <stdbool.h>

#include "node/settings/settings.h"

struct node_arguments {
    struct settings *settings; /* complete; taken over */
    /* Reads everything again for SIGHUP. */
    berth_status (*reload)(void *payload, struct settings **ret, berth_error **reterr);
    void *payload;
    bool json; /* the ready line is one JSON object on stdout */
    bool quiet;
};

/* Runs until SIGTERM or SIGINT. Returns an exit status as in `berth help exit-status`. */
int node_serve(const struct node_arguments *arguments);

/* Exit statuses of the processes, from the table of `berth help exit-status`. */
enum node_status {
    NODE_ENDED = 0,
    NODE_USAGE = 64,    /* a setting, an argument, a file or a directory is wrong */
    NODE_FAILURE = 125, /* this machine lacks something: memory, a port, a right */
    NODE_REFUSED = 126, /* something is not as it must be to go on: an identity that others can read */
};

/* The status for an error that ends a start. */
int node_status_of_error(berth_status status);

/* Where `berth audit` and the rest look by default: configured, or $STATE_DIRECTORY (of systemd), or
 * $XDG_STATE_HOME/berth, or ~/.local/state/berth; absolute; the caller frees it. Made with mode 0700 if
 * `make`. 0, -ENOENT (no home), or another negative errno. */
int node_state_directory(const char *configured, bool make, char **ret);

/* The other roles: argv[1] is one of these words. -1: it is none of them. */
int node_role_main(int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: starts the processes of a node, replaces those that die, and ends them. It reads no byte of
 * a caller or of a guest, and has no key.
 *
 *    STARTING ── all are ready ─► SERVING ── SIGTERM, SIGINT ─► DRAINING
 *        │ one cannot start, or a signal                            │ drained, or time is up
 *        └─────────────────────────────► ENDING ◄──────────────────┘
 *
 *    supervisor.c           the phases, signals, and what children say
 *    supervisor_prepare.c   what is there before the first child: state, mounts, sockets, settings
 *    supervisor_reload.c    SIGHUP
 *    children.c, child.c    processes and their sockets
 */
#ifndef BERTH_NODE_SUPERVISOR_H
#define BERTH_NODE_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/log.h"
#include "node/node.h"
#include "node/process.h"
#include "node/supervisor/children.h"
#include "node/supervisor/owner.h"
#include "node/supervisor/state.h"

enum supervisor_phase { STARTING, SERVING, DRAINING, ENDING };

struct supervisor {
    const struct node_arguments *arguments;
    struct log log;
    struct settings *settings;
    struct state state;
    struct listening listening;
    int *mounts; /* O_PATH, one per mount of the settings */
    size_t n_mounts;
    struct children children;
    char token[OWNER_TOKEN_CHARACTERS];   /* "": callers have their own */
    char front_ready[CONTROL_TEXT_BYTES]; /* what it said when it was ready */
    json_t *isolation;                    /* array: layers that workers lack */
    int signals;                          /* signalfd */
    enum supervisor_phase phase;
    uint64_t deadline_ns;                   /* of the phase; UINT64_MAX: none */
    uint64_t watchdog_ns, next_watchdog_ns; /* UINT64_MAX: nobody asks */
    struct settings *reloaded;              /* what the front is asked about; NULL: nothing */
    int reloaded_file;
    bool reload_again; /* a SIGHUP came meanwhile */
    int status;        /* enum node_status */
};

/* ---- supervisor_prepare.c
 * ------------------------------------------------------------------------------------ */

/* Fills it in and takes over arguments->settings. An enum node_status, after a sentence on stderr.
 * supervisor_done() in either case. */
int supervisor_prepare(struct supervisor *supervisor, const struct node_arguments *arguments);
void supervisor_done(struct supervisor *supervisor);

/* A sealed memory file with the settings as JSON. */
berth_status supervisor_share(const struct settings *settings, int *ret_file, berth_error **reterr);
/* Fills in what children cannot know, because they have no environment, and the owner if there is no
 * principal. */
berth_status supervisor_adapt(const struct supervisor *supervisor, struct settings *settings,
                              berth_error **reterr);

/* "berth: …" on stderr, as it is said before there is a node. Returns the status. */
int supervisor_fail(const char *sentence, int status);

/* ---- supervisor_reload.c
 * ------------------------------------------------------------------------------------- */

void supervisor_reload(struct supervisor *supervisor);
/* The front's answer: "" or why not; NULL: it died before it could. */
void supervisor_reloaded(struct supervisor *supervisor, const char *answer);

#endif

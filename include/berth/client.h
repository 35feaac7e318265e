/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libberth-client: sends filters to a node and takes their answers back.
 *
 * A client is a connection to one node, whose key is pinned: on first use it is written to the known-nodes
 * file, later a changed key is an error. Everything that leaves is sealed for that node (ML-KEM-768),
 * everything that comes back is sealed for us, with or without TLS below. The receipt is verified against
 * what was sent and received before a visit counts as done.
 *
 * Calls block until they are done; berth_client_cancel() ends one from another thread or a signal handler. A
 * client belongs to one thread at a time. SIGPIPE is ignored from the first client on if it is at its
 * default.
 */
#ifndef BERTH_CLIENT_H
#define BERTH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/run.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct berth_client berth_client;

struct berth_client_options {
    size_t size;                   /* sizeof(struct berth_client_options); the init function sets it */
    const char *address;           /* "HOST[:PORT]", "[IPv6][:PORT]"; default port 50051 */
    const char *token;             /* bearer token, or NULL */
    bool tls;                      /* TLS 1.3; also if tls_ca is given */
    const char *tls_ca;            /* PEM file of trusted authorities; NULL: the system's */
    const char *certificate, *key; /* PEM files of a client certificate, or NULL */
    const uint8_t *identity;       /* 32-byte Ed25519 secret to prove who calls, or NULL */
    const char *known_nodes;       /* file of pinned keys; NULL: $XDG_STATE_HOME/berth/known-nodes */
    /* Peer id that the node must have; the known-nodes file is then not looked at. NULL: as pinned there, or
     * pinned now. */
    const char *node;
    uint32_t connect_timeout_ms; /* from the look-up to the node's first word; default 10000 */
    /* Send the token without TLS also to other machines, where whoever is on the way can read it. */
    bool plain_anywhere;
};

BERTH_API void berth_client_options_init(struct berth_client_options *options);

/* Connects and checks who answers. Errors: BERTH_IO (no such host, nobody listens, TLS fails, a file cannot
 * be read or written), BERTH_REFUSED (another key than the one that is known, or than `node` says),
 * BERTH_UNSUPPORTED (what answers is no berth node), BERTH_INVALID. */
BERTH_API BERTH_MUST_USE berth_status berth_client_new(const struct berth_client_options *options,
                                                       berth_client **ret, berth_error **reterr);
BERTH_API void berth_client_free(berth_client *client); /* accepts NULL */

/* Peer id of the node; valid as long as the client. */
BERTH_API const char *berth_client_node(const berth_client *client);
/* True if the key was written to the known-nodes file by this client. */
BERTH_API bool berth_client_first_use(const berth_client *client);

struct berth_client_input {
    const char *name;
    const char *json; /* one JSON value */
};

/* One visit. Strings and bytes are borrowed during the call. */
struct berth_visit {
    size_t size; /* sizeof(struct berth_visit) */
    const void *module;
    size_t module_bytes;
    const char *name;               /* "filter.wasm" */
    const char *const *arguments;   /* after argv[0]; ends with NULL; or NULL */
    const char *const *environment; /* "NAME=VALUE"; or NULL */
    const struct berth_client_input *inputs;
    size_t n_inputs;
    const char *capability; /* NULL: the default one */
    const char *contract;   /* JSON that narrows what the node allows; or NULL */
    uint64_t deadline_ms;   /* 0: none */
    bool events, detach, survive_restart;

    /* All may be NULL. What `output` and `errors` get is gone after the call; while they block, the node
     * parks the program. False ends the visit as a cancel does. */
    bool (*output)(void *payload, const void *bytes, size_t size_bytes);
    bool (*errors)(void *payload, const void *bytes, size_t size_bytes);
    bool (*event)(void *payload, uint64_t sequence, int64_t time_ns, const char *text);
    void (*uploaded)(void *payload, uint64_t sent_bytes, uint64_t total_bytes);
    void (*started)(void *payload, const char *run_id);
    void *payload;
};

/* How it ended. Belongs to the client, valid until its next call. */
struct berth_visit_end {
    struct berth_outcome outcome;
    struct berth_usage usage;
    const char *run_id;
    const char *receipt;        /* JSON; verified: signatures, node, module, arguments, output */
    const char *const *denials; /* ends with NULL */
    bool module_was_known;      /* its bytes did not have to cross */
    bool detached;              /* started, and left to itself */
};

/* How a program ended, a refused module included, is no error but *ret. Errors: BERTH_REFUSED (the node says
 * no; its sentence is in the error), BERTH_IO (the connection, or the node, is gone), BERTH_INTERNAL (seal or
 * receipt do not hold, or the end is missing: what was received must not be trusted), BERTH_CANCELLED (here),
 * BERTH_ENDED (the deadline is over, and the node did not say how it ended), BERTH_INVALID. */
BERTH_API BERTH_MUST_USE berth_status berth_client_visit(berth_client *client,
                                                         const struct berth_visit *visit,
                                                         const struct berth_visit_end **ret,
                                                         berth_error **reterr);

/* Ends the call that is going on, or else the next one: a cancel that comes a moment too early is not lost.
 * Safe from any thread and from signal handlers. */
BERTH_API void berth_client_cancel(berth_client *client);

/* gRPC status that the last call ended with, 0 to 16. */
BERTH_API int berth_client_grpc_status(const berth_client *client);

/* ---- Runs on the node ---------------------------------------------------------------------------------- */

/* Strings are the node's, not escaped, and valid during the call in which they are shown. */
struct berth_run_info {
    const char *run_id, *principal, *capability, *module_sha256, *name, *state, *cause;
    uint32_t exit_code;
    int64_t started_ns, ended_ns; /* since 1970 */
    bool detached;
    uint64_t last_sequence;
    const char *receipt; /* JSON, its signatures verified; NULL: not ended, or in a list */
};
typedef bool berth_run_info_fn(void *payload, const struct berth_run_info *info);
typedef bool berth_watch_event_fn(void *payload, uint64_t sequence, int64_t time_ns, const char *text);

/* The caller's own runs, newest first; at most `limit`, 0: 100. */
BERTH_API BERTH_MUST_USE berth_status berth_client_runs(berth_client *client, bool running, uint32_t limit,
                                                        berth_run_info_fn *visit, void *payload,
                                                        berth_error **reterr);
/* Errors: BERTH_NOT_FOUND. */
BERTH_API BERTH_MUST_USE berth_status berth_client_show(berth_client *client, const char *run_id,
                                                        berth_run_info_fn *visit, void *payload,
                                                        berth_error **reterr);
BERTH_API BERTH_MUST_USE berth_status berth_client_stop(berth_client *client, const char *run_id,
                                                        berth_run_info_fn *visit, void *payload,
                                                        berth_error **reterr);
/* Events after that number, as they come, until the run ends (then `end` is called) or `event` returns false.
 * A lost connection is BERTH_IO: watch again from the last number. */
BERTH_API BERTH_MUST_USE berth_status berth_client_watch(berth_client *client, const char *run_id,
                                                         uint64_t after, berth_watch_event_fn *event,
                                                         void (*dropped)(void *payload, uint64_t up_to),
                                                         berth_run_info_fn *end, void *payload,
                                                         berth_error **reterr);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of workers.h.
 *
 *    workers.c         the pool: which worker gets a run, what it must be told before, what becomes of runs
 *                      when a worker is lost
 *    workers_link.c    the socket to one worker: what it has no room for waits here, bounded
 *    workers_receive.c what a worker says, checked against what was agreed; shares nothing with the rest but
 *                      these structures
 *
 * A link is down, greeting (the worker says which runs it still has), or up. What one run has to say while
 * the socket is full is kept in the run, so that a worker that does not read costs no memory.
 */
#ifndef BERTH_NODE_WORKERS_INSIDE_H
#define BERTH_NODE_WORKERS_INSIDE_H

#include <sys/queue.h>

#include "node/worker/channel.h"
#include "node/worker/known.h"
#include "node/worker/workers.h"

enum {
    BACKLOG_PACKETS_MAX = 8192, /* of one worker */
    BACKLOG_BYTES_MAX = 64 << 20,
};

enum link_state { LINK_DOWN, LINK_GREETING, LINK_UP };

struct worker_run {
    struct worker_link *link; /* NULL once the worker is lost */
    uint32_t number;
    bool told;  /* the worker knows its number */
    bool dirty; /* in the link's list */
    bool cancelled, cancel_due;
    uint64_t credit_bytes[2];     /* what the worker may still send */
    uint64_t credit_due_bytes[2]; /* the part of it that the worker does not know of */
    uint32_t n_denials;
    char run_id[RUN_ID_CHARACTERS];
    bool adopted;
    const struct worker_run_events *events_to;
    void *payload;
    LIST_ENTRY(worker_run) among_adopted;
    TAILQ_ENTRY(worker_run) among_dirty;
};

/* A packet that the socket had no room for. */
struct backlog_packet {
    STAILQ_ENTRY(backlog_packet) next;
    int descriptors[CHANNEL_DESCRIPTORS_MAX];
    size_t n_descriptors;
    size_t size_bytes;
    uint8_t bytes[];
};

struct worker_link {
    struct workers *workers;
    size_t index;
    enum link_state state;
    bool ever_up;
    int channel;
    uv_poll_t *poll; /* freed by its close callback */
    bool polls_writable;
    uint32_t n_unheard;       /* ALIVE that are still to come */
    struct worker_run **runs; /* by number; NULL: free */
    uint32_t n_numbers;
    uint32_t *free_numbers;
    uint32_t n_free, n_runs;
    TAILQ_HEAD(, worker_run) dirty;
    STAILQ_HEAD(, backlog_packet) backlog;
    size_t n_backlog, backlog_bytes;
};

enum { DIGESTS = 256 };

/* The key of a contract that was lately used, so that its text is not written again. */
struct contract_key {
    berth_contract *contract; /* a reference: the pointer is no other contract's */
    uint8_t sha256[KNOWN_KEY_BYTES];
};

struct workers {
    struct workers_options options;
    struct worker_link *links;
    size_t n_links, next_link;
    struct known modules, contracts;
    struct contract_key keys[DIGESTS];
    LIST_HEAD(, worker_run) adopted;
    uint64_t lost_total;
    uint8_t *packet; /* CHANNEL_PACKET_BYTES */
};

/* ---- workers.c ---- */

/* The worker has gone, or is to be taken for gone; `fault`: it broke the protocol. Its runs end. */
void link_lose(struct worker_link *link, const char *fault);
/* 0, -ENOMEM or -EMFILE. */
int link_add_run(struct worker_link *link, struct worker_run *run);
/* Takes it out and frees it. */
void link_remove_run(struct worker_link *link, struct worker_run *run);

/* ---- workers_link.c ---- */

/* Takes the descriptor over. */
int link_open(struct worker_link *link, int channel);
void link_close(struct worker_link *link);
/* Sends, or keeps until there is room. 0, -ENOMEM. A worker that has gone is noticed where it is read. */
int link_send(struct worker_link *link, const void *fixed, size_t fixed_bytes, const struct iovec *pieces,
              int n_pieces, const int *descriptors, size_t n_descriptors);
bool link_is_crowded(const struct worker_link *link);
/* The run has credit or a cancel that the worker does not know of. */
void link_tell(struct worker_run *run);

/* ---- workers_receive.c ---- */

/* Takes one packet. 0, or 1 and what is wrong with it. Callbacks may have started, credited and cancelled
 * runs. */
int link_take(struct worker_link *link, const void *packet, size_t size_bytes, const char **ret_fault);

#endif

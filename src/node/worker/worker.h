/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a worker process: one thread, one engine, one schedule, and the guests that the front has asked
 * for. It never blocks but in one place, where it waits for everything at once.
 *
 *    worker.c         what the supervisor says, the loop, the main program
 *    worker_tables.c  modules and contracts by place
 *    worker_channel.c messages from the front, and who is told what after a front came back
 *    worker_guest.c   a guest from START to its ending
 *    worker_report.c  what leaves: output under credit, events, denials, endings
 *    isolation*.c     what the process gives away before it lets a guest in
 *
 * Without a front, guests that are not detached are cancelled and end unheard; detached ones go on, keep
 * their events in a bounded queue, and wait for the next front with their output and their ending.
 */
#ifndef BERTH_NODE_WORKER_H
#define BERTH_NODE_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <berth/contract.h>
#include <berth/engine.h>
#include <berth/module.h>
#include <berth/run.h>

#include "node/worker/channel.h"

enum { CHANNEL_FD = 4 }; /* where the socket to the front always is */

/* Events and denials of one guest that wait to be sent: while a front reads, and while there is none. */
enum {
    GUEST_NOTES_MAX = 64,
    GUEST_NOTES_BYTES_MAX = 256 << 10,
    ORPHAN_NOTES_MAX = 10000,
    ORPHAN_NOTES_BYTES_MAX = 16 << 20,
};

/* A directory that the supervisor has opened. */
struct worker_mount {
    char *host; /* as contracts call it */
    int descriptor;
};

/* A place of the table of modules. Neither module nor failure: empty. */
struct worker_module {
    berth_module *module;
    char *failure; /* why it cannot be used */
};

struct worker_contract {
    berth_contract *contract;
    berth_mounts *mounts; /* shared by its guests, quotas with them */
    int *descriptors; /* of the contract's mounts, borrowed from the worker's; one place more at the end */
    berth_contract *with_inputs; /* the same with a mount at /inputs; made when first needed */
    char *failure;
};

/* An event or a denial on its way. */
struct note {
    STAILQ_ENTRY(note) next;
    enum channel_kind kind;
    size_t size_bytes;
    char text[];
};

/* stdin that does not fit into the guest's buffer at once. */
struct guest_input {
    int descriptor; /* memory file, -1: none */
    uint64_t offset, left_bytes;
};

struct guest {
    TAILQ_ENTRY(guest) all;
    TAILQ_ENTRY(guest) waiting; /* among those with something to send, if `queued` */
    struct worker *worker;
    uint32_t number; /* the front's; meaningless while `orphaned` */
    uint32_t ticket; /* the worker's own */
    char run_id[CHANNEL_RUN_ID_BYTES];
    bool detached;
    bool orphaned;  /* its front has gone, the next one has not adopted it yet */
    bool announced; /* the new front has heard of it */
    bool unheard;   /* nobody wants to know any more */
    bool cancelled, deadline_passed;
    bool queued;
    bool starved; /* it waits for room among the notes */
    berth_instance *instance;
    berth_run *run;
    char *failure; /* it could not be started */
    bool refused;  /* by contract or scan, not by an accident */
    uint64_t deadline_ns;
    uint64_t credit_bytes[2]; /* of stdout and stderr */
    uint64_t taken_bytes;     /* of both together */
    struct guest_input input;
    STAILQ_HEAD(, note) notes;
    size_t n_notes, notes_bytes;
};

TAILQ_HEAD(guest_list, guest);

enum { UNSENT_MAX = 2 };

struct unsent {
    uint8_t *bytes; /* CHANNEL_PACKET_BYTES */
    size_t size_bytes;
};

struct worker {
    berth_engine *engine;
    berth_schedule *schedule;
    struct berth_wait wait;      /* of the last step */
    bool stirred;                /* since then a guest was given room, so that it may go on */
    int control, channel, epoll; /* channel -1: no front */
    uint32_t channel_events;     /* what epoll was told */
    bool greeted;                /* HELLO has been sent */
    struct worker_mount *mounts;
    size_t n_mounts;
    struct worker_module modules[CHANNEL_MODULES];
    struct worker_contract contracts[CHANNEL_CONTRACTS];
    struct guest **by_number;
    size_t n_numbers;
    struct guest_list guests, waiting;
    uint32_t next_ticket;
    uint64_t next_deadline_ns; /* not after the first deadline of any guest */
    uint8_t *packet;           /* where messages are received and output is taken to, CHANNEL_PACKET_BYTES */
    struct unsent unsent[UNSENT_MAX]; /* what the socket had no room for, the oldest first */
    size_t n_unsent;
};

/* ---- worker.c ---- */

/* engine: borrowed. mounts are taken over. */
int worker_new(berth_engine *engine, struct worker_mount *mounts, size_t n_mounts, int control,
               struct worker **ret);
void worker_free(struct worker *worker); /* accepts NULL */
/* A front, or its successor. Takes the descriptor over. */
int worker_connect(struct worker *worker, int channel);
/* The front has gone. */
void worker_disconnect(struct worker *worker);
/* Serves until the supervisor has gone: 0; or a negative errno. */
int worker_serve(struct worker *worker);

/* ---- worker_tables.c ---- */

/* Both take what the place held before away, and remember why if something cannot be used. */
void worker_set_module(struct worker *worker, uint32_t place, const char *name, int artifact);
void worker_set_contract(struct worker *worker, uint32_t place, uint32_t flags, const char *text,
                         size_t text_bytes);
/* What a run with that directory at /inputs uses; the caller drops both. */
berth_status worker_contract_with_inputs(struct worker *worker, struct worker_contract *contract, int inputs,
                                         berth_contract **ret_contract, berth_mounts **ret_mounts,
                                         berth_error **reterr);
void worker_clear_tables(struct worker *worker);

/* ---- worker_channel.c ---- */

/* Takes a few packets. 0; 1: the front has gone; -EAGAIN: there is none now; or another negative errno. */
int worker_listen(struct worker *worker);

/* ---- worker_guest.c ---- */

/* Takes the descriptors over. 0, or -ENOMEM if not even a guest that failed could be made. */
int guest_start(struct worker *worker, const struct channel_message *message, int data, int inputs);
struct guest *guest_find(struct worker *worker, uint32_t number);
void guest_cancel(struct guest *guest);
/* Gives it a number that the front knows. */
int guest_number(struct guest *guest, uint32_t number);
void guest_free(struct guest *guest);
/* Cancels those whose caller's deadline has passed. */
void guests_expire(struct worker *worker, uint64_t now_ns);

/* ---- worker_report.c ---- */

/* There is or may be something to send. */
void guest_queue(struct guest *guest);
/* Keeps an event or a denial; false: there is no room for it now. */
bool guest_note(struct guest *guest, enum channel_kind kind, const char *text, size_t size_bytes);
/* Sends what waits until the socket is full; a packet each in turn. */
void guests_report(struct worker *worker);

#endif

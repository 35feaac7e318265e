/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front and a worker say to each other: one message is one packet of a SOCK_SEQPACKET socket, a
 * fixed structure in the machine's own byte order (both ends are the same program) with bytes behind it.
 * Descriptors travel beside a packet (SCM_RIGHTS), from the front to the worker only; a worker that sends
 * some is ended. What is under way counts against a limit that all processes of a user share (unix(7),
 * ETOOMANYREFS).
 *
 *    front                                              worker
 *                                        <-  HELLO, then ALIVE for each detached run that it still has
 *    ADOPT for each of them              ->
 *    MODULE, CONTRACT (once each)        ->
 *    START                               ->
 *    CREDIT, CANCEL                      ->
 *                                        <-  OUTPUT (under credit), EVENT, DENIAL
 *                                        <-  ENDED, the last of a run, with what is left of its output
 *
 * The front chooses all numbers. Modules and contracts are places in two tables of the worker; naming a
 * place again replaces what is there, so that the front alone decides what is remembered. The number of a run
 * is free again when the front has heard ENDED; a CREDIT or CANCEL that crosses it means nothing.
 *
 * Workers are hostile once a guest has broken out of one: channel_decode() accepts nothing of them that is
 * not exactly of this form, and workers_receive.c nothing that does not fit what was agreed.
 */
#ifndef BERTH_NODE_CHANNEL_H
#define BERTH_NODE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <berth/run.h>

enum {
    CHANNEL_VERSION = 1,
    CHANNEL_PAYLOAD_BYTES = 64 << 10, /* at most so many bytes behind the fixed part */
    CHANNEL_PACKET_BYTES = CHANNEL_PAYLOAD_BYTES + 4096,
    CHANNEL_INLINE_BYTES = 32 << 10, /* arguments and stdin beyond this are handed over in a memory file */
    CHANNEL_RUN_ID_BYTES = 33,       /* 32 lowercase hex digits and NUL */
    CHANNEL_MODULES = 256,           /* places of the tables */
    CHANNEL_CONTRACTS = 1024,
    CHANNEL_RUNS_MAX = 65536,
    CHANNEL_NAME_BYTES = 256,             /* of a module, NUL included */
    CHANNEL_DENIALS_MAX = 64,             /* told of one run; an honest worker tells fewer */
    CHANNEL_SENTENCE_BYTES = 4096,        /* of a cause, a remedy or a denial, NUL included */
    CHANNEL_STRINGS_BYTES_MAX = 16 << 20, /* arguments and environment of a run */
    CHANNEL_STRINGS_MAX = 65536,
    CHANNEL_DESCRIPTORS_MAX = 2,
    CHANNEL_BUFFER_BYTES = 2 << 20, /* asked for as SO_SNDBUF */
};

enum channel_kind {
    /* From the front. */
    CHANNEL_MODULE = 1,   /* channel_module, the name; descriptor: the artifact */
    CHANNEL_CONTRACT = 2, /* channel_contract, TOML (behind it or in a descriptor) */
    CHANNEL_START = 3,    /* channel_start, strings and stdin (or in a descriptor); descriptor: inputs */
    CHANNEL_CREDIT = 4,   /* channel_credit */
    CHANNEL_CANCEL = 5,   /* channel_plain */
    CHANNEL_ADOPT = 6,    /* channel_adopt */
    /* From the worker. */
    CHANNEL_HELLO = 32,  /* channel_hello */
    CHANNEL_ALIVE = 33,  /* channel_alive */
    CHANNEL_OUTPUT = 34, /* channel_output, bytes */
    CHANNEL_EVENT = 35,  /* channel_plain, UTF-8 */
    CHANNEL_DENIAL = 36, /* channel_plain, a printable sentence with NUL */
    CHANNEL_ENDED = 37,  /* channel_ended, cause and remedy each with NUL, rest of stdout, rest of stderr */
};

struct channel_header {
    uint32_t kind;
    uint32_t run; /* which run is meant; 0 where none is */
};

struct channel_plain {
    struct channel_header header;
};

struct channel_module {
    struct channel_header header;
    uint32_t place; /* below CHANNEL_MODULES */
    uint32_t reserved;
};

/* Bits of channel_contract.flags */
enum { CHANNEL_MAY_WATCH = 1, CHANNEL_MAY_PUSH_EVENTS = 2, CHANNEL_TEXT_IN_FILE = 4 };

struct channel_contract {
    struct channel_header header;
    uint32_t place; /* below CHANNEL_CONTRACTS */
    uint32_t flags;
    uint64_t text_bytes;
};

/* Bits of channel_start.flags */
enum {
    CHANNEL_DETACHED = 1,
    CHANNEL_DATA_IN_FILE = 2, /* the first descriptor holds strings and stdin */
    CHANNEL_HAS_INPUTS = 4,   /* the last descriptor is the directory for /inputs */
};

struct channel_start {
    struct channel_header header;
    uint32_t module, contract; /* places */
    uint32_t flags;
    uint32_t credit_bytes; /* of stdout and of stderr */
    uint64_t random_seed;
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    uint32_t n_arguments, n_environment;
    uint64_t strings_bytes; /* arguments, then environment, each with NUL; stdin follows */
    uint64_t input_bytes;
    char run_id[40]; /* CHANNEL_RUN_ID_BYTES are used */
};

struct channel_credit {
    struct channel_header header;
    uint32_t stream; /* 1 stdout, 2 stderr */
    uint32_t bytes;
};

struct channel_adopt {
    struct channel_header header; /* its new number */
    uint32_t ticket;              /* of channel_alive */
    uint32_t keep;                /* 1, or 0: it ends unheard */
};

struct channel_hello {
    struct channel_header header;
    uint32_t version;
    uint32_t n_alive; /* so many ALIVE follow at once */
};

struct channel_alive {
    struct channel_header header;
    uint32_t ticket;
    uint32_t reserved;
    char run_id[40];
};

struct channel_output {
    struct channel_header header;
    uint32_t stream;
    uint32_t reserved;
};

struct channel_ended {
    struct channel_header header;
    uint32_t outcome, limit, exit_code; /* berth_outcome_kind, berth_limit_kind */
    uint32_t cause_bytes, remedy_bytes; /* NUL included */
    uint32_t output_bytes, errors_bytes;
    uint32_t reserved;
    struct berth_usage usage;
};

/* A message taken apart. The fixed part is copied, the bytes lie in the packet. */
struct channel_message {
    union {
        struct channel_header header;
        struct channel_module module;
        struct channel_contract contract;
        struct channel_start start;
        struct channel_credit credit;
        struct channel_adopt adopt;
        struct channel_hello hello;
        struct channel_alive alive;
        struct channel_output output;
        struct channel_ended ended;
    } of;
    const uint8_t *bytes;
    size_t size_bytes;
};

enum channel_side { CHANNEL_FROM_FRONT, CHANNEL_FROM_WORKER };

/* Takes a packet of that side apart. 0, or 1: no such message, *ret_fault says what is wrong with it
 * (static). Afterwards all that can be said of a message alone holds: lengths agree, places and streams
 * exist, run ids are run ids, events are UTF-8, sentences are printable and end with their only NUL. */
int channel_decode(enum channel_side side, const void *packet, size_t size_bytes, struct channel_message *ret,
                   const char **ret_fault);

/* The four parts behind a channel_ended; strings end with NUL. */
struct channel_ending {
    const char *cause, *remedy;
    const uint8_t *output, *errors;
};
void channel_ending(const struct channel_message *ended, struct channel_ending *ret);

/* Sends a fixed part and the pieces behind it without blocking. 0; -EAGAIN: the socket is full, or the kernel
 * has no room just now; another negative errno: the other side is gone. */
int channel_send(int socket, const void *fixed, size_t fixed_bytes, const struct iovec *pieces, int n_pieces,
                 const int *descriptors, size_t n_descriptors);

/* Receives one packet without blocking into CHANNEL_PACKET_BYTES. 0; 1: the other side is gone; -EAGAIN;
 * -EBADMSG: too long, or with descriptors while `ret_descriptors` is NULL. Otherwise CHANNEL_DESCRIPTORS_MAX
 * of them, unused ones -1, which the caller closes. */
int channel_receive(int socket, void *packet, size_t *ret_size_bytes, int *ret_descriptors);

/* A printable copy of a sentence, cut to what a message may hold. Returns its size, NUL included. */
size_t channel_sentence(const char *text, char ret[static CHANNEL_SENTENCE_BYTES]);

#endif

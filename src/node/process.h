/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seams between the processes of a node: which descriptor is what, and what the supervisor and its
 * children say to each other.
 *
 * A child is started as `/proc/self/exe ROLE [NUMBER]` with an empty environment and these descriptors:
 *    0, 1   /dev/null
 *    2      the supervisor's stderr
 *    3      its control socket to the supervisor: SOCK_SEQPACKET, one struct control_message a packet, at
 *           most one descriptor with it (SCM_RIGHTS)
 * It gets everything else as control messages until CONTROL_GO; then it gives away what it does not need.
 * When the control socket closes, the supervisor is gone, and the child ends.
 *
 * Front and worker, front and compiler, talk over socket pairs (SOCK_SEQPACKET, close-on-exec, blocking until
 * an end changes its own) that the supervisor makes and hands to both ends; when one end dies, the other gets
 * a new one. The worker outlives a front. A front has as many channels as there are workers when it gets
 * CONTROL_GO; the channel to a worker that does not stand just then is closed at the other end. A worker or
 * compiler that starts while there is no front gets CONTROL_GO without a channel, and one later.
 */
#ifndef BERTH_NODE_PROCESS_H
#define BERTH_NODE_PROCESS_H

#include <stdint.h>

#define ROLE_FRONT    "node-front"
#define ROLE_WORKER   "node-worker"
#define ROLE_COMPILER "node-compiler"

enum { CONTROL_FD = 3, CONTROL_TEXT_BYTES = 4096 };

enum control_kind {
    /* From the supervisor. */
    CONTROL_SETTINGS = 1, /* to all: a memory file with the effective settings as JSON (settings_write) */
    CONTROL_STATE = 2,    /* to the front: text is the path of the state directory */
    CONTROL_MOUNT = 3,    /* to workers: O_PATH descriptor of settings->mounts[index] */
    CONTROL_INPUTS = 4,  /* to workers and the front: O_PATH descriptor of the directory under which the front
                            puts the  inputs of runs */
    CONTROL_CHANNEL = 5, /* to the front: socket to worker `index`; to a worker: its socket to the front.
                            Again later when the other side was replaced */
    CONTROL_COMPILER = 6, /* to the front: socket to the compiler; to the compiler: its socket to the front */
    CONTROL_LISTENER = 7, /* to the front: a socket that is bound already, for settings->listeners[index] */
    CONTROL_GO = 8,       /* that was all */
    CONTROL_RELOAD = 9,   /* to the front: a memory file with new settings */
    CONTROL_DRAIN = 10,   /* to the front: end well */
    CONTROL_ISOLATION = 11, /* to the front, when all are ready; text: JSON array of the layers that workers
                               lack; index: how many */
    /* To the supervisor. */
    CONTROL_READY = 32,      /* text: of the front, the ready line's JSON; of others, JSON
                                {"missing": […]} with the names of the layers that this kernel lacks */
    CONTROL_FAILED = 33,     /* text: a sentence why it cannot start; index: exit status */
    CONTROL_DRAINED = 34,    /* from the front */
    CONTROL_END_WORKER = 35, /* from the front: worker `index` broke the protocol: kill it */
    CONTROL_RELOADED = 36,   /* from the front; text: "" or a sentence why the old settings stay */
};

struct control_message {
    uint32_t kind;
    uint32_t index;
    char text[CONTROL_TEXT_BYTES]; /* ends with NUL; only as many bytes as are used cross */
};

/* Blocking or not as the socket is. descriptor -1: none. 0 or a negative errno. */
int control_send(int socket, uint32_t kind, uint32_t index, const char *text, int descriptor);
/* 0; 1: the other side is gone; a negative errno (-EAGAIN, -EBADMSG). *ret_descriptor: -1 if there was none.
 */
int control_receive(int socket, struct control_message *ret, int *ret_descriptor);

/* The mains of the roles; number: which worker. */
int front_main(void);
int worker_main(unsigned number);
int compiler_service_main(void);

#endif

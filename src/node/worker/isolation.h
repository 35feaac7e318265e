/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker gives away before it lets a guest in: if a guest breaks out of WebAssembly, it finds a
 * process that can open nothing but what its mounts hold, reach no one but the front and the supervisor, and
 * start nothing. The contract does not depend on any of it; these are the walls behind the wall.
 *
 * What is left to it: Landlock covers neither stat, readlink and the times of files nor inotify (its
 * documentation, "Current limitations"), and the filter cannot see an absolute path behind a pointer. The
 * inputs of all runs are below one directory. stderr is the node's own.
 *
 * Each layer is on its own: what a kernel lacks is reported, not papered over, and `node.require_isolation`
 * decides. Order matters: isolation_begin() while there is one thread, so that all that come later inherit
 * it; isolation_finish() when engine and threads stand, for it ends the making of threads.
 */
#ifndef BERTH_NODE_ISOLATION_H
#define BERTH_NODE_ISOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of a set of layers. */
enum isolation_layer {
    ISOLATION_NO_NEW_PRIVILEGES = 1 << 0, /* no program that it starts gains rights */
    ISOLATION_NO_DUMP = 1 << 1,           /* no core file; not to be traced by others of the same user */
    ISOLATION_LIMITS = 1 << 2,            /* no processes, no locked memory, no queues */
    ISOLATION_FILES = 1 << 3,             /* Landlock: nothing but the directories */
    ISOLATION_NETWORK = 1 << 4,           /* Landlock: no TCP, no abstract sockets, no signals to others */
    ISOLATION_SYSTEM_CALLS = 1 << 5,      /* seccomp: what is not on the list kills the process */
    ISOLATION_ALL = (1 << 6) - 1,
};

struct isolation_directory {
    int descriptor; /* O_PATH is enough */
    bool writable;
};

struct isolation {
    const struct isolation_directory *directories;
    size_t n_directories;
    int control, channel; /* the two sockets; their numbers stay */
    bool watch;           /* some guest may wait for changes in files */
};

/* Closes every descriptor that is neither 0, 1, 2 nor among these. 0 or a negative errno. */
int isolation_close_others(const int *kept, size_t n_kept);

/* Adds the layers that hold to *layers. 0, or a negative errno: what should have worked on this kernel did
 * not. */
int isolation_begin(const struct isolation *isolation, unsigned *layers);
int isolation_finish(const struct isolation *isolation, unsigned *layers);

/* Tries forbidden acts, each in a child that has confined itself as the worker will. root: a descriptor of
 * "/". 0; 1: *ret_act names one that was possible (static); a negative errno: it could not be tried. */
int isolation_probe(const struct isolation *isolation, int root, const char **ret_act);
/* The same in the process itself, once it is confined, for those that are refused with an error. */
int isolation_verify(const struct isolation *isolation, int root, unsigned layers, const char **ret_act);

/* {"isolation": ["files", …], "missing": […]}; the caller frees it. NULL: no memory. */
char *isolation_report(unsigned layers);

/* Whether the filter lets this system call through at all, for tests. */
bool isolation_allows(int system_call, bool watch);

#endif

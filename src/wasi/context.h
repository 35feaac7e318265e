/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one guest: what it was granted, its descriptors, and how far a call that had to wait has come.
 *
 * One allocation of about a kilobyte, so that ten thousand parked guests are cheap; no system call is made
 * before the guest makes one.
 */
#ifndef BERTH_WASI_CONTEXT_H
#define BERTH_WASI_CONTEXT_H

#include "wasi/descriptor.h"
#include "wasi/wasi.h"

/* What a call keeps between WASI_WAIT or WASI_YIELD and its repetition. */
struct pending_call {
    bool active;
    enum wasi_function function;
    uint64_t started_ns; /* poll_oneoff, wait_for_change */
    uint64_t done_bytes; /* already moved */
    uint64_t position;   /* fd_readdir: the cookie to go on from */
};

struct wasi_context {
    const char *const *args;
    const char *const *env;
    struct wasi_stream streams[3];
    struct wasi_mounts *mounts;
    void (*on_denial)(void *payload, const struct wasi_denial *denial);
    bool (*on_event)(void *payload, const char *text, size_t size_bytes);
    void *payload;
    enum wasi_clock_mode clock;
    enum wasi_random_mode random;
    bool deterministic;
    bool events, watch;
    struct wasi_watches *watches;
    uint32_t max_open_files;

    struct wasi_usage usage;
    struct wasi_wait wait;
    struct pending_call pending;
    uint64_t random_state[4];
    uint64_t virtual_ns;        /* deterministic: time since the start */
    uint64_t monotonic_base_ns; /* what the guest's monotonic clock starts from; 0: not read yet */
    size_t listed_entries;      /* deterministic: in the listings of all descriptors */
    char fault[160];

    struct descriptor *table; /* `first_table`, or allocated */
    uint32_t table_size;
    uint32_t open_files;
    struct descriptor first_table[];
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WASI preview 1 on a granted set of directories and streams, without a WebAssembly engine in sight.
 *
 * The engine binding calls wasi_call() with the guest's memory and its raw arguments. The call never blocks
 * and never keeps a pointer into guest memory: what would have to wait returns WASI_WAIT, the embedder parks
 * the guest, and makes the same call again when wasi_context_wait() is satisfied. Limits that belong to the
 * run (wall time, CPU, cancel) are thus the embedder's alone, and this library runs under sanitizers and
 * fuzzers at full speed.
 *
 * Layers inside: guest_memory.c (the only way to touch guest bytes), guest_path.c (paths as text), resolve.c
 * (the only door from a path to the host, openat2), mount.c with hide.c and quota.c (a granted directory:
 * mode, hidden names, growth), descriptor.c (the table), then a file per family of functions, and call.c (the
 * table that binds names to them). docs/wasi.md says what guests see.
 *
 * Everything a guest passes is hostile. Unknown flags are EINVAL, unknown kinds of files are not opened, a
 * pointer outside of memory or not aligned is WASI_FAULT.
 */
#ifndef BERTH_WASI_WASI_H
#define BERTH_WASI_WASI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- Functions ---------------------------------------------------------------------------------- */

enum wasi_function {
#define WASI_FUNCTION(name, parameters, blocks) WASI_##name,
#include "wasi/wasi_functions.def"
#undef WASI_FUNCTION
#define EXTENSION_FUNCTION(module, name, ...) WASI_##module##_##name,
#include "wasi/extension_functions.def"
#undef EXTENSION_FUNCTION
    WASI_N_FUNCTIONS
};

/* The module name of preview 1. */
#define WASI_MODULE "wasi_snapshot_preview1"

enum { WASI_MAX_ARGUMENTS = 9 };

struct wasi_function_info {
    const char *module;     /* WASI_MODULE, or of an extension */
    const char *name;       /* "fd_read" */
    const char *parameters; /* "iiii" */
    bool returns;           /* an errno; nothing otherwise */
    bool blocks;
};
extern const struct wasi_function_info wasi_functions[WASI_N_FUNCTIONS];

/* ---- Mounts ------------------------------------------------------------------------------------- */

/* Granted directories, opened once, shared by contexts, also of several threads; reference-counted with
 * atomics, immutable but for the quotas, which have a lock each. */
struct wasi_mounts;

struct wasi_mount_options {
    const char *guest; /* absolute guest path; copied */
    const char *host;  /* host path to open, or NULL if `descriptor` is given; copied for messages */
    int descriptor;    /* an open directory (O_PATH is enough) that the mount takes over, or -1 */
    bool writable;
    const char *const *hide; /* patterns as in docs/contract.md; copied */
    size_t n_hide;
    uint64_t quota_bytes; /* 0 = off */
};

/* Opens all or none. 0, or a negative errno with *ret_failed the index of the mount at fault: -EINVAL for a
 * guest path that is not absolute or a hide pattern that means nothing, -ENOSYS or -ENOENT for hidden names
 * where /proc is missing. Descriptors are taken over only if it succeeds. `proc_descriptor` is what
 * wasi_host_open_proc() gave, duplicated here; -1: it is opened if there are hidden names. */
int wasi_mounts_new(const struct wasi_mount_options *options, size_t n_options, int proc_descriptor,
                    struct wasi_mounts **ret, size_t *ret_failed);
/* From now on, what is added through a mount counts against the quota of the mount at the same place in `of`,
 * as far as that has as many. Once, and before a context uses `mounts`. */
void wasi_mounts_share_quotas(struct wasi_mounts *mounts, struct wasi_mounts *of);
struct wasi_mounts *wasi_mounts_ref(struct wasi_mounts *mounts);
void wasi_mounts_unref(struct wasi_mounts *mounts); /* accepts NULL */

/* 0, or -ENOSYS if this kernel lacks what confinement needs (openat2 with RESOLVE_BENEATH). */
int wasi_host_check(void);

/* Opens /proc/self/fd, which says where files are that are open: a process that will not be able to open
 * paths does it before. 0, -ENOSYS (that is no /proc), or another negative errno. */
int wasi_host_open_proc(int *ret_descriptor);

/* ---- Changes ------------------------------------------------------------------------------------ */

/* Tells the contexts of one thread what changed on the host. Must outlive them. */
struct wasi_watches;

/* `on_change` is called with the payload of a context that may wait for a change that has now happened, from
 * wasi_watches_look() and from inside of calls of any context. 0 or a negative errno. */
int wasi_watches_new(void (*on_change)(void *payload), struct wasi_watches **ret);
void wasi_watches_free(struct wasi_watches *watches); /* accepts NULL */
/* When it can be read, there is something to look at. */
int wasi_watches_descriptor(const struct wasi_watches *watches);
void wasi_watches_look(struct wasi_watches *watches);

/* ---- Streams ------------------------------------------------------------------------------------ */

enum {
    WASI_STREAM_BLOCKED = 1, /* nothing can be moved now */
    WASI_STREAM_LIMIT = 2,   /* the run's output is used up: the run ends */
};

/* The longest vector that a stream is given. */
enum { WASI_STREAM_VECTOR_MAX = 64 };

/* What stdin, stdout and stderr are made of; implemented by the embedder. None of these may block. */
struct wasi_stream_operations {
    /* Fills the vector from its start. 0 with *ret_size bytes (0: the end), WASI_STREAM_BLOCKED, or -errno.
     */
    int (*read)(void *stream, const struct iovec *vector, int n_vector, size_t *ret_size);
    /* Takes all of the vector, at most 64 KiB in total, or nothing. 0, WASI_STREAM_BLOCKED,
     * WASI_STREAM_LIMIT, or -errno (-EPIPE: the reader is gone). */
    int (*write)(void *stream, const struct iovec *vector, int n_vector);
    /* Whether a read or a write would do something now; *ret_bytes how much (a guess for reads); *ret_hangup:
     * the other side is gone. */
    bool (*ready)(void *stream, uint64_t *ret_bytes, bool *ret_hangup);
};

struct wasi_stream {
    const struct wasi_stream_operations *operations; /* NULL: the descriptor is closed from the start */
    void *stream;
    bool terminal; /* reported as a character device, so that libc buffers lines */
};

/* ---- Contexts ----------------------------------------------------------------------------------- */

enum wasi_clock_mode { WASI_CLOCK_NONE, WASI_CLOCK_COARSE, WASI_CLOCK_FINE };
enum wasi_random_mode { WASI_RANDOM_NONE, WASI_RANDOM_SEEDED, WASI_RANDOM_OS };

/* A call that the contract refused. Strings are valid during the callback; guest text in them is escaped. */
struct wasi_denial {
    const char *rule;     /* "grants.mount" */
    const char *tried;    /* "path_open \"/logs/x\" for writing" */
    const char *observed; /* "a write" */
    const char *allowed;  /* "reading" */
    const char *remedy;   /* "mode = \"write\"" */
};

struct wasi_options {
    const char *const *args; /* ends with NULL; borrowed for the life of the context, as is env */
    const char *const *env;  /* "NAME=VALUE", ends with NULL, already filtered by the contract */
    struct wasi_stream streams[3];
    struct wasi_mounts *mounts; /* may be NULL; the context takes a reference */
    enum wasi_clock_mode clock;
    enum wasi_random_mode random;
    uint64_t random_seed;
    uint32_t max_open_files; /* beside streams and mounts */
    /* Virtual time that advances by 1 us per reading and by each sleep; directory entries sorted; inode
     * numbers from paths, times 0; streams always ready, and reads of them return only when the guest's
     * buffer is full or the input has ended. */
    bool deterministic;
    void (*on_denial)(void *payload, const struct wasi_denial *denial); /* may be NULL */
    /* Takes an event, which is UTF-8 of at most 64 KiB and valid during the call; false: not now, the guest
     * waits for WASI_WAIT_EVENTS. NULL: events are dropped. */
    bool (*on_event)(void *payload, const char *text, size_t size_bytes);
    void *payload;
    bool events, watch;           /* grants */
    struct wasi_watches *watches; /* may be NULL; then waiting for changes is not supported */
};

/* Counters that the embedder reads at any time. */
struct wasi_usage {
    uint64_t calls;
    uint64_t input_bytes;   /* read from streams and files */
    uint64_t written_bytes; /* to files, not to streams */
    uint64_t files_opened;
    uint64_t denials;
};

struct wasi_context;

/* 0, -EINVAL, -ENOMEM. Cheap: no system call, under 2 KiB. */
int wasi_context_new(const struct wasi_options *options, struct wasi_context **ret);
void wasi_context_free(struct wasi_context *context); /* closes everything; accepts NULL */
const struct wasi_usage *wasi_context_usage(const struct wasi_context *context);

/* Forgets a call that returned WASI_WAIT and will not be made again (its run was ended). */
void wasi_context_abandon_call(struct wasi_context *context);

/* ---- Calls -------------------------------------------------------------------------------------- */

struct wasi_memory {
    uint8_t *data;
    size_t size;
};

enum wasi_result {
    WASI_DONE = 0, /* *ret_errno is what the guest gets */
    WASI_WAIT,     /* see wasi_context_wait(); then the same call again with the same arguments */
    WASI_YIELD,    /* as WASI_WAIT, but satisfied at once: others get a turn first (sched_yield, long work) */
    WASI_EXIT,     /* proc_exit; *ret_errno is the guest's exit code */
    WASI_FAULT, /* a guest pointer outside of memory or misaligned, or proc_raise; see wasi_context_fault() */
    WASI_LIMIT, /* WASI_STREAM_LIMIT from a stream */
};

/* Makes one call. `arguments` has a slot per parameter, i32 zero-extended. WASI_WAIT and WASI_YIELD leave the
 * context in the middle of this call; only the same call or wasi_context_abandon_call() may follow. */
enum wasi_result wasi_call(struct wasi_context *context, enum wasi_function function,
                           struct wasi_memory memory, const uint64_t *arguments, uint32_t *ret_errno);

/* What a call that returned WASI_WAIT waits for: any of these. */
struct wasi_wait {
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    uint8_t sources;      /* bit n: stream n (0 readable, 1 and 2 writable); and these: */
};
enum {
    WASI_WAIT_CHANGE = 1 << 3, /* on_change of the watches */
    WASI_WAIT_EVENTS = 1 << 4, /* there is room for events again */
};
const struct wasi_wait *wasi_context_wait(const struct wasi_context *context);

/* One clause about the last WASI_FAULT: "fd_read: iovec 0 at 0xfffffff0 lies outside of memory". */
const char *wasi_context_fault(const struct wasi_context *context);

#endif

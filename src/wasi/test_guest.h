/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest without an engine, for tests: a memory, three streams, a tree in a fresh directory, and a helper
 * per function that puts arguments where the function wants them and gives back the errno.
 *
 * The memory lies between two pages that cannot be touched, so that a function that leaves it crashes.
 */
#ifndef BERTH_WASI_TEST_GUEST_H
#define BERTH_WASI_TEST_GUEST_H

#include <sys/stat.h>

#include "wasi/guest_memory.h"
#include "wasi/wasi.h"

/* Places in the guest's memory that the helpers use. */
enum {
    GUEST_MEMORY_SIZE = 4 << 20,
    AT_PATH = 0x10000,
    AT_PATH_2 = 0x12000,
    AT_RESULT = 0x14000,
    AT_IOVEC = 0x15000,
    AT_BUFFER = 0x100000,
};

/* A stream that the test fills and empties. */
struct test_stream {
    char data[1 << 17];
    size_t length;
    size_t room; /* for writes: blocked when what is written does not fit */
    bool blocked;
    bool ended;
    int error; /* what operations return, if not 0 */
};

struct test_guest {
    struct wasi_context *context;
    struct wasi_mounts *mounts;
    struct wasi_memory memory;
    struct test_stream streams[3];
    char root[128]; /* the granted directory */
    char above[64]; /* its parent, with a secret in it */
    uint32_t exit_code;
    enum wasi_result result; /* of the last call */
    char denial[1024];       /* the last one, as "rule|tried|observed|allowed|remedy" */
    unsigned n_denials;
    struct wasi_watches *watches; /* if it may wait for changes */
    unsigned n_woken;             /* how often a change was told of */
    char event[(64 << 10) + 1];   /* the last one */
    size_t event_length;
    unsigned n_events;
    bool no_room; /* for events */
};

struct test_setup {
    bool writable;
    const char *const *hide;
    size_t n_hide;
    uint64_t quota_bytes;
    bool deterministic;
    enum wasi_clock_mode clock;
    enum wasi_random_mode random;
    uint32_t max_open_files; /* 0: 64 */
    bool events, watch;
    bool two_mounts; /* "/second" beside "/", a directory "second" above the root */
};

/* Makes above/, above/secret, above/root/, and a context with a mount of it as "/" (descriptor 3). */
void test_guest_start(struct test_guest *guest, const struct test_setup *setup);
/* Another context on the same mounts. */
struct wasi_context *test_guest_second_context(struct test_guest *guest);
void test_guest_end(struct test_guest *guest);

/* Host side of the tree; names are below the root. */
void host_file(struct test_guest *guest, const char *name, const char *contents);
void host_directory(struct test_guest *guest, const char *name);
void host_symlink(struct test_guest *guest, const char *target, const char *name);
bool host_exists(const struct test_guest *guest, const char *name);
uint64_t host_size(const struct test_guest *guest, const char *name);
void host_remove_tree(const char *path);
unsigned host_open_descriptors(void);

/* Makes a call; the arguments are uint64_t. Gives the errno if it was answered, and 1000 plus the result if
 * not. */
#define guest_call(guest, function, ...) \
    test_guest_call(guest, WASI_##function, (const uint64_t[]){__VA_ARGS__, 0})
uint32_t test_guest_call(struct test_guest *guest, enum wasi_function function, const uint64_t *arguments);
enum { FAULTED = 1000 + WASI_FAULT, WAITS = 1000 + WASI_WAIT, YIELDS = 1000 + WASI_YIELD };

/* A string in memory; its length. */
uint32_t guest_string(struct test_guest *guest, uint32_t address, const char *string);
uint32_t guest_result_u32(const struct test_guest *guest);
uint64_t guest_result_u64(const struct test_guest *guest);

#define ALL_RIGHTS UINT64_MAX
uint32_t guest_open(struct test_guest *guest, uint32_t dirfd, const char *path, uint32_t oflags,
                    uint64_t rights, uint32_t *ret_fd);
uint32_t guest_open_full(struct test_guest *guest, uint32_t dirfd, uint32_t lookup, const char *path,
                         uint32_t oflags, uint64_t rights, uint64_t inheriting, uint32_t fdflags,
                         uint32_t *ret_fd);
uint32_t guest_write(struct test_guest *guest, uint32_t fd, const char *text);
/* Reads up to `size` bytes into AT_BUFFER. */
uint32_t guest_read(struct test_guest *guest, uint32_t fd, uint32_t size, uint32_t *ret_size);
uint32_t guest_stat(struct test_guest *guest, uint32_t dirfd, uint32_t lookup, const char *path);
uint32_t guest_mkdir(struct test_guest *guest, uint32_t dirfd, const char *path);
uint32_t guest_rmdir(struct test_guest *guest, uint32_t dirfd, const char *path);
uint32_t guest_unlink(struct test_guest *guest, uint32_t dirfd, const char *path);
uint32_t guest_symlink(struct test_guest *guest, const char *target, uint32_t dirfd, const char *path);
uint32_t guest_link(struct test_guest *guest, uint32_t dirfd, const char *from, uint32_t to_dirfd,
                    const char *to);
uint32_t guest_rename(struct test_guest *guest, uint32_t dirfd, const char *from, uint32_t to_dirfd,
                      const char *to);
uint32_t guest_readlink(struct test_guest *guest, uint32_t dirfd, const char *path);
uint32_t guest_set_times(struct test_guest *guest, uint32_t dirfd, uint32_t lookup, const char *path,
                         uint64_t atim, uint64_t mtim, uint32_t fstflags);
/* All names of a directory, each followed by a blank. */
uint32_t guest_list(struct test_guest *guest, uint32_t fd, uint32_t buffer_size, char *names, size_t size);

#endif

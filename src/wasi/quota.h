/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a writable mount may grow.
 *
 * Charged are the growth of file sizes (holes count: st_size is what is measured) and 4096 bytes for each
 * entry made. Refunded are the same when a file shrinks, when its last name is gone and nobody has it open
 * any more, and when an entry is removed; what was there before the run is refunded too, but use never falls
 * below zero, so that what is limited is the net growth.
 *
 * Contexts on several threads may share a mount. Measuring, doing and accounting happen under one lock, or
 * two guests together could grow more than the limit. A quota without a limit costs nothing: every function
 * returns at once.
 */
#ifndef BERTH_WASI_QUOTA_H
#define BERTH_WASI_QUOTA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/cleanup.h"

enum { QUOTA_ENTRY_BYTES = 4096 };

struct quota {
    uint64_t limit_bytes; /* 0: no limit */
    uint64_t used_bytes;
    pthread_mutex_t lock;
    /* Files of the mount that guests have open, so that unlinking one does not refund it while it can grow.
     */
    struct quota_open_file {
        dev_t device;
        ino_t inode;
        size_t n_open;
    } *open_files;
    size_t n_open_files;
    size_t capacity;
};

int quota_init(struct quota *quota, uint64_t limit_bytes);
void quota_done(struct quota *quota);

/* Takes the lock for as long as the guard is in scope; NULL if there is no limit. */
struct quota *quota_lock(struct quota *quota);
void quota_unlock(struct quota *const *guard);
#define quota_guard cleanup(quota_unlock) struct quota *

/* The following are called with the lock held, or with NULL (then they do nothing). */

uint64_t quota_available(const struct quota *quota);
/* Takes that much; false, and nothing happened, if there is not enough. */
bool quota_charge(struct quota *quota, uint64_t bytes);
void quota_refund(struct quota *quota, uint64_t bytes);
/* Accounts for a file that went from one size to another. */
void quota_resized(struct quota *quota, uint64_t old_bytes, uint64_t new_bytes);
/* An entry is gone whose status was `status` just before. */
void quota_entry_removed(struct quota *quota, const struct stat *status);

/* A guest has opened that file. 0, -ENOMEM, or -ENOENT if it has lost its last name since, whereupon its size
 * was refunded: it must not be used. */
int quota_file_opened(struct quota *quota, int fd);
/* A guest is about to close it. */
void quota_file_closing(struct quota *quota, int fd);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What workers have been told of: a bounded table from a key to a place, the same place in every worker, and
 * for each entry which workers know it. When the table is full, the entry that was used longest ago gives its
 * place to the new one, and nobody knows that one yet.
 */
#ifndef BERTH_NODE_KNOWN_H
#define BERTH_NODE_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { KNOWN_KEY_BYTES = 32, KNOWN_WORKERS_MAX = 256, KNOWN_BUCKETS = 256 };

struct known_entry {
    uint8_t key[KNOWN_KEY_BYTES]; /* of a hash function: its bytes are spread evenly */
    uint32_t place;
    bool pinned; /* never gives its place away */
    uint8_t workers[KNOWN_WORKERS_MAX / 8];
    LIST_ENTRY(known_entry) same_bucket;
    TAILQ_ENTRY(known_entry) by_use;
};

LIST_HEAD(known_bucket, known_entry);
TAILQ_HEAD(known_order, known_entry);

struct known {
    uint32_t capacity, count;
    struct known_bucket buckets[KNOWN_BUCKETS];
    struct known_order order; /* the one used last stands last; those that are pinned are not in it */
};

void known_init(struct known *known, uint32_t capacity);
void known_done(struct known *known);

/* The entry of that key, a new one if need be; it is the one used last. 0; -ENOMEM; -ENOSPC: all are pinned.
 */
int known_get(struct known *known, const uint8_t key[static KNOWN_KEY_BYTES], struct known_entry **ret);
void known_pin(struct known *known, struct known_entry *entry);

static inline bool known_by(const struct known_entry *entry, size_t worker)
{
    return entry->workers[worker / 8] & (1 << worker % 8);
}

static inline void known_tell(struct known_entry *entry, size_t worker)
{
    entry->workers[worker / 8] |= (uint8_t)(1 << worker % 8);
}

/* Another process stands in that worker's place: it knows nothing. */
void known_forget_worker(struct known *known, size_t worker);

#endif

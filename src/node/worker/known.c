/* SPDX-License-Identifier: Apache-2.0 */
/* See known.h. */
#include "node/worker/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void known_init(struct known *known, uint32_t capacity)
{
    *known = (struct known){.capacity = capacity};
    TAILQ_INIT(&known->order);
}

void known_done(struct known *known)
{
    struct known_entry *entry;
    for (size_t i = 0; i < KNOWN_BUCKETS; i++)
        while ((entry = LIST_FIRST(&known->buckets[i]))) {
            LIST_REMOVE(entry, same_bucket);
            free(entry);
        }
    known_init(known, known->capacity);
}

static struct known_entry *find(const struct known *known, const uint8_t *key)
{
    struct known_entry *entry;
    LIST_FOREACH(entry, &known->buckets[key[0]], same_bucket)
    if (memcmp(entry->key, key, KNOWN_KEY_BYTES) == 0)
        return entry;
    return NULL;
}

/* An entry with a place, in no bucket. */
static int take_place(struct known *known, struct known_entry **ret)
{
    struct known_entry *entry;
    if (known->count < known->capacity) {
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            return -ENOMEM;
        entry->place = known->count++;
    } else {
        entry = TAILQ_FIRST(&known->order);
        if (!entry)
            return -ENOSPC;
        TAILQ_REMOVE(&known->order, entry, by_use);
        LIST_REMOVE(entry, same_bucket);
        memset(entry->workers, 0, sizeof(entry->workers));
    }
    *ret = entry;
    return 0;
}

int known_get(struct known *known, const uint8_t key[static KNOWN_KEY_BYTES], struct known_entry **ret)
{
    struct known_entry *entry = find(known, key);
    if (entry) {
        if (!entry->pinned)
            TAILQ_REMOVE(&known->order, entry, by_use);
    } else {
        int r = take_place(known, &entry);
        if (r < 0)
            return r;
        memcpy(entry->key, key, KNOWN_KEY_BYTES);
        LIST_INSERT_HEAD(&known->buckets[key[0]], entry, same_bucket);
    }
    if (!entry->pinned)
        TAILQ_INSERT_TAIL(&known->order, entry, by_use);
    *ret = entry;
    return 0;
}

void known_pin(struct known *known, struct known_entry *entry)
{
    if (!entry->pinned)
        TAILQ_REMOVE(&known->order, entry, by_use);
    entry->pinned = true;
}

void known_forget_worker(struct known *known, size_t worker)
{
    struct known_entry *entry;
    for (size_t i = 0; i < KNOWN_BUCKETS; i++)
        LIST_FOREACH(entry, &known->buckets[i], same_bucket)
    entry->workers[worker / 8] &= (uint8_t)~(1 << worker % 8);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A binary min-heap of times whose entries live in their owners and know their place, so that any can be
 * moved. */
#ifndef BERTH_SANDBOX_HEAP_H
#define BERTH_SANDBOX_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_entry {
    uint64_t time_ns;
    size_t place; /* index + 1; 0: not in a heap */
};

struct heap {
    struct heap_entry **entries;
    size_t length, capacity;
};

/* Makes room for so many entries in all, so that heap_set() cannot fail. 0 or -ENOMEM. */
int heap_reserve(struct heap *heap, size_t capacity);
/* Inserts the entry, or moves it to its new time. UINT64_MAX takes it out. */
void heap_set(struct heap *heap, struct heap_entry *entry, uint64_t time_ns);
/* The entry with the smallest time, or NULL. */
struct heap_entry *heap_first(const struct heap *heap);
void heap_done(struct heap *heap);

#endif

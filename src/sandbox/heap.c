/* SPDX-License-Identifier: Apache-2.0 */
/* See heap.h. Children of index i are 2i + 1 and 2i + 2. */
#include "sandbox/heap.h"

#include <errno.h>
#include <stdlib.h>

int heap_reserve(struct heap *heap, size_t capacity)
{
    if (capacity <= heap->capacity)
        return 0;
    size_t doubled = heap->capacity ? heap->capacity * 2 : 16;
    if (doubled > capacity)
        capacity = doubled;
    struct heap_entry **grown = reallocarray(heap->entries, capacity, sizeof(grown[0]));
    if (!grown)
        return -ENOMEM;
    heap->entries = grown;
    heap->capacity = capacity;
    return 0;
}

static void put(struct heap *heap, size_t index, struct heap_entry *entry)
{
    heap->entries[index] = entry;
    entry->place = index + 1;
}

static void sift_up(struct heap *heap, size_t index, struct heap_entry *entry)
{
    while (index > 0 && heap->entries[(index - 1) / 2]->time_ns > entry->time_ns) {
        put(heap, index, heap->entries[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(heap, index, entry);
}

static void sift_down(struct heap *heap, size_t index, struct heap_entry *entry)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < heap->length && heap->entries[child + 1]->time_ns < heap->entries[child]->time_ns)
            child++;
        if (child >= heap->length || heap->entries[child]->time_ns >= entry->time_ns)
            break;
        put(heap, index, heap->entries[child]);
        index = child;
    }
    put(heap, index, entry);
}

/* Puts an entry where an old one was or is no longer. */
static void settle(struct heap *heap, size_t index, struct heap_entry *entry)
{
    if (index > 0 && heap->entries[(index - 1) / 2]->time_ns > entry->time_ns)
        sift_up(heap, index, entry);
    else
        sift_down(heap, index, entry);
}

static void take_out(struct heap *heap, struct heap_entry *entry)
{
    size_t index = entry->place - 1;
    struct heap_entry *last = heap->entries[--heap->length];
    entry->place = 0;
    if (last != entry)
        settle(heap, index, last);
}

void heap_set(struct heap *heap, struct heap_entry *entry, uint64_t time_ns)
{
    entry->time_ns = time_ns;
    if (time_ns == UINT64_MAX) {
        if (entry->place)
            take_out(heap, entry);
    } else if (entry->place) {
        settle(heap, entry->place - 1, entry);
    } else {
        sift_up(heap, heap->length++, entry);
    }
}

struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->length ? heap->entries[0] : NULL;
}

void heap_done(struct heap *heap)
{
    free(heap->entries);
    *heap = (struct heap){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of bytes. The memory is there only while the queue holds something, so ten thousand idle
 * ones cost nothing.
 */
#ifndef BERTH_BASE_RING_H
#define BERTH_BASE_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring {
    uint8_t *data;   /* `capacity` bytes, or NULL while empty */
    size_t capacity; /* in bytes, chosen once */
    size_t start;    /* of the oldest byte */
    size_t length;   /* in bytes */
};

static inline size_t ring_room(const struct ring *ring)
{
    return ring->capacity - ring->length;
}

/* Appends all of it, which must not exceed ring_room(). 0 or -ENOMEM (nothing is appended). */
int ring_append(struct ring *ring, const void *bytes, size_t length);

/* The oldest bytes where they lie, in at most two pieces; returns how many pieces. */
int ring_peek(const struct ring *ring, struct iovec ret_pieces[2]);

/* Drops the oldest `length` bytes, at most all; an empty ring gives its memory back. */
void ring_drop(struct ring *ring, size_t length);

/* Moves up to `capacity` of the oldest bytes out; returns how many. */
size_t ring_take(struct ring *ring, void *buffer, size_t capacity);

#endif

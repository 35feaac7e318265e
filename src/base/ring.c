/* SPDX-License-Identifier: Apache-2.0 */
/* See ring.h. */
#include "base/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ring_append(struct ring *ring, const void *bytes, size_t length)
{
    if (length == 0)
        return 0;
    if (!ring->data && !(ring->data = malloc(ring->capacity)))
        return -ENOMEM;
    size_t end = (ring->start + ring->length) % ring->capacity;
    size_t first = length < ring->capacity - end ? length : ring->capacity - end;
    memcpy(ring->data + end, bytes, first);
    memcpy(ring->data, (const uint8_t *)bytes + first, length - first);
    ring->length += length;
    return 0;
}

int ring_peek(const struct ring *ring, struct iovec ret_pieces[2])
{
    size_t first = ring->capacity - ring->start;
    if (ring->length == 0)
        return 0;
    if (first >= ring->length) {
        ret_pieces[0] = (struct iovec){ring->data + ring->start, ring->length};
        return 1;
    }
    ret_pieces[0] = (struct iovec){ring->data + ring->start, first};
    ret_pieces[1] = (struct iovec){ring->data, ring->length - first};
    return 2;
}

void ring_drop(struct ring *ring, size_t length)
{
    if (length < ring->length) {
        ring->start = (ring->start + length) % ring->capacity;
        ring->length -= length;
        return;
    }
    free(ring->data);
    ring->data = NULL;
    ring->start = ring->length = 0;
}

size_t ring_take(struct ring *ring, void *buffer, size_t capacity)
{
    struct iovec pieces[2];
    size_t taken = 0;
    int n_pieces = ring_peek(ring, pieces);
    for (int i = 0; i < n_pieces && taken < capacity; i++) {
        size_t size = pieces[i].iov_len < capacity - taken ? pieces[i].iov_len : capacity - taken;
        memcpy((uint8_t *)buffer + taken, pieces[i].iov_base, size);
        taken += size;
    }
    ring_drop(ring, taken);
    return taken;
}

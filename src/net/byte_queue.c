/* SPDX-License-Identifier: Apache-2.0 */
/* See byte_queue.h. */
#include "net/byte_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked_math.h"

enum {
    BLOCK_BYTES = 4096 - 64, /* of a block that small writes share */
    /* Below this, copying is cheaper than another segment for writev. */
    REFERENCE_BYTES = 512,
};

struct byte_block {
    uint32_t references;
    size_t used_bytes, capacity_bytes;
    uint8_t bytes[];
};

static void block_unref(struct byte_block *block)
{
    if (block && --block->references == 0)
        free(block);
}

static int open_block(struct byte_queue *queue, size_t size_bytes)
{
    size_t capacity = size_bytes < BLOCK_BYTES ? (size_t)BLOCK_BYTES : size_bytes, total;
    if (!checked_add_size(capacity, sizeof(struct byte_block), &total))
        return -ENOMEM;
    struct byte_block *block = malloc(total);
    if (!block)
        return -ENOMEM;
    *block = (struct byte_block){.references = 1, .capacity_bytes = capacity};
    block_unref(queue->open);
    queue->open = block;
    return 0;
}

/* Room for one more segment. */
static int make_room(struct byte_queue *queue)
{
    if (queue->end < queue->capacity)
        return 0;
    size_t used = queue->end - queue->first;
    if (queue->first > used) {
        memmove(queue->segments, queue->segments + queue->first, used * sizeof *queue->segments);
    } else {
        size_t capacity = queue->capacity ? queue->capacity * 2 : 8;
        struct byte_segment *grown = reallocarray(queue->segments, capacity, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        memmove(grown, grown + queue->first, used * sizeof *grown);
        queue->segments = grown;
        queue->capacity = capacity;
    }
    queue->first = 0;
    queue->end = used;
    return 0;
}

/* Appends a reference to bytes of a block; continues the last segment if they follow it. */
static int append_segment(struct byte_queue *queue, struct byte_block *block, uint8_t *bytes,
                          size_t size_bytes)
{
    if (queue->end > queue->first) {
        struct byte_segment *last = &queue->segments[queue->end - 1];
        if (last->block == block && last->bytes + last->size_bytes == bytes) {
            last->size_bytes += size_bytes;
            queue->size_bytes += size_bytes;
            return 0;
        }
    }
    int r = make_room(queue);
    if (r < 0)
        return r;
    block->references++;
    queue->segments[queue->end++] = (struct byte_segment){block, bytes, size_bytes};
    queue->size_bytes += size_bytes;
    return 0;
}

int byte_queue_reserve(struct byte_queue *queue, size_t size_bytes)
{
    int r = make_room(queue);
    if (r < 0)
        return r;
    if (queue->open && queue->open->capacity_bytes - queue->open->used_bytes >= size_bytes)
        return 0;
    return open_block(queue, size_bytes);
}

int byte_queue_append(struct byte_queue *queue, const void *bytes, size_t size_bytes)
{
    if (size_bytes == 0)
        return 0;
    int r = byte_queue_reserve(queue, size_bytes);
    if (r < 0)
        return r;
    struct byte_block *block = queue->open;
    uint8_t *place = block->bytes + block->used_bytes;
    if ((r = append_segment(queue, block, place, size_bytes)) < 0)
        return r;
    memcpy(place, bytes, size_bytes);
    block->used_bytes += size_bytes;
    return 0;
}

int byte_queue_move(struct byte_queue *from, size_t size_bytes, struct byte_queue *to)
{
    while (size_bytes > 0 && from->size_bytes > 0) {
        struct byte_segment *oldest = &from->segments[from->first];
        size_t size = oldest->size_bytes < size_bytes ? oldest->size_bytes : size_bytes;
        int r = size < REFERENCE_BYTES ? byte_queue_append(to, oldest->bytes, size)
                                       : append_segment(to, oldest->block, oldest->bytes, size);
        if (r < 0)
            return r;
        byte_queue_drop(from, size);
        size_bytes -= size;
    }
    return 0;
}

int byte_queue_peek(const struct byte_queue *queue, struct iovec *ret_pieces, int n_pieces)
{
    int n = 0;
    for (size_t i = queue->first; i < queue->end && n < n_pieces; i++)
        ret_pieces[n++] = (struct iovec){queue->segments[i].bytes, queue->segments[i].size_bytes};
    return n;
}

void byte_queue_drop(struct byte_queue *queue, size_t size_bytes)
{
    while (queue->first < queue->end && size_bytes > 0) {
        struct byte_segment *oldest = &queue->segments[queue->first];
        size_t size = oldest->size_bytes < size_bytes ? oldest->size_bytes : size_bytes;
        oldest->bytes += size;
        oldest->size_bytes -= size;
        queue->size_bytes -= size;
        size_bytes -= size;
        if (oldest->size_bytes == 0) {
            block_unref(oldest->block);
            queue->first++;
        }
    }
    if (queue->first == queue->end)
        byte_queue_done(queue);
}

void byte_queue_done(struct byte_queue *queue)
{
    for (size_t i = queue->first; i < queue->end; i++)
        block_unref(queue->segments[i].block);
    block_unref(queue->open);
    free(queue->segments);
    *queue = (struct byte_queue){0};
}

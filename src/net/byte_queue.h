/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of bytes on their way out that are copied once: they lie in reference-counted blocks, a queue holds
 * segments of blocks, and bytes go from one queue to another by reference. Small writes share a block, so
 * that a frame header costs no allocation.
 *
 * Not bounded by itself: who appends looks at `size_bytes` first.
 */
#ifndef BERTH_NET_BYTE_QUEUE_H
#define BERTH_NET_BYTE_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct byte_block;

struct byte_segment {
    struct byte_block *block; /* one reference */
    uint8_t *bytes;
    size_t size_bytes;
};

/* Zero-initialised. */
struct byte_queue {
    struct byte_segment *segments;
    size_t first, end, capacity; /* segments [first, end) are in use */
    size_t size_bytes;           /* of all segments */
    struct byte_block *open;     /* has room for more, one reference; NULL if there is none */
};

void byte_queue_done(struct byte_queue *queue);

/* Makes the next appends of together `size_bytes` lie in one piece and not fail. 0 or -ENOMEM. */
int byte_queue_reserve(struct byte_queue *queue, size_t size_bytes);
/* Copies. 0, or -ENOMEM and nothing is appended. */
int byte_queue_append(struct byte_queue *queue, const void *bytes, size_t size_bytes);
/* Moves the first `size_bytes` (at most all) to the end of another queue. 0, or -ENOMEM: some are moved, none
 * is lost. */
int byte_queue_move(struct byte_queue *from, size_t size_bytes, struct byte_queue *to);

/* The oldest bytes where they lie; returns how many pieces, at most `n_pieces`. */
int byte_queue_peek(const struct byte_queue *queue, struct iovec *ret_pieces, int n_pieces);
/* Drops the oldest bytes, at most all. */
void byte_queue_drop(struct byte_queue *queue, size_t size_bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of bytes to one peer and back, whatever carries it: TCP, TLS over TCP (tcp.h), or something that
 * stream_transport.h's reader adds. HTTP/2 stands on this header alone.
 *
 * Everything happens on the loop's thread. Events come from the loop and never from inside a call to the
 * stream, so that a caller's objects do not vanish under it. A stream belongs to its owner until
 * stream_close(), stream_finish() or the event `closed`; after any of them the pointer is dead for the owner
 * and no event follows.
 */
#ifndef BERTH_NET_STREAM_H
#define BERTH_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;
struct byte_queue; /* net/byte_queue.h */

struct stream_events {
    /* Connected, handshake included: reading begins. Not for a stream that was open when it was made. May be
     * NULL. */
    void (*opened)(void *owner);
    /* The bytes are gone after the return. */
    void (*received)(void *owner, const uint8_t *bytes, size_t size_bytes);
    /* Bytes have left, and no more than STREAM_LOW_BYTES are queued. May be NULL. */
    void (*writable)(void *owner);
    /* The peer ended the stream in order (error NULL), or it broke (a sentence, safe to print, gone after the
     * return). */
    void (*closed)(void *owner, const char *error);
};

enum {
    STREAM_LOW_BYTES = 128 << 10,
    /* Who produces bytes stops here and goes on with `writable`. */
    STREAM_HIGH_BYTES = 512 << 10,
};

void stream_set_owner(struct stream *stream, const struct stream_events *events, void *owner);

/* Whether `opened` is past. Writing is allowed before: the bytes wait. */
bool stream_is_open(const struct stream *stream);

/* Copies. Never fails to the caller: a stream that has no memory left breaks, and `closed` says so. */
void stream_write(struct stream *stream, const void *bytes, size_t size_bytes);
/* Moves the oldest bytes of a queue, by reference. */
void stream_write_from(struct stream *stream, struct byte_queue *from, size_t size_bytes);
/* What was written and has not been taken by the system. */
size_t stream_queued_bytes(const struct stream *stream);

/* Between the two, writes are collected; the last uncork sends them with as few system calls as it can. They
 * nest. */
void stream_cork(struct stream *stream);
void stream_uncork(struct stream *stream);

/* Back-pressure. What was read already, at most one buffer, may still arrive after a stop. */
void stream_stop_reading(struct stream *stream);
void stream_start_reading(struct stream *stream);

/* Sends what is queued, says good-bye and closes; does not wait longer than a few seconds for the peer. */
void stream_finish(struct stream *stream);
/* Closes at once; what is queued is lost. Accepts NULL. */
void stream_close(struct stream *stream);

/* "127.0.0.1" or "2001:db8::1", without a port; "" if unknown. Valid as long as the stream. */
const char *stream_address(const struct stream *stream);
bool stream_has_tls(const struct stream *stream);
/* SHA-256 of the peer's verified certificate (32 bytes), or NULL. Valid as long as the stream. */
const uint8_t *stream_certificate_sha256(const struct stream *stream);

#endif

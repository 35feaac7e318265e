/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner side of stream.h: what a transport provides and calls. A transport embeds struct stream as the
 * first member of its own struct, takes bytes out of `output` when `flush` is called, and frees itself after
 * `end`.
 */
#ifndef BERTH_NET_STREAM_TRANSPORT_H
#define BERTH_NET_STREAM_TRANSPORT_H

#include "net/byte_queue.h"
#include "net/stream.h"

enum { STREAM_ADDRESS_BYTES = 64, STREAM_DIGEST_BYTES = 32 };

struct stream_transport {
    /* Something is in `output`, and the stream is open. Sends what it can now, the rest later. */
    void (*flush)(struct stream *stream);
    void (*set_reading)(struct stream *stream, bool reading);
    /* Releases everything, then calls stream_ended(), in any case from the loop. `politely` sends the queue
     * first; a stream that is ending politely may yet be told to end at once. */
    void (*end)(struct stream *stream, bool politely);
    /* Bytes taken from `output` that the system has not got. May be NULL: none. */
    size_t (*in_flight_bytes)(const struct stream *stream);
};

struct stream {
    const struct stream_transport *transport;
    const struct stream_events *events; /* NULL: the owner let go */
    void *owner;
    struct byte_queue output;
    uint32_t corks;
    bool open, reading, has_tls, has_certificate;
    bool ending; /* `end` was called: nothing more is received or written */
    bool broken; /* and not because the peer ended it in order */
    char *error; /* of a broken stream */
    char address[STREAM_ADDRESS_BYTES];
    uint8_t certificate_sha256[STREAM_DIGEST_BYTES];
};

void stream_begin(struct stream *stream, const struct stream_transport *transport,
                  const struct stream_events *events, void *owner);

/* Called by the transport, from the loop. */
void stream_opened(struct stream *stream);
void stream_received(struct stream *stream, const uint8_t *bytes, size_t size_bytes);
void stream_sent(struct stream *stream);

/* The stream is over: without a sentence because the peer ended it, else because it broke. Starts `end` and
 * may be called anywhere, more than once. */
void stream_over(struct stream *stream);
void stream_broke(struct stream *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Last call: tells the owner and releases what the base holds. The transport then frees itself. */
void stream_ended(struct stream *stream);

#endif

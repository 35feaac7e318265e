/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three standard streams of an instance, as the WASI library sees them (wasi_stream_operations).
 *
 * Output goes through a bounded ring: small writes are gathered, and leave at the end of a slice, when the
 * ring is full, when the guest parks, and when the other stream is written to (so that a terminal shows
 * stdout and stderr in the order of writing). A guest that is a ring ahead of its reader is parked. The
 * output limit is counted here, to the byte.
 */
#ifndef BERTH_SANDBOX_STREAM_H
#define BERTH_SANDBOX_STREAM_H

#include <berth/run.h>

#include "base/ring.h"
#include "sandbox/endpoint.h"
#include "wasi/wasi.h"

/* Why a stream ended the run. */
enum stream_stop {
    STREAM_GOES_ON = 0,
    STREAM_OVER_LIMIT,  /* the output limit is used up */
    STREAM_READER_GONE, /* nobody reads the output any more */
    STREAM_BROKEN,      /* `failure` says why */
};

/* What stdout and stderr share. */
struct output_account {
    uint64_t limit_bytes;   /* UINT64_MAX: none */
    uint64_t written_bytes; /* by the current run */
    enum stream_stop stop;
    int failure; /* negative errno */
    int failed_stream;
    struct stream *streams; /* the instance's three */
};

struct stream {
    berth_stream_kind kind;
    uint8_t number; /* 0, 1, 2 */
    bool ended;     /* input: no more will come */
    struct ring ring;
    struct endpoint endpoint;
    struct output_account *account;
};

extern const struct wasi_stream_operations stream_operations;

/* 0 or a negative errno. */
int stream_init(struct stream *stream, const struct berth_stream *options, int number,
                struct output_account *account);
void stream_done(struct stream *stream);

/* Moves what can be moved to the descriptor. True if nothing is left. Failures go to the account. */
bool stream_pump(struct stream *stream);

/* The output cannot be delivered, whatever the guest does. */
static inline bool stream_has_failed(const struct output_account *account)
{
    return account->stop == STREAM_READER_GONE || account->stop == STREAM_BROKEN;
}

/* True if something waits to leave through a descriptor. */
static inline bool stream_has_output(const struct stream *stream)
{
    return stream->kind == BERTH_STREAM_FD && stream->number > 0 && stream->ring.length > 0;
}

#endif

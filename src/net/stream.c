/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. What all transports share: the output queue, corks, and who hears what when. */
#include "net/stream_transport.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void stream_begin(struct stream *stream, const struct stream_transport *transport,
                  const struct stream_events *events, void *owner)
{
    *stream = (struct stream){.transport = transport, .events = events, .owner = owner, .reading = true};
}

void stream_set_owner(struct stream *stream, const struct stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
}

bool stream_is_open(const struct stream *stream)
{
    return stream->open;
}

static void flush(struct stream *stream)
{
    if (stream->corks == 0 && stream->open && !stream->ending && stream->output.size_bytes > 0)
        stream->transport->flush(stream);
}

static void appended(struct stream *stream, int result)
{
    if (result < 0)
        stream_broke(stream, "no memory for what is to be sent");
    else
        flush(stream);
}

void stream_write(struct stream *stream, const void *bytes, size_t size_bytes)
{
    if (!stream->ending)
        appended(stream, byte_queue_append(&stream->output, bytes, size_bytes));
}

void stream_write_from(struct stream *stream, struct byte_queue *from, size_t size_bytes)
{
    if (stream->ending)
        byte_queue_drop(from, size_bytes);
    else
        appended(stream, byte_queue_move(from, size_bytes, &stream->output));
}

size_t stream_queued_bytes(const struct stream *stream)
{
    size_t in_flight = stream->transport->in_flight_bytes ? stream->transport->in_flight_bytes(stream) : 0;
    return stream->output.size_bytes + in_flight;
}

void stream_cork(struct stream *stream)
{
    stream->corks++;
}

void stream_uncork(struct stream *stream)
{
    stream->corks--;
    flush(stream);
}

static void set_reading(struct stream *stream, bool reading)
{
    if (stream->reading == reading)
        return;
    stream->reading = reading;
    if (stream->open && !stream->ending)
        stream->transport->set_reading(stream, reading);
}

void stream_stop_reading(struct stream *stream)
{
    set_reading(stream, false);
}

void stream_start_reading(struct stream *stream)
{
    set_reading(stream, true);
}

static void end(struct stream *stream, bool politely)
{
    if (politely && stream->ending)
        return;
    stream->ending = true;
    stream->transport->end(stream, politely && stream->open);
}

void stream_finish(struct stream *stream)
{
    stream->events = NULL;
    end(stream, true);
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    stream->events = NULL;
    end(stream, false);
}

void stream_over(struct stream *stream)
{
    end(stream, false);
}

void stream_broke(struct stream *stream, const char *format, ...)
{
    if (!stream->error && !stream->ending) {
        cleanup_text struct text text = {0};
        va_list arguments;
        va_start(arguments, format);
        text_append_format_list(&text, format, arguments);
        va_end(arguments);
        stream->error = text_take(&text);
    }
    /* Without memory for the sentence it is still no orderly end. */
    stream->broken = true;
    end(stream, false);
}

void stream_opened(struct stream *stream)
{
    stream->open = true;
    stream->transport->set_reading(stream, stream->reading);
    if (stream->events && stream->events->opened)
        stream->events->opened(stream->owner);
    flush(stream);
}

void stream_received(struct stream *stream, const uint8_t *bytes, size_t size_bytes)
{
    if (stream->events && !stream->ending)
        stream->events->received(stream->owner, bytes, size_bytes);
}

void stream_sent(struct stream *stream)
{
    if (stream->events && !stream->ending && stream->events->writable &&
        stream_queued_bytes(stream) <= STREAM_LOW_BYTES)
        stream->events->writable(stream->owner);
}

void stream_ended(struct stream *stream)
{
    const char *error = stream->error || !stream->broken ? stream->error : "out of memory";
    if (stream->events)
        stream->events->closed(stream->owner, error);
    stream->events = NULL;
    free(stream->error);
    stream->error = NULL;
    byte_queue_done(&stream->output);
}

const char *stream_address(const struct stream *stream)
{
    return stream->address;
}

bool stream_has_tls(const struct stream *stream)
{
    return stream->has_tls;
}

const uint8_t *stream_certificate_sha256(const struct stream *stream)
{
    return stream->has_certificate ? stream->certificate_sha256 : NULL;
}

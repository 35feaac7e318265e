/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_oneoff: waits until one of many things has happened.
 *
 * The subscriptions are copied before the first event is written, so the two arrays may overlap. The time of
 * the first call is kept in the context: when the embedder repeats the call, relative timeouts still count
 * from there. Nothing is waited for here; if nothing has happened, the context says what to wait for.
 *
 * In deterministic mode when streams become ready must not show: they always are. Without them the virtual
 * clock jumps to the earliest timeout.
 */
#include <errno.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "wasi/context.h"
#include "wasi/guest_clock.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"

/* 192 KiB of subscriptions; more is ERRNO_INVAL. */
enum { SUBSCRIPTIONS_MAX = 4096, STREAM_WRITE_BYTES = 65536 };

struct poll {
    struct call *call;
    uint64_t started_ns; /* host monotonic, or virtual */
    uint64_t now_ns;
    struct wasi_wait wait; /* grows with each subscription that is not ready */
    uint8_t *events;
    uint32_t n_events;
};

static void put_event(struct poll *poll, const uint8_t *subscription, int error, uint64_t n_bytes,
                      uint16_t flags)
{
    uint8_t *event = poll->events + (size_t)poll->n_events++ * EVENT_SIZE;
    memset(event, 0, EVENT_SIZE);
    store_u64(event + EVENT_USERDATA, load_u64(subscription + SUBSCRIPTION_USERDATA));
    store_u16(event + EVENT_ERROR, (uint16_t)error);
    store_u8(event + EVENT_TYPE, subscription[SUBSCRIPTION_TAG]);
    store_u64(event + EVENT_NBYTES, n_bytes);
    store_u16(event + EVENT_FLAGS, flags);
}

/* When, in the time of poll->now_ns, a clock subscription is due. 0, or the errno of its event. */
static int due_time(const struct poll *poll, const uint8_t *subscription, uint64_t *ret_due_ns)
{
    struct wasi_context *context = poll->call->context;
    uint32_t clock_id = load_u32(subscription + SUBSCRIPTION_CLOCK_ID);
    uint64_t timeout = load_u64(subscription + SUBSCRIPTION_TIMEOUT);
    uint16_t flags = load_u16(subscription + SUBSCRIPTION_FLAGS);
    int r = guest_clock_check(context, clock_id);
    if (flags & ~SUBCLOCKFLAGS_ABSTIME)
        return ERRNO_INVAL;
    if (!(flags & SUBCLOCKFLAGS_ABSTIME)) {
        /* Sleeping needs no clock that tells the time. */
        *ret_due_ns = saturating_add_u64(poll->started_ns, timeout);
        return r == ERRNO_NOTSUP && clock_id <= CLOCKID_MONOTONIC ? 0 : r;
    }
    if (r)
        return r;
    /* Due when the clock that the guest can read shows it, or a timer would tell more than the clock. */
    uint64_t grain = guest_clock_grain_ns(context);
    timeout = saturating_add_u64(timeout, grain - 1);
    timeout -= timeout % grain;
    /* Asked again each time the call is repeated: the realtime clock can be set meanwhile. */
    uint64_t now = guest_clock_exact_ns(context, clock_id);
    *ret_due_ns = saturating_add_u64(poll->now_ns, saturating_sub_u64(timeout, now));
    return 0;
}

static void poll_clock(struct poll *poll, const uint8_t *subscription)
{
    uint64_t due_ns = 0;
    int r = due_time(poll, subscription, &due_ns);
    if (r || due_ns <= poll->now_ns)
        put_event(poll, subscription, r, 0, 0);
    else if (due_ns < poll->wait.deadline_ns)
        poll->wait.deadline_ns = due_ns;
}

/* Whether a stream is ready; if not, it is waited for. */
static bool poll_stream(struct poll *poll, const struct descriptor *descriptor, uint64_t *ret_bytes,
                        bool *ret_hangup)
{
    struct wasi_context *context = poll->call->context;
    const struct wasi_stream *stream = &context->streams[descriptor->stream];
    if (context->deterministic) {
        *ret_bytes = descriptor->stream == 0 ? 1 : STREAM_WRITE_BYTES;
        return true;
    }
    if (stream->operations->ready(stream->stream, ret_bytes, ret_hangup))
        return true;
    poll->wait.sources |= (uint8_t)(1U << descriptor->stream);
    return false;
}

/* How much is left to read of a file, which is always ready. */
static uint64_t readable_bytes(const struct descriptor *file)
{
    struct stat status;
    off_t offset = lseek(file->fd, 0, SEEK_CUR);
    if (offset < 0 || fstat(file->fd, &status) < 0)
        return 0;
    return saturating_sub_u64((uint64_t)status.st_size, (uint64_t)offset);
}

static void poll_descriptor(struct poll *poll, const uint8_t *subscription)
{
    bool reading = subscription[SUBSCRIPTION_TAG] == EVENTTYPE_FD_READ;
    struct descriptor *descriptor;
    uint64_t n_bytes = 0;
    bool hangup = false;
    int r = descriptor_find(poll->call, load_u32(subscription + SUBSCRIPTION_FD), &descriptor);
    if (!r && descriptor->kind == DESCRIPTOR_DIRECTORY)
        r = ERRNO_ISDIR;
    if (!r && !(descriptor->rights_base & (reading ? RIGHTS_FD_READ : RIGHTS_FD_WRITE)))
        r = ERRNO_NOTCAPABLE;
    if (!r && descriptor->kind == DESCRIPTOR_STREAM && !poll_stream(poll, descriptor, &n_bytes, &hangup))
        return;
    if (!r && descriptor->kind == DESCRIPTOR_FILE)
        n_bytes = reading ? readable_bytes(descriptor) : STREAM_WRITE_BYTES;
    put_event(poll, subscription, r, n_bytes, hangup ? EVENTRWFLAGS_HANGUP : 0);
}

static void poll_all(struct poll *poll, const uint8_t *subscriptions, uint32_t n_subscriptions)
{
    for (uint32_t i = 0; i < n_subscriptions; i++) {
        const uint8_t *subscription = subscriptions + (size_t)i * SUBSCRIPTION_SIZE;
        if (subscription[SUBSCRIPTION_TAG] == EVENTTYPE_CLOCK)
            poll_clock(poll, subscription);
        else
            poll_descriptor(poll, subscription);
    }
}

static bool tags_valid(const uint8_t *subscriptions, uint32_t n_subscriptions)
{
    for (uint32_t i = 0; i < n_subscriptions; i++)
        if (subscriptions[(size_t)i * SUBSCRIPTION_SIZE + SUBSCRIPTION_TAG] > EVENTTYPE_FD_WRITE)
            return false;
    return true;
}

/* Nothing happened: waits, or lets virtual time pass. */
static int wait_or_jump(struct poll *poll, const uint8_t *subscriptions, uint32_t n_subscriptions)
{
    struct wasi_context *context = poll->call->context;
    if (!context->deterministic) {
        context->pending.started_ns = poll->started_ns;
        context->wait = poll->wait;
        return CALL_WAIT;
    }
    context->virtual_ns = poll->now_ns = poll->wait.deadline_ns;
    poll_all(poll, subscriptions, n_subscriptions);
    return 0;
}

static int run_poll(struct poll *poll, const uint8_t *subscriptions, uint32_t n_subscriptions)
{
    struct wasi_context *context = poll->call->context;
    if (!tags_valid(subscriptions, n_subscriptions))
        return ERRNO_INVAL;
    poll->now_ns = context->deterministic ? context->virtual_ns : clock_monotonic_ns();
    poll->started_ns = context->pending.active ? context->pending.started_ns : poll->now_ns;
    poll_all(poll, subscriptions, n_subscriptions);
    return poll->n_events ? 0 : wait_or_jump(poll, subscriptions, n_subscriptions);
}

int call_poll_oneoff(struct call *call)
{
    uint32_t n_subscriptions = call_u32(call, 2);
    struct poll poll = {.call = call, .wait = {.deadline_ns = UINT64_MAX}};
    uint8_t *subscriptions, *count;
    int r = guest_range(call, "the subscriptions", call_u32(call, 0),
                        (uint64_t)n_subscriptions * SUBSCRIPTION_SIZE, 8, &subscriptions);
    if (!r)
        r = guest_range(call, "the events", call_u32(call, 1), (uint64_t)n_subscriptions * EVENT_SIZE, 8,
                        &poll.events);
    if (!r)
        r = guest_range(call, "the count", call_u32(call, 3), 4, 4, &count);
    if (r)
        return r;
    if (!n_subscriptions || n_subscriptions > SUBSCRIPTIONS_MAX)
        return ERRNO_INVAL;
    cleanup_free uint8_t *copy = malloc((size_t)n_subscriptions * SUBSCRIPTION_SIZE);
    if (!copy)
        return ERRNO_NOMEM;
    memcpy(copy, subscriptions, (size_t)n_subscriptions * SUBSCRIPTION_SIZE);
    r = run_poll(&poll, copy, n_subscriptions);
    if (r)
        return r;
    store_u32(count, poll.n_events);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push_event: a text for whoever sent the guest, beside its output. It returns nothing, so a guest does not
 * learn whether the text was taken; what the contract refuses is a denial, and what is not UTF-8 arrives as
 * words that say so.
 */
#include "base/text.h"
#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_memory.h"

enum { EVENT_MAX_BYTES = 64 << 10 };

static const char not_utf8[] = "BAD_UTF8";

static int deny_event(struct call *call, uint32_t length, const char *allowed, const char *remedy)
{
    char observed[48];
    snprintf(observed, sizeof observed, "one of %u bytes", length);
    deny(call, &(struct denial){
                   .rule = "grants.events", .observed = observed, .allowed = allowed, .remedy = remedy});
    return 0;
}

int call_push_event(struct call *call)
{
    struct wasi_context *context = call->context;
    uint32_t length = call_u32(call, 1);
    uint8_t *bytes;
    int r = guest_range(call, "the event", call_u32(call, 0), length, 1, &bytes);
    if (r)
        return r;
    if (!context->events)
        return deny_event(call, length, "no events", "events = true");
    if (length > EVENT_MAX_BYTES)
        return deny_event(call, length, "events of at most 65536 bytes", "shorter events");
    const char *text = (const char *)bytes;
    if (!text_is_utf8(text, length)) {
        text = not_utf8;
        length = sizeof not_utf8 - 1;
    }
    if (!context->on_event || context->on_event(context->payload, text, length))
        return 0;
    context->wait = (struct wasi_wait){.deadline_ns = UINT64_MAX, .sources = WASI_WAIT_EVENTS};
    return CALL_WAIT;
}

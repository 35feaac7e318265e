/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth.v1.Node: following a run and managing runs. A caller sees its own runs only; those of others are as
 * absent as those that never were.
 *
 * A watch is a reader of the run store: it sends what is there after its number, waits until the visit says
 * that there is more, and ends with the run. So it does not matter whether events came before, during or
 * between two watches.
 */
#include <string.h>

#include "node/front/visit.h"
#include "wire/berth.pb-c.h"

enum {
    REQUEST_MAX_BYTES = 4096,
    EVENTS_AT_ONCE = 64,
    RUNS_DEFAULT = 100,
    RUNS_MAX = 1000,
    QUEUED_MAX_BYTES = 256 << 10
};

/* ---- Runs
 * ---------------------------------------------------------------------------------------------------- */

static void fill(Berth__V1__RunInfo *info, const struct run_record *record)
{
    berth__v1__run_info__init(info);
    info->run_id = (char *)(uintptr_t)record->run_id;
    info->principal = (char *)(uintptr_t)record->principal;
    info->capability = (char *)(uintptr_t)record->capability;
    info->module_sha256 = (char *)(uintptr_t)record->module_sha256;
    info->name = (char *)(uintptr_t)record->name;
    info->state = (char *)(uintptr_t)record->state;
    info->cause = (char *)(uintptr_t)(record->cause ? record->cause : "");
    info->exit_code = record->exit_code;
    info->started_ns = record->started_ns;
    info->ended_ns = record->ended_ns;
    info->detached = record->detached;
    info->last_sequence = record->last_sequence;
    if (record->receipt)
        info->receipt = (ProtobufCBinaryData){.len = strlen(record->receipt),
                                              .data = (uint8_t *)(uintptr_t)record->receipt};
}

/* What is looked for, and what was found. */
struct lookup {
    struct grpc_call *call;
    const char *principal;
    bool own, ended;
    void (*show)(struct lookup *lookup, const struct run_record *record); /* may be NULL */
};

static bool look(void *payload, const struct run_record *record)
{
    struct lookup *lookup = payload;
    lookup->own = strcmp(record->principal, lookup->principal) == 0;
    lookup->ended = record->ended_ns != 0;
    if (lookup->own && lookup->show)
        lookup->show(lookup, record);
    return false;
}

/* True if this is a run of that principal. */
static bool find_own(struct front *front, const char *run_id, struct lookup *lookup)
{
    return run_store_find(ledger_store(front->ledger), run_id, look, lookup) == 0 && lookup->own;
}

static void show_info(struct lookup *lookup, const struct run_record *record)
{
    Berth__V1__RunInfo info;
    fill(&info, record);
    caller_send(lookup->call, &info);
}

/* ---- One answer
 * ---------------------------------------------------------------------------------------------- */

static void on_start(struct grpc_call *call)
{
    (void)call;
}

static void show_run(struct grpc_call *call, const char *run_id, bool stop)
{
    struct front *front = grpc_call_owner(call);
    struct principal *principal;
    if (caller_authenticate(call, NULL, NULL, &principal) != 0)
        return;
    struct lookup lookup = {.call = call, .principal = principal_name(principal)};
    bool own = find_own(front, run_id, &lookup);
    struct visit *visit = own && stop ? visit_find(front, run_id) : NULL;
    if (visit)
        visit_cancel(visit, "stop");
    lookup.show = show_info;
    if (own && find_own(front, run_id, &lookup))
        grpc_call_finish(call, GRPC_OK, NULL);
    else
        grpc_call_finish(call, GRPC_NOT_FOUND, "there is no such run");
}

static void on_show(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    Berth__V1__ShowRunRequest *request =
        caller_message(call, &berth__v1__show_run_request__descriptor, bytes, size_bytes);
    if (!request)
        return;
    show_run(call, request->run_id, false);
    berth__v1__show_run_request__free_unpacked(request, NULL);
}

static void on_stop(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    Berth__V1__StopRunRequest *request =
        caller_message(call, &berth__v1__stop_run_request__descriptor, bytes, size_bytes);
    if (!request)
        return;
    show_run(call, request->run_id, true);
    berth__v1__stop_run_request__free_unpacked(request, NULL);
}

/* Each record is packed while it is there: as an element of the repeated field `runs`. */
static bool append_run(void *payload, const struct run_record *record)
{
    struct text *packed = payload;
    Berth__V1__RunInfo info;
    Berth__V1__RunInfo *one[] = {&info};
    Berth__V1__ListRunsResponse part = BERTH__V1__LIST_RUNS_RESPONSE__INIT;
    fill(&info, record);
    info.receipt = (ProtobufCBinaryData){0}; /* ShowRun has it */
    part.runs = one;
    part.n_runs = 1;
    size_t size_bytes = berth__v1__list_runs_response__get_packed_size(&part);
    cleanup_free uint8_t *bytes = malloc(size_bytes);
    if (!bytes)
        return false;
    berth__v1__list_runs_response__pack(&part, bytes);
    text_append_bytes(packed, (const char *)bytes, size_bytes);
    return !packed->failed;
}

static void on_list(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct front *front = grpc_call_owner(call);
    struct principal *principal;
    cleanup_text struct text packed = {0};
    Berth__V1__ListRunsRequest *request =
        caller_message(call, &berth__v1__list_runs_request__descriptor, bytes, size_bytes);
    if (!request)
        return;
    if (caller_authenticate(call, NULL, NULL, &principal) == 0) {
        uint32_t limit = request->limit == 0         ? RUNS_DEFAULT
                         : request->limit < RUNS_MAX ? request->limit
                                                     : RUNS_MAX;
        /* Packed messages one after the other are the message of all their fields. */
        int r = run_store_list(ledger_store(front->ledger), principal_name(principal), request->running,
                               limit, append_run, &packed);
        if (r == 0)
            r = grpc_call_send(call, &(struct iovec){.iov_base = packed.data, .iov_len = packed.length}, 1);
        grpc_call_finish(call, r == 0 ? GRPC_OK : GRPC_UNAVAILABLE,
                         r == 0 ? NULL : "the node cannot read its runs");
    }
    berth__v1__list_runs_request__free_unpacked(request, NULL);
}

/* ---- Watching
 * ------------------------------------------------------------------------------------------------ */

struct watch {
    struct visit_follower follower; /* first: the visit knows only this */
    struct grpc_call *call;
    struct front *front;
    const char *principal; /* as long as the front */
    char run_id[RUN_ID_CHARACTERS];
    uint64_t after;
    uint32_t sent; /* in one turn */
    bool over;
};

static void send_dropped(struct watch *watch, uint64_t up_to)
{
    Berth__V1__WatchResponse message = BERTH__V1__WATCH_RESPONSE__INIT;
    message.kind_case = BERTH__V1__WATCH_RESPONSE__KIND_DROPPED_UP_TO;
    message.dropped_up_to = up_to;
    caller_send(watch->call, &message);
    watch->after = up_to;
}

static bool send_event(void *payload, uint64_t sequence, int64_t time_ns, const char *text, size_t size_bytes)
{
    struct watch *watch = payload;
    Berth__V1__Event event = BERTH__V1__EVENT__INIT;
    Berth__V1__WatchResponse message = BERTH__V1__WATCH_RESPONSE__INIT;
    cleanup_free char *copy = strndup(text, size_bytes);
    if (!copy)
        return false;
    if (sequence > watch->after + 1)
        send_dropped(watch, sequence - 1);
    event.sequence = sequence;
    event.time_ns = time_ns;
    event.text = copy;
    message.kind_case = BERTH__V1__WATCH_RESPONSE__KIND_EVENT;
    message.event = &event;
    if (caller_send(watch->call, &message) < 0)
        return false;
    watch->after = sequence;
    watch->sent++;
    return true;
}

static void send_end(struct lookup *lookup, const struct run_record *record)
{
    Berth__V1__RunInfo info;
    Berth__V1__WatchResponse message = BERTH__V1__WATCH_RESPONSE__INIT;
    fill(&info, record);
    message.kind_case = BERTH__V1__WATCH_RESPONSE__KIND_END;
    message.end = &info;
    if (record->ended_ns != 0)
        caller_send(lookup->call, &message);
}

/* Sends what there is, as far as the caller takes it; ends with the run. */
static void pump(struct watch *watch)
{
    struct run_store *store = ledger_store(watch->front->ledger);
    while (!watch->over && grpc_call_queued_bytes(watch->call) < QUEUED_MAX_BYTES) {
        uint64_t dropped_up_to = 0, before = watch->after;
        watch->sent = 0;
        if (run_store_events(store, watch->run_id, watch->after, EVENTS_AT_ONCE, send_event, watch,
                             &dropped_up_to) < 0) {
            watch->over = true;
            grpc_call_finish(watch->call, GRPC_UNAVAILABLE, "the node cannot read its events");
            return;
        }
        if (dropped_up_to > before && watch->sent == 0)
            send_dropped(watch, dropped_up_to);
        else if (watch->sent == 0)
            break;
    }
    if (watch->over || watch->follower.link || watch->sent > 0)
        return;
    struct lookup lookup = {.call = watch->call, .principal = watch->principal, .show = send_end};
    watch->over = true;
    if (find_own(watch->front, watch->run_id, &lookup) && lookup.ended)
        grpc_call_finish(watch->call, GRPC_OK, NULL);
    else
        grpc_call_finish(watch->call, GRPC_UNAVAILABLE,
                         "the run goes on, but the node does not have it; watch again");
}

static void on_changed(struct visit_follower *follower)
{
    pump((struct watch *)follower);
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
           strncmp(address, "unix", 4) == 0;
}

static int begin(struct grpc_call *call, const Berth__V1__WatchRequest *request, struct principal *principal)
{
    struct front *front = grpc_call_owner(call);
    struct lookup lookup = {.principal = principal_name(principal)};
    if (strlen(request->run_id) != RUN_ID_CHARACTERS - 1 || !find_own(front, request->run_id, &lookup)) {
        grpc_call_finish(call, GRPC_NOT_FOUND, "there is no such run");
        return 0;
    }
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->follower.changed = on_changed;
    watch->call = call;
    watch->front = front;
    watch->principal = principal_name(principal);
    watch->after = request->after_sequence;
    memcpy(watch->run_id, request->run_id, sizeof(watch->run_id));
    grpc_call_set_data(call, watch);
    struct visit *visit = visit_find(front, watch->run_id);
    if (visit)
        visit_follow(visit, &watch->follower);
    ledger_note(front->ledger, "watch_started", watch->principal, watch->run_id, NULL);
    pump(watch);
    return 0;
}

static void on_watch(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    struct principal *principal;
    Berth__V1__WatchRequest *request =
        caller_message(call, &berth__v1__watch_request__descriptor, bytes, size_bytes);
    if (!request)
        return;
    if (!grpc_call_has_tls(call) && !is_loopback(grpc_call_address(call)))
        grpc_call_finish(call, GRPC_FAILED_PRECONDITION, "events are sent over TLS, or on loopback");
    else if (grpc_call_data(call))
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "Watch takes one message");
    else if (caller_authenticate(call, NULL, NULL, &principal) == 0 && begin(call, request, principal) < 0)
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
    berth__v1__watch_request__free_unpacked(request, NULL);
}

static void on_watch_writable(struct grpc_call *call)
{
    struct watch *watch = grpc_call_data(call);
    if (watch)
        pump(watch);
}

static void on_watch_closed(struct grpc_call *call, enum grpc_status status)
{
    struct watch *watch = grpc_call_data(call);
    (void)status;
    if (watch)
        visit_unfollow(&watch->follower);
    free(watch);
}

const struct grpc_method watch_methods[] = {
    {.path = "/berth.v1.Node/Watch",
     .max_message_bytes = REQUEST_MAX_BYTES,
     .start = on_start,
     .message = on_watch,
     .writable = on_watch_writable,
     .closed = on_watch_closed},
    {.path = "/berth.v1.Node/ListRuns",
     .max_message_bytes = REQUEST_MAX_BYTES,
     .start = on_start,
     .message = on_list},
    {.path = "/berth.v1.Node/ShowRun",
     .max_message_bytes = REQUEST_MAX_BYTES,
     .start = on_start,
     .message = on_show},
    {.path = "/berth.v1.Node/StopRun",
     .max_message_bytes = REQUEST_MAX_BYTES,
     .start = on_start,
     .message = on_stop},
    {0},
};

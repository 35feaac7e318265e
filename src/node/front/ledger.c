/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger.h. */
#include "node/front/ledger.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "node/access/token_bucket.h"

enum { UNHURRIED_MS = 50, REFUSALS_PER_MINUTE = 600 };

struct ledger {
    struct audit_log *audit;
    struct run_store *store;
    struct log *log;
    struct ledger_wait *waiting;
    uint64_t entries, failures;
    uint64_t lost; /* entries of commits that failed, not yet told of in the log itself */
    struct token_bucket refusals;
    uint64_t refusals_left_out;
    int failed; /* a note that was lost: the errno */
    bool holds;
    uv_check_t turn_end;
    uv_idle_t hurry; /* active while somebody waits, so that the loop does not sleep first */
    uv_timer_t unhurried;
    int open_handles;
};

/* A disk that was full leaves a hole that the chain alone does not show. */
static void note_gap(struct ledger *ledger)
{
    char details[64];
    snprintf(details, sizeof(details), "{\"entries\":%" PRIu64 "}", ledger->lost);
    int r = audit_append(ledger->audit, "audit_gap", "", "", details);
    if (r < 0)
        ledger->failed = r;
}

static int commit(struct ledger *ledger)
{
    int r = ledger->failed;
    ledger->failed = 0;
    if (ledger->lost > 0)
        note_gap(ledger);
    size_t entries = audit_pending(ledger->audit);
    int committed = audit_commit(ledger->audit);
    int stored = run_store_commit(ledger->store);
    if (r == 0)
        r = committed != 0 ? committed : stored;
    if (committed == 0) {
        ledger->entries += entries;
        ledger->lost = 0;
    } else {
        ledger->lost += entries - (ledger->lost > 0); /* the note of the gap is not one of them */
    }
    ledger->failures += r != 0;
    if (ledger->holds != (r == 0))
        log_event(ledger->log, r ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, r ? "audit_failed" : "audit_holds_again",
                  log_text("error", r ? strerror(-r) : ""));
    ledger->holds = r == 0;
    return r;
}

static void on_turn_end(uv_check_t *handle)
{
    struct ledger *ledger = handle->data;
    struct ledger_wait *waiting = ledger->waiting;
    if (!waiting)
        return;
    int r = commit(ledger);
    /* What `done` makes others wait for belongs to the next commit. */
    ledger->waiting = NULL;
    waiting->link = &waiting;
    uv_timer_stop(&ledger->unhurried);
    while (waiting) {
        struct ledger_wait *wait = waiting;
        ledger_forget(wait);
        wait->done(wait->payload, r);
    }
    if (!ledger->waiting)
        uv_idle_stop(&ledger->hurry);
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle;
}

/* A failure belongs to those who wait; they hear of it at the end of the turn. */
static void on_timer(uv_timer_t *handle)
{
    struct ledger *ledger = handle->data;
    if (!ledger->waiting)
        commit(ledger);
}

int ledger_new(uv_loop_t *loop, struct audit_log *audit, struct run_store *store, struct log *log,
               struct ledger **ret)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (!ledger) {
        audit_close(audit);
        run_store_close(store);
        return -ENOMEM;
    }
    ledger->audit = audit;
    ledger->store = store;
    ledger->log = log;
    ledger->holds = true;
    uv_check_init(loop, &ledger->turn_end);
    uv_idle_init(loop, &ledger->hurry);
    uv_timer_init(loop, &ledger->unhurried);
    ledger->turn_end.data = ledger->hurry.data = ledger->unhurried.data = ledger;
    ledger->open_handles = 3;
    uv_check_start(&ledger->turn_end, on_turn_end);
    uv_unref((uv_handle_t *)&ledger->turn_end);
    *ret = ledger;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct ledger *ledger = handle->data;
    if (--ledger->open_handles == 0)
        free(ledger);
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    commit(ledger);
    audit_close(ledger->audit);
    run_store_close(ledger->store);
    uv_close((uv_handle_t *)&ledger->turn_end, on_closed);
    uv_close((uv_handle_t *)&ledger->hurry, on_closed);
    uv_close((uv_handle_t *)&ledger->unhurried, on_closed);
}

struct run_store *ledger_store(struct ledger *ledger)
{
    return ledger->store;
}

void ledger_note(struct ledger *ledger, const char *event, const char *subject, const char *run,
                 json_t *details)
{
    char *text = details ? json_dumps(details, JSON_COMPACT) : NULL;
    int r = details && !text
                ? -ENOMEM
                : audit_append(ledger->audit, event, subject ? subject : "", run ? run : "", text);
    free(text);
    json_decref(details);
    if (r < 0)
        ledger->failed = r;
    if (!ledger->waiting && !uv_is_active((uv_handle_t *)&ledger->unhurried))
        uv_timer_start(&ledger->unhurried, on_timer, UNHURRIED_MS, 0);
}

void ledger_note_refused(struct ledger *ledger, const char *subject, json_t *details)
{
    if (!token_bucket_take(&ledger->refusals, REFUSALS_PER_MINUTE, clock_monotonic_ns())) {
        ledger->refusals_left_out++;
        json_decref(details);
        return;
    }
    if (ledger->refusals_left_out > 0)
        json_object_set_new(details, "left_out", json_integer((json_int_t)ledger->refusals_left_out));
    ledger->refusals_left_out = 0;
    ledger_note(ledger, "session_refused", subject, NULL, details);
}

void ledger_await(struct ledger *ledger, struct ledger_wait *wait)
{
    wait->next = ledger->waiting;
    wait->link = &ledger->waiting;
    if (wait->next)
        wait->next->link = &wait->next;
    ledger->waiting = wait;
    uv_idle_start(&ledger->hurry, on_idle);
}

void ledger_forget(struct ledger_wait *wait)
{
    if (!wait->link)
        return;
    *wait->link = wait->next;
    if (wait->next)
        wait->next->link = wait->link;
    wait->next = NULL;
    wait->link = NULL;
}

bool ledger_holds(const struct ledger *ledger)
{
    return ledger->holds;
}

uint64_t ledger_entries(const struct ledger *ledger)
{
    return ledger->entries;
}

uint64_t ledger_failures(const struct ledger *ledger)
{
    return ledger->failures;
}

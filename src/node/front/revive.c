/* SPDX-License-Identifier: Apache-2.0 */
/* See revive.h. */
#include "node/front/revive.h"

#include <string.h>

#include "node/front/program.h"

enum { RUNS_MAX = 100000 };

/* The store must not change while it is read: first the names, then each. */
struct names {
    char (*ids)[RUN_ID_CHARACTERS];
    size_t n, capacity;
    bool detached; /* which ones are wanted */
    int failed;
};

static bool collect(void *payload, const struct run_record *record)
{
    struct names *names = payload;
    if (record->detached != names->detached)
        return true;
    if (names->n == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        void *larger = reallocarray(names->ids, capacity, sizeof(*names->ids));
        if (!larger) {
            names->failed = -ENOMEM;
            return false;
        }
        names->ids = larger;
        names->capacity = capacity;
    }
    snprintf(names->ids[names->n++], RUN_ID_CHARACTERS, "%s", record->run_id);
    return true;
}

static void lose(struct front *front, const char *run_id, const char *principal, const char *cause)
{
    run_store_end(ledger_store(front->ledger), run_id, "lost", cause, 0, front_time_ns(), NULL);
    ledger_note(front->ledger, "run_ended", principal, run_id,
                json_pack("{s:s, s:s}", "outcome", "lost", "cause", cause));
    front->metrics.runs_lost++;
}

static bool lose_record(void *payload, const struct run_record *record)
{
    cleanup_free char *principal = strdup(record->principal);
    lose(payload, record->run_id, principal, "the node ended while it ran");
    return false;
}

/* What to do with each run of one kind that has not ended. */
static int for_each(struct front *front, bool detached, void (*act)(struct front *front, const char *run_id))
{
    struct names names = {.detached = detached};
    int r = run_store_list(ledger_store(front->ledger), NULL, true, RUNS_MAX, collect, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++)
        act(front, names.ids[i]);
    free(names.ids);
    return r < 0 ? r : names.failed;
}

static void lose_run(struct front *front, const char *run_id)
{
    run_store_find(ledger_store(front->ledger), run_id, lose_record, front);
}

/* Until a worker says that it has it, or it is started again. */
static void queue_run(struct front *front, const char *run_id)
{
    run_store_set_state(ledger_store(front->ledger), run_id, "queued");
}

int revive_begin(struct front *front)
{
    int r = for_each(front, false, lose_run);
    return r == 0 ? for_each(front, true, queue_run) : r;
}

struct again {
    struct front *front;
    struct refusal refusal;
    int result;
};

static bool start_again(void *payload, const struct run_record *record)
{
    struct again *again = payload;
    if (!record->survive_restart || !record->request || record->request_bytes == 0) {
        snprintf(again->refusal.sentence, sizeof(again->refusal.sentence), "the node ended while it ran");
        again->result = 1;
        return false;
    }
    again->result = program_start_again(again->front, record, &again->refusal);
    return false;
}

static void revive_run(struct front *front, const char *run_id)
{
    struct again again = {.front = front};
    if (visit_find(front, run_id))
        return;
    if (run_store_find(ledger_store(front->ledger), run_id, start_again, &again) == 0 && again.result != 0)
        lose(front, run_id, NULL, again.refusal.sentence[0] ? again.refusal.sentence : "out of memory");
    else
        log_event(front->log, LOG_LEVEL_INFO, "run_started_again", log_text("run", run_id));
}

void revive_end(struct front *front)
{
    for_each(front, true, revive_run);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See run_report.h. */
#include "cli/run_report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cli/exit_status.h"
#include "cli/output.h"
#include "cli/units.h"

enum {
    EVENT_MAX_BYTES = 64 << 10,
    WORD_MAX_BYTES = 120,
    CAUSE_MAX_BYTES = 1024,
    STATE_WIDTH = 10,
    NAME_WIDTH = 12,
};

void append_json_line(struct text *text, json_t *value)
{
    char *line = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (line)
        text_append_format(text, "%s\n", line);
    else
        text->failed = true;
    free(line);
    json_decref(value);
}

void append_event(struct text *text, bool json, uint64_t sequence, int64_t time_ns, const char *event)
{
    if (json) {
        append_json_line(text, json_pack("{s:I, s:I, s:s}", "sequence", (json_int_t)sequence, "time_ns",
                                         (json_int_t)time_ns, "text", event));
        return;
    }
    text_append_format(text, "event %" PRIu64 ": ", sequence);
    text_append_escaped(text, event, strlen(event), EVENT_MAX_BYTES);
    text_append(text, "\n");
}

int keep_receipt(const char *path, const char *receipt)
{
    cleanup_free char *shown = quoted(path);
    if (!receipt) {
        message("there is no receipt for %s: the run has not ended", shown ? shown : "");
        return STATUS_FAILURE;
    }
    FILE *file = fopen(path, "we");
    bool written = file && fprintf(file, "%s\n", receipt) > 0;
    /* A full disk may say so no earlier than at the end. */
    if (file && fclose(file) != 0)
        written = false;
    if (written)
        return STATUS_OK;
    message("the receipt cannot be written to %s: %s", shown ? shown : "", strerror(errno));
    return STATUS_FAILURE;
}

/* ---- Runs ---------------------------------------------------------------------------------------------- */

static void append_word(struct text *text, const char *word, size_t maximum)
{
    text_append_escaped_once(text, word, strlen(word), maximum);
}

static void append_time(struct text *text, int64_t time_ns, int64_t now_s)
{
    append_age(text, time_ns / (int64_t)NS_PER_S, now_s);
}

/* "exited 3", "limit". */
static void append_state(struct text *text, const struct berth_run_info *run)
{
    append_word(text, run->state, WORD_MAX_BYTES);
    if (strcmp(run->state, "exited") == 0)
        text_append_format(text, " %" PRIu32, run->exit_code);
}

void append_run_row(struct text *text, const struct berth_run_info *run, int64_t now_s)
{
    cleanup_text struct text state = {0};
    append_state(&state, run);
    text->failed |= state.failed;
    if (text->failed)
        return;
    text_append_format(text, "%s  %-*s  ", run->run_id, STATE_WIDTH, state.data);
    append_time(text, run->started_ns, now_s);
    text_append(text, "  ");
    append_word(text, run->name, WORD_MAX_BYTES);
    if (run->detached)
        text_append(text, "  (detached)");
    text_append(text, "\n");
}

static void append_member(struct text *text, const char *name, const char *value, size_t maximum)
{
    if (!*value)
        return;
    text_append_format(text, "%-*s ", NAME_WIDTH, name);
    append_word(text, value, maximum);
    text_append(text, "\n");
}

static void append_time_member(struct text *text, const char *name, int64_t time_ns, int64_t now_s)
{
    if (time_ns == 0)
        return;
    text_append_format(text, "%-*s ", NAME_WIDTH, name);
    append_time(text, time_ns, now_s);
    text_append(text, "\n");
}

void append_run(struct text *text, const struct berth_run_info *run, int64_t now_s)
{
    text_append_format(text, "%-*s %s\n%-*s ", NAME_WIDTH, "run", run->run_id, NAME_WIDTH, "state");
    append_state(text, run);
    text_append(text, run->detached ? ", detached\n" : "\n");
    append_member(text, "cause", run->cause, CAUSE_MAX_BYTES);
    append_member(text, "program", run->name, WORD_MAX_BYTES);
    append_member(text, "sha256", run->module_sha256, WORD_MAX_BYTES);
    append_member(text, "capability", run->capability, WORD_MAX_BYTES);
    append_member(text, "principal", run->principal, WORD_MAX_BYTES);
    append_time_member(text, "started", run->started_ns, now_s);
    append_time_member(text, "ended", run->ended_ns, now_s);
    if (run->last_sequence)
        text_append_format(text, "%-*s %" PRIu64 "\n", NAME_WIDTH, "events", run->last_sequence);
}

/* Strings that are no UTF-8 are escaped; all of the node's should be. */
static json_t *string(const char *value)
{
    json_t *exact = json_string(value);
    return exact ? exact : json_escaped(value, strlen(value), CAUSE_MAX_BYTES);
}

json_t *run_as_json(const struct berth_run_info *run)
{
    json_t *receipt = run->receipt ? json_loads(run->receipt, 0, NULL) : json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:I, s:o}", "run_id",
                     run->run_id, "state", string(run->state), "cause", string(run->cause), "name",
                     string(run->name), "module_sha256", string(run->module_sha256), "capability",
                     string(run->capability), "principal", string(run->principal), "exit_code",
                     (json_int_t)run->exit_code, "started_ns", (json_int_t)run->started_ns, "ended_ns",
                     (json_int_t)run->ended_ns, "detached", run->detached, "last_sequence",
                     (json_int_t)run->last_sequence, "receipt", receipt);
}

int exit_status_of_run(const struct berth_run_info *run)
{
    static const struct {
        const char *state;
        int status;
    } rows[] = {
        {"trapped", STATUS_TRAPPED},
        {"limit", STATUS_LIMIT},
        {"cancelled", STATUS_INTERRUPTED},
        {"refused", STATUS_REFUSED},
    };
    if (strcmp(run->state, berth_outcome_name(BERTH_OUTCOME_EXITED)) == 0)
        return (int)(run->exit_code & 0xff);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(run->state, rows[i].state) == 0)
            return rows[i].status;
    return STATUS_FAILURE;
}

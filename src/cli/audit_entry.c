/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_entry.h. */
#include "cli/audit_entry.h"

#include <inttypes.h>
#include <string.h>

#include "cli/moment.h"

enum {
    NAME_MAX_BYTES = 80,
    DETAILS_MAX_BYTES = 400,
    EVENT_COLUMNS = 16,
    SUBJECT_COLUMNS = 12,
    RUN_COLUMNS = 8,
};

/* Exactly, if that can be said in JSON. */
static json_t *json_of(const char *text)
{
    size_t length = strlen(text);
    return text_is_utf8(text, length) ? json_stringn(text, length) : json_escaped(text, length, length);
}

/* A log that was tampered with may hold anything. */
static json_t *json_of_details(const char *details)
{
    json_t *value = NULL;
    cleanup_free char *why = NULL;
    return json_read(details, strlen(details), &value, &why) == 0 ? value : json_of(details);
}

void audit_append_ascii_json(struct text *text, const json_t *value, size_t max_bytes)
{
    cleanup_free char *line =
        value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : NULL;
    text->failed |= !line;
    for (size_t i = 0; line && line[i]; i++) {
        if (i == max_bytes) {
            text_append(text, "…");
            return;
        }
        if (line[i] == 0x7f)
            text_append(text, "\\u007f");
        else
            text_append_bytes(text, &line[i], 1);
    }
}

void audit_entry_append_json(struct text *text, const struct berth_audit_entry *entry)
{
    cleanup_text struct text time = {0};
    append_moment(&time, entry->time_ns, 9);
    cleanup_json json_t *object = json_pack(
        "{s:I, s:s, s:o, s:o, s:o, s:o, s:s}", "number", (json_int_t)entry->number, "time",
        time.data ? time.data : "", "event", json_of(entry->event), "subject", json_of(entry->subject), "run",
        json_of(entry->run), "details", json_of_details(entry->details), "hash", entry->hash);
    audit_append_ascii_json(text, object, SIZE_MAX);
}

static void append_column(struct text *text, const char *value, int columns)
{
    cleanup_text struct text safe = {0};
    text_append_escaped(&safe, *value ? value : "-", *value ? strlen(value) : 1, NAME_MAX_BYTES);
    text_append_format(text, "  %-*s", columns, safe.data ? safe.data : "");
}

void audit_entry_append_row(struct text *text, const struct berth_audit_entry *entry)
{
    cleanup_json json_t *details = json_of_details(entry->details);
    text_append_format(text, "%8" PRIu64 "  ", entry->number);
    append_moment(text, entry->time_ns, 3);
    append_column(text, entry->event, EVENT_COLUMNS);
    append_column(text, entry->subject, SUBJECT_COLUMNS);
    append_column(text, entry->run, RUN_COLUMNS);
    text_append(text, "  ");
    audit_append_ascii_json(text, details, DETAILS_MAX_BYTES);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of an audit log, for people and for programs. What callers chose is escaped in both. */
#ifndef BERTH_CLI_AUDIT_ENTRY_H
#define BERTH_CLI_AUDIT_ENTRY_H

#include <berth/audit.h>

#include "base/json.h"
#include "base/text.h"

/* "      12  2026-02-01T12:00:00.000Z  run_started  alice  3f9c  {…}", without a line break. */
void audit_entry_append_row(struct text *text, const struct berth_audit_entry *entry);

/* {"number":12,"time":"2026-02-01T12:00:00.000000000Z","event":…,"subject":…,"run":…,"details":{…},"hash":…}
 */
void audit_entry_append_json(struct text *text, const struct berth_audit_entry *entry);

/* The value in one line of ASCII, so that nothing in it acts on a terminal; "…" after `max_bytes`. */
void audit_append_ascii_json(struct text *text, const json_t *value, size_t max_bytes);

#endif

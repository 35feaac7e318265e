/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on a node, and their events, as lines for a person or as JSON for a program. What the node says is
 * escaped; JSON is ASCII only and has it whole. */
#ifndef BERTH_CLI_RUN_REPORT_H
#define BERTH_CLI_RUN_REPORT_H

#include <berth/client.h>

#include "base/json.h"
#include "base/text.h"

/* "event 3: …" or {"sequence": 3, …}, with a line break. */
void append_event(struct text *text, bool json, uint64_t sequence, int64_t time_ns, const char *event);

/* One line of a list. */
void append_run_row(struct text *text, const struct berth_run_info *run, int64_t now_s);
/* All about one, a line each. */
void append_run(struct text *text, const struct berth_run_info *run, int64_t now_s);
/* NULL: no memory. */
json_t *run_as_json(const struct berth_run_info *run);
/* One line of ASCII with a line break; the value is given back. NULL: memory was short. */
void append_json_line(struct text *text, json_t *value);

/* Writes it where `berth verify` is going to read it. NULL: there is none yet. STATUS_OK, or an exit status
 * after a message. */
int keep_receipt(const char *path, const char *receipt);

/* The exit status of `berth watch` for the way the run ended. */
int exit_status_of_run(const struct berth_run_info *run);

#endif

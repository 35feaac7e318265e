/* SPDX-License-Identifier: Apache-2.0 */
/* See usage_report.h. In JSON the members are named as those of struct berth_usage and struct berth_limits.
 */
#include "cli/usage_report.h"

#include <inttypes.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/units.h"

enum { NAME_WIDTH = 15, AMOUNT_WIDTH = 14 };

/* Those of a run that somebody else limited: none to show. */
static const struct berth_limits no_limits = {.cpu_percent = 100};

static const struct berth_limits *limits_of(const struct usage_report *report)
{
    return report->contract ? berth_contract_limits(report->contract) : &no_limits;
}

/* ---- For a person ------------------------------------------------------------------------------- */

/* "  memory          12.0 MiB of 256 MiB"; both texts are emptied. */
static void append_row(struct text *report, const char *name, struct text *amount, struct text *limit)
{
    report->failed |= amount->failed || limit->failed;
    if (!report->failed)
        text_append_format(report, "  %-*s %*s%s%s\n", NAME_WIDTH, name, AMOUNT_WIDTH, amount->data,
                           limit->length ? " of " : "", limit->length ? limit->data : "");
    text_done(amount);
    text_done(limit);
}

static void append_bytes_row(struct text *report, const char *name, uint64_t bytes, uint64_t limit_bytes)
{
    struct text amount = {0}, limit = {0};
    append_bytes(&amount, bytes);
    if (limit_bytes)
        append_bytes(&limit, limit_bytes);
    append_row(report, name, &amount, &limit);
}

static void append_seconds_row(struct text *report, const char *name, uint64_t ns, uint64_t limit_ns)
{
    struct text amount = {0}, limit = {0};
    append_seconds(&amount, ns);
    if (limit_ns)
        append_seconds(&limit, limit_ns);
    append_row(report, name, &amount, &limit);
}

static void append_count_row(struct text *report, const char *name, uint64_t count, uint64_t limit_count)
{
    struct text amount = {0}, limit = {0};
    append_count(&amount, count);
    if (limit_count)
        append_count(&limit, limit_count);
    append_row(report, name, &amount, &limit);
}

static void append_heading(struct text *text, const struct usage_report *report)
{
    const struct berth_outcome *outcome = report->outcome;
    bool colour = output_has_colour(STDERR_FILENO);
    append_coloured(text, colour, COLOUR_BOLD, report->module_name);
    if (outcome->kind == BERTH_OUTCOME_EXITED)
        text_append_format(text, " exited with code %" PRIu32 "\n", outcome->exit_code);
    else if (outcome->kind == BERTH_OUTCOME_LIMIT)
        text_append_format(text, " reached its %s limit\n", berth_limit_name(outcome->limit));
    else
        text_append_format(text, " ended: %s\n", berth_outcome_name(outcome->kind));
}

static void report_as_text(const struct usage_report *report, struct text *text)
{
    const struct berth_usage *usage = report->usage;
    const struct berth_limits *limits = limits_of(report);
    struct text calls = {0}, rate = {0}, share = {0}, cpu = {0};
    append_heading(text, report);
    append_seconds_row(text, "wall", usage->wall_ns, saturating_mul_u64(limits->wall_ms, NS_PER_MS));
    append_seconds(&cpu, usage->cpu_ns);
    if (limits->cpu_percent < 100)
        text_append_format(&share, "%" PRIu32 " %% of a core", limits->cpu_percent);
    append_row(text, "cpu", &cpu, &share);
    append_seconds_row(text, "parked", usage->parked_ns, 0);
    append_bytes_row(text, "memory", usage->memory_peak_bytes, limits->memory_bytes);
    if (usage->fuel || limits->fuel)
        append_count_row(text, "fuel", usage->fuel, limits->fuel);
    append_bytes_row(text, "input", usage->input_bytes, 0);
    append_bytes_row(text, "output", usage->output_bytes, limits->output_bytes);
    append_bytes_row(text, "written", usage->written_bytes, 0);
    append_count_row(text, "files opened", usage->files_opened, 0);
    append_count(&calls, usage->host_calls);
    if (limits->host_calls_per_second > 0)
        text_append_format(&rate, "%.10g per second", limits->host_calls_per_second);
    append_row(text, "host calls", &calls, &rate);
    append_count_row(text, "refusals", usage->denials, 0);
}

/* ---- For a program ------------------------------------------------------------------------------ */

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *outcome_as_json(const struct berth_outcome *outcome)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:s}", "kind", berth_outcome_name(outcome->kind), "limit",
                     berth_limit_name(outcome->limit), "exit_code", number(outcome->exit_code), "cause",
                     outcome->cause, "remedy", outcome->remedy);
}

static json_t *usage_as_json(const struct berth_usage *usage)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "wall_ns",
                     number(usage->wall_ns), "cpu_ns", number(usage->cpu_ns), "fuel", number(usage->fuel),
                     "memory_peak_bytes", number(usage->memory_peak_bytes), "host_calls",
                     number(usage->host_calls), "input_bytes", number(usage->input_bytes), "output_bytes",
                     number(usage->output_bytes), "written_bytes", number(usage->written_bytes),
                     "files_opened", number(usage->files_opened), "parked_ns", number(usage->parked_ns),
                     "denials", number(usage->denials));
}

static json_t *limits_as_json(const struct berth_limits *limits)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "memory_bytes", number(limits->memory_bytes),
                     "wall_ms", number(limits->wall_ms), "cpu_percent", number(limits->cpu_percent), "fuel",
                     number(limits->fuel), "output_bytes", number(limits->output_bytes), "open_files",
                     number(limits->open_files), "host_calls_per_second",
                     json_number(limits->host_calls_per_second));
}

static void report_as_json(const struct usage_report *report, struct text *text)
{
    cleanup_json json_t *object = json_pack(
        "{s:{s:s, s:s?}, s:o, s:o, s:o*}", "module", "name", report->module_name, "sha256",
        report->module_sha256, "outcome", outcome_as_json(report->outcome), "usage",
        usage_as_json(report->usage), "limits", report->contract ? limits_as_json(limits_of(report)) : NULL);
    cleanup_free char *line = object ? json_write(object, 0) : NULL;
    /* A guest that left a line of its own unfinished must not have this one hang on it. */
    if (line)
        text_append_format(text, "%s%s\n", report->usage->output_bytes ? "\n" : "", line);
    else
        text->failed = true;
}

void usage_report_append(struct text *text, const struct usage_report *report, enum usage_form form)
{
    if (form == USAGE_JSON)
        report_as_json(report, text);
    else if (form == USAGE_TEXT)
        report_as_text(report, text);
}

void usage_report_print(const struct usage_report *report, enum usage_form form)
{
    struct text text = {0};
    usage_report_append(&text, report, form);
    if (text.failed)
        message("out of memory");
    message_print(&text);
}

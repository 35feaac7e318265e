/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. The exposition format is that of prometheus.io/docs/instrumenting/exposition_formats. */
#include "node/front/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct row {
    const char *type, *name, *labels, *doc;
    size_t offset;
};

static const struct row rows[] = {
#define COUNTER(member, name, labels, doc) {"counter", name, labels, doc, offsetof(struct metrics, member)},
#define GAUGE(member, name, labels, doc)   {"gauge", name, labels, doc, offsetof(struct metrics, member)},
#include "node/front/metrics.def"
#undef COUNTER
#undef GAUGE
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

void metrics_count_run(struct metrics *metrics, const struct berth_outcome *outcome, bool lost)
{
    if (lost) {
        metrics->runs_lost++;
        return;
    }
    switch (outcome->kind) {
    case BERTH_OUTCOME_EXITED:
        metrics->runs_exited++;
        return;
    case BERTH_OUTCOME_TRAPPED:
        metrics->runs_trapped++;
        return;
    case BERTH_OUTCOME_LIMIT:
        metrics->runs_limit++;
        return;
    case BERTH_OUTCOME_CANCELLED:
        metrics->runs_cancelled++;
        return;
    case BERTH_OUTCOME_REFUSED:
        metrics->runs_refused++;
        return;
    case BERTH_OUTCOME_HOST_ERROR:
    case BERTH_OUTCOME_RUNNING:
        break;
    }
    metrics->runs_host_error++;
}

void metrics_count_refusal(struct metrics *metrics, enum grpc_status status)
{
    if (status == GRPC_UNAUTHENTICATED)
        metrics->refusals_unauthenticated++;
    else if (status == GRPC_PERMISSION_DENIED)
        metrics->refusals_permission_denied++;
    else if (status == GRPC_RESOURCE_EXHAUSTED)
        metrics->refusals_resource_exhausted++;
    else if (status == GRPC_INVALID_ARGUMENT)
        metrics->refusals_invalid_argument++;
    else
        metrics->refusals_other++;
}

static uint64_t resident_bytes(uint64_t otherwise)
{
    cleanup_fclose FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages;
    if (!file || fscanf(file, "%*u %" SCNu64, &pages) != 1)
        return otherwise;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(uint64_t otherwise)
{
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (!directory)
        return otherwise;
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1; /* the one that was read with */
}

void metrics_measure_process(struct metrics *metrics)
{
    metrics->process_resident_bytes = resident_bytes(metrics->process_resident_bytes);
    metrics->process_open_descriptors = open_descriptors(metrics->process_open_descriptors);
}

static uint64_t value_of(const struct metrics *metrics, const struct row *row)
{
    uint64_t value;
    memcpy(&value, (const char *)metrics + row->offset, sizeof(value));
    return value;
}

static bool is_first_of_name(const struct row *row)
{
    return row == rows || strcmp(row[-1].name, row->name) != 0;
}

void metrics_append(const struct metrics *metrics, struct text *text)
{
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        if (is_first_of_name(row))
            text_append_format(text, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->doc, row->name,
                               row->type);
        text_append(text, row->name);
        if (*row->labels)
            text_append_format(text, "{%s}", row->labels);
        text_append_format(text, " %" PRIu64 "\n", value_of(metrics, row));
    }
}

void metrics_each_name(void (*visit)(void *payload, const char *name), void *payload)
{
    for (const struct row *row = rows; row < rows + ROWS; row++)
        if (is_first_of_name(row))
            visit(payload, row->name);
}

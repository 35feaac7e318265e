/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front counts, and how /metrics shows it: the text format of Prometheus, version 0.0.4. One row of
 * metrics.def each; the members are plain numbers that the front adds to and sets on its one thread.
 */
#ifndef BERTH_NODE_METRICS_H
#define BERTH_NODE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/run.h>

#include "base/text.h"
#include "wire/grpc.h"

struct metrics {
#define COUNTER(member, ...) uint64_t member;
#define GAUGE(member, ...)   uint64_t member;
#include "node/front/metrics.def"
#undef COUNTER
#undef GAUGE
};

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A run is over; lost: its worker died. */
void metrics_count_run(struct metrics *metrics, const struct berth_outcome *outcome, bool lost);
/* A call was answered with no. */
void metrics_count_refusal(struct metrics *metrics, enum grpc_status status);
/* Resident memory and descriptors of this process, as they are now; what cannot be read stays. */
void metrics_measure_process(struct metrics *metrics);

/* Appends all of them. */
void metrics_append(const struct metrics *metrics, struct text *text);

/* Calls `visit` with each name once. */
void metrics_each_name(void (*visit)(void *payload, const char *name), void *payload);

#endif

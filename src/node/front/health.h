/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the node is, for whoever probes it: the HTTP endpoint (/healthz, /readyz, /metrics) on a port of its
 * own, and grpc.health.v1.Health on the main one.
 *
 * The node is live as long as the front answers. It is ready while it takes visits: not while it drains,
 * while no worker stands, or while the audit log cannot be written.
 */
#ifndef BERTH_NODE_HEALTH_H
#define BERTH_NODE_HEALTH_H

#include <stdbool.h>

#include <uv.h>

#include <berth/error.h>

#include "base/text.h"
#include "net/grpc_server.h"
#include "node/front/metrics.h"

struct health;

/* What the front answers for. */
struct health_probes {
    bool (*is_ready)(void *payload);
    void (*measure)(void *payload); /* fills in what the metrics show */
};

/* listen: "127.0.0.1:9464" or NULL: no HTTP endpoint. Everything is borrowed. Errors: BERTH_INVALID,
 * BERTH_BUSY (the port is in use), BERTH_IO, BERTH_NO_MEMORY. */
berth_status health_new(uv_loop_t *loop, const char *listen, const struct metrics *metrics,
                        const struct health_probes *probes, void *payload, struct health **ret,
                        berth_error **reterr);
/* Accepts NULL. What watches has been ended before. */
void health_free(struct health *health);

/* "127.0.0.1:9464" with the port that it became; NULL: no endpoint. */
const char *health_address(const struct health *health);

/* Asks whether it is ready; those who watch hear of a change. Whoever probes is answered by the state of the
 * moment. */
void health_update(struct health *health);
/* Names of the layers of isolation that are missing, as a JSON array. */
void health_set_isolation(struct health *health, const char *names);
/* Never ready again, and nobody watches any longer, so that their calls do not hold up the drain. */
void health_drain(struct health *health);

/* Appends the body for a path of the endpoint and returns the HTTP status: 200, 503 or 404. */
int health_answer(struct health *health, const char *path, struct text *body, const char **ret_content_type);

extern const struct grpc_method health_methods[];

#endif

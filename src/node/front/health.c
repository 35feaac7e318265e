/* SPDX-License-Identifier: Apache-2.0 */
/* See health.h. The gRPC side is grpc.health.v1; those who watch stand in a list, bounded as all calls are.
 */
#include "node/front/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/error.h"
#include "base/json.h"
#include "net/http1.h"
#include "node/front/front.h"
#include "wire/descriptors.h"
#include "wire/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest request;
typedef Grpc__Health__V1__HealthCheckResponse response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define SERVING         GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

enum { DEFAULT_PORT = 9464, QUESTION_MAX_BYTES = 1024, QUEUED_MAX_BYTES = 16 << 10 };

struct watcher {
    struct grpc_call *call;
    bool known; /* the service it asked for is one of ours */
    LIST_ENTRY(watcher) all;
};

struct health {
    const struct metrics *metrics;
    const struct health_probes *probes;
    void *payload;
    struct http1_server *server; /* NULL: no endpoint */
    char *address;
    bool ready;
    bool draining;
    char *isolation; /* names of missing layers, or NULL */
    LIST_HEAD(, watcher) watchers;
};

/* ---- HTTP
 * ----------------------------------------------------------------------------------------------------- */

static int append_live(const struct health *health, struct text *body)
{
    text_append(body, "ok\n");
    if (health->isolation)
        text_append_format(body, "missing layers of isolation: %s\n", health->isolation);
    return 200;
}

static int append_ready(struct health *health, struct text *body)
{
    health_update(health);
    text_append(body, health->ready ? "ready\n" : "not ready\n");
    return health->ready ? 200 : 503;
}

static int append_metrics(const struct health *health, struct text *body)
{
    health->probes->measure(health->payload);
    metrics_append(health->metrics, body);
    return 200;
}

int health_answer(struct health *health, const char *path, struct text *body, const char **ret_content_type)
{
    *ret_content_type = "text/plain; charset=utf-8";
    if (strcmp(path, "/healthz") == 0)
        return append_live(health, body);
    if (strcmp(path, "/readyz") == 0)
        return append_ready(health, body);
    if (strcmp(path, "/metrics") == 0) {
        *ret_content_type = METRICS_CONTENT_TYPE;
        return append_metrics(health, body);
    }
    text_append(body, "there are /healthz, /readyz and /metrics\n");
    return 404;
}

static void on_request(void *owner, const char *path, const char *query, struct http1_reply *ret)
{
    struct text body = {0};
    (void)query;
    ret->status = health_answer(owner, path, &body, &ret->content_type);
    ret->body_bytes = body.length;
    ret->body = text_take(&body);
    if (!ret->body) {
        ret->status = 503;
        ret->body_bytes = 0;
    }
}

static berth_status listen_on(struct health *health, uv_loop_t *loop, const char *listen,
                              berth_error **reterr)
{
    char host[46];
    uint16_t port;
    if (settings_address_read(listen, DEFAULT_PORT, host, &port) < 0)
        return error_set(reterr, BERTH_INVALID, "node.health_listen is no address and port");
    int r = http1_server_new(loop, host, port, on_request, health, &health->server, &port);
    if (r == -EADDRINUSE)
        return error_set(
            reterr, BERTH_BUSY,
            "port %u of %s, for health and metrics, is in use by another program; choose one with "
            "--health-listen",
            port, host);
    if (r < 0)
        return error_set_errno(reterr, r, "port %u of %s, for health and metrics, cannot be listened on",
                               port, host);
    if (asprintf(&health->address, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port) < 0) {
        health->address = NULL;
        return error_set_errno(reterr, -ENOMEM, "the health endpoint cannot be made");
    }
    return BERTH_OK;
}

berth_status health_new(uv_loop_t *loop, const char *listen, const struct metrics *metrics,
                        const struct health_probes *probes, void *payload, struct health **ret,
                        berth_error **reterr)
{
    struct health *health = calloc(1, sizeof(*health));
    if (!health)
        return error_set_errno(reterr, -ENOMEM, "the health endpoint cannot be made");
    *health = (struct health){.metrics = metrics, .probes = probes, .payload = payload};
    LIST_INIT(&health->watchers);
    berth_status status = listen ? listen_on(health, loop, listen, reterr) : BERTH_OK;
    if (status == BERTH_OK)
        *ret = health;
    else
        health_free(health);
    return status;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    http1_server_free(health->server);
    free(health->address);
    free(health->isolation);
    free(health);
}

const char *health_address(const struct health *health)
{
    return health->address;
}

void health_set_isolation(struct health *health, const char *names)
{
    cleanup_json json_t *array = NULL;
    cleanup_free char *problem = NULL;
    cleanup_text struct text joined = {0};
    size_t i;
    json_t *name;
    if (json_read(names, strlen(names), &array, &problem) < 0)
        return;
    json_array_foreach(array, i, name)
    {
        const char *text = json_text(name);
        text_append(&joined, i ? ", " : "");
        if (text)
            text_append_escaped(&joined, text, strlen(text), 64);
    }
    free(health->isolation);
    health->isolation = json_array_size(array) > 0 ? text_take(&joined) : NULL;
}

/* ---- gRPC
 * ----------------------------------------------------------------------------------------------------- */

static bool is_service(const char *name)
{
    if (!*name) /* the whole node */
        return true;
    for (const struct descriptor_symbol *symbol = descriptor_symbols; symbol->name; symbol++)
        if (symbol->is_service && strcmp(symbol->name, name) == 0)
            return true;
    return false;
}

static int send_status(struct grpc_call *call, serving_status status)
{
    response answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = status;
    return caller_send(call, &answer);
}

static struct health *health_of(const struct grpc_call *call)
{
    const struct front *front = grpc_call_owner(call);
    health_update(front->health);
    return front->health;
}

static serving_status status_of(const struct health *health)
{
    return health->ready ? SERVING : NOT_SERVING;
}

/* Who does not read what is told is told no more. */
static void tell(struct watcher *watcher, serving_status status)
{
    struct grpc_call *call = watcher->call;
    if (grpc_call_queued_bytes(call) > QUEUED_MAX_BYTES || send_status(call, status) < 0)
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "more has changed than is read");
}

void health_update(struct health *health)
{
    bool ready = !health->draining && health->probes->is_ready(health->payload);
    if (health->ready == ready)
        return;
    health->ready = ready;
    struct watcher *watcher, *next;
    for (watcher = LIST_FIRST(&health->watchers); watcher; watcher = next) {
        next = LIST_NEXT(watcher, all);
        if (watcher->known)
            tell(watcher, status_of(health));
    }
}

void health_drain(struct health *health)
{
    health->draining = true;
    health_update(health);
    struct watcher *watcher, *next;
    for (watcher = LIST_FIRST(&health->watchers); watcher; watcher = next) {
        next = LIST_NEXT(watcher, all);
        grpc_call_finish(watcher->call, GRPC_UNAVAILABLE, "the node ends");
    }
}

static void on_start(struct grpc_call *call)
{
    (void)call;
}

static request *question_of(struct grpc_call *call, const uint8_t *bytes, size_t size_bytes)
{
    return caller_message(call, &grpc__health__v1__health_check_request__descriptor, bytes, size_bytes);
}

static void on_check(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    request *question = question_of(call, bytes, size_bytes);
    if (!question)
        return;
    if (!is_service(question->service))
        grpc_call_finish(call, GRPC_NOT_FOUND, "this node has no such service");
    else if (send_status(call, status_of(health_of(call))) < 0)
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
    else
        grpc_call_finish(call, GRPC_OK, NULL);
    grpc__health__v1__health_check_request__free_unpacked(question, NULL);
}

static void begin_watch(struct grpc_call *call, bool known)
{
    struct health *health = health_of(call);
    struct watcher *watcher = calloc(1, sizeof(*watcher));
    if (!watcher) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the node is out of memory");
        return;
    }
    *watcher = (struct watcher){.call = call, .known = known};
    LIST_INSERT_HEAD(&health->watchers, watcher, all);
    grpc_call_set_data(call, watcher);
    tell(watcher, known ? status_of(health) : SERVICE_UNKNOWN);
}

static void on_watch(struct grpc_call *call, uint8_t *bytes, size_t size_bytes)
{
    request *question = grpc_call_data(call) ? NULL : question_of(call, bytes, size_bytes);
    if (!question) { /* or a second one, which the protocol does not have */
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "one message asks");
        return;
    }
    begin_watch(call, is_service(question->service));
    grpc__health__v1__health_check_request__free_unpacked(question, NULL);
}

/* A second finish does nothing: this one counts if there was no message. */
static void on_check_half_closed(struct grpc_call *call)
{
    grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "one message asks");
}

static void on_watch_half_closed(struct grpc_call *call)
{
    if (!grpc_call_data(call))
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "one message asks");
}

static void on_watch_closed(struct grpc_call *call, enum grpc_status status)
{
    struct watcher *watcher = grpc_call_data(call);
    (void)status;
    if (!watcher)
        return;
    LIST_REMOVE(watcher, all);
    free(watcher);
}

const struct grpc_method health_methods[] = {
    {.path = "/grpc.health.v1.Health/Check",
     .max_message_bytes = QUESTION_MAX_BYTES,
     .start = on_start,
     .message = on_check,
     .half_closed = on_check_half_closed},
    {.path = "/grpc.health.v1.Health/Watch",
     .max_message_bytes = QUESTION_MAX_BYTES,
     .start = on_start,
     .message = on_watch,
     .half_closed = on_watch_half_closed,
     .closed = on_watch_closed},
    {0},
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front's life: everything it needs is made once from what the supervisor sends, the loop runs, a reload
 * replaces policy and certificates, a drain ends it when the last call and the last visit are over.
 */
#include "node/front/front.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <berth/version.h>

#include "base/clock.h"
#include "net/tls.h"
#include "node/front/front_keys.h"
#include "node/front/front_start.h"
#include "node/front/health.h"
#include "node/front/identity_file.h"
#include "node/front/reflection.h"
#include "node/front/revive.h"
#include "node/front/visit_record.h"
#include "node/node.h"
#include "node/process.h"

enum {
    NONCES_MAX = 65536, /* Describe is for strangers; a burst of them must not push out whose turn it is */
    METHODS_MAX = 32,
    HOUSEKEEPING_MS = 1000,
    REVIVE_AFTER_MS = 1000,
    EXPIRE_RUNS_EVERY = 600, /* turns of housekeeping */
};

struct front_process {
    struct front front;
    struct log log;
    struct front_keys *keys;
    struct grpc_method methods[METHODS_MAX + 1];
    uv_poll_t control;
    uv_timer_t housekeeping, revival;
    unsigned turns;
    bool calls_drained;
};

/* ---- Making it
 * ----------------------------------------------------------------------------------------------- */

static void add_methods(struct front_process *process, const struct grpc_method *methods)
{
    size_t n = 0;
    while (process->methods[n].path)
        n++;
    for (; methods->path && n < METHODS_MAX; methods++)
        process->methods[n++] = *methods;
}

static int sign(void *payload, const void *bytes, size_t size_bytes, uint8_t ret_signature[static 64])
{
    return identity_sign_ed25519(payload, bytes, size_bytes, ret_signature);
}

static berth_status open_ledger(struct front *front, const char *state_directory, berth_error **reterr)
{
    const struct settings *settings = front->settings;
    char path[CONTROL_TEXT_BYTES + 16];
    struct audit_log *audit = NULL;
    struct run_store *store = NULL;
    struct audit_signer signer = {.sign = sign, .payload = front->identity};
    const struct run_store_limits limits = {
        .max_events_per_run = settings->events_max_per_run,
        .max_event_bytes_per_run = settings->events_max_mb_per_run << 20,
        .keep_days = (uint32_t)settings->runs_keep_days,
    };
    enum audit_sync sync = strcmp(settings->audit_sync, "full") == 0 ? AUDIT_SYNC_FULL : AUDIT_SYNC_NORMAL;
    memcpy(signer.public_key, identity_ed25519_public_key(front->identity), sizeof(signer.public_key));
    snprintf(path, sizeof(path), "%s/audit.db", state_directory);
    int r = audit_open(path, sync, &signer, &audit, reterr);
    if (r < 0)
        return BERTH_IO;
    snprintf(path, sizeof(path), "%s/runs.db", state_directory);
    r = run_store_open(path, &limits, &store, reterr);
    if (r < 0) {
        audit_close(audit);
        return BERTH_IO;
    }
    r = ledger_new(&front->loop, audit, store, front->log, &front->ledger);
    return r == 0 ? BERTH_OK : error_set_errno(reterr, r, "the ledger");
}

/* ---- Workers ----------------------------------------------------------------------------------------- */

static void on_worker_lost(void *owner, size_t worker)
{
    struct front *front = owner;
    ledger_note(front->ledger, "worker_lost", NULL, NULL, json_pack("{s:I}", "worker", (json_int_t)worker));
    log_event(front->log, LOG_LEVEL_WARNING, "worker_lost", log_integer("worker", (int64_t)worker));
}

static void on_worker_broke(void *owner, size_t worker, const char *fault)
{
    struct front *front = owner;
    log_event(front->log, LOG_LEVEL_ERROR, "worker_broke_protocol", log_integer("worker", (int64_t)worker),
              log_text("fault", fault));
    control_send(CONTROL_FD, CONTROL_END_WORKER, (uint32_t)worker, "", -1);
}

static berth_status make_parts(struct front *front, struct front_start *start, berth_error **reterr)
{
    const struct settings *settings = front->settings;
    berth_status status =
        access_new(settings, identity_ed25519_public_key(front->identity), NULL, &front->access, reterr);
    if (status != BERTH_OK)
        return status;
    const struct workers_options workers = {
        .loop = &front->loop,
        .channels = start->channels,
        .n_channels = start->n_channels,
        .adopt = visit_adopt,
        .lost = on_worker_lost,
        .broke = on_worker_broke,
        .owner = front,
    };
    int r = session_table_new((uint32_t)settings->sessions_max,
                              (uint32_t)settings->sessions_max_per_principal, &front->sessions);
    if (r == 0)
        r = nonce_table_new(NONCES_MAX, &front->nonces);
    if (r == 0)
        r = contract_digests_new(&front->digests);
    if (r == 0)
        r = compile_queue_new(&front->loop, take_fd(&start->compiler), settings, &front->compiler);
    if (r == 0)
        r = revive_begin(front);
    if (r == 0)
        r = workers_new(&workers, &front->workers);
    memset(start->channels, -1, sizeof(start->channels)); /* theirs now */
    return r == 0 ? BERTH_OK : error_set_errno(reterr, r, "the front cannot be made");
}

static berth_status make_tls(const struct settings_listener *listener, struct tls_identity **ret,
                             berth_error **reterr)
{
    const struct tls_server_options options = {
        .certificate = listener->certificate,
        .key = listener->key,
        .client_ca = listener->client_ca,
        .client_required = listener->client_required,
    };
    *ret = NULL;
    return listener->certificate ? tls_identity_new_server(&options, ret, reterr) : BERTH_OK;
}

static berth_status listen_all(struct front_process *process, struct front_start *start, uint16_t *ret_port,
                               berth_error **reterr)
{
    struct front *front = &process->front;
    const struct settings *settings = front->settings;
    struct grpc_server_options options;
    grpc_server_options_init(&options);
    options.methods = process->methods;
    options.owner = front;
    options.max_message_bytes = settings->limits_max_request_mb << 20;
    options.max_connections = (uint32_t)settings->limits_max_connections;
    options.max_connections_per_address = (uint32_t)settings->limits_max_connections_per_address;
    int r = grpc_server_new(&front->loop, &options, &front->server);
    if (r < 0)
        return error_set_errno(reterr, r, "the server cannot be made");
    for (size_t i = 0; i < settings->n_listeners; i++) {
        const struct settings_listener *listener = &settings->listeners[i];
        cleanup_tls_identity struct tls_identity *tls = NULL;
        uint16_t port = 0;
        berth_status status = make_tls(listener, &tls, reterr);
        if (status != BERTH_OK)
            return status;
        r = grpc_server_listen(front->server, listener->host, listener->port, take_fd(&start->listeners[i]),
                               tls, &port);
        if (r < 0)
            return error_set_errno(reterr, r, "%s:%u cannot be listened on", listener->host, listener->port);
        if (i == 0)
            *ret_port = port;
    }
    return BERTH_OK;
}

/* ---- From the supervisor
 * ------------------------------------------------------------------------------------- */

/* All of them or none: what a reload cannot read changes nothing. */
static berth_status renew_certificates(struct front *front, const struct settings *settings,
                                       berth_error **reterr)
{
    struct tls_identity *renewed[FRONT_LISTENERS_MAX] = {NULL};
    berth_status status = BERTH_OK;
    for (size_t i = 0; i < settings->n_listeners && i < FRONT_LISTENERS_MAX && status == BERTH_OK; i++)
        status = make_tls(&settings->listeners[i], &renewed[i], reterr);
    for (size_t i = 0; i < FRONT_LISTENERS_MAX; i++) {
        if (status == BERTH_OK)
            grpc_server_set_tls(front->server, i, renewed[i]);
        tls_identity_unref(renewed[i]);
    }
    return status;
}

static void reload(struct front_process *process, int descriptor)
{
    struct front *front = &process->front;
    cleanup_error berth_error *error = NULL;
    cleanup_settings struct settings *settings = NULL;
    struct access *access = NULL;
    berth_status status = front_settings_read(descriptor, &settings, &error);
    if (status == BERTH_OK)
        status = access_new(settings, identity_ed25519_public_key(front->identity), front->access, &access,
                            &error);
    if (status == BERTH_OK) {
        status = renew_certificates(front, settings, &error);
        access_free(status == BERTH_OK ? front->access : access);
    }
    const char *sentence = status == BERTH_OK ? "" : berth_error_message(error);
    if (status == BERTH_OK) {
        front->access = access;
        settings_free(front->settings);
        front->settings = take_ptr(settings);
        session_table_set_limits(front->sessions, (uint32_t)front->settings->sessions_max,
                                 (uint32_t)front->settings->sessions_max_per_principal);
        front_keys_fetch(process->keys);
    }
    ledger_note(front->ledger, status == BERTH_OK ? "settings_loaded" : "settings_refused", NULL, NULL,
                *sentence ? json_pack("{s:s}", "error", sentence) : NULL);
    control_send(CONTROL_FD, CONTROL_RELOADED, 0, sentence, -1);
}

static void finish_drain(struct front *front)
{
    struct front_process *process = (struct front_process *)front;
    if (front->draining && process->calls_drained && front->n_visits == 0)
        uv_stop(&front->loop);
}

void front_visit_is_over(struct front *front)
{
    finish_drain(front);
}

static void on_calls_drained(void *payload)
{
    struct front_process *process = payload;
    process->calls_drained = true;
    finish_drain(&process->front);
}

static void drain(struct front_process *process)
{
    struct front *front = &process->front;
    if (front->draining)
        return;
    front->draining = true;
    health_drain(front->health);
    for (struct visit *visit = front->visits, *next; visit; visit = next) {
        next = visit->next;
        if (visit->detached)
            visit_suspend(visit);
    }
    grpc_server_drain(front->server, on_calls_drained, process);
}

static void take_control(struct front_process *process, const struct control_message *message,
                         int *descriptor)
{
    struct front *front = &process->front;
    switch (message->kind) {
    case CONTROL_CHANNEL:
        workers_replace(front->workers, message->index, take_fd(descriptor));
        front->metrics.worker_restarts++;
        break;
    case CONTROL_COMPILER:
        compile_queue_replace(front->compiler, take_fd(descriptor));
        break;
    case CONTROL_RELOAD:
        reload(process, take_fd(descriptor));
        break;
    case CONTROL_ISOLATION:
        front->metrics.isolation_missing = message->index;
        health_set_isolation(front->health, message->text);
        break;
    case CONTROL_DRAIN:
        drain(process);
        break;
    default:
        log_event(front->log, LOG_LEVEL_WARNING, "control_unknown", log_integer("kind", message->kind));
    }
}

static void on_control(uv_poll_t *handle, int status, int events)
{
    struct front_process *process = handle->data;
    struct control_message message;
    (void)status;
    (void)events;
    for (;;) {
        cleanup_close int descriptor = -1;
        int r = control_receive(CONTROL_FD, &message, &descriptor);
        if (r == -EAGAIN || r == -EINTR)
            return;
        if (r != 0) { /* the supervisor is gone */
            uv_stop(&process->front.loop);
            return;
        }
        take_control(process, &message, &descriptor);
    }
}

/* ---- Housekeeping
 * -------------------------------------------------------------------------------------------- */

static void measure(void *payload)
{
    struct front *front = payload;
    struct metrics *metrics = &front->metrics;
    struct grpc_server_counts server;
    struct workers_counts workers;
    struct compile_queue_counts compiler;
    grpc_server_counts(front->server, &server);
    workers_counts(front->workers, &workers);
    compile_queue_counts(front->compiler, &compiler);
    metrics->runs_running = front->n_visits;
    metrics->sessions = session_count(front->sessions);
    metrics->compilations = compiler.compiled_total;
    metrics->compilations_refused = compiler.refused_total;
    metrics->cache_hits = compiler.cache_hits_total;
    metrics->compilations_waiting = compiler.waiting;
    metrics->workers = workers.workers;
    metrics->workers_alive = workers.alive;
    metrics->audit_entries = ledger_entries(front->ledger);
    metrics->audit_failures = ledger_failures(front->ledger);
    metrics->connections = server.connections;
    metrics->connections_total = server.connections_total;
    metrics->connections_refused = server.refused_connections;
    metrics->protocol_errors = server.protocol_errors;
    metrics->calls = server.calls;
    metrics->calls_total = server.calls_total;
    metrics->received_bytes = server.bytes_in;
    metrics->sent_bytes = server.bytes_out;
    metrics_measure_process(metrics);
}

static bool is_ready(void *payload)
{
    const struct front *front = payload;
    struct workers_counts workers;
    workers_counts(front->workers, &workers);
    return !front->draining && workers.alive > 0 && ledger_holds(front->ledger);
}

static void on_housekeeping(uv_timer_t *timer)
{
    struct front_process *process = timer->data;
    struct front *front = &process->front;
    session_expire(front->sessions, clock_monotonic_ns());
    if (process->turns++ % EXPIRE_RUNS_EVERY == 0)
        run_store_expire(ledger_store(front->ledger), front_time_ns());
    health_update(front->health);
}

static void on_revival(uv_timer_t *timer)
{
    struct front_process *process = timer->data;
    revive_end(&process->front);
}

/* ---- Main
 * ---------------------------------------------------------------------------------------------------- */

static void send_ready(struct front *front, uint16_t port, const char *health)
{
    const struct settings_listener *listener = &front->settings->listeners[0];
    bool six = strchr(listener->host, ':');
    cleanup_free char *address = NULL;
    if (asprintf(&address, six ? "[%s]:%u" : "%s:%u", listener->host, port) < 0)
        address = NULL;
    json_t *ready = json_pack("{s:s, s:s}", "address", address ? address : "", "peer_id",
                              identity_peer_id(front->identity));
    if (health)
        json_object_set_new(ready, "health", json_string(health));
    cleanup_free char *text = json_dumps(ready, JSON_COMPACT);
    json_decref(ready);
    control_send(CONTROL_FD, CONTROL_READY, 0, text ? text : "{}", -1);
}

static const struct health_probes probes = {.is_ready = is_ready, .measure = measure};

static berth_status make_front(struct front_process *process, struct front_start *start, uint16_t *ret_port,
                               berth_error **reterr)
{
    struct front *front = &process->front;
    front->log = &process->log;
    front->settings = take_ptr(start->settings);
    front->inputs_directory = take_fd(&start->inputs_directory);
    front->metrics.start_time_seconds = (uint64_t)time(NULL);
    if (uv_loop_init(&front->loop) < 0)
        return error_set(reterr, BERTH_IO, "the event loop cannot be made");
    berth_status status = identity_file_load(start->state_directory, &front->identity, reterr);
    if (status == BERTH_OK) {
        hash_of(identity_ml_dsa_65_public_key(front->identity), ML_DSA_65_PUBLIC_KEY_BYTES,
                front->ml_dsa_sha256);
        status = open_ledger(front, start->state_directory, reterr);
    }
    if (status == BERTH_OK)
        status = make_parts(front, start, reterr);
    add_methods(process, describe_methods);
    add_methods(process, negotiate_methods);
    add_methods(process, execute_methods);
    add_methods(process, watch_methods);
    add_methods(process, health_methods);
    add_methods(process, reflection_methods);
    if (status == BERTH_OK)
        status = listen_all(process, start, ret_port, reterr);
    if (status == BERTH_OK)
        status = health_new(&front->loop, front->settings->node_health_listen, &front->metrics, &probes,
                            front, &front->health, reterr);
    if (status == BERTH_OK && front_keys_new(front, &process->keys) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for the keys of JWTs");
    return status;
}

static void run(struct front_process *process, uint16_t port)
{
    struct front *front = &process->front;
    ledger_note(front->ledger, "node_started", NULL, NULL, json_pack("{s:s}", "version", BERTH_VERSION));
    uv_poll_init(&front->loop, &process->control, CONTROL_FD);
    uv_timer_init(&front->loop, &process->housekeeping);
    uv_timer_init(&front->loop, &process->revival);
    process->control.data = process->housekeeping.data = process->revival.data = process;
    uv_poll_start(&process->control, UV_READABLE | UV_DISCONNECT, on_control);
    uv_timer_start(&process->housekeeping, on_housekeeping, 0, HOUSEKEEPING_MS);
    uv_timer_start(&process->revival, on_revival, REVIVE_AFTER_MS, 0);
    front_keys_fetch(process->keys);
    send_ready(front, port, health_address(process->front.health));
    uv_run(&front->loop, UV_RUN_DEFAULT);
    ledger_note(front->ledger, "node_stopped", NULL, NULL, NULL);
    ledger_free(front->ledger); /* the last commit */
    if (front->draining)
        control_send(CONTROL_FD, CONTROL_DRAINED, 0, "", -1);
}

static void confine(void)
{
    const struct rlimit none = {0};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

int front_main(void)
{
    cleanup_error berth_error *error = NULL;
    struct front_start start;
    uint16_t port = 0;
    struct front_process *process = calloc(1, sizeof(*process));
    if (!process)
        return NODE_FAILURE;
    confine();
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error of write(2) */
    log_init(&process->log, STDERR_FILENO, LOG_FORMAT_AUTOMATIC, LOG_LEVEL_INFO, "front");
    berth_status status = front_start_receive(&start, &error);
    if (status == BERTH_OK)
        status = make_front(process, &start, &port, &error);
    front_start_done(&start);
    if (status != BERTH_OK) {
        int exit_status = node_status_of_error(status);
        control_send(CONTROL_FD, CONTROL_FAILED, (uint32_t)exit_status, berth_error_message(error), -1);
        return exit_status;
    }
    run(process, port);
    identity_free(process->front.identity);
    return NODE_ENDED; /* the kernel takes the rest back; nobody is left to serve */
}

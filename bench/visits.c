/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What visits to a node take, as a caller sees them: handshake, sealed run, verified receipt. Prints one JSON
 * object. The token is in BERTH_TOKEN.
 *
 *   visits HOST:PORT PEER-ID latency MODULE CLIENTS COUNT    COUNT visits of a module that the node knows, by
 * CLIENTS threads with a connection each visits HOST:PORT PEER-ID upload MODULE MIB COUNT         modules
 * padded to MIB, each of them new to the node visits HOST:PORT PEER-ID output MODULE MIB               a
 * module that writes MIB
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <berth/berth.h>
#include <berth/client.h>

#include "process.h"

enum { CLIENTS_MAX = 256, WARM_UP = 8 };

static const char *address, *peer_id;
static uint8_t *module;
static size_t module_bytes;

static void must(berth_status status, berth_error *error)
{
    if (status == BERTH_OK)
        return;
    fprintf(stderr, "visits: %s\n", berth_error_message(error));
    exit(1);
}

static berth_client *connect_to_node(void)
{
    struct berth_client_options options;
    berth_client *client;
    berth_error *error = NULL;
    berth_client_options_init(&options);
    options.address = address;
    options.node = peer_id;
    options.token = getenv("BERTH_TOKEN");
    must(berth_client_new(&options, &client, &error), error);
    return client;
}

/* The padding is a custom section (0) of the name "p". */
static void read_module(const char *path, size_t padding_bytes)
{
    FILE *file = fopen(path, "rb");
    module = malloc((1 << 20) + padding_bytes + 16);
    module_bytes = file && module ? fread(module, 1, 1 << 20, file) : 0;
    if (module_bytes == 0) {
        perror(path);
        exit(1);
    }
    fclose(file);
    if (padding_bytes == 0)
        return;
    module[module_bytes++] = 0;
    for (size_t left = padding_bytes + 2; left > 0; left >>= 7) /* with the name; LEB128 */
        module[module_bytes++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    module[module_bytes++] = 1;
    module[module_bytes++] = 'p';
    memset(module + module_bytes, 0, padding_bytes);
    module_bytes += padding_bytes;
}

static void visit_once(berth_client *client, const struct berth_visit *visit)
{
    const struct berth_visit_end *end;
    berth_error *error = NULL;
    must(berth_client_visit(client, visit, &end, &error), error);
    if (end->outcome.kind != BERTH_OUTCOME_EXITED || end->outcome.exit_code != 0) {
        fprintf(stderr, "visits: the module ended: %s, %s\n", berth_outcome_name(end->outcome.kind),
                end->outcome.cause);
        exit(1);
    }
}

static struct berth_visit plain_visit(void)
{
    return (struct berth_visit){.size = sizeof(struct berth_visit),
                                .module = module,
                                .module_bytes = module_bytes,
                                .name = "bench.wasm"};
}

/* ---- Latency ------------------------------------------------------------------------------------------- */

static double *taken_us; /* of each visit */
static atomic_long next_visit;
static long n_visits;
static pthread_barrier_t begin;

static void *visit_often(void *argument)
{
    (void)argument;
    berth_client *client = connect_to_node();
    const struct berth_visit visit = plain_visit();
    for (int i = 0; i < WARM_UP; i++)
        visit_once(client, &visit);
    pthread_barrier_wait(&begin);
    for (long i = atomic_fetch_add(&next_visit, 1); i < n_visits; i = atomic_fetch_add(&next_visit, 1)) {
        double before = now_us();
        visit_once(client, &visit);
        taken_us[i] = now_us() - before;
    }
    berth_client_free(client);
    return NULL;
}

static void measure_latency(unsigned n_clients)
{
    pthread_t clients[CLIENTS_MAX];
    taken_us = calloc((size_t)n_visits, sizeof(*taken_us));
    pthread_barrier_init(&begin, NULL, n_clients + 1);
    for (unsigned i = 0; i < n_clients; i++)
        if (!taken_us || pthread_create(&clients[i], NULL, visit_often, NULL) != 0)
            exit(1);
    pthread_barrier_wait(&begin);
    double before = now_us();
    for (unsigned i = 0; i < n_clients; i++)
        pthread_join(clients[i], NULL);
    double seconds = (now_us() - before) / 1e6;
    double p50 = median(taken_us, (size_t)n_visits); /* sorts */
    printf("{\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"per_second\": %.1f}\n", p50 / 1e3,
           taken_us[n_visits * 99 / 100] / 1e3, (double)n_visits / seconds);
}

/* ---- Upload -------------------------------------------------------------------------------------------- */

struct upload {
    double all_left_us, started_us;
};

static void on_uploaded(void *payload, uint64_t sent_bytes, uint64_t total_bytes)
{
    struct upload *upload = payload;
    if (sent_bytes == total_bytes)
        upload->all_left_us = now_us();
}

static void on_started(void *payload, const char *run_id)
{
    (void)run_id;
    ((struct upload *)payload)->started_us = now_us();
}

static void measure_upload(long count)
{
    berth_client *client = connect_to_node();
    double *left_s = calloc((size_t)count, sizeof(double)),
           *started_s = calloc((size_t)count, sizeof(double));
    if (!left_s || !started_s)
        exit(1);
    for (long i = 0; i < count; i++) {
        struct upload upload;
        struct berth_visit visit = plain_visit();
        /* Nobody has sent this one before. */
        long unique[] = {i, (long)getpid(), (long)now_us()};
        memcpy(module + module_bytes - sizeof(unique), unique, sizeof(unique));
        visit.uploaded = on_uploaded;
        visit.started = on_started;
        visit.payload = &upload;
        double before = now_us();
        visit_once(client, &visit);
        left_s[i] = (upload.all_left_us - before) / 1e6;
        started_s[i] = (upload.started_us - before) / 1e6;
    }
    double mebibytes = (double)module_bytes / (1 << 20);
    printf("{\"mib_per_second\": %.1f, \"mib_per_second_until_started\": %.1f}\n",
           mebibytes / median(left_s, (size_t)count), mebibytes / median(started_s, (size_t)count));
    free(left_s);
    free(started_s);
    berth_client_free(client);
}

/* ---- Output -------------------------------------------------------------------------------------------- */

static bool count_bytes(void *payload, const void *bytes, size_t size_bytes)
{
    (void)bytes;
    *(uint64_t *)payload += size_bytes;
    return true;
}

static void measure_output(const char *mebibytes)
{
    const char *const arguments[] = {mebibytes, NULL};
    berth_client *client = connect_to_node();
    struct berth_visit visit = plain_visit();
    uint64_t received = 0;
    /* Once with nothing to say, so that the module is compiled and known. */
    visit_once(client, &visit);
    visit.arguments = arguments;
    visit.output = count_bytes;
    visit.payload = &received;
    double before = now_us();
    visit_once(client, &visit);
    double seconds = (now_us() - before) / 1e6;
    printf("{\"mib_per_second\": %.1f, \"mib\": %.1f, \"client_resident_mib\": %.1f}\n",
           (double)received / (1 << 20) / seconds, (double)received / (1 << 20),
           (double)resident_bytes() / (1 << 20));
    berth_client_free(client);
}

int main(int argc, char **argv)
{
    const char *what = argc > 5 ? argv[3] : "";
    long number = argc > 5 ? strtol(argv[5], NULL, 10) : 0, count = argc > 6 ? strtol(argv[6], NULL, 10) : 0;
    if (argc > 5) {
        address = argv[1];
        peer_id = argv[2];
        read_module(argv[4], strcmp(what, "upload") == 0 ? (size_t)number << 20 : 0);
    }
    if (strcmp(what, "latency") == 0 && number > 0 && number <= CLIENTS_MAX && count > 0) {
        n_visits = count;
        measure_latency((unsigned)number);
    } else if (strcmp(what, "upload") == 0 && number > 0 && count > 0) {
        measure_upload(count);
    } else if (strcmp(what, "output") == 0 && number > 0) {
        measure_output(argv[5]);
    } else {
        fprintf(stderr,
                "usage: visits HOST:PORT PEER-ID latency MODULE CLIENTS COUNT | upload MODULE MIB COUNT | "
                "output MODULE MIB\n");
        return 64;
    }
    free(module);
    free(taken_us);
    return 0;
}

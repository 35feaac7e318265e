/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instances cost in berth, every limit armed. bare.c measures the same on the bare engine. Prints one
 * JSON object.
 *
 *   instances GUESTS-DIRECTORY pool|parked|churn COUNT [--fuel]
 *
 *   pool      COUNT times: make an instance, run it, free it. A module of one page; the same with a call of
 * an export; a program with WASI and one mount, which is opened once and opened each time. parked    start
 * COUNT programs that sleep: time until all are parked, resident memory each, threads. churn     COUNT
 * programs with WASI, made, run and freed: how resident memory and descriptors drift.
 */
#include <stdbool.h>
#include <string.h>

#include <berth/berth.h>

#include "process.h"

enum { BLOCKS = 20, WARM_UP = 2000 };

static berth_engine *engine;
static berth_schedule *schedule;
static const char *guests;

static void must(berth_status status, berth_error *error)
{
    if (status == BERTH_OK)
        return;
    fprintf(stderr, "instances: %s\n", berth_error_message(error));
    exit(1);
}

/* Each limit is on and none is reached. */
static berth_contract *armed(bool fuel)
{
    static const char text[] =
        "limits = { memory_mb = 16, wall_seconds = 3600, cpu_percent = 99, output_mb = 1, "
        "open_files = 8, host_calls_per_second = 1000000 }";
    berth_contract *contract;
    berth_error *error = NULL;
    must(berth_contract_parse(text, strlen(text), "bench", &contract, &error), error);
    if (fuel)
        must(berth_contract_set(contract, "limits.fuel", "1000000000", "bench", &error), error);
    return contract;
}

static void open_host(uint32_t max_instances, const berth_contract *contract)
{
    struct berth_engine_options options;
    berth_error *error = NULL;
    berth_engine_options_init(&options);
    berth_engine_options_admit(&options, contract);
    options.max_instances = max_instances;
    options.cache = false;
    options.compile = BERTH_COMPILE_IN_PROCESS;
    must(berth_engine_new(&options, &engine, &error), error);
    must(berth_schedule_new(engine, &schedule, &error), error);
}

static berth_module *load(const char *name)
{
    char path[512];
    berth_module *module;
    berth_error *error = NULL;
    snprintf(path, sizeof(path), "%s/%s.wasm", guests, name);
    must(berth_module_load_file(engine, path, &module, &error), error);
    return module;
}

struct subject {
    berth_module *module;
    berth_contract *contract;
    berth_mounts *mounts; /* NULL: opened for each instance */
    const char *function; /* NULL: the program */
};

static void visit(const struct subject *subject)
{
    struct berth_instance_options options;
    berth_instance *instance;
    berth_run *run;
    berth_error *error = NULL;
    berth_instance_options_init(&options);
    options.mounts = subject->mounts;
    must(berth_instance_new(schedule, subject->module, subject->contract, &options, &instance, &error),
         error);
    if (subject->function)
        must(berth_run_start_call(instance, subject->function, NULL, 0, &run, &error), error);
    else
        must(berth_run_start(instance, &run, &error), error);
    berth_run_wait(run);
    if (berth_run_outcome(run)->kind != BERTH_OUTCOME_EXITED) {
        fprintf(stderr, "instances: %s\n", berth_run_outcome(run)->cause);
        exit(1);
    }
    berth_instance_free(instance);
}

/* The median of blocks, in microseconds each. */
static double measure(const struct subject *subject, long count)
{
    double blocks[BLOCKS];
    for (int i = 0; i < WARM_UP; i++)
        visit(subject);
    for (int i = 0; i < BLOCKS; i++) {
        double start = now_us();
        for (long j = 0; j < count / BLOCKS; j++)
            visit(subject);
        blocks[i] = (now_us() - start) / (double)(count / BLOCKS);
    }
    return median(blocks, BLOCKS);
}

static void pool(long count, bool fuel)
{
    struct berth_mount mount = {.guest = "/logs", .host = "/var/log"};
    berth_contract *plain = armed(fuel), *with_mount = armed(fuel);
    berth_mounts *mounts;
    berth_error *error = NULL;
    must(berth_contract_add_mount(with_mount, &mount, "bench", &error), error);
    must(berth_mounts_open(with_mount, &mounts, &error), error);
    open_host(100, plain);
    berth_module *one_page = load("returns_at_once"), *wasi = load("looks_at_its_mount");
    double program = measure(&(struct subject){one_page, plain, NULL, NULL}, count);
    double call = measure(&(struct subject){one_page, plain, NULL, "answer"}, count);
    double shared = measure(&(struct subject){wasi, with_mount, mounts, NULL}, count);
    double opened = measure(&(struct subject){wasi, with_mount, NULL, NULL}, count);
    printf("{\"program_us\": %.2f, \"call_us\": %.2f, \"wasi_us\": %.2f, \"wasi_mount_opened_us\": %.2f}\n",
           program, call, shared, opened);
    berth_module_unref(wasi);
    berth_module_unref(one_page);
    berth_mounts_unref(mounts);
    berth_contract_unref(with_mount);
    berth_contract_unref(plain);
}

static void parked(long count, bool fuel)
{
    berth_contract *contract = armed(fuel);
    open_host((uint32_t)count, contract);
    berth_module *module = load("sleeps");
    berth_instance **instances = calloc((size_t)count, sizeof(*instances));
    struct berth_instance_options options;
    struct berth_wait wait;
    berth_run *run;
    berth_error *error = NULL;
    berth_instance_options_init(&options);
    long resident_before = resident_bytes();
    double start = now_us();
    for (long i = 0; i < count; i++) {
        must(berth_instance_new(schedule, module, contract, &options, &instances[i], &error), error);
        must(berth_run_start(instances[i], &run, &error), error);
        berth_schedule_step(schedule, &wait);
    }
    do
        berth_schedule_step(schedule, &wait);
    while (wait.ready);
    double took_us = now_us() - start;
    long resident = resident_bytes() - resident_before;
    double idle = now_us();
    berth_schedule_step(schedule, &wait);
    idle = now_us() - idle;
    printf("{\"start_us\": %.2f, \"resident_kib\": %.2f, \"threads\": %ld, \"idle_step_us\": %.1f}\n",
           took_us / (double)count, (double)resident / 1024 / (double)count, threads(), idle);
    for (long i = 0; i < count; i++)
        berth_instance_free(instances[i]);
    free(instances);
    berth_module_unref(module);
    berth_contract_unref(contract);
}

static void churn(long count, bool fuel)
{
    struct berth_mount mount = {.guest = "/logs", .host = "/var/log"};
    berth_contract *contract = armed(fuel);
    berth_error *error = NULL;
    must(berth_contract_add_mount(contract, &mount, "bench", &error), error);
    open_host(100, contract);
    struct subject subject = {load("looks_at_its_mount"), contract, NULL, NULL};
    for (int i = 0; i < WARM_UP; i++)
        visit(&subject);
    long resident = resident_bytes(), descriptors = open_descriptors();
    double start = now_us();
    for (long i = 0; i < count; i++)
        visit(&subject);
    double took_us = now_us() - start;
    printf("{\"drift_kib\": %ld, \"descriptors\": %ld, \"each_us\": %.2f}\n",
           (resident_bytes() - resident) / 1024, open_descriptors() - descriptors, took_us / (double)count);
    berth_module_unref(subject.module);
    berth_contract_unref(contract);
}

int main(int argc, char **argv)
{
    long count = argc > 3 ? atol(argv[3]) : 0;
    bool fuel = argc > 4 && strcmp(argv[4], "--fuel") == 0;
    if (count < BLOCKS) {
        fprintf(stderr, "usage: instances GUESTS-DIRECTORY pool|parked|churn COUNT [--fuel]\n");
        return 64;
    }
    guests = argv[1];
    if (strcmp(argv[2], "pool") == 0)
        pool(count, fuel);
    else if (strcmp(argv[2], "parked") == 0)
        parked(count, fuel);
    else
        churn(count, fuel);
    berth_schedule_free(schedule);
    berth_engine_unref(engine);
    return 0;
}

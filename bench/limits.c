/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How exactly limits hold: how late a run ends after its wall deadline, whatever it is doing, and how near
 * its share of the processor comes to what the contract says. Prints one JSON object.
 *
 *   limits GUESTS-DIRECTORY
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/berth.h>

enum { ROUNDS = 200, WALL_MS = 20, SHARE_SECONDS = 5 };

static berth_engine *engine;
static berth_schedule *schedule;
static const char *guests;

static void must(berth_status status, berth_error *error)
{
    if (status == BERTH_OK)
        return;
    fprintf(stderr, "limits: %s\n", berth_error_message(error));
    exit(1);
}

static void open_host(void)
{
    struct berth_engine_options options;
    berth_error *error = NULL;
    berth_engine_options_init(&options);
    options.max_instances = 8;
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

/* Runs the guest to its end; input and output are the two ends that nobody serves. */
static struct berth_usage run_once(berth_module *module, berth_contract *contract, int input, int output)
{
    struct berth_instance_options options;
    struct berth_usage usage;
    berth_instance *instance;
    berth_run *run;
    berth_error *error = NULL;
    berth_instance_options_init(&options);
    if (input >= 0)
        options.input = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = input};
    if (output >= 0)
        options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = output};
    must(berth_instance_new(schedule, module, contract, &options, &instance, &error), error);
    must(berth_run_start(instance, &run, &error), error);
    berth_run_wait(run);
    if (berth_run_outcome(run)->limit != BERTH_LIMIT_WALL) {
        fprintf(stderr, "limits: a run ended otherwise: %s\n", berth_run_outcome(run)->cause);
        exit(1);
    }
    berth_run_usage(run, &usage);
    berth_instance_free(instance);
    return usage;
}

static berth_contract *contract_with(const char *key, const char *value, uint64_t wall_ms)
{
    char seconds[32];
    berth_contract *contract;
    berth_error *error = NULL;
    snprintf(seconds, sizeof(seconds), "%g", (double)wall_ms / 1000);
    must(berth_contract_new(&contract, &error), error);
    must(berth_contract_set(contract, "limits.wall_seconds", seconds, "bench", &error), error);
    if (key)
        must(berth_contract_set(contract, key, value, "bench", &error), error);
    return contract;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void measure_lateness(const char *what, const char *guest)
{
    int input[2], output[2];
    double late_ms[ROUNDS];
    berth_module *module = load(guest);
    berth_contract *contract = contract_with(NULL, NULL, WALL_MS);
    for (int i = 0; i < ROUNDS; i++) {
        if (pipe(input) < 0 || pipe(output) < 0)
            exit(1);
        struct berth_usage usage = run_once(module, contract, input[0], output[1]);
        late_ms[i] = (double)usage.wall_ns / 1e6 - WALL_MS;
        for (int end = 0; end < 2; end++) {
            close(input[end]);
            close(output[end]);
        }
    }
    qsort(late_ms, ROUNDS, sizeof(late_ms[0]), compare);
    printf("  \"late_ms_%s\": {\"median\": %.3f, \"p99\": %.3f, \"max\": %.3f},\n", what, late_ms[ROUNDS / 2],
           late_ms[ROUNDS * 99 / 100], late_ms[ROUNDS - 1]);
    berth_contract_unref(contract);
    berth_module_unref(module);
}

static void measure_share(berth_module *module, int percent, const char *separator)
{
    char value[8];
    snprintf(value, sizeof(value), "%d", percent);
    berth_contract *contract = contract_with("limits.cpu_percent", value, SHARE_SECONDS * 1000);
    struct berth_usage usage = run_once(module, contract, -1, -1);
    printf("\"%d\": %.2f%s", percent, 100.0 * (double)usage.cpu_ns / (double)usage.wall_ns, separator);
    fflush(stdout);
    berth_contract_unref(contract);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: limits GUESTS-DIRECTORY\n");
        return 64;
    }
    guests = argv[1];
    open_host();
    printf("{\n");
    measure_lateness("computing", "loops_forever");
    measure_lateness("sleeping", "sleeps_forever");
    measure_lateness("reading_stdin", "reads_stdin_forever");
    measure_lateness("writing_to_a_slow_reader", "floods_stdout");
    berth_module *module = load("loops_forever");
    printf("  \"cpu_share_percent\": {");
    measure_share(module, 10, ", ");
    measure_share(module, 25, ", ");
    measure_share(module, 50, ", ");
    measure_share(module, 90, "");
    printf("}\n}\n");
    berth_module_unref(module);
    berth_schedule_free(schedule);
    berth_engine_unref(engine);
    return 0;
}

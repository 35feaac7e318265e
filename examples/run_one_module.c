/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one WebAssembly program on one directory, under limits, from C.
 *
 *   cc -o run_one_module run_one_module.c $(pkg-config --cflags --libs berth)
 *   ./run_one_module /var/log log_filter.wasm CRITICAL
 *
 * The program sees the directory as /logs, read-only, and its arguments; its output is ours. Ends with the
 * program's exit code, or with 125 and a sentence that says why it did not get that far.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <berth/berth.h>

/* In the order in which it is made. */
struct visit {
    berth_error *error;
    berth_contract *contract;
    berth_engine *engine;
    berth_module *module;
    berth_schedule *schedule;
    berth_instance *instance;
    berth_run *run; /* belongs to the instance */
};

static berth_status write_contract(struct visit *visit, const char *directory)
{
    static const char text[] = "limits = { memory_mb = 32, wall_seconds = 10, output_mb = 16 }";
    const struct berth_mount mount = {.guest = "/logs", .host = directory};
    berth_status status = berth_contract_parse(text, strlen(text), "here", &visit->contract, &visit->error);
    if (status == BERTH_OK)
        status = berth_contract_add_mount(visit->contract, &mount, "here", &visit->error);
    return status;
}

static berth_status load(struct visit *visit, const char *path)
{
    struct berth_engine_options options;
    berth_engine_options_init(&options);
    berth_engine_options_admit(&options, visit->contract);
    berth_status status = berth_engine_new(&options, &visit->engine, &visit->error);
    return status ? status : berth_module_load_file(visit->engine, path, &visit->module, &visit->error);
}

static berth_status run(struct visit *visit, char **arguments)
{
    struct berth_instance_options options;
    berth_instance_options_init(&options);
    options.args = (const char *const *)arguments;
    options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = STDOUT_FILENO};
    options.errors = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = STDERR_FILENO};
    berth_status status = berth_schedule_new(visit->engine, &visit->schedule, &visit->error);
    if (status == BERTH_OK)
        status = berth_instance_new(visit->schedule, visit->module, visit->contract, &options,
                                    &visit->instance, &visit->error);
    if (status == BERTH_OK)
        status = berth_run_start(visit->instance, &visit->run, &visit->error);
    if (status == BERTH_OK)
        berth_run_wait(visit->run);
    return status;
}

static int report(struct visit *visit, berth_status status)
{
    if (status != BERTH_OK) {
        fprintf(stderr, "run_one_module: %s\n", berth_error_message(visit->error));
        return 125;
    }
    struct berth_usage usage;
    berth_run_usage(visit->run, &usage);
    fprintf(stderr, "%.1f ms, %llu bytes read\n", usage.wall_ns / 1e6, (unsigned long long)usage.input_bytes);
    const struct berth_outcome *outcome = berth_run_outcome(visit->run);
    if (outcome->kind == BERTH_OUTCOME_EXITED)
        return outcome->exit_code & 0xff;
    fprintf(stderr, "run_one_module: %s\n", outcome->cause);
    return 125;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: run_one_module DIRECTORY MODULE [ARGUMENT…]\n"), 64;
    struct visit visit = {0};
    berth_status status = write_contract(&visit, argv[1]);
    if (status == BERTH_OK)
        status = load(&visit, argv[2]);
    if (status == BERTH_OK)
        status = run(&visit, argv + 2);
    int exit_status = report(&visit, status);
    berth_instance_free(visit.instance);
    berth_schedule_free(visit.schedule);
    berth_module_unref(visit.module);
    berth_engine_unref(visit.engine);
    berth_contract_unref(visit.contract);
    berth_error_free(visit.error);
    return exit_status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. */
#include "fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The engine's handlers, as they were right after it installed them. */
static const int trap_signals[] = {SIGSEGV, SIGILL, SIGFPE};
static struct sigaction trap_actions[3];
static bool trap_actions_known;

static void remember_trap_actions(void)
{
    for (int i = 0; !trap_actions_known && i < 3; i++)
        sigaction(trap_signals[i], NULL, &trap_actions[i]);
    trap_actions_known = true;
}

void run_embedding_test(void **state)
{
    embedding_test_fn *test = (embedding_test_fn *)*state;
    for (int i = 0; trap_actions_known && i < 3; i++)
        sigaction(trap_signals[i], &trap_actions[i], NULL);
    test(state);
}

static void must(berth_status status, berth_error *error)
{
    if (status != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
}

struct host host_open(uint32_t max_instances, bool fuel, bool deterministic)
{
    struct berth_engine_options options;
    struct host host;
    berth_error *error = NULL;
    berth_engine_options_init(&options);
    options.max_instances = max_instances;
    options.fuel = fuel;
    options.deterministic = deterministic;
    options.cache = false;
    options.compile = BERTH_COMPILE_IN_PROCESS;
    must(berth_engine_new(&options, &host.engine, &error), error);
    remember_trap_actions();
    must(berth_schedule_new(host.engine, &host.schedule, &error), error);
    return host;
}

void host_close(struct host *host)
{
    berth_schedule_free(host->schedule);
    berth_engine_unref(host->engine);
}

berth_module *host_module(const struct host *host, const char *name)
{
    char path[512];
    berth_module *module;
    berth_error *error = NULL;
    snprintf(path, sizeof(path), "%s/%s.wasm", GUESTS_DIRECTORY, name);
    must(berth_module_load_file(host->engine, path, &module, &error), error);
    return module;
}

berth_contract *contract_with(const char *key, ...)
{
    berth_contract *contract;
    berth_error *error = NULL;
    va_list list;
    must(berth_contract_new(&contract, &error), error);
    va_start(list, key);
    for (; key; key = va_arg(list, const char *))
        must(berth_contract_set(contract, key, va_arg(list, const char *), "test", &error), error);
    va_end(list);
    return contract;
}

void visitor_start(struct visitor *visitor, const struct host *host, berth_module *module,
                   berth_contract *contract, const char *argument)
{
    struct berth_instance_options options;
    const char *args[] = {"guest", argument, NULL};
    berth_error *error = NULL;
    *visitor = (struct visitor){0};
    berth_instance_options_init(&options);
    options.args = args;
    options.input.kind = options.output.kind = options.errors.kind = BERTH_STREAM_BUFFER;
    must(berth_instance_new(host->schedule, module, contract, &options, &visitor->instance, &error), error);
    must(berth_run_start(visitor->instance, &visitor->run, &error), error);
}

void visitor_read(struct visitor *visitor)
{
    char chunk[8192];
    size_t size;
    for (;;) {
        berth_instance_read(visitor->instance, 1, chunk, sizeof(chunk), &size);
        if (size == 0)
            return;
        for (size_t i = 0; i < size && visitor->output_length + i < OUTPUT_MAX; i++)
            visitor->output[visitor->output_length + i] = chunk[i];
        visitor->output_length += size;
    }
}

bool visitor_is_running(const struct visitor *visitor)
{
    return berth_run_outcome(visitor->run)->kind == BERTH_OUTCOME_RUNNING;
}

void visitors_finish(const struct host *host, struct visitor *visitors, size_t n_visitors)
{
    bool running = true;
    while (running) {
        struct berth_wait wait;
        berth_schedule_step(host->schedule, &wait);
        running = false;
        for (size_t i = 0; i < n_visitors; i++) {
            visitor_read(&visitors[i]);
            running |= visitor_is_running(&visitors[i]);
        }
        /* Reading may have made room: another step, at once if so. */
        if (running)
            berth_schedule_wait(host->schedule, &wait, 1);
    }
}

void visitor_end(struct visitor *visitor)
{
    berth_instance_free(visitor->instance);
    *visitor = (struct visitor){0};
}

int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

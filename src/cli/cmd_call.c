/* SPDX-License-Identifier: Apache-2.0 */
/* berth call: an export with numbers, once or often, on one instance. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/number.h"
#include "cli/output.h"
#include "cli/visit.h"

enum { OPTION_JSON = 1, OPTION_REPEAT };
enum { ARGUMENTS_MAX = 64, REPEAT_MAX = 1000000000 };

struct call_settings {
    struct visit_settings visit;
    uint64_t repeat;
    bool json;
};

static const struct option call_options[] = {
    {.id = OPTION_JSON, .name = "json", .help = "print the results of each call as a JSON array in one line"},
    {.id = OPTION_REPEAT,
     .name = "repeat",
     .argument = "TIMES",
     .help = "call it so many times, on the same instance; a usage report is about the last call"},
    {0},
};

static const struct option_group call_option_group = {"Calls", call_options};

static const struct option_group *const options[] = {
    &call_option_group, &contract_grant_options, &contract_limit_options, &visit_option_group, NULL,
};

static const struct example examples[] = {
    {"berth call math.wasm add 2 40", "prints 42"},
    {"berth call --fuel 100000 --repeat 3 counter.wasm next",
     "prints three lines; each call has that much fuel"},
    {NULL, NULL},
};

static int take_repeat(struct call_settings *settings, const char *value)
{
    char *end;
    errno = 0;
    settings->repeat = strtoull(value, &end, 10);
    if (errno || *end || *value < '0' || *value > '9' || settings->repeat < 1 ||
        settings->repeat > REPEAT_MAX) {
        cleanup_free char *shown = quoted(value);
        return usage_error(&cmd_call, "--repeat cannot be %s; it is a number from 1 to %d", shown,
                           REPEAT_MAX);
    }
    return STATUS_OK;
}

static int take(void *payload, const struct option *option, const char *value)
{
    struct call_settings *settings = payload;
    if (option->id == OPTION_REPEAT)
        return take_repeat(settings, value);
    if (option->id != OPTION_JSON)
        return visit_settings_take(&settings->visit, &cmd_call, option, value);
    settings->json = true;
    return STATUS_OK;
}

struct call {
    const char *function;
    berth_value arguments[ARGUMENTS_MAX];
    size_t n_arguments;
};

/* `words` are the function's name and the numbers. */
static int read_call(const struct visit *visit, char **words, size_t n_words, struct call *ret)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *shown = quoted(words[0]);
    berth_value_kind kinds[ARGUMENTS_MAX];
    size_t n_kinds;
    ret->function = words[0];
    ret->n_arguments = n_words - 1;
    berth_status status =
        berth_module_parameters(visit->module, ret->function, kinds, ARGUMENTS_MAX, &n_kinds, &error);
    if (status == BERTH_NOT_FOUND || status == BERTH_INVALID)
        return usage_error(&cmd_call, "%s", berth_error_message(error));
    if (status != BERTH_OK)
        return fail(error, exit_status_of_error(status));
    if (n_kinds != ret->n_arguments || n_kinds > ARGUMENTS_MAX)
        return usage_error(&cmd_call, "%s takes %zu number%s, not %zu", shown, n_kinds,
                           n_kinds == 1 ? "" : "s", ret->n_arguments);
    for (size_t i = 0; i < n_kinds; i++)
        if (!number_read(words[1 + i], kinds[i], &ret->arguments[i])) {
            cleanup_free char *word = quoted(words[1 + i]);
            return usage_error(&cmd_call, "argument %zu of %s cannot be %s; it is %s", i + 1, shown, word,
                               number_requirement(kinds[i]));
        }
    return STATUS_OK;
}

static void append_results_as_json(struct text *text, const berth_value *values, size_t count)
{
    cleanup_json json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, number_as_json(&values[i])) < 0)
            text->failed = true;
    cleanup_free char *line = array ? json_write(array, 0) : NULL;
    if (line)
        text_append_format(text, "%s\n", line);
    else
        text->failed = true;
}

static int print_results(const berth_run *run, bool json)
{
    struct text text = {0};
    size_t count;
    const berth_value *values = berth_run_results(run, &count);
    if (json)
        append_results_as_json(&text, values, count);
    for (size_t i = 0; !json && i < count; i++) {
        append_number(&text, &values[i]);
        text_append(&text, "\n");
    }
    return output_print(&text);
}

/* Until a call ends in another way than by returning. */
static int call_often(struct visit *visit, const struct call *call, const struct call_settings *settings)
{
    for (uint64_t i = 0;; i++) {
        cleanup_error berth_error *error = NULL;
        berth_run *run;
        berth_status started = berth_run_start_call(visit->instance, call->function, call->arguments,
                                                    call->n_arguments, &run, &error);
        if (started != BERTH_OK)
            return fail(error, exit_status_of_error(started));
        visit_drive(visit, run);
        const struct berth_outcome *outcome = berth_run_outcome(run);
        bool returned = outcome->kind == BERTH_OUTCOME_EXITED && outcome->exit_code == 0;
        int printed = returned ? print_results(run, settings->json) : STATUS_OK;
        if (printed != STATUS_OK)
            return printed;
        if (!returned || i + 1 == settings->repeat)
            return visit_conclude(visit, run);
    }
}

static int main_call(const struct command *self, int argc, char **argv)
{
    struct call_settings settings = {.repeat = 1};
    cleanup_visit struct visit visit = {0};
    struct operands operands;
    struct call call = {0};
    int status = options_read(self, argc, argv, take, &settings, &operands);
    if (status == OPTIONS_GO_ON && operands.count < 2)
        status = usage_error(
            self, "'berth call' needs a module and an export, as in 'berth call math.wasm add 2 40'");
    if (status == OPTIONS_GO_ON) {
        char *arguments[] = {operands.values[0], NULL};
        status = visit_open(&visit, &settings.visit, self, arguments);
        if (status == STATUS_OK)
            status = read_call(&visit, operands.values + 1, (size_t)operands.count - 1, &call);
        if (status == STATUS_OK)
            status = call_often(&visit, &call, &settings);
    }
    visit_settings_done(&settings.visit);
    return status;
}

const struct command cmd_call = {
    .name = "call",
    .summary = "call an exported function with numbers",
    .synopsis = "[options] MODULE EXPORT [NUMBER…]",
    .description =
        "Makes an instance of the module (running _initialize if it has one), calls the exported function "
        "with the numbers and prints its results, one per line. Each call is under the contract; wall time, "
        "fuel and output count per call.\n\n"
        "What stands after MODULE is for the call, so that '-1' is a number. 'berth inspect MODULE' lists "
        "the exports and their types.",
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_MODULE,
    .operands_end_options = true,
    .main = main_call,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* See visit.h. */
#include "cli/visit.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/module_file.h"
#include "cli/output.h"
#include "cli/progress.h"

enum { DENIALS_SHOWN_MAX = 20, NAME_MAX_BYTES = 120, EVENT_MAX_BYTES = 3500 };

/* ---- Options ------------------------------------------------------------------------------------ */

enum { OPTION_USAGE = 3000, OPTION_NO_CACHE, OPTION_QUIET, OPTION_SEED };

static const char *const usage_words[] = {"text", "json", NULL};

static const struct option visit_options[] = {
    {.id = OPTION_USAGE,
     .name = "usage",
     .argument = "text|json",
     .argument_optional = true,
     .words = usage_words,
     .help = "at the end, report on stderr what the run took; as JSON it is the last line"},
    {.id = OPTION_NO_CACHE, .name = "no-cache", .help = "compile anew and keep nothing on disk"},
    {.id = OPTION_QUIET,
     .letter = 'q',
     .name = "quiet",
     .help = "do not say what was refused or how the run ended; the exit status does"},
    {.id = OPTION_SEED,
     .name = "seed",
     .argument = "NUMBER",
     .help = "of the random numbers of a deterministic run or with --random seeded"},
    {0},
};

const struct option_group visit_option_group = {"Other", visit_options};

static int take_seed(struct visit_settings *settings, const struct command *command, const char *value)
{
    char *end;
    errno = 0;
    settings->seed = strtoull(value, &end, 0);
    if (errno || *end || *value < '0' || *value > '9') {
        cleanup_free char *shown = quoted(value);
        return usage_error(command, "--seed cannot be %s; it is a number from 0 to %" PRIu64, shown,
                           UINT64_MAX);
    }
    return STATUS_OK;
}

int visit_settings_take(struct visit_settings *settings, const struct command *command,
                        const struct option *option, const char *value)
{
    switch (option->id) {
    case OPTION_USAGE:
        settings->usage = value && strcmp(value, "json") == 0 ? USAGE_JSON : USAGE_TEXT;
        return STATUS_OK;
    case OPTION_NO_CACHE:
        settings->no_cache = true;
        return STATUS_OK;
    case OPTION_QUIET:
        settings->quiet = true;
        return STATUS_OK;
    case OPTION_SEED:
        return take_seed(settings, command, value);
    default:
        return contract_options_take(&settings->contract, command, option, value);
    }
}

void visit_settings_done(struct visit_settings *settings)
{
    contract_options_done(&settings->contract);
}

/* ---- Opening ------------------------------------------------------------------------------------ */

/* What a signal finds to say while the module is still compiled. */
static void write_last_words(struct visit *visit)
{
    struct berth_usage none = {0};
    struct berth_outcome outcome = {
        .kind = BERTH_OUTCOME_CANCELLED, .cause = "it was cancelled before it began", .remedy = ""};
    struct usage_report report = {
        .module_name = visit->name, .contract = visit->contract, .outcome = &outcome, .usage = &none};
    if (!visit->settings->quiet)
        append_message(&visit->last_words, "%s was stopped before it began", visit->name);
    usage_report_append(&visit->last_words, &report, visit->settings->usage);
}

static int prepare(struct visit *visit, const char *module_name)
{
    struct text name = {0};
    text_append_escaped(&name, module_name, strlen(module_name), NAME_MAX_BYTES);
    visit->name = text_take(&name);
    if (!visit->name)
        return fail(NULL, STATUS_FAILURE);
    write_last_words(visit);
    if (visit->last_words.failed)
        return fail(NULL, STATUS_FAILURE);
    interrupt_prepare(&visit->last_words);
    return STATUS_OK;
}

static int open_mounts(struct visit *visit, const struct command *command)
{
    cleanup_error berth_error *error = NULL;
    berth_status status = berth_mounts_open(visit->contract, &visit->mounts, &error);
    if (status == BERTH_NOT_FOUND || status == BERTH_IO)
        return usage_error(command, "%s", berth_error_message(error));
    return status == BERTH_OK ? STATUS_OK : fail(error, exit_status_of_error(status));
}

static int open_engine(struct visit *visit)
{
    cleanup_error berth_error *error = NULL;
    struct berth_engine_options options;
    berth_engine_options_init(&options);
    options.max_instances = 1;
    options.cache = !visit->settings->no_cache;
    options.max_module_size_bytes = MODULE_FILE_MAX_BYTES;
    berth_engine_options_admit(&options, visit->contract);
    berth_status status = berth_engine_new(&options, &visit->engine, &error);
    return status == BERTH_OK ? STATUS_OK : fail(error, STATUS_FAILURE);
}

static int load_module(struct visit *visit, const struct module_file *file)
{
    cleanup_error berth_error *error = NULL;
    cleanup_text struct text activity = {0};
    struct progress progress = {0};
    text_append_format(&activity, "compiling %s", visit->name);
    if (activity.failed)
        return fail(NULL, STATUS_FAILURE);
    if (!visit->settings->quiet)
        progress_begin(&progress, activity.data);
    berth_status status =
        berth_module_load(visit->engine, file->bytes, file->size_bytes, file->name, &visit->module, &error);
    progress_end(&progress);
    return status == BERTH_OK ? STATUS_OK : fail(error, exit_status_of_error(status));
}

/* The library tells the first few of many. Into a full pipe nothing is written, so that the guest cannot hold
 * up its own deadline. */
static void on_denial(void *payload, const struct berth_denial *denial)
{
    struct visit *visit = payload;
    if (visit->denials_shown < DENIALS_SHOWN_MAX) {
        visit->denials_shown++;
        remark("%s", denial->sentence);
    }
}

/* A line each, whatever is in it; nobody resumes a guest here, so none is ever held up. */
static bool on_event(void *payload, const char *text, size_t size_bytes)
{
    cleanup_text struct text line = {0};
    (void)payload;
    text_append(&line, "event: ");
    text_append_escaped(&line, text, size_bytes, EVENT_MAX_BYTES);
    if (!line.failed)
        remark("%s", line.data);
    return true;
}

static int open_instance(struct visit *visit, char **args)
{
    cleanup_error berth_error *error = NULL;
    struct berth_instance_options options;
    const char **arguments = NULL;
    size_t count = 0;
    while (args[count])
        count++;
    char **environment = contract_environment(&visit->settings->contract, visit->contract);
    arguments = calloc(count + 1, sizeof(*arguments));
    berth_status status = berth_schedule_new(visit->engine, &visit->schedule, &error);
    if (!environment || !arguments) {
        status = BERTH_NO_MEMORY;
    } else if (status == BERTH_OK) {
        for (size_t i = 1; i < count; i++)
            arguments[i] = args[i];
        arguments[0] = berth_module_name(visit->module);
        berth_instance_options_init(&options);
        options.args = arguments;
        options.env = (const char *const *)environment;
        options.input = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = STDIN_FILENO};
        options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = STDOUT_FILENO};
        options.errors = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = STDERR_FILENO};
        options.mounts = visit->mounts;
        options.random_seed = visit->settings->seed;
        options.on_denial = visit->settings->quiet ? NULL : on_denial;
        options.on_event = on_event;
        options.payload = visit;
        status = berth_instance_new(visit->schedule, visit->module, visit->contract, &options,
                                    &visit->instance, &error);
    }
    contract_environment_free(environment);
    free(arguments);
    return status == BERTH_OK ? STATUS_OK : fail(error, exit_status_of_error(status));
}

int visit_open(struct visit *visit, const struct visit_settings *settings, const struct command *command,
               char **args)
{
    cleanup_module_file struct module_file file = {0};
    *visit = (struct visit){.settings = settings};
    int status = contract_options_build(&settings->contract, command, &visit->contract);
    if (status == STATUS_OK)
        status = module_file_read(args[0], &file);
    if (status == STATUS_OK)
        status = prepare(visit, file.name);
    if (status == STATUS_OK)
        status = open_mounts(visit, command);
    if (status == STATUS_OK)
        status = open_engine(visit);
    if (status == STATUS_OK)
        status = load_module(visit, &file);
    if (status == STATUS_OK)
        status = open_instance(visit, args);
    return status;
}

void visit_close(struct visit *visit)
{
    interrupt_forget();
    berth_instance_free(visit->instance);
    berth_schedule_free(visit->schedule);
    berth_mounts_unref(visit->mounts);
    berth_module_unref(visit->module);
    berth_engine_unref(visit->engine);
    berth_contract_unref(visit->contract);
    text_done(&visit->last_words);
    free(visit->name);
    *visit = (struct visit){0};
}

/* ---- Running ------------------------------------------------------------------------------------ */

void visit_drive(struct visit *visit, berth_run *run)
{
    struct berth_wait wait;
    struct berth_usage usage;
    interrupt_watch(run);
    while (berth_run_step(run, &wait))
        if (!wait.ready)
            berth_schedule_wait(visit->schedule, &wait, -1);
    interrupt_forget();
    berth_run_usage(run, &usage);
    visit->denials += usage.denials;
}

static void say_limit(const struct visit *visit, const struct berth_outcome *outcome)
{
    cleanup_free char *flag = contract_options_flag(outcome->remedy);
    if (flag)
        message("%s was stopped: %s; to allow more: %s (in a contract: %s)", visit->name, outcome->cause,
                flag, outcome->remedy);
    else
        message("%s was stopped: %s%s%s", visit->name, outcome->cause,
                *outcome->remedy ? "; to allow more: " : "", outcome->remedy);
}

/* Nothing about a guest that ended by itself: its status is its own business. */
static void say_how_it_ended(const struct visit *visit, const struct berth_outcome *outcome,
                             int signal_number)
{
    switch (outcome->kind) {
    case BERTH_OUTCOME_RUNNING:
        break;
    case BERTH_OUTCOME_EXITED:
        if (outcome->exit_code > 255)
            remark("%s ended with exit code %" PRIu32 ", of which the exit status can only show %" PRIu32,
                   visit->name, outcome->exit_code, outcome->exit_code & 0xff);
        break;
    case BERTH_OUTCOME_TRAPPED:
        message("%s trapped: %s", visit->name, outcome->cause);
        break;
    case BERTH_OUTCOME_LIMIT:
        say_limit(visit, outcome);
        break;
    case BERTH_OUTCOME_CANCELLED:
        message("%s was stopped by %s", visit->name, signal_number == SIGTERM ? "SIGTERM" : "Ctrl-C");
        break;
    case BERTH_OUTCOME_REFUSED:
        message("%s was refused: %s", visit->name, outcome->cause);
        break;
    case BERTH_OUTCOME_HOST_ERROR:
        message("%s was stopped: %s", visit->name, outcome->cause);
        break;
    }
}

int visit_conclude(struct visit *visit, const berth_run *run)
{
    const struct berth_outcome *outcome = berth_run_outcome(run);
    struct berth_usage usage;
    berth_run_usage(run, &usage);
    if (!visit->settings->quiet) {
        if (visit->denials > visit->denials_shown)
            remark("%" PRIu64 " more refusals are not shown", visit->denials - visit->denials_shown);
        say_how_it_ended(visit, outcome, interrupt_signal());
    }
    struct usage_report report = {
        .module_name = visit->name,
        .module_sha256 = berth_module_sha256(visit->module),
        .contract = visit->contract,
        .outcome = outcome,
        .usage = &usage,
    };
    usage_report_print(&report, visit->settings->usage);
    return exit_status_of_outcome(outcome, interrupt_signal(), output_is_closed());
}

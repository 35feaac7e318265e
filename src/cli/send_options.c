/* SPDX-License-Identifier: Apache-2.0 */
/* See send_options.h. */
#include "cli/send_options.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/toml.h"
#include "cli/exit_status.h"
#include "cli/file.h"
#include "cli/output.h"

enum { INPUT_FILE_MAX_BYTES = 64 << 20, CONTRACT_FILE_MAX_BYTES = 1 << 20 };

enum {
    OPTION_CAPABILITY = 1,
    OPTION_INPUT,
    OPTION_ENV,
    OPTION_CONTRACT,
    OPTION_DEADLINE,
    OPTION_EVENTS,
    OPTION_DETACH,
    OPTION_SURVIVE_RESTART,
    OPTION_RECEIPT,
    OPTION_USAGE,
    OPTION_QUIET,
};

static const char *const form_words[] = {"text", "json", NULL};

/* clang-format off */
static const struct option visit_rows[] = {
    {.id = OPTION_CAPABILITY, .name = "capability", .argument = "NAME",
     .help = "what of the node's is asked for; its default for this caller if none is named"},
    {.id = OPTION_INPUT, .name = "input", .argument = "NAME=VALUE",
     .help = "an input: JSON, or else a string; @FILE takes it from a file; may be repeated"},
    {.id = OPTION_ENV, .name = "env", .argument = "NAME[=VALUE]",
     .help = "an environment variable, if the node grants it; without VALUE, the one of this environment"},
    {.id = OPTION_CONTRACT, .name = "contract", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "a contract (TOML or JSON) that asks for less than the node allows"},
    {.id = OPTION_DEADLINE, .name = "deadline", .argument = "SECONDS",
     .help = "stop the program after that time"},
    {.id = OPTION_DETACH, .name = "detach",
     .help = "print the run's id once it has started, and leave it to itself; see 'berth watch'"},
    {.id = OPTION_SURVIVE_RESTART, .name = "survive-restart",
     .help = "with --detach: the node starts it again after the node itself was restarted"},
    {0},
};

static const struct option output_rows[] = {
    {.id = OPTION_EVENTS, .name = "events", .argument = "text|json", .argument_optional = true,
     .words = form_words, .help = "show the events that the program pushes, on stderr"},
    {.id = OPTION_RECEIPT, .name = "receipt", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "keep the node's receipt there, for 'berth verify'"},
    {.id = OPTION_USAGE, .name = "usage", .argument = "text|json", .argument_optional = true,
     .words = form_words,
     .help = "at the end, report on stderr what the run took; as JSON it is the last line"},
    {.id = OPTION_QUIET, .letter = 'q', .name = "quiet",
     .help = "do not say what was refused or how the run ended; the exit status does"},
    {0},
};
/* clang-format on */

static const struct option_group visit_group = {"Visit", visit_rows};
static const struct option_group output_group = {"Output", output_rows};

const struct option_group *const send_option_groups[] = {&node_option_group, &visit_group, &output_group,
                                                         NULL};

/* ---- Inputs, variables, numbers ------------------------------------------------------------------------ */

/* What follows NAME=, in JSON: as it stands if it is JSON, so that no digit of a number is lost; otherwise as
 * a string. NULL after a message. */
static char *input_json(const struct command *command, const char *name, const char *value)
{
    cleanup_free char *contents = NULL;
    size_t length = strlen(value);
    if (*value == '@') {
        cleanup_free char *shown = quoted(value + 1);
        int r = file_read(value + 1, INPUT_FILE_MAX_BYTES, &contents, &length);
        if (r < 0) {
            usage_error(command, "input %s: %s cannot be read: %s", name, shown ? shown : "", strerror(-r));
            return NULL;
        }
        value = contents;
    }
    cleanup_json json_t *json = json_loadb(value, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (json)
        return strndup(value, length);
    json = json_stringn(value, length);
    char *text = json ? json_write(json, 0) : NULL;
    if (!text)
        usage_error(command, "input %s is neither JSON nor UTF-8", name);
    return text;
}

static int take_input(struct send_options *options, const struct command *command, const char *value)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value) {
        cleanup_free char *shown = quoted(value);
        return usage_error(command, "--input cannot be %s; it is NAME=VALUE or NAME=@FILE",
                           shown ? shown : "");
    }
    struct berth_client_input *grown =
        reallocarray(options->inputs, options->n_inputs + 1, sizeof(*options->inputs));
    if (!grown)
        return fail(NULL, STATUS_FAILURE);
    options->inputs = grown;
    cleanup_free char *name = strndup(value, (size_t)(equals - value));
    cleanup_free char *shown = name ? quoted(name) : NULL;
    char *json = shown ? input_json(command, shown, equals + 1) : NULL;
    if (!json)
        return shown ? STATUS_USAGE : fail(NULL, STATUS_FAILURE);
    grown[options->n_inputs++] = (struct berth_client_input){.name = take_ptr(name), .json = json};
    return STATUS_OK;
}

static int take_env(struct send_options *options, const struct command *command, const char *value)
{
    char *variable = NULL;
    const char *inherited = strchr(value, '=') ? NULL : getenv(value);
    if (*value == '=' || *value == '\0')
        return usage_error(command, "--env needs a name: NAME=VALUE or NAME");
    if (!strchr(value, '=') && !inherited)
        return STATUS_OK;
    if (inherited ? asprintf(&variable, "%s=%s", value, inherited) < 0 : !(variable = strdup(value)))
        return fail(NULL, STATUS_FAILURE);
    const char **grown =
        reallocarray(options->environment, options->n_environment + 2, sizeof(*options->environment));
    if (!grown) {
        free(variable);
        return fail(NULL, STATUS_FAILURE);
    }
    options->environment = grown;
    grown[options->n_environment++] = variable;
    grown[options->n_environment] = NULL;
    return STATUS_OK;
}

static int take_deadline(struct send_options *options, const struct command *command, const char *value)
{
    static const double most_s = 1e9;
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end || *value < '0' || *value > '9' || !(seconds > 0) || seconds > most_s) {
        cleanup_free char *shown = quoted(value);
        return usage_error(command, "--deadline cannot be %s; it is a number of seconds above 0",
                           shown ? shown : "");
    }
    options->deadline_ms = (uint64_t)ceil(seconds * 1000);
    return STATUS_OK;
}

/* ---- Options ------------------------------------------------------------------------------------------- */

/* Of an option whose form need not be given. */
static bool is_json(const char *form)
{
    return form && strcmp(form, "json") == 0;
}

int send_options_take(struct send_options *options, const struct command *command,
                      const struct option *option, const char *value)
{
    switch (option->id) {
    case OPTION_CAPABILITY:
        options->capability = value;
        return STATUS_OK;
    case OPTION_INPUT:
        return take_input(options, command, value);
    case OPTION_ENV:
        return take_env(options, command, value);
    case OPTION_CONTRACT:
        options->contract_file = value;
        return STATUS_OK;
    case OPTION_DEADLINE:
        return take_deadline(options, command, value);
    case OPTION_EVENTS:
        options->events = is_json(value) ? EVENTS_JSON : EVENTS_TEXT;
        return STATUS_OK;
    case OPTION_DETACH:
        options->detach = true;
        return STATUS_OK;
    case OPTION_SURVIVE_RESTART:
        options->survive_restart = true;
        return STATUS_OK;
    case OPTION_RECEIPT:
        options->receipt_file = value;
        return STATUS_OK;
    case OPTION_USAGE:
        options->usage = is_json(value) ? USAGE_JSON : USAGE_TEXT;
        return STATUS_OK;
    case OPTION_QUIET:
        options->quiet = true;
        return STATUS_OK;
    default:
        return node_options_take(&options->node, option, value);
    }
}

/* The file as it is, in JSON: what it does not mention stays as the node allows. It is read as a contract,
 * too, so that a mistake is told here. */
static int read_contract(struct send_options *options, const struct command *command)
{
    cleanup_error berth_error *error = NULL;
    cleanup_contract berth_contract *contract = NULL;
    cleanup_free char *text = NULL, *why = NULL, *shown = quoted(options->contract_file);
    cleanup_json json_t *json = NULL;
    size_t length;
    int r = file_read(options->contract_file, CONTRACT_FILE_MAX_BYTES, &text, &length);
    if (r == -ENOENT || r == -ENOTDIR)
        return usage_error(command, "there is no contract file %s", shown ? shown : "");
    if (r < 0) {
        message("contract %s cannot be read: %s", shown ? shown : "", strerror(-r));
        return STATUS_REFUSED;
    }
    berth_status status = berth_contract_parse(text, length, options->contract_file, &contract, &error);
    if (status != BERTH_OK)
        return fail(error, status == BERTH_INVALID ? STATUS_REFUSED : STATUS_FAILURE);
    if (json_read(text, length, &json, &why) < 0) {
        free(take_ptr(why));
        toml_read(text, length, &json, &why);
    }
    options->contract = json ? json_write(json, 0) : NULL;
    return options->contract ? STATUS_OK : fail(NULL, STATUS_FAILURE);
}

int send_options_complete(struct send_options *options, const struct command *command)
{
    if (options->survive_restart && !options->detach)
        return usage_error(command, "--survive-restart goes with --detach");
    if (options->detach && options->receipt_file)
        return usage_error(command,
                           "--receipt and --detach exclude each other: the receipt comes at the end, "
                           "with 'berth watch' or 'berth runs show'");
    if (options->contract_file) {
        int status = read_contract(options, command);
        if (status != STATUS_OK)
            return status;
    }
    return node_options_complete(&options->node, command);
}

void send_options_done(struct send_options *options)
{
    node_options_done(&options->node);
    for (size_t i = 0; i < options->n_inputs; i++) {
        free((char *)(uintptr_t)options->inputs[i].name);
        free((char *)(uintptr_t)options->inputs[i].json);
    }
    for (size_t i = 0; i < options->n_environment; i++)
        free((char *)(uintptr_t)options->environment[i]);
    free(options->inputs);
    free(options->environment);
    free(options->contract);
}

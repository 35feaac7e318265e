/* SPDX-License-Identifier: Apache-2.0 */
/* berth contract: what a visitor would get. */
#include "cli/api.h"
#include "cli/command.h"
#include "cli/contract_options.h"
#include "cli/exit_status.h"
#include "cli/output.h"

enum { OPTION_JSON = 1, OPTION_TOML };

struct explain_settings {
    struct contract_options contract;
    berth_format format;
};

static const struct option explain_options[] = {
    {.id = OPTION_JSON, .name = "json", .help = "one JSON object"},
    {.id = OPTION_TOML, .name = "toml", .help = "a contract file that gives this contract again"},
    {0},
};

static const struct option_group explain_option_group = {"Output", explain_options};

static const struct option_group *const options[] = {
    &explain_option_group,
    &contract_grant_options,
    &contract_limit_options,
    NULL,
};

static const struct word actions[] = {
    {"explain", "every value with its origin and meaning"},
    {NULL, NULL},
};

static const struct example examples[] = {
    {"berth contract explain", "the defaults"},
    {"berth contract explain visitor.toml --memory-mb 16", "a file, and a flag over it"},
    {"berth contract explain --dir logs --toml > visitor.toml", "a contract file to begin with"},
    {NULL, NULL},
};

static int take(void *payload, const struct option *option, const char *value)
{
    struct explain_settings *settings = payload;
    if (option->id == OPTION_JSON)
        settings->format = BERTH_FORMAT_JSON;
    else if (option->id == OPTION_TOML)
        settings->format = BERTH_FORMAT_TOML;
    else
        return contract_options_take(&settings->contract, &cmd_contract, option, value);
    return STATUS_OK;
}

static int explain(const struct explain_settings *settings)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_error berth_error *error = NULL;
    cleanup_free char *explanation = NULL;
    int status = contract_options_build(&settings->contract, &cmd_contract, &contract);
    if (status != STATUS_OK)
        return status;
    berth_status explained = berth_contract_explain(contract, settings->format, &explanation, &error);
    if (explained != BERTH_OK)
        return fail(error, exit_status_of_error(explained));
    struct text text = {0};
    text_append(&text, explanation);
    return output_print(&text);
}

static int main_contract(const struct command *self, int argc, char **argv)
{
    struct explain_settings settings = {.format = BERTH_FORMAT_TEXT};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &settings, &operands);
    if (status == OPTIONS_GO_ON && !command_action(self, &operands))
        status = STATUS_USAGE;
    if (status == OPTIONS_GO_ON && (operands.count > 2 || (operands.count == 2 && settings.contract.file)))
        status = usage_error(self, "a contract was given twice; there is one");
    if (status == OPTIONS_GO_ON) {
        if (operands.count == 2)
            settings.contract.file = operands.values[1];
        status = explain(&settings);
    }
    contract_options_done(&settings.contract);
    return status;
}

const struct command cmd_contract = {
    .name = "contract",
    .summary = "explain what a visitor would get",
    .synopsis = "explain [options] [FILE]",
    .description =
        "Shows the contract that a run with the same file and options would be under: each limit and grant, "
        "where its value came from, and what it means. The file is TOML or JSON; what it does not mention "
        "keeps its default.",
    .actions = actions,
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_FILE,
    .main = main_contract,
};

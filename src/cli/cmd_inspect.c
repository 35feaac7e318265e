/* SPDX-License-Identifier: Apache-2.0 */
/* berth inspect: what a module is and needs, without running it. */
#include "cli/api.h"
#include "cli/command.h"
#include "cli/contract_options.h"
#include "cli/exit_status.h"
#include "cli/module_file.h"
#include "cli/output.h"

enum { OPTION_JSON = 1 };

struct inspect_settings {
    struct contract_options contract;
    berth_format format;
};

static const struct option inspect_options[] = {
    {.id = OPTION_JSON, .name = "json", .help = "one JSON object"},
    {0},
};

static const struct option_group inspect_option_group = {"Output", inspect_options};

static const struct option_group *const options[] = {
    &inspect_option_group,
    &contract_grant_options,
    &contract_limit_options,
    NULL,
};

static const struct example examples[] = {
    {"berth inspect filter.wasm", "imports, exports, memory, sizes, and the grants it would need"},
    {"berth inspect --contract visitor.toml --json filter.wasm",
     "for a program; exit status 126 if it would be refused"},
    {NULL, NULL},
};

static int take(void *payload, const struct option *option, const char *value)
{
    struct inspect_settings *settings = payload;
    if (option->id != OPTION_JSON)
        return contract_options_take(&settings->contract, &cmd_inspect, option, value);
    settings->format = BERTH_FORMAT_JSON;
    return STATUS_OK;
}

static int inspect(const char *path, const struct inspect_settings *settings)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_error berth_error *error = NULL;
    cleanup_module_file struct module_file file = {0};
    cleanup_free char *description = NULL;
    bool refused = false;
    int status = contract_options_build(&settings->contract, &cmd_inspect, &contract);
    if (status == STATUS_OK)
        status = module_file_read(path, &file);
    if (status != STATUS_OK)
        return status;
    berth_status inspected = berth_module_inspect(file.bytes, file.size_bytes, file.name, contract,
                                                  settings->format, &refused, &description, &error);
    if (inspected != BERTH_OK)
        return fail(error, exit_status_of_error(inspected));
    struct text text = {0};
    text_append(&text, description);
    status = output_print(&text);
    return status == STATUS_OK && refused ? STATUS_REFUSED : status;
}

static int main_inspect(const struct command *self, int argc, char **argv)
{
    struct inspect_settings settings = {.format = BERTH_FORMAT_TEXT};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &settings, &operands);
    if (status == OPTIONS_GO_ON && operands.count != 1)
        status = usage_error(self, "'berth inspect' needs one module, as in 'berth inspect filter.wasm'");
    if (status == OPTIONS_GO_ON)
        status = inspect(operands.values[0], &settings);
    contract_options_done(&settings.contract);
    return status;
}

const struct command cmd_inspect = {
    .name = "inspect",
    .summary = "show what a module needs, without running it",
    .synopsis = "[options] MODULE",
    .description =
        "Shows imports, exports, memory, sizes and the toolchain that made the module, which grants it would "
        "need, and whether the contract would let it in. Without --contract that is the default one; the "
        "options of 'berth run' may be given to see what they would do.\n\n"
        "The exit status is 126 if the module would be refused.",
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_FILE,
    .main = main_inspect,
};

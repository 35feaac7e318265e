/* SPDX-License-Identifier: Apache-2.0 */
/* berth run: a program, from its start to its end. */
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/output.h"
#include "cli/visit.h"

static const struct option_group *const options[] = {
    &contract_grant_options,
    &contract_limit_options,
    &visit_option_group,
    NULL,
};

static const struct example examples[] = {
    {"berth run --dir /var/log::/logs filter.wasm CRITICAL",
     "the program sees /var/log as /logs, and may read it; nothing else"},
    {"journalctl | berth run --memory-mb 16 --wall-seconds 10 count.wasm",
     "stdin, stdout and stderr are streamed"},
    {"berth run --contract visitor.toml --usage filter.wasm",
     "limits and directories from a file, a report at the end"},
    {NULL, NULL},
};

static int take(void *payload, const struct option *option, const char *value)
{
    return visit_settings_take(payload, &cmd_run, option, value);
}

static int main_run(const struct command *self, int argc, char **argv)
{
    cleanup_visit_settings struct visit_settings settings = {0};
    cleanup_visit struct visit visit = {0};
    cleanup_error berth_error *error = NULL;
    struct operands operands;
    berth_run *run;
    int status = options_read(self, argc, argv, take, &settings, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    if (operands.count == 0)
        return usage_error(self, "'berth run' needs a module, as in 'berth run filter.wasm'");
    operands.values[operands.count] = NULL;
    status = visit_open(&visit, &settings, self, operands.values);
    if (status != STATUS_OK)
        return status;
    berth_status started = berth_run_start(visit.instance, &run, &error);
    if (started != BERTH_OK)
        return fail(error, exit_status_of_error(started));
    visit_drive(&visit, run);
    return visit_conclude(&visit, run);
}

const struct command cmd_run = {
    .name = "run",
    .summary = "run a program under a contract",
    .synopsis = "[options] MODULE [ARGUMENTS…]",
    .description =
        "Runs a WebAssembly program (WASI preview 1) in a sandbox. It sees its arguments, stdin, stdout, "
        "stderr, and the directories and variables named here or in the contract; nothing else of this "
        "machine. Each limit holds, also while it sleeps or waits.\n\n"
        "What stands before MODULE is for berth, what stands after it is for the program. A directory "
        "without GUEST is seen under its own name: 'logs' as /logs, '.' as /.\n\n"
        "The exit status is the program's own; 'berth help exit-status' lists the others.",
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_MODULE,
    .operands_end_options = true,
    .main = main_run,
};

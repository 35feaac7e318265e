/* SPDX-License-Identifier: Apache-2.0 */
/* berth completion: scripts that make shells complete berth's commands and options. */
#include "cli/completion.h"

#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/output.h"

static const struct option_group *const options[] = {NULL};

static const struct word actions[] = {
    {"bash", "for bash"},
    {"zsh", "for zsh"},
    {"fish", "for fish"},
    {NULL, NULL},
};

static void (*const append_script[])(struct text *text) = {
    completion_append_bash,
    completion_append_zsh,
    completion_append_fish,
};

static const struct example examples[] = {
    {"source <(berth completion bash)", "for this shell"},
    {"berth completion fish > ~/.config/fish/completions/berth.fish", "for good"},
    {NULL, NULL},
};

static int main_completion(const struct command *self, int argc, char **argv)
{
    struct operands operands;
    struct text text = {0};
    int status = options_read(self, argc, argv, NULL, NULL, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    const struct word *action = command_action(self, &operands);
    if (!action)
        return STATUS_USAGE;
    if (operands.count > 1)
        return usage_error(self, "'berth completion' is for one shell at a time");
    append_script[action - actions](&text);
    return output_print(&text);
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "print a completion script for a shell",
    .synopsis = "bash|zsh|fish",
    .description =
        "Prints a script that completes berth's commands, options and files. An installed berth has "
        "brought them already.",
    .actions = actions,
    .options = options,
    .examples = examples,
    .main = main_completion,
};

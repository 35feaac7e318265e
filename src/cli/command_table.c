/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, a row each. */
#include "cli/command.h"

#include <string.h>

#include "base/text.h"
#include "cli/output.h"

const struct command *const commands[] = {
    &cmd_run,   &cmd_serve,   &cmd_send,     &cmd_watch,      &cmd_runs,
    &cmd_call,  &cmd_inspect, &cmd_contract, &cmd_cache,      &cmd_verify,
    &cmd_audit, &cmd_version, &cmd_help,     &cmd_completion, NULL,
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), ACTIONS_MAX = 16 };

const struct command *command_find(const char *name)
{
    for (const struct command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

const char *command_nearest(const char *name)
{
    const char *names[COMMANDS] = {0};
    for (size_t i = 0; commands[i]; i++)
        names[i] = commands[i]->name;
    return text_nearest(name, names);
}

const struct word *command_action(const struct command *command, const struct operands *operands)
{
    const char *names[ACTIONS_MAX + 1] = {0};
    if (operands->count == 0) {
        usage_error(command, "'berth %s' needs to be told what to do: %s", command->name, command->synopsis);
        return NULL;
    }
    for (size_t i = 0; command->actions[i].name && i < ACTIONS_MAX; i++) {
        if (strcmp(command->actions[i].name, operands->values[0]) == 0)
            return &command->actions[i];
        names[i] = command->actions[i].name;
    }
    cleanup_free char *shown = quoted(operands->values[0]);
    const char *nearest = text_nearest(operands->values[0], names);
    usage_error(command, "'berth %s' has no %s%s%s%s", command->name, shown,
                nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

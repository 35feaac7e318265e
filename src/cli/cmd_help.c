/* SPDX-License-Identifier: Apache-2.0 */
/* berth help: the overview, a command or a topic; for the build, manual pages. */
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/man.h"
#include "cli/output.h"

static const struct option help_options[] = {
    {.id = 1, .name = "roff", .hidden = true, .help = "a manual page"},
    {0},
};

static const struct option_group help_option_group = {"Output", help_options};
static const struct option_group *const options[] = {&help_option_group, NULL};

static const struct example examples[] = {
    {"berth help run", "what 'berth run --help' shows"},
    {"berth help exit-status", "what the number means that berth ended with"},
    {NULL, NULL},
};

static int take(void *payload, const struct option *option, const char *value)
{
    (void)option;
    (void)value;
    *(bool *)payload = true;
    return STATUS_OK;
}

static int no_such_subject(const char *name)
{
    cleanup_free char *shown = quoted(name);
    const char *nearest = help_nearest(name);
    return usage_error(NULL, "there is no help about %s%s%s%s", shown, nearest ? "; did you mean '" : "",
                       nearest ? nearest : "", nearest ? "'?" : "");
}

static int main_help(const struct command *self, int argc, char **argv)
{
    struct operands operands;
    struct text text = {0};
    bool roff = false, colour = output_has_colour(STDOUT_FILENO);
    int status = options_read(self, argc, argv, take, &roff, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    if (operands.count > 1)
        return usage_error(self, "'berth help' is about one thing at a time");
    const char *name = operands.count ? operands.values[0] : NULL;
    const struct command *command = name ? command_find(name) : NULL;
    if (roff && (command || !name))
        man_append_page(&text, command);
    else if (!name)
        help_append_overview(&text, colour);
    else if (command)
        help_append_command(&text, colour, command);
    else if (!help_append_topic(&text, colour, name))
        return no_such_subject(name);
    return output_print(&text);
}

const struct command cmd_help = {
    .name = "help",
    .summary = "show help on a command or topic",
    .synopsis = "[COMMAND|TOPIC]",
    .description =
        "Shows the overview, or help on a command or on one of the topics exit-status and environment.",
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_COMMAND,
    .main = main_help,
};

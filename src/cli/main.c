/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the command and hands over to it. */
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/output.h"
#include "node/node.h"

static bool looks_like_module(const char *word)
{
    size_t length = strlen(word);
    return length > 5 && strcmp(word + length - 5, ".wasm") == 0;
}

static int unknown_command(const char *word)
{
    cleanup_free char *shown = quoted(word);
    const char *nearest = command_nearest(word);
    if (looks_like_module(word))
        return usage_error(NULL, "unknown command %s; to run it as a module: berth run %s", shown, shown);
    return usage_error(NULL, "unknown %s %s%s%s%s", *word == '-' ? "option" : "command", shown,
                       nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* The overview on stderr, because nothing was asked for. */
static int no_command(void)
{
    struct text text = {0};
    help_append_overview(&text, output_has_colour(STDERR_FILENO));
    message_print(&text);
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    output_claim_standard_descriptors();
    if (argc < 2)
        return no_command();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_print_overview();
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return cmd_version.main(&cmd_version, 1, argv + 1);
    int status = node_role_main(argc, argv);
    if (status >= 0)
        return status;
    const struct command *command = command_find(argv[1]);
    return command ? command->main(command, argc - 1, argv + 1) : unknown_command(argv[1]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See man.h. Pages carry no date, so that the same source gives the same bytes. */
#include "cli/man.h"

#include <berth/version.h>

#include "cli/exit_status.h"
#include "cli/help.h"

/* Plain text as roff: what would be taken for a request or an escape is not, and hyphens stay what they are.
 */
static void append_plain(struct text *text, const char *string)
{
    for (bool line_start = true; *string; string++) {
        if (line_start && (*string == '.' || *string == '\''))
            text_append(text, "\\&");
        if (*string == '\\')
            text_append(text, "\\e");
        else if (*string == '-')
            text_append(text, "\\-");
        else if (*string == '\n' && string[1] == '\n')
            text_append(text, "\n.PP");
        else
            text_append_bytes(text, string, 1);
        line_start = *string == '\n';
    }
}

static void append_heading(struct text *text, const char *title)
{
    text_append_format(text, ".SH %s\n", title);
}

/* A paragraph with a bold tag. */
static void append_tagged(struct text *text, const char *tag, const char *string)
{
    text_append(text, ".TP\n\\fB");
    append_plain(text, tag);
    text_append(text, "\\fR\n");
    append_plain(text, string);
    text_append(text, "\n");
}

static void append_words(struct text *text, const struct word *words)
{
    for (; words->name; words++)
        append_tagged(text, words->name, words->summary);
}

struct options_page {
    struct text *text;
    const struct option_group *group;
};

static bool append_option(void *payload, const struct option_group *group, const struct option *option)
{
    struct options_page *page = payload;
    cleanup_text struct text argument = {0};
    if (group != page->group) {
        text_append(page->text, ".SS ");
        append_plain(page->text, group->title);
        text_append(page->text, "\n");
    }
    page->group = group;
    text_append(page->text, ".TP\n");
    if (option->letter)
        text_append_format(page->text, "\\fB\\-%c\\fR, ", option->letter);
    text_append(page->text, "\\fB\\-\\-");
    append_plain(page->text, option->name);
    text_append(page->text, "\\fR");
    help_append_argument(&argument, option);
    append_plain(page->text, argument.length ? argument.data : "");
    text_append(page->text, "\n");
    append_plain(page->text, option->help);
    text_append(page->text, "\n");
    page->text->failed |= argument.failed;
    return true;
}

static void append_exit_status(struct text *text)
{
    append_heading(text, "EXIT STATUS");
    for (const struct exit_status *row = exit_statuses; row->number; row++)
        append_tagged(text, row->number, row->meaning);
}

static void append_command_page(struct text *text, const struct command *command)
{
    struct options_page page = {text, NULL};
    append_heading(text, "NAME");
    text_append_format(text, "berth\\-%s \\- ", command->name);
    append_plain(text, command->summary);
    text_append(text, "\n");
    append_heading(text, "SYNOPSIS");
    text_append_format(text, "\\fBberth %s\\fR ", command->name);
    append_plain(text, command->synopsis);
    text_append(text, "\n");
    append_heading(text, "DESCRIPTION");
    append_plain(text, command->description);
    text_append(text, "\n");
    if (command->actions)
        append_words(text, command->actions);
    append_heading(text, "OPTIONS");
    options_each(command, append_option, &page);
    append_exit_status(text);
    if (command->examples)
        append_heading(text, "EXAMPLES");
    for (const struct example *example = command->examples; example && example->line; example++)
        append_tagged(text, example->line, example->meaning);
}

static void append_main_page(struct text *text)
{
    append_heading(text, "NAME");
    text_append(text, "berth \\- run visiting WebAssembly next to the data, under a contract that holds\n");
    append_heading(text, "SYNOPSIS");
    text_append(text, "\\fBberth\\fR COMMAND [options] …\n");
    append_heading(text, "COMMANDS");
    for (const struct command *const *command = commands; *command; command++) {
        text_append_format(text, ".TP\n\\fBberth\\-%s\\fR(1)\n", (*command)->name);
        append_plain(text, (*command)->summary);
        text_append(text, "\n");
    }
    append_exit_status(text);
    append_heading(text, "ENVIRONMENT");
    append_words(text, help_variables);
}

void man_append_page(struct text *text, const struct command *command)
{
    text_append(text, ".TH \"BERTH");
    for (const char *letter = command ? command->name : ""; *letter; letter++) {
        char upper = *letter >= 'a' && *letter <= 'z' ? (char)(*letter - 'a' + 'A') : *letter;
        text_append(text, letter == command->name ? "\\-" : "");
        text_append_bytes(text, &upper, 1);
    }
    text_append_format(text, "\" 1 \"\" \"berth %s\" \"berth\"\n", BERTH_VERSION);
    if (command)
        append_command_page(text, command);
    else
        append_main_page(text);
    append_heading(text, "SEE ALSO");
    const char *separator = command ? ", " : "";
    text_append(text, command ? "\\fBberth\\fR(1)" : "");
    for (const struct command *const *other = commands; *other; other++)
        if (*other != command) {
            text_append_format(text, "%s\\fBberth\\-%s\\fR(1)", separator, (*other)->name);
            separator = ", ";
        }
    text_append(text, "\n");
}

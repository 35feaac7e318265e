/* SPDX-License-Identifier: Apache-2.0 */
/* See help.h. */
#include "cli/help.h"

#include <string.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/output.h"

enum { WIDTH = 80, WORD_COLUMN = 15, OPTION_COLUMN = 34, STATUS_COLUMN = 9 };

static void append_exit_statuses(struct text *text, bool colour);
static void append_environment(struct text *text, bool colour);

const struct help_topic help_topics[] = {
    {"exit-status", "the exit statuses of berth, and what each means", append_exit_statuses},
    {"environment", "the environment variables that berth looks at", append_environment},
    {NULL, NULL, NULL},
};

const struct word help_variables[] = {
    {"BERTH_NODE", "the node of send, watch and runs where --to is not given"},
    {"BERTH_TOKEN", "who calls it, where no other option says so"},
    {"XDG_CACHE_HOME", "where compiled modules are kept, in berth/modules; ~/.cache if it is not set"},
    {"XDG_STATE_HOME",
     "where a node keeps its state and callers their known nodes, in berth; ~/.local/state if it is not set"},
    {"STATE_DIRECTORY", "of systemd, before XDG_STATE_HOME; likewise CACHE_DIRECTORY for serve"},
    {"NOTIFY_SOCKET", "of systemd: serve says there when it is ready; likewise LISTEN_FDS and WATCHDOG_USEC"},
    {"NO_COLOR",
     "if it is set to anything, berth writes no colour; nor does it where it writes to no terminal"},
    {NULL, NULL},
};

/* ---- Paragraphs --------------------------------------------------------------------------------- */

/* Characters, near enough: UTF-8 sequences. */
static size_t columns(const char *string, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)string[i] & 0xc0) != 0x80;
    return n;
}

static void append_spaces(struct text *text, size_t count)
{
    text_append_format(text, "%*s", (int)count, "");
}

/* Breaks the string at spaces so that it stays between `indent` and WIDTH; the cursor stands at `column`.
 * Line breaks in the string are kept. Ends with a line break. */
static void append_wrapped(struct text *text, const char *string, size_t indent, size_t column)
{
    if (column < indent)
        append_spaces(text, indent - column);
    column = column < indent ? indent : column;
    bool first = true;
    while (*string) {
        size_t length = strcspn(string, " \n"), width = columns(string, length);
        if (!first && column + 1 + width > WIDTH) {
            text_append(text, "\n");
            append_spaces(text, indent);
            column = indent;
            first = true;
        }
        text_append(text, first ? "" : " ");
        text_append_bytes(text, string, length);
        column += width + !first;
        first = false;
        string += length;
        if (*string == '\n') {
            text_append(text, "\n");
            if (string[1] && string[1] != '\n')
                append_spaces(text, indent);
            column = indent;
            first = true;
        }
        string += *string != '\0';
    }
    text_append(text, "\n");
}

static void append_title(struct text *text, bool colour, const char *title)
{
    text_append(text, "\n");
    append_coloured(text, colour, COLOUR_BOLD, title);
    text_append(text, "\n");
}

static void append_word(struct text *text, const char *name, const char *summary, size_t column)
{
    text_append_format(text, "  %s", name);
    append_wrapped(text, summary, column, 2 + columns(name, strlen(name)));
}

static void append_words(struct text *text, const struct word *words, size_t column)
{
    for (; words->name; words++)
        append_word(text, words->name, words->summary, column);
}

/* ---- Commands ----------------------------------------------------------------------------------- */

void help_append_argument(struct text *text, const struct option *option)
{
    if (option->argument && option->argument_optional)
        text_append_format(text, "[=%s]", option->argument);
    else if (option->argument)
        text_append_format(text, " %s", option->argument);
}

struct options_page {
    struct text *text;
    bool colour;
    const struct option_group *group;
};

static bool append_option(void *payload, const struct option_group *group, const struct option *option)
{
    struct options_page *page = payload;
    cleanup_text struct text left = {0};
    if (group != page->group)
        append_title(page->text, page->colour, group->title);
    page->group = group;
    if (option->letter)
        text_append_format(&left, "  -%c, ", option->letter);
    else
        text_append(&left, "      ");
    text_append_format(&left, "--%s", option->name);
    help_append_argument(&left, option);
    if (left.failed) {
        page->text->failed = true;
        return false;
    }
    text_append(page->text, left.data);
    size_t column = columns(left.data, left.length);
    if (column + 1 >= OPTION_COLUMN) {
        text_append(page->text, "\n");
        column = 0;
    }
    append_wrapped(page->text, option->help, OPTION_COLUMN, column);
    return true;
}

void help_append_command(struct text *text, bool colour, const struct command *command)
{
    struct options_page page = {text, colour, NULL};
    append_coloured(text, colour, COLOUR_BOLD, "Usage:");
    text_append_format(text, " berth %s %s\n\n", command->name, command->synopsis);
    append_wrapped(text, command->description, 0, 0);
    if (command->actions) {
        append_title(text, colour, "Actions");
        append_words(text, command->actions, WORD_COLUMN);
    }
    options_each(command, append_option, &page);
    if (command->examples)
        append_title(text, colour, "Examples");
    for (const struct example *example = command->examples; example && example->line; example++) {
        text_append_format(text, "  %s\n", example->line);
        append_wrapped(text, example->meaning, 6, 0);
    }
}

void help_append_overview(struct text *text, bool colour)
{
    append_coloured(text, colour, COLOUR_BOLD, "Usage:");
    text_append(text, " berth COMMAND [options] …\n\n");
    append_wrapped(text,
                   "Runs visiting WebAssembly next to the data, under a contract that holds: the guest "
                   "gets the directories, time and memory that you name, and nothing else.",
                   0, 0);
    append_title(text, colour, "Commands");
    for (const struct command *const *command = commands; *command; command++)
        append_word(text, (*command)->name, (*command)->summary, WORD_COLUMN);
    append_title(text, colour, "Topics");
    for (const struct help_topic *topic = help_topics; topic->name; topic++)
        append_word(text, topic->name, topic->summary, WORD_COLUMN);
    append_title(text, colour, "Examples");
    text_append(text, "  berth run --dir /var/log::/logs filter.wasm CRITICAL\n"
                      "  berth inspect filter.wasm\n"
                      "  berth help run\n");
}

/* ---- Topics ------------------------------------------------------------------------------------- */

static void append_exit_statuses(struct text *text, bool colour)
{
    append_coloured(text, colour, COLOUR_BOLD, "Exit status");
    text_append(text, "\n");
    for (const struct exit_status *row = exit_statuses; row->number; row++)
        append_word(text, row->number, row->meaning, STATUS_COLUMN);
    text_append(text, "\n");
    append_wrapped(text,
                   "A guest may choose any number, these too. To tell them apart, ask for --usage=json: the "
                   "last line on stderr then says how the run ended, and gives the exit code in full.",
                   0, 0);
}

static void append_environment(struct text *text, bool colour)
{
    append_coloured(text, colour, COLOUR_BOLD, "Environment variables");
    text_append(text, "\n");
    append_words(text, help_variables, 18);
    text_append(text, "\n");
    append_wrapped(
        text, "The guest sees none of berth's variables but those that --env or the contract name.", 0, 0);
}

bool help_append_topic(struct text *text, bool colour, const char *name)
{
    const struct help_topic *topic = help_topics;
    while (topic->name && strcmp(topic->name, name) != 0)
        topic++;
    if (topic->name)
        topic->append(text, colour);
    return topic->name != NULL;
}

const char *help_nearest(const char *word)
{
    const char *topics[sizeof(help_topics) / sizeof(help_topics[0])] = {0};
    const char *nearest = command_nearest(word);
    for (size_t i = 0; help_topics[i].name; i++)
        topics[i] = help_topics[i].name;
    return nearest ? nearest : text_nearest(word, topics);
}

int help_print_overview(void)
{
    struct text text = {0};
    help_append_overview(&text, output_has_colour(STDOUT_FILENO));
    return output_print(&text);
}

int help_print_command(const struct command *command)
{
    struct text text = {0};
    help_append_command(&text, output_has_colour(STDOUT_FILENO), command);
    return output_print(&text);
}

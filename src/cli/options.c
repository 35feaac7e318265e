/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "cli/options.h"

#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/output.h"

enum { OPTIONS_MAX = 128, NAME_MAX_BYTES = 48 };

static const struct option help_option[] = {
    {.id = OPTION_HELP, .letter = 'h', .name = "help", .help = "show this help"},
    {0},
};

const struct option_group common_options = {"Help", help_option};

static const struct option_group *const common_groups[] = {&common_options, NULL};

/* Hidden options too. */
static void each_option(const struct command *command, option_visit_fn *visit, void *payload)
{
    const struct option_group *const *const lists[] = {command->options, common_groups};
    for (size_t i = 0; i < 2; i++)
        for (const struct option_group *const *group = lists[i]; *group; group++)
            for (const struct option *option = (*group)->options; option->name; option++)
                if (!visit(payload, *group, option))
                    return;
}

struct visible {
    option_visit_fn *visit;
    void *payload;
};

static bool visit_if_visible(void *payload, const struct option_group *group, const struct option *option)
{
    const struct visible *visible = payload;
    return option->hidden || visible->visit(visible->payload, group, option);
}

void options_each(const struct command *command, option_visit_fn *visit, void *payload)
{
    struct visible visible = {visit, payload};
    each_option(command, visit_if_visible, &visible);
}

/* ---- Finding ------------------------------------------------------------------------------------ */

struct wanted {
    const char *name;
    size_t length;
    char letter;
    const struct option *found;
};

static bool match(void *payload, const struct option_group *group, const struct option *option)
{
    (void)group;
    struct wanted *wanted = payload;
    bool same = wanted->name ? strncmp(option->name, wanted->name, wanted->length) == 0 &&
                                   option->name[wanted->length] == '\0'
                             : option->letter && option->letter == wanted->letter;
    if (same)
        wanted->found = option;
    return !same;
}

struct names {
    const char *list[OPTIONS_MAX + 1];
    size_t count;
};

static bool gather_name(void *payload, const struct option_group *group, const struct option *option)
{
    (void)group;
    struct names *names = payload;
    names->list[names->count++] = option->name;
    return names->count < OPTIONS_MAX;
}

static int unknown_option(const struct command *command, const char *argument, size_t name_length)
{
    struct names names = {0};
    const char *nearest = NULL;
    cleanup_free char *name = NULL;
    options_each(command, gather_name, &names);
    if (strncmp(argument, "--", 2) == 0) {
        name = strndup(argument + 2, name_length);
        nearest = name ? text_nearest(name, names.list) : NULL;
    }
    cleanup_free char *whole = strndup(argument, name ? name_length + 2 : strlen(argument));
    cleanup_free char *shown = whole ? quoted(whole) : NULL;
    return usage_error(command, "unknown option %s%s%s%s", shown ? shown : "",
                       nearest ? "; did you mean '--" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* ---- Reading ------------------------------------------------------------------------------------ */

struct reading {
    const struct command *command;
    int argc;
    char **argv;
    int next; /* index of the argument that comes next */
    option_take_fn *take;
    void *payload;
};

static int take(struct reading *reading, const struct option *option, const char *value)
{
    if (option->id == OPTION_HELP)
        return help_print_command(reading->command);
    if (value && option->words) {
        const char *const *word = option->words;
        while (*word && strcmp(*word, value) != 0)
            word++;
        if (!*word) {
            const char *nearest = text_nearest(value, option->words);
            cleanup_free char *shown = quoted(value);
            return usage_error(reading->command, "--%s cannot be %s%s%s%s; it is %s", option->name, shown,
                               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
                               option->argument);
        }
    }
    int status = reading->take(reading->payload, option, value);
    return status ? status : OPTIONS_GO_ON;
}

/* The argument is in the next word of the command line. */
static int take_next(struct reading *reading, const struct option *option)
{
    if (!option->argument || option->argument_optional)
        return take(reading, option, NULL);
    if (reading->next >= reading->argc)
        return usage_error(reading->command, "--%s needs an argument: --%s %s", option->name, option->name,
                           option->argument);
    return take(reading, option, reading->argv[reading->next++]);
}

static int read_long(struct reading *reading, const char *argument)
{
    size_t length = strcspn(argument + 2, "=");
    const char *value = argument[2 + length] == '=' ? argument + 2 + length + 1 : NULL;
    struct wanted wanted = {.name = argument + 2, .length = length};
    each_option(reading->command, match, &wanted);
    if (!wanted.found)
        return unknown_option(reading->command, argument, length);
    if (!value)
        return take_next(reading, wanted.found);
    if (!wanted.found->argument)
        return usage_error(reading->command, "--%s takes no argument", wanted.found->name);
    return take(reading, wanted.found, value);
}

static int read_short(struct reading *reading, const char *argument)
{
    struct wanted wanted = {.letter = argument[1]};
    each_option(reading->command, match, &wanted);
    if (!wanted.found || argument[2] != '\0')
        return unknown_option(reading->command, argument, 0);
    return take_next(reading, wanted.found);
}

int options_read(const struct command *command, int argc, char **argv, option_take_fn *take_option,
                 void *payload, struct operands *ret)
{
    struct reading reading = {command, argc, argv, 1, take_option, payload};
    int count = 0;
    bool options = true;
    while (reading.next < argc) {
        char *argument = argv[reading.next++];
        int status = OPTIONS_GO_ON;
        if (!options || argument[0] != '-' || argument[1] == '\0') {
            argv[count++] = argument;
            options = options && !command->operands_end_options;
        } else if (strcmp(argument, "--") == 0) {
            options = false;
        } else {
            status = argument[1] == '-' ? read_long(&reading, argument) : read_short(&reading, argument);
        }
        if (status != OPTIONS_GO_ON)
            return status;
    }
    *ret = (struct operands){argv, count};
    return OPTIONS_GO_ON;
}

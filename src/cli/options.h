/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options as data. A command has groups of options, a row each; parsing, help, man pages and
 * completion are made from the same rows.
 *
 * An option is written --name VALUE, --name=VALUE, -l VALUE or, without argument, --name and -l. "--" ends
 * the options. An option whose argument is optional takes it as --name=VALUE only.
 */
#ifndef BERTH_CLI_OPTIONS_H
#define BERTH_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* What stands for an argument on the command line; shells complete it. */
enum argument_kind {
    ARGUMENT_TEXT,
    ARGUMENT_FILE,
    ARGUMENT_DIRECTORY,
    ARGUMENT_MODULE,  /* a file, and everything after it belongs to the guest */
    ARGUMENT_COMMAND, /* the name of a command or help topic */
};

/* Options of one command have different ids. Each command counts its own from 1; shared groups begin here. */
enum {
    OPTION_HELP = 1000,
    OPTION_CONTRACT_FIRST = 2000, /* contract_options.h */
};

struct option {
    int id;               /* what the command switches on */
    char letter;          /* 0: no short form */
    const char *name;     /* without dashes */
    const char *argument; /* "FILE"; NULL: none */
    enum argument_kind argument_kind;
    bool argument_optional;
    bool hidden;              /* of use to the build only */
    const char *const *words; /* what the argument may be, ends with NULL; NULL: anything */
    const char *key;          /* key of the contract that it sets, or NULL */
    const char *help;
};

struct option_group {
    const char *title;            /* "Limits" */
    const struct option *options; /* ends with a row without name */
};

struct command;

struct operands {
    char **values; /* inside argv */
    int count;
};

/* One option was given; `value` is NULL if it has none. Returns 0, or an exit status after a message. */
typedef int option_take_fn(void *payload, const struct option *option, const char *value);

enum { OPTIONS_GO_ON = -1 };

/* Reads argv[1] to argv[argc - 1] and gathers the operands at the start of argv, in their order. Returns
 * OPTIONS_GO_ON, or an exit status: help was asked for and printed, or an error was. */
int options_read(const struct command *command, int argc, char **argv, option_take_fn *take, void *payload,
                 struct operands *ret);

typedef bool option_visit_fn(void *payload, const struct option_group *group, const struct option *option);

/* Calls `visit` for each option of the command that is not hidden; false ends it. */
void options_each(const struct command *command, option_visit_fn *visit, void *payload);

/* "--help", which every command has. */
extern const struct option_group common_options;

#endif

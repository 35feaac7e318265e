/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of berth. To add one: write cmd_NAME.c with a const struct command, declare it here, and add it
 * to command_table.c (and the file and the name to meson.build). Parsing, help, man pages and completion
 * follow.
 */
#ifndef BERTH_CLI_COMMAND_H
#define BERTH_CLI_COMMAND_H

#include "cli/options.h"

struct word {
    const char *name;
    const char *summary;
};

struct example {
    const char *line; /* as typed after the prompt */
    const char *meaning;
};

struct command {
    const char *name;
    const char *summary;        /* one line without a full stop: "run a program under a contract" */
    const char *synopsis;       /* what stands behind the name: "[options] MODULE [ARGUMENTS…]" */
    const char *description;    /* paragraphs with an empty line between them; wrapped where they are shown */
    const struct word *actions; /* what the first operand may be, ends with a NULL name; or NULL */
    const struct option_group *const *options; /* ends with NULL */
    const struct example *examples;            /* ends with a NULL line */
    enum argument_kind operands;
    bool operands_end_options; /* what follows the first operand belongs to the guest */

    /* argv[0] is the command's name. Returns the exit status. */
    int (*main)(const struct command *self, int argc, char **argv);
};

extern const struct command cmd_run;
extern const struct command cmd_call;
extern const struct command cmd_inspect;
extern const struct command cmd_contract;
extern const struct command cmd_cache;
extern const struct command cmd_verify;
extern const struct command cmd_serve;
extern const struct command cmd_send;
extern const struct command cmd_watch;
extern const struct command cmd_runs;
extern const struct command cmd_audit;
extern const struct command cmd_version;
extern const struct command cmd_help;
extern const struct command cmd_completion;

/* All of them in the order of the overview; ends with NULL. */
extern const struct command *const commands[];

/* NULL if there is none. */
const struct command *command_find(const char *name);
/* What a word that is no command was probably meant to be, or NULL. */
const char *command_nearest(const char *name);

/* The row of `actions` with that name; if there is none, says so and returns NULL. */
const struct word *command_action(const struct command *command, const struct operands *operands);

#endif

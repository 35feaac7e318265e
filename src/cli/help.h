/* SPDX-License-Identifier: Apache-2.0 */
/* Help for people at a terminal, made from the command table. */
#ifndef BERTH_CLI_HELP_H
#define BERTH_CLI_HELP_H

#include "base/text.h"
#include "cli/command.h"

struct help_topic {
    const char *name;
    const char *summary;
    void (*append)(struct text *text, bool colour);
};

/* What can be read with `berth help` beside the commands; ends with a NULL name. */
extern const struct help_topic help_topics[];
/* The environment variables that berth looks at; ends with a NULL name. */
extern const struct word help_variables[];

void help_append_overview(struct text *text, bool colour);
void help_append_command(struct text *text, bool colour, const struct command *command);
/* False if there is no such topic. */
bool help_append_topic(struct text *text, bool colour, const char *name);
/* The command or topic that a word was probably meant to be, or NULL. */
const char *help_nearest(const char *word);

/* On stdout. Return an exit status. */
int help_print_overview(void);
int help_print_command(const struct command *command);

/* "HOST[::GUEST]" as it stands behind the option: " HOST[::GUEST]", "[=text|json]" or "". */
void help_append_argument(struct text *text, const struct option *option);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages in roff (man(7)), made from the command table while berth is built. */
#ifndef BERTH_CLI_MAN_H
#define BERTH_CLI_MAN_H

#include "base/text.h"
#include "cli/command.h"

/* berth(1) if `command` is NULL, berth-COMMAND(1) otherwise. */
void man_append_page(struct text *text, const struct command *command);

#endif

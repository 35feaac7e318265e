/* SPDX-License-Identifier: Apache-2.0 */
/* Completion scripts for shells, made from the command table. */
#ifndef BERTH_CLI_COMPLETION_H
#define BERTH_CLI_COMPLETION_H

#include "base/text.h"

void completion_append_bash(struct text *text);
void completion_append_zsh(struct text *text);
void completion_append_fish(struct text *text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `berth serve`: which file to read, and what goes over it. A flag for each scalar
 * setting comes from the rows of node/settings/settings.def, one for each limit of a run from those of a
 * contract.
 *
 * The options are kept as they were given, so that a reload reads the file again and sets the same flags over
 * it.
 */
#ifndef BERTH_CLI_SERVE_OPTIONS_H
#define BERTH_CLI_SERVE_OPTIONS_H

#include <berth/error.h>

#include "cli/command.h"
#include "node/settings/settings.h"

struct serve_use {
    const struct option *option;
    const char *value;
};

struct serve_options {
    const char *config; /* NULL: no file */
    bool check, json, quiet;
    struct serve_use *uses; /* all others, in their order */
    size_t n_uses;
};

/* Ends with NULL. */
extern const struct option_group *const serve_option_groups[];

/* As option_take_fn. Values are borrowed from the command line. */
int serve_options_take(struct serve_options *options, const struct command *command,
                       const struct option *option, const char *value);
void serve_options_done(struct serve_options *options);

/* The settings, complete. Errors: BERTH_INVALID (file or flags), BERTH_NOT_FOUND, BERTH_IO, BERTH_NO_MEMORY.
 */
berth_status serve_options_build(const struct serve_options *options, struct settings **ret,
                                 berth_error **reterr);

#endif

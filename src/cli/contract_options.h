/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that make a contract: --contract FILE, --dir, --env and a flag per limit and grant. `run`,
 * `call`, `inspect` and `contract` share them, so that `berth contract explain` with the flags of a run shows
 * what that run gets.
 *
 * The file is read first and the flags are set over it in their order, wherever they stand on the command
 * line.
 */
#ifndef BERTH_CLI_CONTRACT_OPTIONS_H
#define BERTH_CLI_CONTRACT_OPTIONS_H

#include <berth/contract.h>

#include "cli/command.h"

struct contract_use {
    const struct option *option;
    const char *value;
};

struct contract_options {
    const char *file; /* NULL: the defaults */
    struct contract_use *uses;
    size_t n_uses;
};

extern const struct option_group contract_grant_options;
extern const struct option_group contract_limit_options;

/* Whether the option is one of ours. */
bool contract_options_has(const struct option *option);
/* As option_take_fn. Values are borrowed from the command line. */
int contract_options_take(struct contract_options *options, const struct command *command,
                          const struct option *option, const char *value);

/* Returns STATUS_OK, or an exit status after a message. */
int contract_options_build(const struct contract_options *options, const struct command *command,
                           berth_contract **ret);

/* What the visitor's environment is: for each name that the contract grants the value of the last --env
 * NAME=VALUE, or else that of berth's own environment. Ends with NULL; free it with
 * contract_environment_free(). NULL if memory is short. */
char **contract_environment(const struct contract_options *options, const berth_contract *contract);
void contract_environment_free(char **environment);

/* The flag that does the same as a line of a contract: "memory_mb = 32" gives "--memory-mb 32". The caller
 * frees it; NULL if there is none. */
char *contract_options_flag(const char *line);

void contract_options_done(struct contract_options *options);

#define cleanup_contract_options cleanup(contract_options_done)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `berth send`, as the visit that it describes. */
#ifndef BERTH_CLI_SEND_OPTIONS_H
#define BERTH_CLI_SEND_OPTIONS_H

#include "cli/node_options.h"
#include "cli/usage_report.h"

enum events_form { EVENTS_NONE, EVENTS_TEXT, EVENTS_JSON };

struct send_options {
    struct node_options node;
    const char *capability, *contract_file, *receipt_file;
    struct berth_client_input *inputs; /* n_inputs of them; names and values are ours */
    size_t n_inputs;
    const char **environment; /* "NAME=VALUE", ends with NULL; n_environment of them, ours */
    size_t n_environment;
    char *contract; /* JSON, of the file */
    uint64_t deadline_ms;
    bool detach, survive_restart, quiet;
    enum events_form events;
    enum usage_form usage;
};

/* Ends with NULL. */
extern const struct option_group *const send_option_groups[];

/* As option_take_fn. */
int send_options_take(struct send_options *options, const struct command *command,
                      const struct option *option, const char *value);
/* Reads what files there are. STATUS_OK, or an exit status after a message. */
int send_options_complete(struct send_options *options, const struct command *command);
void send_options_done(struct send_options *options);

#define cleanup_send_options cleanup(send_options_done)

#endif

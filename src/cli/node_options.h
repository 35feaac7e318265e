/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node is meant and who calls: the options that send, watch and runs share, and the connection that
 * comes of them. BERTH_NODE and BERTH_TOKEN stand for --to and --token where these are not given.
 */
#ifndef BERTH_CLI_NODE_OPTIONS_H
#define BERTH_CLI_NODE_OPTIONS_H

#include <stdint.h>

#include <berth/client.h>

#include "cli/api.h"
#include "cli/command.h"

enum { CALLER_SECRET_BYTES = 32 };

struct node_options {
    const char *to, *token, *token_file, *tls_ca, *certificate, *key, *identity_file, *known_nodes, *node;
    bool tls, plain_anywhere;
    char *token_text; /* of the file */
    uint8_t identity[CALLER_SECRET_BYTES];
};

extern const struct option_group node_option_group;

/* As option_take_fn, for the options above. Values are borrowed from the command line. */
int node_options_take(struct node_options *options, const struct option *option, const char *value);
void node_options_done(struct node_options *options); /* wipes */

#define cleanup_node_options cleanup(node_options_done)

/* Reads what files there are. STATUS_OK, or an exit status after a message. */
int node_options_complete(struct node_options *options, const struct command *command);

/* Connects. On failure *ret_error says why, and nothing was printed. */
berth_status node_connect(const struct node_options *options, berth_client **ret, berth_error **ret_error);

/* Says once that a node was remembered. */
void node_say_first_use(const struct node_options *options, const berth_client *client);

/* The exit status for a call that failed. `client` may be NULL. */
int exit_status_of_call(berth_status status, const berth_client *client);

DEFINE_CLEANUP(berth_client *, berth_client_free)
#define cleanup_client cleanup(berth_client_free_cleanup)

#endif

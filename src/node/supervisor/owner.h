/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner of a node that has no principals yet: a token that is made at start, shown once and good until
 * the node stops. The other processes get its hash alone.
 */
#ifndef BERTH_NODE_OWNER_H
#define BERTH_NODE_OWNER_H

#include "node/settings/settings.h"

#define OWNER_NAME "owner"
enum { OWNER_TOKEN_CHARACTERS = 41 }; /* 160 bits in hex, and the NUL */

/* 0 or -EIO. */
int owner_token_new(char ret[static OWNER_TOKEN_CHARACTERS]);

/* Adds the principal OWNER_NAME, who may use every capability and shows this token, to complete settings. */
berth_status owner_add(struct settings *settings, const char *token, berth_error **reterr);

#endif

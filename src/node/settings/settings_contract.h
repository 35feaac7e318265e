/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contracts in settings: the node's own ([contract]), and each principal's, which is the node's with what
 * its own table says in its place, capped by the node's. Mounts, events and watching are no part of them:
 * they come from the capability.
 */
#ifndef BERTH_NODE_SETTINGS_CONTRACT_H
#define BERTH_NODE_SETTINGS_CONTRACT_H

#include <jansson.h>

#include "node/settings/settings.h"

/* One value of the node's contract from text. */
berth_status settings_contract_set(struct settings *settings, const char *key, const char *value,
                                   const char *origin, berth_error **reterr);
/* What [contract] of a file says, over what is there. */
berth_status settings_contract_read(struct settings *settings, json_t *document, const char *source,
                                    berth_error **reterr);
/* Makes the contract of every principal again. */
berth_status settings_contracts_update(struct settings *settings, berth_error **reterr);

/* Shows the mounts of a capability in a contract; they exist, as settings_complete() sees to. */
berth_status settings_capability_add_mounts(const struct settings *settings,
                                            const struct settings_capability *capability,
                                            berth_contract *contract, berth_error **reterr);

/* A contract as contract JSON without what does not belong here, and the same with origins in place of
 * values. 0 or -ENOMEM. */
int settings_contract_write(const berth_contract *contract, json_t **ret, json_t **ret_origins);

#endif

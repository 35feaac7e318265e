/* SPDX-License-Identifier: Apache-2.0 */
/* What the node says on stdout when it is ready: a text for people, or one line of JSON for scripts. */
#ifndef BERTH_NODE_READY_H
#define BERTH_NODE_READY_H

#include <stdbool.h>

#include "node/settings/settings.h"

/* front: JSON of CONTROL_READY with "address" and "peer_id", and "health" if there is that endpoint. token:
 * NULL if callers have their own. 0, -EINVAL (the front's JSON), -ENOMEM, or the errno of stdout. */
int ready_print(const char *front, const char *token, const struct settings *settings, bool json);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that callers connect to. The supervisor binds them, or gets them from the service manager, and
 * lends them to each front in turn: so the address stays the same when a front dies, and who connects
 * meanwhile waits.
 */
#ifndef BERTH_NODE_LISTENING_H
#define BERTH_NODE_LISTENING_H

#include <stddef.h>

#include <berth/error.h>

#include "node/settings/settings.h"

struct listening {
    int *sockets; /* one per listener of the settings */
    size_t count;
};

/* n_given sockets from descriptor first_given on are there already, for the first listeners. Errors:
 * BERTH_BUSY (the port is in use), BERTH_INVALID (no such address), BERTH_IO, BERTH_NO_MEMORY. On an error
 * nothing is held. */
berth_status listening_open(const struct settings *settings, int first_given, size_t n_given,
                            struct listening *ret, berth_error **reterr);
void listening_close(struct listening *listening);

#endif

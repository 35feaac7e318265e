/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor gives a front before CONTROL_GO (process.h). */
#ifndef BERTH_NODE_FRONT_START_H
#define BERTH_NODE_FRONT_START_H

#include <stddef.h>

#include "node/process.h"
#include "node/settings/settings.h"

enum { FRONT_WORKERS_MAX = 256, FRONT_LISTENERS_MAX = 64 };

/* Descriptors are -1 where nothing came; whoever takes one over puts -1 there. */
struct front_start {
    struct settings *settings;
    char state_directory[CONTROL_TEXT_BYTES];
    int inputs_directory, compiler;
    int channels[FRONT_WORKERS_MAX];
    size_t n_channels;
    int listeners[FRONT_LISTENERS_MAX];
};

/* Reads control messages until CONTROL_GO. Errors: BERTH_INVALID (settings), BERTH_INTERNAL (the order of
 * messages), BERTH_ENDED (the supervisor is gone). */
berth_status front_start_receive(struct front_start *ret, berth_error **reterr);
/* Closes what was not taken over. */
void front_start_done(struct front_start *start);

/* Settings from the memory file of a control message; closes it. */
berth_status front_settings_read(int descriptor, struct settings **ret, berth_error **reterr);

#endif

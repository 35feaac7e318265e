/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of isolation.h: the two layers that are files of their own. */
#ifndef BERTH_NODE_ISOLATION_LAYERS_H
#define BERTH_NODE_ISOLATION_LAYERS_H

#include "node/worker/isolation.h"

/* isolation_landlock.c: 0, also if the kernel lacks it; or a negative errno. */
int isolation_confine_files(const struct isolation *isolation, unsigned *layers);
/* isolation_seccomp.c: the same. */
int isolation_filter_calls(const struct isolation *isolation, unsigned *layers);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs that were going on when the front, or the whole node, ended. The store says which; each becomes one
 * of: adopted (a worker still has it and says so), started again (its contract and capability say so), or
 * lost.
 */
#ifndef BERTH_NODE_REVIVE_H
#define BERTH_NODE_REVIVE_H

#include "node/front/front.h"

/* At the start: runs that nobody can have any more are lost. Those that are detached may still be adopted. */
int revive_begin(struct front *front);
/* When the workers have had time to say what they have. */
void revive_end(struct front *front);

#endif

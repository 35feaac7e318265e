/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of a node: machine code that the compiler process makes loads into the workers only if both have
 * the same engine, so both ask here.
 */
#ifndef BERTH_NODE_ENGINE_OPTIONS_H
#define BERTH_NODE_ENGINE_OPTIONS_H

#include <berth/engine.h>

#include "node/settings/settings.h"

/* What follows from the settings: everything that machine code depends on, the largest memory of any
 * contract, the cache, the limits of compiling. Texts are borrowed from the settings. A process may then
 * lower max_instances (here: as many as may run on the whole node) and turn the cache off; nothing else. */
void node_engine_options(const struct settings *settings, struct berth_engine_options *ret);

#endif

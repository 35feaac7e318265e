/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth runs visiting WebAssembly next to the data, under a contract that holds.
 *
 * In reading order; examples/run_one_module.c uses all of it in a hundred lines.
 */
#ifndef BERTH_H
#define BERTH_H

#include <berth/audit.h>
#include <berth/contract.h>
#include <berth/engine.h>
#include <berth/error.h>
#include <berth/module.h>
#include <berth/receipt.h>
#include <berth/run.h>
#include <berth/version.h>

#endif

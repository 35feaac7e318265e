/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's traps and errors as sentences. Names in them come from the guest and are escaped and bounded.
 */
#ifndef BERTH_SANDBOX_TRAP_H
#define BERTH_SANDBOX_TRAP_H

#include <wasmtime.h>

#include "base/text.h"

/* Appends what happened and where: "an unreachable instruction was executed in parse_line, called by main".
 */
void trap_describe(struct text *text, const wasm_trap_t *trap);

/* True for the trap that is a limit. */
bool trap_is_out_of_fuel(const wasm_trap_t *trap);
/* True for the trap that a guest makes itself: what abort() becomes. */
bool trap_is_unreachable(const wasm_trap_t *trap);

/* Appends the first line of the engine's own message. */
void trap_describe_error(struct text *text, const wasmtime_error_t *error);

#endif

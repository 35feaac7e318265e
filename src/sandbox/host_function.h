/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The granted functions as the engine's callbacks: a row of wasi_functions.def or
 * extension_functions.def becomes one definition. This is the only place where guest arguments arrive.
 */
#ifndef BERTH_SANDBOX_HOST_FUNCTION_H
#define BERTH_SANDBOX_HOST_FUNCTION_H

#include <wasmtime.h>

/* Defines all functions. 0 or a negative errno. */
int host_functions_define(wasmtime_linker_t *linker, bool metered);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the compiler process: started, waited for, killed when it takes too long, always reaped. */
#ifndef BERTH_SANDBOX_COMPILE_PROCESS_H
#define BERTH_SANDBOX_COMPILE_PROCESS_H

#include "sandbox/compile.h"

struct compile_limits {
    uint32_t memory_mb;
    uint32_t cpu_seconds;
    uint32_t wall_seconds;
};

/*
 * Runs `program` (NULL: the one that belongs to this library) on the module. No signal of the embedder's is
 * needed or disturbed: SIGCHLD may be ignored, and its handler may reap the child before us. Returns as
 * compiler_run().
 */
int compile_process_run(const char *program, const struct engine_settings *settings,
                        const struct compile_limits *limits, const uint8_t *wasm, size_t size_bytes,
                        int cancel, struct machine_code *ret_code, struct text *reason);

#endif

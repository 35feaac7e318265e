/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling: the stripped bytes of a module in, machine code out. The compiler is the largest program that a
 * stranger's bytes reach, and making it slow or crash is easy; it therefore runs as a process of its own
 * (berth-compiler, compiler_main.c) with limits on memory, processor and wall time, an empty environment, two
 * files, and no system calls but those it needs. An embedder may have it in its own process instead.
 *
 * A module that was refused for what the compiler did with it is remembered, so that the same bomb costs
 * once.
 *
 * The protocol with the process: descriptor 0 is a sealed memory file with the module, 1 an empty memory file
 * that receives a struct compile_report and, from COMPILE_CODE_OFFSET on, the code; 2 a memory file for what
 * the compiler prints when it dies. The report is written last and in one piece.
 */
#ifndef BERTH_SANDBOX_COMPILE_H
#define BERTH_SANDBOX_COMPILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "sandbox/engine.h"

enum compile_outcome {
    COMPILE_REFUSED = 1,
    COMPILE_CANCELLED = 2, /* without a reason */
};

/* ---- Machine code ------------------------------------------------------------------------------- */

/* Borrows from one of two owners: a mapping of what the process wrote, or the engine's own buffer. */
struct machine_code {
    const uint8_t *bytes;
    size_t size_bytes;
    void *mapping;
    size_t mapping_bytes;
    wasm_byte_vec_t vector;
};

void machine_code_done(struct machine_code *code);

#define cleanup_machine_code cleanup(machine_code_done)

/* ---- Compiler ----------------------------------------------------------------------------------- */

/* How one engine compiles, and what it remembers of refusals. Safe from any thread. */
struct compiler;

/* Borrows the options' strings; they live as long as the engine. 0 or a negative errno. */
int compiler_new(const struct berth_engine_options *options, const struct engine_settings *settings,
                 struct compiler **ret);
void compiler_free(struct compiler *compiler); /* accepts NULL */

/*
 * `wasm` was scanned and stripped; `sha256` (32 bytes) is that of the original bytes. `engine` is used by
 * BERTH_COMPILE_IN_PROCESS only. Waits for its turn if options->compile_at_a_time are at it. Is given up as
 * soon as `cancel` (a descriptor, -1: none) can be read, as long as it waits or the process works. 0;
 * COMPILE_CANCELLED; COMPILE_REFUSED with a reason about the module ("compiling it takes more than 60 s of
 * CPU time"); a negative errno with a reason about the system ("the compiler program /x/berth-compiler does
 * not start"), which is not remembered.
 */
int compiler_run(struct compiler *compiler, wasm_engine_t *engine, const uint8_t *sha256, const uint8_t *wasm,
                 size_t size_bytes, int cancel, struct machine_code *ret_code, struct text *reason);

/* Whether the module with this hash was refused before; if so the reason is appended. */
bool compiler_remembers(struct compiler *compiler, const uint8_t *sha256, struct text *reason);
/* Remembers a refusal, as far as memory allows. compiler_run() does that for its own. */
void compiler_remember(struct compiler *compiler, const uint8_t *sha256, const char *why);

/* Appends what the engine said, which is several lines, as one: escaped and bounded. */
void compile_append_message(struct text *reason, const char *message, size_t length);

/* ---- The process -------------------------------------------------------------------------------- */

enum {
    COMPILE_MODULE_FD = 0,
    COMPILE_RESULT_FD = 1,
    COMPILE_PRINTED_FD = 2,
    /* A page, so that the code can be mapped by itself. */
    COMPILE_CODE_OFFSET = 4096,
    /* Cranelift recurses over expressions and blocks; with the 8 MiB of a main thread it is known to
       overflow. */
    COMPILE_STACK_BYTES = 64 << 20,
    COMPILE_MESSAGE_BYTES = 512,
};

enum compile_report_kind {
    COMPILE_REPORT_NONE = 0, /* the process ended without a word */
    COMPILE_REPORT_DONE = 1,
    COMPILE_REPORT_NOT_TAKEN = 2, /* the engine says no; message says why */
    COMPILE_REPORT_SIGNAL = 3,    /* the process is about to die of this signal */
    COMPILE_REPORT_FAILED = 4,    /* the system says no; message says what */
    COMPILE_REPORT_MEMORY = 5,    /* there is no more memory */
};

struct compile_report {
    uint32_t kind;
    uint32_t signal;
    uint32_t system_call; /* of SIGSYS */
    uint64_t code_bytes;
    char message[COMPILE_MESSAGE_BYTES];
};

#endif

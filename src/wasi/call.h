/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a guest, as the functions of WASI see it.
 *
 * A function takes its arguments from the call and returns 0, the guest's errno (enum guest_errno), or one of
 * the outcomes below. It checks in this order, so that nothing has happened when it refuses: pointers for
 * results, flags, the bytes of paths, the descriptor and its rights, the host.
 */
#ifndef BERTH_WASI_CALL_H
#define BERTH_WASI_CALL_H

#include "wasi/preview1.h"
#include "wasi/wasi.h"

/* Above every guest errno. */
enum call_outcome {
    CALL_WAIT = 0x100, /* context->wait says for what */
    CALL_YIELD,
    CALL_EXIT,
    CALL_FAULT, /* context->fault says why */
    CALL_LIMIT,
};

struct call {
    struct wasi_context *context;
    enum wasi_function function;
    struct wasi_memory memory;
    const uint64_t *arguments;
    uint32_t exit_code;
};

typedef int call_function(struct call *call);

/* call_args_get … call_sock_shutdown */
#define WASI_FUNCTION(name, parameters, blocks) call_function call_##name;
#include "wasi/wasi_functions.def"
#undef WASI_FUNCTION
call_function call_push_event, call_wait_for_change;

static inline uint32_t call_u32(const struct call *call, unsigned index)
{
    return (uint32_t)call->arguments[index];
}

static inline uint64_t call_u64(const struct call *call, unsigned index)
{
    return call->arguments[index];
}

/* The name of the function being called. */
static inline const char *call_name(const struct call *call)
{
    return wasi_functions[call->function].name;
}

/* Notes why the guest is at fault, in words that follow the function's name; returns CALL_FAULT. */
int call_fault(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The tables that bind the names to their functions, and the one way into them. See wasi.h and call.h. */
#include "wasi/call.h"

#include <stdarg.h>

#include "wasi/context.h"

const struct wasi_function_info wasi_functions[WASI_N_FUNCTIONS] = {
#define WASI_FUNCTION(name, parameters, blocks) \
    [WASI_##name] = {WASI_MODULE, #name, parameters, WASI_##name != WASI_proc_exit, blocks},
#include "wasi/wasi_functions.def"
#undef WASI_FUNCTION
#define EXTENSION_FUNCTION(module, name, implementation, parameters, returns, blocks) \
    [WASI_##module##_##name] = {#module, #name, parameters, returns, blocks},
#include "wasi/extension_functions.def"
#undef EXTENSION_FUNCTION
};

static call_function *const implementations[WASI_N_FUNCTIONS] = {
#define WASI_FUNCTION(name, parameters, blocks) [WASI_##name] = call_##name,
#include "wasi/wasi_functions.def"
#undef WASI_FUNCTION
#define EXTENSION_FUNCTION(module, name, implementation, ...) \
    [WASI_##module##_##name] = call_##implementation,
#include "wasi/extension_functions.def"
#undef EXTENSION_FUNCTION
};

int call_fault(struct call *call, const char *format, ...)
{
    struct wasi_context *context = call->context;
    va_list arguments;
    int used = snprintf(context->fault, sizeof context->fault, "%s: ", call_name(call));
    va_start(arguments, format);
    vsnprintf(context->fault + used, sizeof context->fault - (size_t)used, format, arguments);
    va_end(arguments);
    return CALL_FAULT;
}

static enum wasi_result result_of(int outcome)
{
    switch (outcome) {
    case CALL_WAIT:
        return WASI_WAIT;
    case CALL_YIELD:
        return WASI_YIELD;
    case CALL_EXIT:
        return WASI_EXIT;
    case CALL_FAULT:
        return WASI_FAULT;
    case CALL_LIMIT:
        return WASI_LIMIT;
    default:
        return WASI_DONE;
    }
}

enum wasi_result wasi_call(struct wasi_context *context, enum wasi_function function,
                           struct wasi_memory memory, const uint64_t *arguments, uint32_t *ret_errno)
{
    struct call call = {.context = context, .function = function, .memory = memory, .arguments = arguments};
    if (context->pending.active && context->pending.function != function)
        context->pending = (struct pending_call){0};
    if (!context->pending.active)
        context->usage.calls++;
    int outcome = implementations[function](&call);
    if (outcome == CALL_WAIT || outcome == CALL_YIELD) {
        context->pending.active = true;
        context->pending.function = function;
    } else {
        context->pending = (struct pending_call){0};
    }
    *ret_errno = outcome == CALL_EXIT ? call.exit_code : (uint32_t)outcome;
    return result_of(outcome);
}

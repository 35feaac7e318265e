/* SPDX-License-Identifier: Apache-2.0 */
/* See trap.h. */
#include "sandbox/trap.h"

#include <stdint.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, MESSAGE_MAX_BYTES = 300, FRAMES_SHOWN = 3 };

static const char *const sentences[] = {
    [WASMTIME_TRAP_CODE_STACK_OVERFLOW] = "the call stack is exhausted (512 KiB)",
    [WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS] = "it reached outside of its memory",
    [WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS] = "it reached outside of a table",
    [WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL] = "it called a table entry that is empty",
    [WASMTIME_TRAP_CODE_BAD_SIGNATURE] = "it called a function through a wrong type",
    [WASMTIME_TRAP_CODE_INTEGER_OVERFLOW] = "an integer operation overflowed",
    [WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO] = "it divided an integer by zero",
    [WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER] =
        "it converted a number that does not fit into an integer",
    [WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED] = "it executed an unreachable instruction",
    [WASMTIME_TRAP_CODE_INTERRUPT] = "it was interrupted",
    [WASMTIME_TRAP_CODE_OUT_OF_FUEL] = "all fuel is used up",
};

static bool has_code(const wasm_trap_t *trap, wasmtime_trap_code_t wanted)
{
    wasmtime_trap_code_t code;
    return wasmtime_trap_code(trap, &code) && code == wanted;
}

bool trap_is_out_of_fuel(const wasm_trap_t *trap)
{
    return has_code(trap, WASMTIME_TRAP_CODE_OUT_OF_FUEL);
}

bool trap_is_unreachable(const wasm_trap_t *trap)
{
    return has_code(trap, WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED);
}

static void append_first_line(struct text *text, const wasm_byte_vec_t *message)
{
    size_t length = 0;
    while (length < message->size && message->data[length] && message->data[length] != '\n')
        length++;
    text_append_escaped(text, message->data, length, MESSAGE_MAX_BYTES);
}

static void append_trace(struct text *text, const wasm_trap_t *trap)
{
    wasm_frame_vec_t frames;
    wasm_trap_trace(trap, &frames);
    for (size_t i = 0; i < frames.size && i < FRAMES_SHOWN; i++) {
        const wasm_name_t *name = wasmtime_frame_func_name(frames.data[i]);
        text_append(text, i == 0 ? " in " : ", called by ");
        if (name)
            text_append_escaped(text, name->data, name->size, NAME_MAX_BYTES);
        else
            text_append_format(text, "function %u", wasm_frame_func_index(frames.data[i]));
        if (i == 0 && wasm_frame_module_offset(frames.data[i]) != SIZE_MAX)
            text_append_format(text, " (module offset 0x%zx)", wasm_frame_module_offset(frames.data[i]));
    }
    wasm_frame_vec_delete(&frames);
}

void trap_describe(struct text *text, const wasm_trap_t *trap)
{
    wasmtime_trap_code_t code;
    if (wasmtime_trap_code(trap, &code) && code < sizeof(sentences) / sizeof(sentences[0]) &&
        sentences[code]) {
        text_append(text, sentences[code]);
    } else {
        wasm_message_t message;
        wasm_trap_message(trap, &message);
        append_first_line(text, &message);
        wasm_byte_vec_delete(&message);
    }
    append_trace(text, trap);
}

void trap_describe_error(struct text *text, const wasmtime_error_t *error)
{
    wasm_name_t message;
    wasmtime_error_message(error, &message);
    append_first_line(text, &message);
    wasm_byte_vec_delete(&message);
}

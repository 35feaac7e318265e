/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: WebAssembly written byte by byte (webassembly.github.io/spec/core/binary), so that it can be
 * wrong. */
#ifndef BERTH_SANDBOX_TEST_WASM_H
#define BERTH_SANDBOX_TEST_WASM_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A growing buffer; running out of memory ends the test. */
struct wasm {
    uint8_t *bytes;
    size_t size_bytes, capacity;
};

static inline void wasm_bytes(struct wasm *wasm, const void *bytes, size_t size_bytes)
{
    if (wasm->size_bytes + size_bytes > wasm->capacity || !wasm->bytes) {
        wasm->capacity = 2 * wasm->capacity + size_bytes + 1;
        wasm->bytes = realloc(wasm->bytes, wasm->capacity);
    }
    if (!wasm->bytes)
        abort();
    if (size_bytes)
        memcpy(wasm->bytes + wasm->size_bytes, bytes, size_bytes);
    wasm->size_bytes += size_bytes;
}

static inline void wasm_byte(struct wasm *wasm, uint8_t byte)
{
    wasm_bytes(wasm, &byte, 1);
}

/* LEB128, unsigned. */
static inline void wasm_number(struct wasm *wasm, uint32_t number)
{
    for (; number >= 0x80; number >>= 7)
        wasm_byte(wasm, (uint8_t)(number | 0x80));
    wasm_byte(wasm, (uint8_t)number);
}

static inline void wasm_name(struct wasm *wasm, const char *name)
{
    wasm_number(wasm, (uint32_t)strlen(name));
    wasm_bytes(wasm, name, strlen(name));
}

static inline void wasm_done(struct wasm *wasm)
{
    free(wasm->bytes);
    *wasm = (struct wasm){0};
}

#define cleanup_wasm cleanup(wasm_done)

static inline void wasm_header(struct wasm *wasm)
{
    wasm_bytes(wasm, "\0asm\1\0\0", 8);
}

enum {
    WASM_CUSTOM = 0,
    WASM_TYPES = 1,
    WASM_IMPORTS = 2,
    WASM_FUNCTIONS = 3,
    WASM_TABLES = 4,
    WASM_MEMORIES = 5,
    WASM_GLOBALS = 6,
    WASM_EXPORTS = 7,
    WASM_CODE = 10,
    WASM_TAGS = 13,
};

static inline void wasm_section(struct wasm *wasm, uint8_t id, const void *contents, size_t size_bytes)
{
    wasm_byte(wasm, id);
    wasm_number(wasm, (uint32_t)size_bytes);
    wasm_bytes(wasm, contents, size_bytes);
}

/* A section from a literal, which may hold NUL bytes. */
#define wasm_section_of(wasm, id, literal) wasm_section((wasm), (id), (literal), sizeof(literal) - 1)

static inline void wasm_custom(struct wasm *wasm, const char *name, size_t size_bytes)
{
    cleanup_wasm struct wasm contents = {0};
    wasm_name(&contents, name);
    for (size_t i = 0; i < size_bytes; i++)
        wasm_byte(&contents, 0);
    wasm_section(wasm, WASM_CUSTOM, contents.bytes, contents.size_bytes);
}

/* One type, no parameters or results, and a program that does nothing. */
static inline struct wasm wasm_command(void)
{
    struct wasm wasm = {0};
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section_of(&wasm, WASM_FUNCTIONS, "\1\0");
    wasm_section_of(&wasm, WASM_MEMORIES, "\1\0\1");
    wasm_section_of(&wasm, WASM_EXPORTS, "\2\6memory\2\0\6_start\0\0");
    wasm_section_of(&wasm, WASM_CODE, "\1\2\0\x0b");
    return wasm;
}

/* A module with one import; kind and type as they stand in the import section. */
static inline struct wasm wasm_importer(const char *module, const char *name, const char *kind_and_type,
                                        size_t size_bytes)
{
    struct wasm wasm = {0};
    cleanup_wasm struct wasm imports = {0};
    wasm_header(&wasm);
    /* 0: ()->(), 1: (i32)->(), 2: (i32,i32,i32,i32)->(i32) */
    wasm_section_of(&wasm, WASM_TYPES, "\3\x60\0\0\x60\1\x7f\0\x60\4\x7f\x7f\x7f\x7f\1\x7f");
    wasm_number(&imports, 1);
    wasm_name(&imports, module);
    wasm_name(&imports, name);
    wasm_bytes(&imports, kind_and_type, size_bytes);
    wasm_section(&wasm, WASM_IMPORTS, imports.bytes, imports.size_bytes);
    return wasm;
}

/* `n_functions` functions that each add numbers `n_steps` times, round a block: work for a compiler. */
static inline struct wasm wasm_heavy(uint32_t n_functions, uint32_t n_steps)
{
    struct wasm wasm = {0};
    cleanup_wasm struct wasm body = {0}, functions = {0}, code = {0};
    wasm_bytes(&body, "\1\x64\x7e", 3);
    for (uint32_t i = 0; i < n_steps; i++) {
        const uint8_t step[] = {0x20, (uint8_t)(i % 100),     0x20, (uint8_t)(i * 7 % 100), 0x7e,
                                0x21, (uint8_t)(i * 13 % 100)};
        wasm_bytes(&body, step, sizeof(step));
        if (i % 50 == 0)
            wasm_bytes(&body, "\x03\x40\x20\0\xa7\x0d\0\x0b", 8);
    }
    wasm_byte(&body, 0x0b);
    wasm_number(&functions, n_functions);
    wasm_number(&code, n_functions);
    for (uint32_t i = 0; i < n_functions; i++) {
        wasm_byte(&functions, 0);
        wasm_number(&code, (uint32_t)body.size_bytes);
        wasm_bytes(&code, body.bytes, body.size_bytes);
    }
    wasm_header(&wasm);
    wasm_section_of(&wasm, WASM_TYPES, "\1\x60\0\0");
    wasm_section(&wasm, WASM_FUNCTIONS, functions.bytes, functions.size_bytes);
    wasm_section(&wasm, WASM_CODE, code.bytes, code.size_bytes);
    return wasm;
}

#endif

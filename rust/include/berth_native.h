/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth_native: what berth takes from the Rust world, besides the C interfaces of Wasmtime and AWS-LC that
 * live in the same library: a TOML reader, the module scan and rewrite that run before an engine sees a byte,
 * a store limiter with a callback, and what a cache of compiled code must know about this machine.
 *
 * Invariants: functions are thread-safe as long as their arguments are not shared; nothing is printed;
 * nothing is kept between calls. Input bytes are hostile and may be anything. Every text is NUL-terminated
 * UTF-8. A text or buffer in a ret_ argument belongs to the caller, who gives it back to berth_native_free();
 * on any outcome but 0 it is NULL, except reterr_message, which is NULL on 0 and -ENOMEM and otherwise one
 * sentence, lower case at the start and without a full stop at the end.
 *
 * Returns: 0; a negative errno for a fatal failure; a positive enum berth_native_refusal for a module that
 * berth does not take. Memory inside the scan is in proportion to the input and the caps; when the system has
 * none left for that, the process ends, as everywhere in Rust. Only the copies handed out report -ENOMEM.
 */
#ifndef BERTH_NATIVE_H
#define BERTH_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives back what a ret_ or reterr_ argument of this header holds. NULL is fine. */
void berth_native_free(void *returned);

/* ---- TOML ---- */

/*
 * Reads a TOML 1.1 document (toml.io/en/v1.1.0) and returns the same tree as JSON text, keys in the
 * document's order. Dates and times become strings in the form they have in TOML; 64-bit integers stay
 * integers; infinities and NaN are an error, as JSON has none. Tables and arrays may nest 64 deep, a document
 * may be 16 MiB long. Needs at most 256 KiB of stack.
 *
 * text: length bytes, need not end with NUL, need not be valid UTF-8; may be NULL when length is 0.
 * Returns 0; -EINVAL with a message that begins "line L, column C: "; -ENOMEM. Columns count characters
 * from 1.
 */
int berth_native_toml_to_json(const char *text, size_t length, char **ret_json, char **reterr_message);

/* ---- Module scan and rewrite ---- */

enum berth_native_refusal {
    BERTH_NATIVE_REFUSED_NOT_WASM = 1, /* no core module: empty, text, an archive, a component */
    BERTH_NATIVE_REFUSED_INVALID = 2,  /* a core module, but truncated, malformed or not valid */
    BERTH_NATIVE_REFUSED_FEATURE = 3,  /* may be valid, but needs a feature that berth does not offer */
    BERTH_NATIVE_REFUSED_CAP = 4,      /* may be valid, but larger than one of the caps */
};

/*
 * How large a module may be. A module is refused when a number is greater than its cap, so 0 allows none:
 * fill every member. The numbers bound the time and memory of the compiler, not those of the guest; berth's
 * own, with their reasons, stand in src/sandbox/module_scan.c.
 */
struct berth_native_scan_caps {
    uint64_t module_max_bytes;
    uint64_t types_max;
    uint64_t params_max;  /* parameters of one function type */
    uint64_t results_max; /* results of one function type or block */
    uint64_t imports_max;
    uint64_t functions_max; /* defined in the module */
    uint64_t tables_max;    /* defined and imported */
    uint64_t memories_max;  /* defined and imported; more than 1 is a feature that berth does not offer */
    uint64_t globals_max;   /* defined */
    uint64_t exports_max;
    uint64_t names_max_bytes; /* of all imports and exports together */
    uint64_t element_segments_max;
    uint64_t elements_max; /* entries of all element segments together */
    uint64_t data_segments_max;
    uint64_t data_max_bytes;   /* contents of all data segments together */
    uint64_t body_max_bytes;   /* one function body */
    uint64_t locals_max;       /* declared by one function, without its parameters */
    uint64_t locals_total_max; /* declared by all functions together: 8 KB can declare 50,000,000 */
    uint64_t br_table_max;     /* br_table targets in one function, defaults included */
    uint64_t br_table_total_max;
    uint64_t nesting_max;       /* blocks open at the same time in one function */
    uint64_t operand_moves_max; /* values passed by all calls, branches and typed blocks: each can pass
                                   params_max + results_max values in two bytes of code */
    uint64_t custom_max_bytes;  /* contents of all custom sections together, names included */
    uint64_t name_section_max_bytes;
    bool allow_simd; /* fixed-width SIMD; everything else that berth does not offer cannot be switched on */
};

/*
 * Measures a module and validates it against exactly the features that berth offers: WebAssembly 1.0 with
 * mutable globals, sign extension, saturating float to int, multi-value, bulk memory, reference types
 * (funcref only), extended constant expressions, and SIMD if allowed (webassembly.github.io/spec/core/binary,
 * and the proposals' pages). Time and memory are in proportion to the bytes; a count that only hostile
 * modules have is refused before it costs anything.
 *
 * wasm: length bytes, not written and not kept; may be NULL when length is 0. caps: not kept.
 * Returns 0 and the facts; a positive enum berth_native_refusal or -EINVAL (no caps, no bytes) and a message;
 * -ENOMEM. A message never holds bytes of the module as they are: names are escaped to printable ASCII and
 * cut to 64 characters.
 *
 * The facts are one JSON object. Names are whole, so they are for machines; escape them before a person sees
 * them.
 *   {"size_bytes": n,
 *    "functions": n,                                             defined, imports not counted
 *    "imports": [{"module": s, "name": s, "kind": k, "type": t}],
 *    "exports": [{"name": s, "kind": k, "type": t}],
 *    "memory": {"min_pages": n, "max_pages": n or null, "imported": b} or null,   pages of 64 KiB
 *    "tables": [{"min": n, "max": n or null}],                   entries; imported first
 *    "globals": n,                                               defined, imports not counted
 *    "data_bytes": n, "element_count": n, "locals_total": n, "largest_body_bytes": n,
 *    "br_table_targets": n, "custom_bytes": n, "name_section_bytes": n, "nesting": n, "operand_moves": n,
 *    "start": b, "uses_simd": b,
 *    "producers": ["language C11", "processed-by clang 19.1.7"],  at most 16
 *    "target_features": ["+sign-ext"]}                           at most 64
 *
 * k is func, memory, table or global. t is "(i32,i64)->(i32)" for a function, "i32" or "mut i32" for a
 * global, "1..16" or "1.." (pages) for a memory, "funcref 1..16" or "funcref 1.." for a table. What producers
 * and target_features quote is printable ASCII of at most 128 bytes each.
 */
int berth_native_module_scan(const uint8_t *wasm, size_t length, const struct berth_native_scan_caps *caps,
                             char **ret_facts_json, char **reterr_message);

/*
 * Copies a module without its custom sections, so that debug information chosen by a guest never reaches the
 * engine. The first section called "name" stays if its contents are at most name_section_max_bytes long. All
 * else is copied byte for byte and not validated: scan first.
 *
 * Returns 0; BERTH_NATIVE_REFUSED_NOT_WASM; BERTH_NATIVE_REFUSED_INVALID when a section does not fit into the
 * bytes; -ENOMEM; -EINVAL when wasm is NULL.
 */
int berth_native_module_strip(const uint8_t *wasm, size_t length, size_t name_section_max_bytes,
                              uint8_t **ret_wasm, size_t *ret_length);

/* ---- Store limiter ---- */

struct wasmtime_store; /* wasmtime_store_t of wasmtime/store.h */

/*
 * Who decides about growth in one store. The C interface of the engine has fixed caps only; here the owner is
 * asked, and can therefore count and name a refusal. The callbacks run on the thread that runs the guest, at
 * instantiation and inside memory.grow and table.grow; they must not touch the store, must not block, and
 * must not unwind or longjmp.
 */
struct berth_native_limiter {
    void *payload;

    /*
     * May this memory grow from current_bytes to desired_bytes? false makes memory.grow return -1 and
     * instantiation fail. Asked once with current_bytes 0 when a memory is made. Not asked when the memory's
     * own maximum forbids the growth anyhow. maximum_bytes is that maximum, or UINT64_MAX.
     */
    bool (*memory_growing)(void *payload, uint64_t current_bytes, uint64_t desired_bytes,
                           uint64_t maximum_bytes);

    /* Likewise for a table, in entries. */
    bool (*table_growing)(void *payload, uint64_t current, uint64_t desired, uint64_t maximum);

    /*
     * The growth that memory_growing or table_growing last allowed did not happen: the pool's slot or the
     * system's memory is at its end. Give back what was counted. NULL if that is of no interest. When
     * instantiation fails after a growth was allowed, the engine does not call these: the store has no memory
     * then, and must be deleted.
     */
    void (*memory_grow_failed)(void *payload, uint64_t current_bytes, uint64_t desired_bytes);
    void (*table_grow_failed)(void *payload, uint64_t current, uint64_t desired);

    /* How many of each the store may ever hold. Read once, by berth_native_store_limiter(). */
    uint32_t instances;
    uint32_t tables;
    uint32_t memories;
};

/*
 * Puts the store under a limiter, in place of any that it had. The limiter is borrowed: it must stay valid
 * and at its place until the store is deleted. memory_growing and table_growing must not be NULL.
 */
void berth_native_store_limiter(struct wasmtime_store *store, const struct berth_native_limiter *limiter);

/* ---- What a cache key needs ---- */

/* The engine's version, such as "48.0.8". Static. */
const char *berth_native_engine_version(void);

/*
 * The architecture and the features of this processor that compiled code may depend on, such as
 * "x86_64 cmpxchg16b sse3 avx2", always in the same order. Static; the same for the life of the process.
 */
const char *berth_native_cpu_features(void);

#ifdef __cplusplus
}
#endif

#endif

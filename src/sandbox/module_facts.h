/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scan says of a module, as a struct. It travels as the JSON text that the scanner wrote and that a
 * sealed cache entry keeps, so that a second visit does not scan again. Names are the module's own: escape
 * them before a person sees them.
 */
#ifndef BERTH_SANDBOX_MODULE_FACTS_H
#define BERTH_SANDBOX_MODULE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum module_extern_kind { MODULE_FUNCTION, MODULE_MEMORY, MODULE_TABLE, MODULE_GLOBAL };

struct module_import {
    char *module, *name; /* a NUL inside of a name reads as \x00, which no name that berth offers holds */
    enum module_extern_kind kind;
    char *type; /* of a function: "(i32,i32)->(i32)" */
};

struct module_export {
    char *name;
    enum module_extern_kind kind;
    char *type;
};

struct module_facts {
    struct module_import *imports;
    size_t n_imports;
    struct module_export *exports; /* those whose name holds a NUL are left out: nobody can ask for them */
    size_t n_exports;
    bool has_memory;
    uint64_t memory_min_pages, memory_max_pages; /* UINT64_MAX: no maximum declared */
    uint64_t table_min_elements;                 /* of all tables */
    bool has_start_function;                     /* a start section: guest code runs at instantiation */
    bool uses_simd;

    /* For people (module_inspect.c). */
    size_t n_tables;
    uint64_t n_functions, n_globals; /* defined, imports not counted */
    uint64_t data_bytes, custom_bytes, name_section_bytes, largest_body_bytes;
    char **producers; /* "processed-by clang 19.1.7", printable; ends with NULL */
};

/* Reads the scanner's text. 0, -ENOMEM, or -EINVAL (a sealed entry of another build). */
int module_facts_parse(const char *json, size_t length, struct module_facts *ret_facts);
void module_facts_done(struct module_facts *facts);

#define cleanup_module_facts cleanup(module_facts_done)

/* The export of that name and kind, or NULL. */
const struct module_export *module_facts_export(const struct module_facts *facts, const char *name,
                                                enum module_extern_kind kind);

/* "function", "memory", "table", "global". */
const char *module_extern_kind_name(enum module_extern_kind kind);

#endif

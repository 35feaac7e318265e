/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to bytes before an engine or a compiler sees them: they are measured and validated against
 * caps, their imports are compared with what berth offers, and custom sections are cut off. All of it takes
 * time and memory in proportion to the bytes. Reasons are clauses without a subject or a full stop, for
 * "filter.wasm is refused: ..."; names of the module are escaped and bounded in them.
 */
#ifndef BERTH_SANDBOX_MODULE_SCAN_H
#define BERTH_SANDBOX_MODULE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "sandbox/module_facts.h"

/* Rises when something that was let in would be refused now: sealed cache entries of before are not used
 * then. */
enum { MODULE_SCAN_VERSION = 2 };

enum module_scan_outcome { MODULE_SCAN_REFUSED = 1 };

struct module_scan_options {
    uint64_t max_size_bytes;
    bool simd;
};

/* Measures and validates. 0 and the facts as the scanner's text, which module_scan_free() gives back;
 * MODULE_SCAN_REFUSED with a reason appended; -ENOMEM. */
int module_scan(const void *bytes, size_t size_bytes, const struct module_scan_options *options,
                char **ret_facts_json, struct text *reason);

/* Compares the imports with the functions that berth offers, in the modules wasi_snapshot_preview1, liop, nmp
 * and berth, with exactly their types. 0, or MODULE_SCAN_REFUSED with a reason that names the first import
 * that is not offered. */
int module_scan_imports(const struct module_facts *facts, struct text *reason);

/* Whether berth offers this import, with this type. */
bool module_scan_offers(const struct module_import *import);

/* A copy without custom sections, but for a section of function names that is not too large. The caller gives
 * it back with module_scan_free(). 0, -EINVAL (not scanned before), -ENOMEM. */
int module_scan_strip(const void *bytes, size_t size_bytes, uint8_t **ret_bytes, size_t *ret_size_bytes);

void module_scan_free(void *returned);

static inline void cleanup_module_scan_pointer(void *pointer)
{
    module_scan_free(*(void **)pointer);
}

#define cleanup_module_scan cleanup(cleanup_module_scan_pointer)

#endif

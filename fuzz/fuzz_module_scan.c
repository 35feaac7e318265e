/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules from hostile bytes: nothing crashes, a refusal is one printable clause, facts can be read and
 * described, and what is left without custom sections is accepted again and says the same of its imports and
 * exports.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <berth/module.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sandbox/module_scan.h"

static const struct module_scan_options options = {.max_size_bytes = 1 << 20, .simd = true};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_clause(const struct text *reason)
{
    must(!reason->failed && reason->length > 0 && reason->length < 2048);
    must(text_is_utf8(reason->data, reason->length));
    for (const char *c = reason->data; *c; c++)
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* False if it was refused. */
static bool find_facts(const uint8_t *bytes, size_t size_bytes, struct module_facts *ret_facts)
{
    cleanup_module_scan char *json = NULL;
    cleanup_text struct text reason = {0};
    int r = module_scan(bytes, size_bytes, &options, &json, &reason);
    must(r == 0 || r == MODULE_SCAN_REFUSED);
    must((r == 0) == (json != NULL));
    if (r != 0)
        check_clause(&reason);
    else
        must(module_facts_parse(json, strlen(json), ret_facts) == 0);
    return r == 0;
}

static void check_imports(const struct module_facts *facts)
{
    cleanup_text struct text reason = {0};
    int r = module_scan_imports(facts, &reason);
    must(r == 0 || r == MODULE_SCAN_REFUSED);
    if (r != 0)
        check_clause(&reason);
    for (size_t i = 0; r == 0 && i < facts->n_imports; i++)
        must(module_scan_offers(&facts->imports[i]));
}

static void check_stripped(const uint8_t *bytes, size_t size_bytes, const struct module_facts *facts)
{
    cleanup_module_scan uint8_t *stripped = NULL;
    cleanup_module_facts struct module_facts left = {0};
    size_t stripped_bytes = 0;
    must(module_scan_strip(bytes, size_bytes, &stripped, &stripped_bytes) == 0);
    must(stripped_bytes <= size_bytes);
    must(find_facts(stripped, stripped_bytes, &left));
    must(left.n_imports == facts->n_imports && left.n_exports == facts->n_exports);
    must(left.memory_min_pages == facts->memory_min_pages && left.uses_simd == facts->uses_simd);
}

static void check_description(const uint8_t *bytes, size_t size_bytes, berth_format format)
{
    bool refused;
    cleanup_free char *text = NULL;
    must(berth_module_inspect(bytes, size_bytes, "input", NULL, format, &refused, &text, NULL) == BERTH_OK);
    must(text_is_utf8(text, strlen(text)));
    for (const char *c = text; *c; c++)
        must((unsigned char)*c >= 0x20 || *c == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_module_facts struct module_facts facts = {0};
    if (find_facts(data, size, &facts)) {
        check_imports(&facts);
        check_stripped(data, size, &facts);
    }
    check_description(data, size, BERTH_FORMAT_TEXT);
    check_description(data, size, BERTH_FORMAT_JSON);
    return 0;
}

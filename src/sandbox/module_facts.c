/* SPDX-License-Identifier: Apache-2.0 */
/* See module_facts.h. The text is ours (the scanner's, or sealed), so anything unexpected in it is simply
 * -EINVAL. */
#include "sandbox/module_facts.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

static const char *const kind_words[] = {
    [MODULE_FUNCTION] = "func",
    [MODULE_MEMORY] = "memory",
    [MODULE_TABLE] = "table",
    [MODULE_GLOBAL] = "global",
};

const char *module_extern_kind_name(enum module_extern_kind kind)
{
    return kind == MODULE_FUNCTION ? "function" : kind_words[kind];
}

static int read_number(const json_t *object, const char *key, uint64_t *ret_number)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -EINVAL;
    *ret_number = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_flag(const json_t *object, const char *key, bool *ret_flag)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_boolean(value))
        return -EINVAL;
    *ret_flag = json_is_true(value);
    return 0;
}

static bool holds_nul(const json_t *string)
{
    return strlen(json_string_value(string)) != json_string_length(string);
}

static int copy_string(const json_t *value, char **ret_string)
{
    if (!json_is_string(value))
        return -EINVAL;
    cleanup_text struct text copy = {0};
    const char *bytes = json_string_value(value);
    for (size_t left = json_string_length(value);;) {
        size_t length = strnlen(bytes, left);
        text_append_bytes(&copy, bytes, length);
        if (length == left)
            break;
        text_append(&copy, "\\x00");
        bytes += length + 1;
        left -= length + 1;
    }
    *ret_string = text_take(&copy);
    return *ret_string ? 0 : -ENOMEM;
}

static int read_string(const json_t *object, const char *key, char **ret_string)
{
    return copy_string(json_object_get(object, key), ret_string);
}

static int read_kind(const json_t *object, enum module_extern_kind *ret_kind)
{
    const char *word = json_string_value(json_object_get(object, "kind"));
    for (size_t i = 0; word && i < sizeof(kind_words) / sizeof(kind_words[0]); i++) {
        if (strcmp(word, kind_words[i]) == 0) {
            *ret_kind = (enum module_extern_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int read_imports(const json_t *list, struct module_facts *facts)
{
    if (!json_is_array(list))
        return -EINVAL;
    facts->imports = calloc(json_array_size(list) + 1, sizeof(*facts->imports));
    if (!facts->imports)
        return -ENOMEM;
    size_t index;
    const json_t *item;
    json_array_foreach(list, index, item)
    {
        struct module_import *import = &facts->imports[facts->n_imports++];
        int r = read_string(item, "module", &import->module);
        if (r == 0)
            r = read_string(item, "name", &import->name);
        if (r == 0)
            r = read_string(item, "type", &import->type);
        if (r == 0)
            r = read_kind(item, &import->kind);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_exports(const json_t *list, struct module_facts *facts)
{
    if (!json_is_array(list))
        return -EINVAL;
    facts->exports = calloc(json_array_size(list) + 1, sizeof(*facts->exports));
    if (!facts->exports)
        return -ENOMEM;
    size_t index;
    const json_t *item;
    json_array_foreach(list, index, item)
    {
        const json_t *name = json_object_get(item, "name");
        if (json_is_string(name) && holds_nul(name))
            continue;
        struct module_export *export = &facts->exports[facts->n_exports++];
        int r = copy_string(name, &export->name);
        if (r == 0)
            r = read_string(item, "type", &export->type);
        if (r == 0)
            r = read_kind(item, &export->kind);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_memory(const json_t *memory, struct module_facts *facts)
{
    if (json_is_null(memory))
        return 0;
    facts->has_memory = true;
    facts->memory_max_pages = UINT64_MAX;
    int r = read_number(memory, "min_pages", &facts->memory_min_pages);
    if (r == 0 && !json_is_null(json_object_get(memory, "max_pages")))
        r = read_number(memory, "max_pages", &facts->memory_max_pages);
    return r;
}

static int read_tables(const json_t *list, struct module_facts *facts)
{
    if (!json_is_array(list))
        return -EINVAL;
    size_t index;
    const json_t *item;
    json_array_foreach(list, index, item)
    {
        uint64_t minimum;
        int r = read_number(item, "min", &minimum);
        if (r < 0)
            return r;
        facts->n_tables++;
        if (__builtin_add_overflow(facts->table_min_elements, minimum, &facts->table_min_elements))
            return -EINVAL;
    }
    return 0;
}

static int read_producers(const json_t *list, struct module_facts *facts)
{
    if (!json_is_array(list))
        return -EINVAL;
    facts->producers = calloc(json_array_size(list) + 1, sizeof(*facts->producers));
    if (!facts->producers)
        return -ENOMEM;
    size_t index;
    const json_t *item;
    json_array_foreach(list, index, item)
    {
        int r = copy_string(item, &facts->producers[index]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_counts(const json_t *root, struct module_facts *facts)
{
    const struct {
        const char *key;
        uint64_t *value;
    } counts[] = {
        {"functions", &facts->n_functions},
        {"globals", &facts->n_globals},
        {"data_bytes", &facts->data_bytes},
        {"custom_bytes", &facts->custom_bytes},
        {"name_section_bytes", &facts->name_section_bytes},
        {"largest_body_bytes", &facts->largest_body_bytes},
    };
    int r = read_flag(root, "start", &facts->has_start_function);
    if (r == 0)
        r = read_flag(root, "uses_simd", &facts->uses_simd);
    for (size_t i = 0; r == 0 && i < sizeof(counts) / sizeof(counts[0]); i++)
        r = read_number(root, counts[i].key, counts[i].value);
    return r;
}

int module_facts_parse(const char *json, size_t length, struct module_facts *ret_facts)
{
    cleanup_module_facts struct module_facts facts = {0};
    cleanup_json json_t *root = json_loadb(json, length, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(root))
        return -EINVAL;
    int r = read_imports(json_object_get(root, "imports"), &facts);
    if (r == 0)
        r = read_exports(json_object_get(root, "exports"), &facts);
    if (r == 0)
        r = read_memory(json_object_get(root, "memory"), &facts);
    if (r == 0)
        r = read_tables(json_object_get(root, "tables"), &facts);
    if (r == 0)
        r = read_producers(json_object_get(root, "producers"), &facts);
    if (r == 0)
        r = read_counts(root, &facts);
    if (r < 0)
        return r;
    *ret_facts = facts;
    facts = (struct module_facts){0};
    return 0;
}

void module_facts_done(struct module_facts *facts)
{
    for (size_t i = 0; i < facts->n_imports; i++) {
        free(facts->imports[i].module);
        free(facts->imports[i].name);
        free(facts->imports[i].type);
    }
    for (size_t i = 0; i < facts->n_exports; i++) {
        free(facts->exports[i].name);
        free(facts->exports[i].type);
    }
    for (size_t i = 0; facts->producers && facts->producers[i]; i++)
        free(facts->producers[i]);
    free(facts->imports);
    free(facts->exports);
    free(facts->producers);
    *facts = (struct module_facts){0};
}

const struct module_export *module_facts_export(const struct module_facts *facts, const char *name,
                                                enum module_extern_kind kind)
{
    for (size_t i = 0; i < facts->n_exports; i++)
        if (facts->exports[i].kind == kind && strcmp(facts->exports[i].name, name) == 0)
            return &facts->exports[i];
    return NULL;
}

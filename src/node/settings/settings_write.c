/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as a file that gives the same settings again: one tree of values, written as JSON or as TOML. */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/toml.h"
#include "node/settings/settings_contract.h"
#include "node/settings/settings_rows.h"
#include "node/settings/settings_tables.h"

static int write_scalars(const struct settings *settings, json_t *document)
{
    int r = 0;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        if (!json_object_get(document, row->group))
            r |= json_object_set_new(document, row->group, json_object());
        r |= json_object_set_new(json_object_get(document, row->group), row->name,
                                 setting_row_write(row, settings));
    }
    return r;
}

static json_t *write_entry(const struct settings_table *table, const void *entry)
{
    json_t *object = json_object();
    int r = 0;
    for (size_t i = 0; i < table->n_fields; i++)
        r |= json_object_set_new(object, table->fields[i].name,
                                 settings_field_write(&table->fields[i], entry));
    if (r == 0)
        return object;
    json_decref(object);
    return NULL;
}

static int write_table(const struct settings_table *table, const struct settings *settings, json_t *document)
{
    json_t *list = json_array();
    int r = json_object_set_new(document, table->name, list);
    for (size_t i = 0; i < settings_table_length(table, settings) && r == 0; i++)
        r = json_array_append_new(list, write_entry(table, settings_table_entry(table, settings, i)));
    return r;
}

static int write_document(const struct settings *settings, json_t **ret, json_t **ret_contract_origins)
{
    cleanup_json json_t *document = json_object();
    json_t *contract = NULL;
    int r = settings_contract_write(settings->contract, &contract, ret_contract_origins);
    r |= json_object_set_new(document, "contract", contract);
    r |= write_scalars(settings, document);
    for (size_t i = 0; i < SETTINGS_TABLES; i++)
        r |= write_table(&settings_tables[i], settings, document);
    if (r)
        return -ENOMEM;
    *ret = take_ptr(document);
    return 0;
}

/* ---- TOML -------------------------------------------------------------------------------------- */

static void append_value(struct text *text, const json_t *value)
{
    size_t i;
    json_t *item;
    if (json_is_string(value)) {
        toml_append_string(text, json_string_value(value));
    } else if (json_is_array(value)) {
        text_append(text, "[");
        json_array_foreach(value, i, item)
        {
            text_append(text, i ? ", " : "");
            append_value(text, item);
        }
        text_append(text, "]");
    } else {
        cleanup_free char *written = json_write(value, 0);
        text->failed |= !written;
        text_append(text, written ? written : "");
    }
}

static void append_line(struct text *text, const char *name, const json_t *value, const char *origin)
{
    text_append_format(text, "%s = ", name);
    append_value(text, value);
    if (origin)
        text_append_format(text, " # %s", origin);
    text_append(text, "\n");
}

static void append_scalars(const struct settings *settings, const json_t *document, struct text *text)
{
    const char *group = "";
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct setting_row *row = &setting_rows[i];
        const char *origin = settings->origins[i];
        if (strcmp(group, row->group) != 0)
            text_append_format(text, "%s[%s]\n", i ? "\n" : "", row->group);
        group = row->group;
        append_line(text, row->name, json_object_get(json_object_get(document, group), row->name),
                    origin ? origin : "default");
    }
}

/* A table and the tables in it; origins: the same shape, or NULL. `prefix` names the table. */
static void append_contract(struct text *text, const char *prefix, json_t *contract, const json_t *origins)
{
    const char *name;
    json_t *value;
    json_object_foreach(contract, name, value)
    {
        if (!json_is_object(value))
            append_line(text, name, value, json_text(json_object_get(origins, name)));
    }
    json_object_foreach(contract, name, value)
    {
        cleanup_text struct text path = {0};
        if (!json_is_object(value))
            continue;
        text_append_format(&path, "%s.%s", prefix, name);
        text_append_format(text, "\n[%s]\n", path.data ? path.data : "");
        append_contract(text, path.data ? path.data : "", value, json_object_get(origins, name));
        text->failed |= path.failed;
    }
}

static bool is_default(const struct settings_field *field, const json_t *value)
{
    cleanup_free char *written = json_dumps(value, JSON_ENCODE_ANY);
    return field->default_text && written && strcmp(written, field->default_text) == 0;
}

static void append_entry(const struct settings_table *table, json_t *entry, const char *origin,
                         struct text *text)
{
    text_append_format(text, "\n[[%s]] # %s\n", table->name, origin);
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct settings_field *field = &table->fields[i];
        json_t *value = json_object_get(entry, field->name);
        if (field->kind != FIELD_CONTRACT && !is_default(field, value))
            append_line(text, field->name, value, NULL);
    }
    json_t *contract = json_object_get(entry, "contract");
    if (json_object_size(contract) == 0)
        return;
    text_append_format(text, "\n[%s.contract]\n", table->name);
    append_contract(text, "principal.contract", contract, NULL);
}

static void append_tables(const struct settings *settings, const json_t *document, struct text *text)
{
    for (size_t i = 0; i < SETTINGS_TABLES; i++) {
        const struct settings_table *table = &settings_tables[i];
        for (size_t j = 0; j < settings_table_length(table, settings); j++) {
            const void *entry = settings_table_entry(table, settings, j);
            char *const *origin = settings_const_member(entry, table->offset_origin);
            append_entry(table, json_array_get(json_object_get(document, table->name), j), *origin, text);
        }
    }
}

berth_status settings_write(const struct settings *settings, berth_format format, char **ret,
                            berth_error **reterr)
{
    cleanup_json json_t *document = NULL;
    cleanup_json json_t *origins = NULL;
    cleanup_text struct text text = {0};
    int r = write_document(settings, &document, &origins);
    if (r == 0 && format == BERTH_FORMAT_JSON) {
        cleanup_free char *json = json_write(document, 0);
        text.failed |= !json;
        text_append(&text, json ? json : "");
        text_append(&text, "\n");
    } else if (r == 0) {
        append_scalars(settings, document, &text);
        text_append(&text, "\n[contract]\n");
        append_contract(&text, "contract", json_object_get(document, "contract"), origins);
        append_tables(settings, document, &text);
    }
    size_t length = text.length;
    cleanup_free char *written = r < 0 ? NULL : text_take(&text);
    if (!written)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory to write the settings");
    if (length > JSON_TEXT_MAX_BYTES)
        return error_set(reterr, BERTH_INVALID, "the settings are longer than 1 MiB");
    *ret = take_ptr(written);
    return BERTH_OK;
}

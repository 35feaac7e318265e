/* SPDX-License-Identifier: Apache-2.0 */
/* From berth.toml, or its JSON form, to settings: one tree of values, read by the rows. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/toml.h"
#include "node/settings/settings_contract.h"
#include "node/settings/settings_rows.h"
#include "node/settings/settings_tables.h"

enum { SOURCE_MAX_BYTES = 200, NAME_SHOWN_MAX_BYTES = 60 };

struct reader {
    struct settings *settings;
    const char *source;    /* escaped and short */
    const char *directory; /* what paths are relative to */
    struct text *problem;
};

static void append_quoted(struct text *text, const char *name)
{
    text_append(text, "\"");
    text_append_escaped(text, name, strlen(name), NAME_SHOWN_MAX_BYTES);
    text_append(text, "\"");
}

static int refuse_unknown(struct text *problem, const char *section, const char *name, const char *nearest)
{
    text_append(problem, "unknown key ");
    append_quoted(problem, name);
    if (*section)
        text_append_format(problem, " in %s", section);
    if (nearest)
        text_append_format(problem, "; did you mean \"%s\"?", nearest);
    return SETTINGS_INVALID;
}

static int refuse_shape(struct text *problem, const char *name, const json_t *found, const char *requirement)
{
    text_append_format(problem, "%s is ", name);
    settings_append_found(problem, found);
    text_append_format(problem, "; it must be %s", requirement);
    return SETTINGS_INVALID;
}

/* ---- Scalars ----------------------------------------------------------------------------------- */

static int read_scalar(const struct reader *reader, const struct setting_row *row, const json_t *written)
{
    int r = setting_row_read(row, written, reader->directory, reader->settings);
    if (r == SETTINGS_INVALID) {
        text_append_format(reader->problem, "%s is ", row->key);
        settings_append_found(reader->problem, written);
        text_append(reader->problem, "; it must be ");
        setting_row_append_requirement(row, reader->problem);
    }
    if (r)
        return r;
    char **origin = &reader->settings->origins[row - setting_rows];
    free(*origin);
    *origin = strdup(reader->source);
    return *origin ? 0 : -ENOMEM;
}

/* The nearest name in the group, or else the nearest key anywhere: somebody may have put it in the wrong
 * group. */
static int refuse_unknown_scalar(const struct reader *reader, const char *group, const char *name,
                                 const char *key)
{
    const char *names[SETTINGS_ROWS + 1];
    size_t n = 0;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        if (strcmp(setting_rows[i].group, group) == 0)
            names[n++] = setting_rows[i].name;
        else if (strcmp(setting_rows[i].name, name) == 0)
            return refuse_unknown(reader->problem, group, name, setting_rows[i].key);
    }
    names[n] = NULL;
    const char *nearest = text_nearest(name, names);
    return refuse_unknown(reader->problem, group, name, nearest ? nearest : setting_row_nearest(key));
}

static int read_group(const struct reader *reader, const char *group, json_t *table)
{
    const char *name;
    json_t *written;
    if (!json_is_object(table))
        return refuse_shape(reader->problem, group, table, "a table");
    json_object_foreach(table, name, written)
    {
        cleanup_text struct text key = {0};
        text_append_format(&key, "%s.%s", group, name);
        if (key.failed)
            return -ENOMEM;
        const struct setting_row *row = setting_row_find(key.data);
        int r =
            row ? read_scalar(reader, row, written) : refuse_unknown_scalar(reader, group, name, key.data);
        if (r)
            return r;
    }
    return 0;
}

static bool is_group(const char *name)
{
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        if (strcmp(setting_rows[i].group, name) == 0)
            return true;
    return false;
}

/* ---- Tables ------------------------------------------------------------------------------------ */

/* What an entry is called in messages: its name, or its number from 1. */
static void append_entry(struct text *text, const struct settings_table *table, size_t number,
                         const json_t *written)
{
    const char *name = json_text(json_object_get(written, "name"));
    text_append_format(text, "%s ", table->name);
    if (name)
        append_quoted(text, name);
    else
        text_append_format(text, "number %zu", number);
}

static int read_field(const struct reader *reader, const struct settings_table *table, size_t number,
                      json_t *written, const char *name, void *entry)
{
    cleanup_text struct text detail = {0};
    const struct settings_field *field = settings_field_find(table, name);
    int r =
        field ? settings_field_read(field, json_object_get(written, name), reader->directory, entry, &detail)
              : refuse_unknown(&detail, table->name, name, settings_field_nearest(table, name));
    if (r != SETTINGS_INVALID)
        return r;
    append_entry(reader->problem, table, number, written);
    text_append_format(reader->problem, ": %s", detail.data ? detail.data : "");
    return detail.failed ? -ENOMEM : SETTINGS_INVALID;
}

static int check_required(const struct reader *reader, const struct settings_table *table, size_t number,
                          const json_t *written)
{
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct settings_field *field = &table->fields[i];
        if (field->default_text || json_object_get(written, field->name))
            continue;
        append_entry(reader->problem, table, number, written);
        text_append_format(reader->problem, ": %s must be given, ", field->name);
        settings_field_append_requirement(field, reader->problem);
        return SETTINGS_INVALID;
    }
    return 0;
}

static int read_entry(const struct reader *reader, const struct settings_table *table, size_t number,
                      json_t *written)
{
    void *entry, *next;
    if (!json_is_object(written)) {
        text_append_format(reader->problem, "%s number %zu ", table->name, number);
        return refuse_shape(reader->problem, "", written, "a table");
    }
    int r = check_required(reader, table, number, written);
    if (r == 0)
        r = settings_table_add(table, reader->settings, reader->source, &entry);
    if (r == SETTINGS_INVALID && !reader->problem->length)
        text_append_format(reader->problem, "there are more than %zu tables [[%s]]", table->maximum,
                           table->name);
    if (r)
        return r;
    void *keys = json_object_iter(written);
    for (; keys && r == 0; keys = next) {
        next = json_object_iter_next(written, keys);
        r = read_field(reader, table, number, written, json_object_iter_key(keys), entry);
    }
    return r;
}

/* A mount is seen under its name unless a guest path is given. */
static int complete_mount(struct settings_mount *mount)
{
    if (!mount->guest && asprintf(&mount->guest, "/%s", mount->name) < 0) {
        mount->guest = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int read_table(const struct reader *reader, const struct settings_table *table, json_t *list)
{
    size_t i;
    json_t *written;
    if (!json_is_array(list)) {
        cleanup_text struct text requirement = {0};
        text_append_format(&requirement, "a list of tables, [[%s]]", table->name);
        return requirement.failed ? -ENOMEM
                                  : refuse_shape(reader->problem, table->name, list, requirement.data);
    }
    json_array_foreach(list, i, written)
    {
        int r = read_entry(reader, table, i + 1, written);
        if (r == 0 && table == &settings_tables[TABLE_MOUNT])
            r = complete_mount(&reader->settings->mounts[reader->settings->n_mounts - 1]);
        if (r)
            return r;
    }
    return 0;
}

/* ---- The document ------------------------------------------------------------------------------ */

static const char *nearest_at_top(const char *name)
{
    const char *names[SETTINGS_ROWS + SETTINGS_TABLES + 2];
    size_t n = 0;
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        names[n++] = setting_rows[i].group;
    for (size_t i = 0; i < SETTINGS_TABLES; i++)
        names[n++] = settings_tables[i].name;
    names[n++] = "contract";
    names[n] = NULL;
    const char *nearest = text_nearest(name, names);
    for (size_t i = 0; i < SETTINGS_ROWS && !nearest; i++)
        if (strcmp(setting_rows[i].name, name) == 0)
            nearest = setting_rows[i].key;
    return nearest;
}

static int read_member(const struct reader *reader, const char *name, json_t *written)
{
    if (strcmp(name, "contract") == 0)
        return json_is_object(written) ? 0 : refuse_shape(reader->problem, name, written, "a table");
    if (is_group(name))
        return read_group(reader, name, written);
    for (size_t i = 0; i < SETTINGS_TABLES; i++)
        if (strcmp(settings_tables[i].name, name) == 0)
            return read_table(reader, &settings_tables[i], written);
    return refuse_unknown(reader->problem, "", name, nearest_at_top(name));
}

static int read_document(const struct reader *reader, json_t *document)
{
    const char *name;
    json_t *written;
    json_object_foreach(document, name, written)
    {
        int r = read_member(reader, name, written);
        if (r)
            return r;
    }
    return 0;
}

static bool looks_like_json(const char *text, size_t length_bytes)
{
    for (size_t i = 0; i < length_bytes; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            return text[i] == '{';
    return false;
}

/* The directory of the file, absolute. NULL if memory is short. */
static char *directory_of(const char *source)
{
    cleanup_free char *working = getcwd(NULL, 0);
    const char *slash = strrchr(source, '/');
    if (!working || !slash)
        return take_ptr(working);
    cleanup_free char *directory = strndup(source, slash == source ? 1 : (size_t)(slash - source));
    return directory ? settings_path_resolve(directory, working) : NULL;
}

static int parse(const char *text, size_t length_bytes, json_t **ret, struct text *problem)
{
    cleanup_free char *message = NULL;
    int r = looks_like_json(text, length_bytes) ? json_read(text, length_bytes, ret, &message)
                                                : toml_read(text, length_bytes, ret, &message);
    if (r != -EINVAL)
        return r;
    text_append(problem, message);
    return SETTINGS_INVALID;
}

berth_status settings_read(struct settings *settings, const char *text, size_t length_bytes,
                           const char *source, berth_error **reterr)
{
    cleanup_json json_t *document = NULL;
    cleanup_text struct text problem = {0}, shown = {0};
    cleanup_free char *directory = directory_of(source);
    text_append_escaped(&shown, source, strlen(source), SOURCE_MAX_BYTES);
    if (!directory || shown.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for the settings");
    const struct reader reader = {settings, shown.data ? shown.data : "", directory, &problem};
    int r = parse(text, length_bytes, &document, &problem);
    if (r == 0)
        r = read_document(&reader, document);
    if (r < 0 || problem.failed)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for the settings");
    if (r == SETTINGS_INVALID)
        return error_set(reterr, BERTH_INVALID, "%s: %s", reader.source, problem.data);
    json_t *contract = json_object_get(document, "contract");
    berth_status status =
        contract ? settings_contract_read(settings, contract, reader.source, reterr) : BERTH_OK;
    return status == BERTH_OK ? settings_contracts_update(settings, reterr) : status;
}

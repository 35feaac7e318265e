/* SPDX-License-Identifier: Apache-2.0 */
/* See settings_tables.h. */
#include "node/settings/settings_tables.h"

#include <string.h>

#include "base/json.h"

enum { FOUND_MAX_BYTES = 60 };

#define COUNT_OF_ADDRESS(table, member)  0
#define COUNT_OF_NAME(table, member)     0
#define COUNT_OF_TEXT(table, member)     0
#define COUNT_OF_PATH(table, member)     0
#define COUNT_OF_FLAG(table, member)     0
#define COUNT_OF_MODE(table, member)     0
#define COUNT_OF_MIB(table, member)      0
#define COUNT_OF_COUNT(table, member)    0
#define COUNT_OF_CONTRACT(table, member) 0
#define COUNT_OF_NAMES(table, member)    offsetof(struct settings_##table, n_##member)
#define COUNT_OF_TEXTS                   COUNT_OF_NAMES
#define COUNT_OF_TOKEN                   COUNT_OF_NAMES
#define COUNT_OF_CERTIFICATE             COUNT_OF_NAMES
#define COUNT_OF_ED25519                 COUNT_OF_NAMES
#define COUNT_OF_SUBJECT                 COUNT_OF_NAMES

#define FIELD(table_, name_, kind_, member_, default_, doc_) \
    {.name = #name_,                                         \
     .doc = doc_,                                            \
     .default_text = default_,                               \
     .offset = offsetof(struct settings_##table_, member_),  \
     .offset_n = COUNT_OF_##kind_(table_, member_),          \
     .kind = FIELD_##kind_},

/* All rows in the order of the file, those of a table together. */
static const struct settings_field fields[] = {
#include "node/settings/settings_tables.def"
};

enum {
#undef FIELD
#define FIELD(table_, name_, ...) ROW_##table_##_##name_,
#include "node/settings/settings_tables.def"
    ROWS
};

#define TABLE(table_, plural_, first_, end_, maximum_)   \
    {.name = #table_,                                    \
     .fields = fields + (first_),                        \
     .n_fields = (end_) - (first_),                      \
     .entry_bytes = sizeof(struct settings_##table_),    \
     .maximum = maximum_,                                \
     .offset = offsetof(struct settings, plural_),       \
     .offset_n = offsetof(struct settings, n_##plural_), \
     .offset_origin = offsetof(struct settings_##table_, origin)}

const struct settings_table settings_tables[SETTINGS_TABLES] = {
    [TABLE_LISTENER] =
        TABLE(listener, listeners, ROW_listener_address, ROW_mount_name, SETTINGS_LISTENERS_MAX),
    [TABLE_MOUNT] = TABLE(mount, mounts, ROW_mount_name, ROW_capability_name, SETTINGS_MOUNTS_MAX),
    [TABLE_CAPABILITY] =
        TABLE(capability, capabilities, ROW_capability_name, ROW_principal_name, SETTINGS_CAPABILITIES_MAX),
    [TABLE_PRINCIPAL] = TABLE(principal, principals, ROW_principal_name, ROWS, SETTINGS_PRINCIPALS_MAX),
};

/* ---- Entries ----------------------------------------------------------------------------------- */

size_t settings_table_length(const struct settings_table *table, const struct settings *settings)
{
    const size_t *n = settings_const_member(settings, table->offset_n);
    return *n;
}

const void *settings_table_entry(const struct settings_table *table, const struct settings *settings,
                                 size_t i)
{
    const char *const *entries = settings_const_member(settings, table->offset);
    return *entries + i * table->entry_bytes;
}

int settings_table_add(const struct settings_table *table, struct settings *settings, const char *origin,
                       void **ret)
{
    char **entries = settings_member(settings, table->offset);
    size_t *n = settings_member(settings, table->offset_n);
    if (*n >= table->maximum)
        return SETTINGS_INVALID;
    char *grown = reallocarray(*entries, *n + 1, table->entry_bytes);
    if (!grown)
        return -ENOMEM;
    *entries = grown;
    char *entry = grown + *n * table->entry_bytes;
    memset(entry, 0, table->entry_bytes);
    char *copy = strdup(origin);
    if (!copy)
        return -ENOMEM;
    memcpy(entry + table->offset_origin, &copy, sizeof(copy));
    (*n)++;
    *ret = entry;
    return 0;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static void free_credentials(struct settings_principal *principal)
{
    for (size_t i = 0; i < principal->n_credentials; i++)
        free(principal->credentials[i].value);
    free(principal->credentials);
}

static void field_done(const struct settings_field *field, void *entry)
{
    void *value = settings_member(entry, field->offset);
    const size_t *n = settings_member(entry, field->offset_n);
    switch (field->kind) {
    case FIELD_ADDRESS:
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_PATH:
        free(*(char **)value);
        break;
    case FIELD_NAMES:
    case FIELD_TEXTS:
        free_list(*(char ***)value, *n);
        break;
    case FIELD_CONTRACT:
        json_decref(*(json_t **)value);
        break;
    default: /* plain, or credentials, which several fields share */
        break;
    }
}

void settings_table_done(const struct settings_table *table, struct settings *settings)
{
    char **entries = settings_member(settings, table->offset);
    size_t n = settings_table_length(table, settings);
    for (size_t i = 0; i < n; i++) {
        char *entry = *entries + i * table->entry_bytes;
        char **origin = settings_member(entry, table->offset_origin);
        for (size_t j = 0; j < table->n_fields; j++)
            field_done(&table->fields[j], entry);
        free(*origin);
    }
    for (size_t i = 0; i < n && table == &settings_tables[TABLE_PRINCIPAL]; i++) {
        free_credentials(&settings->principals[i]);
        berth_contract_unref(settings->principals[i].contract);
    }
    free(*entries);
}

const struct settings_field *settings_field_find(const struct settings_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_fields; i++)
        if (strcmp(table->fields[i].name, name) == 0)
            return &table->fields[i];
    return NULL;
}

const char *settings_field_nearest(const struct settings_table *table, const char *name)
{
    const char *names[ROWS + 1] = {NULL};
    for (size_t i = 0; i < table->n_fields; i++)
        names[i] = table->fields[i].name;
    return text_nearest(name, names);
}

/* ---- Values ------------------------------------------------------------------------------------ */

bool settings_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
    size_t length = strlen(name);
    return length > 0 && length <= SETTINGS_NAME_MAX_BYTES && strspn(name, good) == length;
}

void settings_append_found(struct text *text, const json_t *found)
{
    if (json_is_string(found)) {
        text_append(text, "\"");
        text_append_escaped(text, json_string_value(found), json_string_length(found), FOUND_MAX_BYTES);
        text_append(text, "\"");
    } else if (json_is_object(found)) {
        text_append(text, "a table");
    } else if (json_is_array(found)) {
        text_append(text, "a list");
    } else {
        cleanup_free char *written = json_write(found, 0);
        if (written)
            text_append(text, written);
        else
            text->failed = true;
    }
}

void settings_field_append_item_requirement(enum settings_field_kind kind, struct text *text)
{
    switch (kind) {
    case FIELD_NAMES:
        text_append_format(text, "a name of at most %d letters, digits and . _ : -", SETTINGS_NAME_MAX_BYTES);
        break;
    case FIELD_TOKEN:
    case FIELD_CERTIFICATE:
        text_append(text, "64 hex digits, a SHA-256");
        break;
    case FIELD_ED25519:
        text_append(text, "64 hex digits or a peer id, \"12D3KooW…\"");
        break;
    default:
        text_append(text, "text in quotes");
        break;
    }
}

void settings_field_append_requirement(const struct settings_field *field, struct text *text)
{
    switch (field->kind) {
    case FIELD_ADDRESS:
        text_append(text, "an address and a port, \"127.0.0.1:50051\"");
        break;
    case FIELD_NAME:
        settings_field_append_item_requirement(FIELD_NAMES, text);
        break;
    case FIELD_TEXT:
        text_append(text, "text in quotes");
        break;
    case FIELD_PATH:
        text_append(text, "a path in quotes");
        break;
    case FIELD_FLAG:
        text_append(text, "true or false");
        break;
    case FIELD_MODE:
        text_append(text, "\"read\" or \"write\"");
        break;
    case FIELD_MIB:
        text_append(text, "a number from 0 to 16777216 (MiB)");
        break;
    case FIELD_COUNT:
        text_append_format(text, "a whole number from 0 to %d", SETTINGS_COUNT_MAX);
        break;
    case FIELD_CONTRACT:
        text_append(text, "a table with limits and grants");
        break;
    default:
        text_append_format(text, "a list of at most %d, each ", SETTINGS_LIST_MAX);
        settings_field_append_item_requirement(field->kind, text);
        break;
    }
}

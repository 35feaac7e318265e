/* SPDX-License-Identifier: Apache-2.0 */
/* See settings_rows.h. */
#include "node/settings/settings_rows.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"

static const char *const sync_words[] = {"normal", "full", NULL};

#define ROW(group_, name_, unit_, doc_, kind_, ...)                                        \
    [SETTING_##group_##_##name_] = {.key = #group_ "." #name_,                             \
                                    .group = #group_,                                      \
                                    .name = #name_,                                        \
                                    .unit = unit_,                                         \
                                    .doc = doc_,                                           \
                                    .kind = SETTING_KIND_##kind_,                          \
                                    .offset = offsetof(struct settings, group_##_##name_), \
                                    __VA_ARGS__},
#define SETTING_BOOL(group, name, unit, default_, doc) \
    ROW(group, name, unit, doc, BOOL, .default_number = default_)
#define SETTING_NUMBER(group, name, unit, default_, minimum_, maximum_, doc) \
    ROW(group, name, unit, doc, NUMBER, .default_number = default_, .minimum = minimum_, .maximum = maximum_)
#define SETTING_TEXT(group, name, unit, default_, doc) \
    ROW(group, name, unit, doc, TEXT, .default_text = default_)
#define SETTING_PATH(group, name, unit, default_, doc) \
    ROW(group, name, unit, doc, PATH, .default_text = default_)
#define SETTING_CHOICE(group, name, unit, default_, words_, doc) \
    ROW(group, name, unit, doc, CHOICE, .default_text = default_, .words = words_)

const struct setting_row setting_rows[SETTINGS_ROWS] = {
#include "node/settings/settings.def"
};

static const char *const *keys_of_rows(void)
{
    static const char *const keys[] = {
#undef ROW
#define ROW(group_, name_, ...) #group_ "." #name_,
#include "node/settings/settings.def"
        NULL};
    return keys;
}

const struct setting_row *setting_row_find(const char *key)
{
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        if (strcmp(setting_rows[i].key, key) == 0)
            return &setting_rows[i];
    return NULL;
}

const char *setting_row_nearest(const char *key)
{
    return text_nearest(key, keys_of_rows());
}

char *settings_path_resolve(const char *path, const char *directory)
{
    char *resolved;
    if (*path == '/' || strncmp(path, "https://", 8) == 0 || strncmp(path, "http://", 7) == 0)
        return strdup(path);
    while (strncmp(path, "./", 2) == 0)
        path += 2 + strspn(path + 2, "/");
    if (strcmp(path, ".") == 0 || *path == '\0')
        return strdup(directory);
    const char *separator = strcmp(directory, "/") == 0 ? "" : "/";
    return asprintf(&resolved, "%s%s%s", directory, separator, path) < 0 ? NULL : resolved;
}

static void *member(const struct setting_row *row, struct settings *settings)
{
    return (char *)settings + row->offset;
}

static const void *const_member(const struct setting_row *row, const struct settings *settings)
{
    return (const char *)settings + row->offset;
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words)
        if (strcmp(*words++, word) == 0)
            return true;
    return false;
}

static int set_text(char **text, const char *value)
{
    char *copy = value && *value ? strdup(value) : NULL;
    if (value && *value && !copy)
        return -ENOMEM;
    free(*text);
    *text = copy;
    return 0;
}

static int read_path(char **text, const char *value, const char *directory)
{
    cleanup_free char *resolved = *value ? settings_path_resolve(value, directory) : NULL;
    if (*value && !resolved)
        return -ENOMEM;
    return set_text(text, resolved);
}

int setting_row_read(const struct setting_row *row, const json_t *written, const char *directory,
                     struct settings *settings)
{
    void *value = member(row, settings);
    const char *text = json_text(written);
    switch (row->kind) {
    case SETTING_KIND_BOOL:
        if (!json_is_boolean(written))
            return 1;
        *(bool *)value = json_is_true(written);
        return 0;
    case SETTING_KIND_NUMBER:
        if (!json_is_integer(written) || json_integer_value(written) < (json_int_t)row->minimum ||
            json_integer_value(written) > (json_int_t)row->maximum)
            return 1;
        *(uint64_t *)value = (uint64_t)json_integer_value(written);
        return 0;
    case SETTING_KIND_TEXT:
        return text ? set_text(value, text) : 1;
    case SETTING_KIND_PATH:
        return text ? read_path(value, text, directory) : 1;
    case SETTING_KIND_CHOICE:
        return text && is_one_of(text, row->words) ? set_text(value, text) : 1;
    }
    return 1;
}

json_t *setting_row_write(const struct setting_row *row, const struct settings *settings)
{
    const void *value = const_member(row, settings);
    if (row->kind == SETTING_KIND_BOOL)
        return json_boolean(*(const bool *)value);
    if (row->kind == SETTING_KIND_NUMBER)
        return json_integer((json_int_t) * (const uint64_t *)value);
    const char *text = *(char *const *)value;
    return json_string(text ? text : "");
}

int setting_row_reset(const struct setting_row *row, struct settings *settings)
{
    void *value = member(row, settings);
    if (row->kind == SETTING_KIND_BOOL)
        *(bool *)value = row->default_number != 0;
    else if (row->kind == SETTING_KIND_NUMBER)
        *(uint64_t *)value = row->default_number;
    else
        return set_text(value, row->default_text);
    return 0;
}

static void append_words(const char *const *words, struct text *text)
{
    for (size_t i = 0; words[i]; i++)
        text_append_format(text, "%s\"%s\"", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
}

void setting_row_append_requirement(const struct setting_row *row, struct text *text)
{
    switch (row->kind) {
    case SETTING_KIND_BOOL:
        text_append(text, "true or false");
        break;
    case SETTING_KIND_NUMBER:
        text_append_format(text, "a whole number from %" PRIu64 " to %" PRIu64, row->minimum, row->maximum);
        if (*row->unit)
            text_append_format(text, " (%s)", row->unit);
        break;
    case SETTING_KIND_TEXT:
        text_append(text, "text in quotes");
        break;
    case SETTING_KIND_PATH:
        text_append(text, "a path in quotes");
        break;
    case SETTING_KIND_CHOICE:
        append_words(row->words, text);
        break;
    }
}

void setting_row_append_default(const struct setting_row *row, struct text *text)
{
    if (row->kind == SETTING_KIND_BOOL)
        text_append(text, row->default_number ? "true" : "false");
    else if (row->kind == SETTING_KIND_NUMBER)
        text_append_format(text, "%" PRIu64, row->default_number);
    else
        text_append_format(text, "\"%s\"", row->default_text ? row->default_text : "");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scalar settings as data: one row of settings.def each, and what can be done with any of them. A text is
 * held as char *, NULL if it is empty.
 */
#ifndef BERTH_NODE_SETTINGS_ROWS_H
#define BERTH_NODE_SETTINGS_ROWS_H

#include <jansson.h>

#include "base/text.h"
#include "node/settings/settings.h"

enum setting_kind {
    SETTING_KIND_BOOL,
    SETTING_KIND_NUMBER,
    SETTING_KIND_TEXT,
    SETTING_KIND_PATH,
    SETTING_KIND_CHOICE
};

struct setting_row {
    const char *key;   /* "limits.max_runs" */
    const char *group; /* "limits" */
    const char *name;  /* "max_runs" */
    const char *unit;  /* "MiB" or "" */
    const char *doc;
    const char *default_text;  /* texts, paths and choices; NULL: empty */
    uint64_t default_number;   /* numbers; of a bool 0 or 1 */
    uint64_t minimum, maximum; /* numbers only */
    const char *const *words;  /* choices only; ends with NULL */
    size_t offset;             /* of the member in struct settings */
    enum setting_kind kind;
};

/* The index of a row: SETTING_limits_max_runs. */
enum setting_id {
#define SETTING_BOOL(group, name, ...)   SETTING_##group##_##name,
#define SETTING_NUMBER(group, name, ...) SETTING_##group##_##name,
#define SETTING_TEXT(group, name, ...)   SETTING_##group##_##name,
#define SETTING_PATH(group, name, ...)   SETTING_##group##_##name,
#define SETTING_CHOICE(group, name, ...) SETTING_##group##_##name,
#include "node/settings/settings.def"
#undef SETTING_BOOL
#undef SETTING_NUMBER
#undef SETTING_TEXT
#undef SETTING_PATH
#undef SETTING_CHOICE
    SETTINGS_ROWS
};

extern const struct setting_row setting_rows[SETTINGS_ROWS];

/* NULL if there is none. */
const struct setting_row *setting_row_find(const char *key);
/* NULL: the key that was probably meant is none of these. */
const char *setting_row_nearest(const char *key);

/* Sets a value as a file gives it. `directory` is what a relative path is relative to. 0; -ENOMEM; 1: not
 * what setting_row_append_requirement() says. */
int setting_row_read(const struct setting_row *row, const json_t *written, const char *directory,
                     struct settings *settings);
/* The value as in a file. NULL if memory is short. */
json_t *setting_row_write(const struct setting_row *row, const struct settings *settings);
/* Back to the default. 0 or -ENOMEM. */
int setting_row_reset(const struct setting_row *row, struct settings *settings);

/* What a file may say: "a whole number from 1 to 15000". */
void setting_row_append_requirement(const struct setting_row *row, struct text *text);
/* The default as in a file: `60`, `"normal"`. */
void setting_row_append_default(const struct setting_row *row, struct text *text);

/* An absolute path without resolving anything; URLs stay as they are. NULL if memory is short. */
char *settings_path_resolve(const char *path, const char *directory);

#endif

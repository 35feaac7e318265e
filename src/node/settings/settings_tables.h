/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a configuration as data: one row of settings_tables.def for each key. Reading, writing and
 * freeing an entry go through these rows. An entry that is all zero is the default one.
 */
#ifndef BERTH_NODE_SETTINGS_TABLES_H
#define BERTH_NODE_SETTINGS_TABLES_H

#include <jansson.h>

#include "base/text.h"
#include "node/settings/settings.h"

enum {
    SETTINGS_LISTENERS_MAX = 16,
    SETTINGS_MOUNTS_MAX = 256,
    SETTINGS_CAPABILITIES_MAX = 256,
    SETTINGS_PRINCIPALS_MAX = 1024,
    SETTINGS_LIST_MAX = 256, /* names, patterns or credentials in one entry */
    SETTINGS_NAME_MAX_BYTES = SETTINGS_NAME_CHARACTERS - 1,
    SETTINGS_TEXT_MAX_BYTES = 4095,
    SETTINGS_COUNT_MAX = 10000000,
    SETTINGS_INVALID = 1, /* outcome: the problem is written down */
};

enum settings_field_kind {
    FIELD_ADDRESS,  /* the whole listener */
    FIELD_NAME,     /* char *, letters, digits and "._:-" */
    FIELD_TEXT,     /* char * */
    FIELD_PATH,     /* char *, absolute */
    FIELD_FLAG,     /* bool */
    FIELD_MODE,     /* bool: writable */
    FIELD_MIB,      /* uint64_t bytes */
    FIELD_COUNT,    /* uint32_t */
    FIELD_NAMES,    /* char ** and size_t */
    FIELD_TEXTS,    /* likewise */
    FIELD_CONTRACT, /* json_t * */
    FIELD_TOKEN,    /* this and the rest: struct settings_credential *, size_t */
    FIELD_CERTIFICATE,
    FIELD_ED25519,
    FIELD_SUBJECT,
};

struct settings_field {
    const char *name;
    const char *doc;
    const char *default_text; /* as in a file; NULL: must be given */
    size_t offset;            /* in the struct of the entry */
    size_t offset_n;          /* of the count of a list */
    enum settings_field_kind kind;
};

struct settings_table {
    const char *name; /* "listener" */
    const struct settings_field *fields;
    size_t n_fields;
    size_t entry_bytes;
    size_t maximum;          /* entries */
    size_t offset, offset_n; /* of the array in struct settings */
    size_t offset_origin;    /* in the entry */
};

enum { TABLE_LISTENER, TABLE_MOUNT, TABLE_CAPABILITY, TABLE_PRINCIPAL, SETTINGS_TABLES };
extern const struct settings_table settings_tables[SETTINGS_TABLES];

/* The member of an object at an offset. */
static inline void *settings_member(void *object, size_t offset)
{
    return (char *)object + offset;
}

static inline const void *settings_const_member(const void *object, size_t offset)
{
    return (const char *)object + offset;
}

/* A new entry at the end, all zero but for its origin (copied). 0, -ENOMEM, SETTINGS_INVALID: there are too
 * many. */
int settings_table_add(const struct settings_table *table, struct settings *settings, const char *origin,
                       void **ret);
void settings_table_done(const struct settings_table *table, struct settings *settings);
size_t settings_table_length(const struct settings_table *table, const struct settings *settings);
const void *settings_table_entry(const struct settings_table *table, const struct settings *settings,
                                 size_t i);

const struct settings_field *settings_field_find(const struct settings_table *table, const char *name);
const char *settings_field_nearest(const struct settings_table *table, const char *name);

/* Sets a field from what a file gives. 0; -ENOMEM; SETTINGS_INVALID with the sentence "NAME is …; it must be
 * …" in problem. */
int settings_field_read(const struct settings_field *field, const json_t *written, const char *directory,
                        void *entry, struct text *problem);
/* The value as in a file, NULL if memory is short. json_null() for what is at its default and need not be
 * said. */
json_t *settings_field_write(const struct settings_field *field, const void *entry);
/* What a file may say. */
void settings_field_append_requirement(const struct settings_field *field, struct text *text);
/* Likewise for one item of a list. */
void settings_field_append_item_requirement(enum settings_field_kind kind, struct text *text);

/* Whether a name may be one of a mount, capability or principal. */
bool settings_name_is_good(const char *name);

/* What somebody wrote, escaped and short, for a message. */
void settings_append_found(struct text *text, const json_t *found);

#endif

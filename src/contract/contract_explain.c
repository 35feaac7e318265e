/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A contract in words (columns), as data (JSON) and as a file (TOML).
 *
 * The TOML names every key, so that it gives the same contract again even where a default changed.
 */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/toml.h"
#include "contract/contract.h"

/* ---- for a person ---- */

enum { COLUMNS = 4, COLUMN_MAX = 44, COLUMN_GAP = 2 };

struct row {
    struct text cells[COLUMNS]; /* key, value, origin, meaning */
};

struct table {
    struct row *rows;
    size_t n_rows;
    bool failed;
};

static void table_done(struct table *table)
{
    for (size_t i = 0; i < table->n_rows; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            text_done(&table->rows[i].cells[j]);
    free(table->rows);
}

/* The cells for value and meaning are filled by the caller; NULL if memory is short. */
static struct row *table_add(struct table *table, const char *key, const char *origin)
{
    struct row *rows = reallocarray(table->rows, table->n_rows + 1, sizeof(*rows));
    if (!rows) {
        table->failed = true;
        return NULL;
    }
    table->rows = rows;
    struct row *row = &rows[table->n_rows++];
    *row = (struct row){0};
    text_append(&row->cells[0], key);
    text_append(&row->cells[2], origin);
    return row;
}

/* Characters on a terminal, near enough: UTF-8 sequences. */
static size_t width(const struct text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->length; i++)
        n += ((unsigned char)text->data[i] & 0xc0) != 0x80;
    return n;
}

static void table_write(struct table *table, struct text *ret_text)
{
    size_t widths[COLUMNS] = {0};
    for (size_t i = 0; i < table->n_rows; i++)
        for (size_t j = 0; j < COLUMNS; j++) {
            size_t cell = width(&table->rows[i].cells[j]);
            if (cell > widths[j] && cell <= COLUMN_MAX)
                widths[j] = cell;
            ret_text->failed |= table->rows[i].cells[j].failed;
        }
    for (size_t i = 0; i < table->n_rows; i++) {
        for (size_t j = 0; j < COLUMNS; j++) {
            const struct text *cell = &table->rows[i].cells[j];
            if (cell->length)
                text_append_bytes(ret_text, cell->data, cell->length);
            size_t used = width(cell);
            if (j + 1 < COLUMNS)
                text_append_format(ret_text, "%*s",
                                   (int)((used < widths[j] ? widths[j] - used : 0) + COLUMN_GAP), "");
        }
        text_append(ret_text, "\n");
    }
}

static void append_whole(struct text *text, const char *string)
{
    text_append_escaped(text, string, strlen(string), strlen(string));
}

static void describe_env(const berth_contract *contract, struct table *table)
{
    const struct contract_key *key = &contract_keys[KEY_GRANTS_env];
    for (size_t i = 0; i < contract->grants.n_env || i == 0; i++) {
        bool any = contract->grants.n_env > 0;
        struct row *row = table_add(table, key->path,
                                    any ? contract->env_origins[i] : contract->origins[key - contract_keys]);
        if (!row)
            return;
        append_whole(&row->cells[1], any ? contract->env[i] : "none");
        text_append(&row->cells[3], i == 0 ? key->doc : "");
    }
}

static void describe_mount(const struct berth_mount *mount, struct text *text)
{
    text_append(text, mount->writable ? "reads and writes " : "reads ");
    append_whole(text, mount->host);
    for (size_t i = 0; i < mount->n_hide; i++) {
        text_append(text, i == 0 ? "; hides " : ", ");
        append_whole(text, mount->hide[i]);
    }
    if (mount->quota_bytes) {
        text_append(text, "; adds at most ");
        contract_key_append_value_for_person(&contract_keys[KEY_MOUNT_quota_mb], mount->quota_bytes, text);
    }
}

static void describe_mounts(const berth_contract *contract, struct table *table)
{
    const struct contract_key *key = &contract_keys[KEY_GRANTS_mount];
    if (contract->grants.n_mounts == 0) {
        struct row *row = table_add(table, key->path, contract->origins[key - contract_keys]);
        if (row) {
            text_append(&row->cells[1], "none");
            text_append(&row->cells[3], key->doc);
        }
    }
    for (size_t i = 0; i < contract->grants.n_mounts; i++) {
        struct row *row = table_add(table, key->path, contract->mount_memory[i].origin);
        if (!row)
            return;
        append_whole(&row->cells[1], contract->mounts[i].guest);
        describe_mount(&contract->mounts[i], &row->cells[3]);
    }
}

static void explain_text(const berth_contract *contract, struct text *ret_text)
{
    cleanup(table_done) struct table table = {0};
    struct row *head = table_add(&table, "key", "from");
    if (head) {
        text_append(&head->cells[1], "value");
        text_append(&head->cells[3], "meaning");
    }
    for (size_t i = 0; i < CONTRACT_KEYS && !table.failed; i++) {
        const struct contract_key *key = &contract_keys[i];
        if (key->section == SECTION_MOUNT)
            continue;
        if (i == KEY_GRANTS_env) {
            describe_env(contract, &table);
        } else if (i == KEY_GRANTS_mount) {
            describe_mounts(contract, &table);
        } else {
            struct row *row = table_add(&table, key->path, contract->origins[i]);
            if (!row)
                break;
            contract_key_append_value_for_person(key, contract_key_get(key, contract), &row->cells[1]);
            text_append(&row->cells[3], key->doc);
        }
    }
    table_write(&table, ret_text);
    ret_text->failed |= table.failed;
}

/* ---- JSON ---- */

static json_t *strings_json(const char *const *strings, size_t n_strings)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n_strings; i++)
        if (json_array_append_new(list, json_string(strings[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *mounts_json(const berth_contract *contract)
{
    json_t *list = json_array();
    for (size_t i = 0; i < contract->grants.n_mounts; i++) {
        const struct berth_mount *mount = &contract->mounts[i];
        const struct contract_key *mode = &contract_keys[KEY_MOUNT_mode],
                                  *quota = &contract_keys[KEY_MOUNT_quota_mb];
        json_t *entry = json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "guest", mount->guest, "host",
                                  mount->host, mode->name, contract_key_write(mode, mount->writable), "hide",
                                  strings_json(mount->hide, mount->n_hide), quota->name,
                                  contract_key_write(quota, mount->quota_bytes), "origin",
                                  contract->mount_memory[i].origin);
        if (json_array_append_new(list, entry) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *value_json(const berth_contract *contract, const struct contract_key *key)
{
    if (key == &contract_keys[KEY_GRANTS_env])
        return strings_json(contract->grants.env, contract->grants.n_env);
    if (key == &contract_keys[KEY_GRANTS_mount])
        return mounts_json(contract);
    return contract_key_write(key, contract_key_get(key, contract));
}

/* {"value": 256, "unit": "MiB", "origin": "default", "doc": "…"} */
static json_t *key_json(const berth_contract *contract, const struct contract_key *key)
{
    json_t *entry = json_pack("{s:o}", "value", value_json(contract, key));
    int r = entry ? 0 : -1;
    if (*key->unit)
        r |= json_object_set_new(entry, "unit", json_string(key->unit));
    r |= json_object_set_new(entry, "origin", json_string(contract->origins[key - contract_keys]));
    if (key == &contract_keys[KEY_GRANTS_env])
        r |= json_object_set_new(entry, "origins",
                                 strings_json(contract->env_origins, contract->grants.n_env));
    r |= json_object_set_new(entry, "doc", json_string(key->doc));
    if (r) {
        json_decref(entry);
        return NULL;
    }
    return entry;
}

static void explain_json(const berth_contract *contract, struct text *ret_text)
{
    cleanup_json json_t *root = json_object();
    cleanup_json json_t *limits = json_object();
    cleanup_json json_t *grants = json_object();
    json_t *const sections[] = {[SECTION_TOP] = root, [SECTION_LIMITS] = limits, [SECTION_GRANTS] = grants};
    int r = 0;
    for (size_t i = 0; i < CONTRACT_KEYS; i++)
        if (contract_keys[i].section != SECTION_MOUNT)
            r |= json_object_set_new(sections[contract_keys[i].section], contract_keys[i].name,
                                     key_json(contract, &contract_keys[i]));
    r |= json_object_set(root, "limits", limits);
    r |= json_object_set(root, "grants", grants);
    cleanup_free char *line = r ? NULL : json_write(root, 0);
    if (!line) {
        ret_text->failed = true;
        return;
    }
    text_append(ret_text, line);
    text_append(ret_text, "\n");
}

/* ---- TOML ---- */

static void append_toml_list(struct text *text, const char *name, const char *const *strings,
                             size_t n_strings)
{
    text_append_format(text, "%s = [", name);
    for (size_t i = 0; i < n_strings; i++) {
        text_append(text, i ? ", " : "");
        toml_append_string(text, strings[i]);
    }
    text_append(text, "]\n");
}

static void append_toml_scalars(struct text *text, enum contract_section section, const void *object)
{
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        if (key->section != section || !contract_key_is_scalar(key))
            continue;
        text_append_format(text, "%s = ", key->name);
        contract_key_append_value(key, contract_key_get(key, object), text);
        text_append(text, "\n");
    }
}

static void append_toml_text(struct text *text, const char *name, const char *string)
{
    text_append_format(text, "%s = ", name);
    toml_append_string(text, string);
    text_append(text, "\n");
}

static void explain_toml(const berth_contract *contract, struct text *text)
{
    append_toml_scalars(text, SECTION_TOP, contract);
    text_append(text, "\n[limits]\n");
    append_toml_scalars(text, SECTION_LIMITS, contract);
    text_append(text, "\n[grants]\n");
    append_toml_scalars(text, SECTION_GRANTS, contract);
    append_toml_list(text, "env", contract->grants.env, contract->grants.n_env);
    for (size_t i = 0; i < contract->grants.n_mounts; i++) {
        const struct berth_mount *mount = &contract->mounts[i];
        text_append(text, "\n[[grants.mount]]\n");
        append_toml_text(text, "guest", mount->guest);
        append_toml_text(text, "host", mount->host);
        append_toml_list(text, "hide", mount->hide, mount->n_hide);
        append_toml_scalars(text, SECTION_MOUNT, mount);
    }
}

berth_status berth_contract_explain(const berth_contract *contract, berth_format format, char **ret,
                                    berth_error **reterr)
{
    cleanup_text struct text text = {0};
    switch (format) {
    case BERTH_FORMAT_TEXT:
        explain_text(contract, &text);
        break;
    case BERTH_FORMAT_JSON:
        explain_json(contract, &text);
        break;
    case BERTH_FORMAT_TOML:
        explain_toml(contract, &text);
        break;
    default:
        return error_set(reterr, BERTH_INVALID, "there is no format %d", (int)format);
    }
    char *explained = text_take(&text);
    if (!explained)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory to explain a contract");
    *ret = explained;
    return BERTH_OK;
}

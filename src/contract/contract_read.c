/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a contract: TOML or JSON becomes one tree of values, and the rows of keys.def read it. */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/toml.h"
#include "contract/contract.h"

struct reader {
    berth_contract *contract;
    const char *origin;
    struct text *problem;
};

static void append_found(struct text *text, const json_t *found)
{
    if (json_is_string(found)) {
        text_append(text, "\"");
        text_append_escaped(text, json_string_value(found), json_string_length(found),
                            CONTRACT_FOUND_MAX_BYTES);
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

static int refuse_value(struct text *problem, const char *path, const json_t *found, const char *requirement)
{
    text_append_format(problem, "%s is ", path);
    append_found(problem, found);
    text_append_format(problem, "; it must be %s", requirement);
    return CONTRACT_INVALID;
}

static int refuse_by_row(struct text *problem, const struct contract_key *key, const json_t *found)
{
    cleanup_text struct text requirement = {0};
    contract_key_append_requirement(key, &requirement);
    if (requirement.failed)
        return -ENOMEM;
    return refuse_value(problem, key->path, found, requirement.data);
}

/* "; the keys are a, b, c" */
static void append_names(struct text *problem, const char *section)
{
    size_t length = strlen(section);
    const char *separator = "; the keys are";
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        size_t section_length = (size_t)(strrchr(key->path, '.') ? strrchr(key->path, '.') - key->path : 0);
        if (length != section_length || strncmp(key->path, section, length) != 0)
            continue;
        text_append_format(problem, "%s %s", separator, key->name);
        separator = ",";
    }
    if (!length)
        text_append(problem, " and the tables limits and grants");
}

static int refuse_unknown(struct text *problem, const char *section, const char *name, const char *nearest)
{
    text_append(problem, "unknown key ");
    contract_append_quoted(problem, name);
    if (*section)
        text_append_format(problem, " in %s", section);
    if (nearest)
        text_append_format(problem, "; did you mean \"%s\"?", nearest);
    else
        append_names(problem, section);
    return CONTRACT_INVALID;
}

static int read_env(const struct reader *reader, const struct contract_key *key, const json_t *list)
{
    size_t i;
    json_t *name;
    if (!json_is_array(list))
        return refuse_by_row(reader->problem, key, list);
    json_array_foreach(list, i, name)
    {
        if (!json_text(name))
            return refuse_value(reader->problem, "a name in grants.env", name, "text in quotes");
        int r = contract_add_env(reader->contract, json_text(name), reader->origin, reader->problem);
        if (r)
            return r;
    }
    return 0;
}

/* A draft of a mount that borrows from the values it is read from. */
struct mount_draft {
    struct berth_mount mount;
    const char **hide;
};

static void mount_draft_done(struct mount_draft *draft)
{
    free(draft->hide);
}

static int read_hide(const struct reader *reader, const struct contract_key *key, const json_t *list,
                     struct mount_draft *draft)
{
    size_t i;
    json_t *pattern;
    if (!json_is_array(list))
        return refuse_by_row(reader->problem, key, list);
    draft->hide = calloc(json_array_size(list) + 1, sizeof(*draft->hide));
    if (!draft->hide)
        return -ENOMEM;
    json_array_foreach(list, i, pattern)
    {
        draft->hide[i] = json_text(pattern);
        if (!draft->hide[i])
            return refuse_value(reader->problem, "a pattern in grants.mount.hide", pattern, "text in quotes");
    }
    draft->mount.hide = draft->hide;
    draft->mount.n_hide = json_array_size(list);
    return 0;
}

static int read_mount_key(const struct reader *reader, const struct contract_key *key, const json_t *written,
                          struct mount_draft *draft)
{
    uint64_t value;
    if (key->kind == KIND_LIST)
        return read_hide(reader, key, written, draft);
    if (key->kind == KIND_TEXT) {
        if (!json_text(written))
            return refuse_by_row(reader->problem, key, written);
        *(key == &contract_keys[KEY_MOUNT_guest] ? &draft->mount.guest : &draft->mount.host) =
            json_text(written);
        return 0;
    }
    if (!contract_key_read(key, written, &value))
        return refuse_by_row(reader->problem, key, written);
    contract_key_set(key, &draft->mount, value);
    return 0;
}

static int read_mount(const struct reader *reader, json_t *table)
{
    cleanup(mount_draft_done) struct mount_draft draft = {0};
    const char *name;
    json_t *written;
    if (!json_is_object(table))
        return refuse_value(reader->problem, "an entry of grants.mount", table,
                            "a table with the keys guest and host");
    json_object_foreach(table, name, written)
    {
        const struct contract_key *key = contract_key_find_in(SECTION_MOUNT, name);
        if (!key)
            return refuse_unknown(reader->problem, "grants.mount", name,
                                  contract_key_nearest(SECTION_MOUNT, name));
        int r = read_mount_key(reader, key, written, &draft);
        if (r)
            return r;
    }
    return contract_add_mount(reader->contract, &draft.mount, reader->origin, reader->problem);
}

static int read_mounts(const struct reader *reader, const struct contract_key *key, const json_t *list)
{
    size_t i;
    json_t *table;
    if (!json_is_array(list))
        return refuse_by_row(reader->problem, key, list);
    json_array_foreach(list, i, table)
    {
        int r = read_mount(reader, table);
        if (r)
            return r;
    }
    return 0;
}

int contract_read_value(berth_contract *contract, const struct contract_key *key, const json_t *written,
                        const char *origin, struct text *problem)
{
    const struct reader reader = {contract, origin, problem};
    uint64_t value;
    int r = 0;
    if (key == &contract_keys[KEY_GRANTS_env])
        r = read_env(&reader, key, written);
    else if (key == &contract_keys[KEY_GRANTS_mount])
        r = read_mounts(&reader, key, written);
    else if (contract_key_read(key, written, &value))
        contract_key_set(key, contract, value);
    else
        r = refuse_by_row(problem, key, written);
    if (r)
        return r;
    const char *interned = contract_intern_origin(contract, origin);
    if (!interned)
        return -ENOMEM;
    contract->origins[key - contract_keys] = interned;
    return 0;
}

static int read_section(const struct reader *reader, enum contract_section section, const char *section_name,
                        json_t *table);

static int read_member(const struct reader *reader, enum contract_section section, const char *section_name,
                       const char *name, json_t *written)
{
    const struct contract_key *key = contract_key_find_in(section, name);
    if (key)
        return contract_read_value(reader->contract, key, written, reader->origin, reader->problem);
    if (section == SECTION_TOP && strcmp(name, "limits") == 0)
        return read_section(reader, SECTION_LIMITS, name, written);
    if (section == SECTION_TOP && strcmp(name, "grants") == 0)
        return read_section(reader, SECTION_GRANTS, name, written);
    return refuse_unknown(reader->problem, section_name, name, contract_key_nearest(section, name));
}

static int read_section(const struct reader *reader, enum contract_section section, const char *section_name,
                        json_t *table)
{
    const char *name;
    json_t *written;
    if (!json_is_object(table))
        return refuse_value(reader->problem, section_name, table, "a table");
    json_object_foreach(table, name, written)
    {
        int r = read_member(reader, section, section_name, name, written);
        if (r)
            return r;
    }
    return 0;
}

int contract_read_document(berth_contract *contract, json_t *document, const char *origin,
                           struct text *problem)
{
    const struct reader reader = {contract, origin, problem};
    return read_section(&reader, SECTION_TOP, "", document);
}

static bool looks_like_json(const char *text, size_t length_bytes)
{
    for (size_t i = 0; i < length_bytes; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            return text[i] == '{';
    return false;
}

berth_status berth_contract_parse(const char *text, size_t length_bytes, const char *source,
                                  berth_contract **ret, berth_error **reterr)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_json json_t *document = NULL;
    cleanup_free char *message = NULL;
    cleanup_text struct text problem = {0};
    berth_status status = berth_contract_new(&contract, reterr);
    if (status)
        return status;
    int r = looks_like_json(text, length_bytes) ? json_read(text, length_bytes, &document, &message)
                                                : toml_read(text, length_bytes, &document, &message);
    if (r == -EINVAL) {
        text_append(&problem, message);
        r = CONTRACT_INVALID;
    } else if (r == 0) {
        r = contract_read_document(contract, document, source ? source : "contract", &problem);
    }
    if (r == 0)
        *ret = take_ptr(contract);
    return contract_conclude(r, source, &problem, reterr);
}

/* A value as a person writes it on a command line: words without quotes, ".5" for 0.5. */
static int value_from_text(const struct contract_key *key, const char *value, json_t **ret)
{
    cleanup_text struct text number = {0};
    cleanup_free char *message = NULL;
    if (key->kind == KIND_NUMBER && value[0] == '.')
        text_append(&number, "0");
    text_append(&number, value);
    if (number.failed)
        return -ENOMEM;
    if (key->kind != KIND_CHOICE && json_read(number.data, number.length, ret, &message) == 0)
        return 0;
    *ret = json_string_nocheck(value); /* may be any bytes: only compared, and escaped in a message */
    return *ret ? 0 : -ENOMEM;
}

static int set(berth_contract *contract, const char *path, const char *value, const char *origin,
               struct text *problem)
{
    cleanup_json json_t *written = NULL;
    const struct contract_key *key = contract_key_find(path);
    if (!key)
        return refuse_unknown(problem, "", path, contract_key_nearest_path(path));
    if (key->section == SECTION_MOUNT || !contract_key_is_scalar(key)) {
        text_append_format(problem, "%s is no single value; names and mounts are added one by one",
                           key->path);
        return CONTRACT_INVALID;
    }
    int r = value_from_text(key, value, &written);
    return r ? r : contract_read_value(contract, key, written, origin, problem);
}

berth_status berth_contract_set(berth_contract *contract, const char *key, const char *value,
                                const char *origin, berth_error **reterr)
{
    cleanup_text struct text problem = {0};
    return contract_conclude(set(contract, key, value, origin, &problem), origin, &problem, reterr);
}

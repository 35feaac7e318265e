/* SPDX-License-Identifier: Apache-2.0 */
/* One key of a table: from what a file gives to the member of the entry, and back. */
#include <string.h>

#include "base/json.h"
#include "node/settings/settings_credential.h"
#include "node/settings/settings_rows.h"
#include "node/settings/settings_tables.h"

static void *member(const struct settings_field *field, void *entry)
{
    return settings_member(entry, field->offset);
}

static const void *const_member(const struct settings_field *field, const void *entry)
{
    return settings_const_member(entry, field->offset);
}

static bool is_list(enum settings_field_kind kind)
{
    return kind == FIELD_NAMES || kind == FIELD_TEXTS || kind >= FIELD_TOKEN;
}

static int refuse(const struct settings_field *field, const json_t *found, struct text *problem)
{
    text_append_format(problem, "%s is ", field->name);
    settings_append_found(problem, found);
    text_append(problem, "; it must be ");
    settings_field_append_requirement(field, problem);
    return SETTINGS_INVALID;
}

static int refuse_item(const struct settings_field *field, const json_t *found, struct text *problem)
{
    text_append_format(problem, "%s has ", field->name);
    settings_append_found(problem, found);
    text_append(problem, "; it must be ");
    settings_field_append_item_requirement(field->kind, problem);
    return SETTINGS_INVALID;
}

static int keep(char **place, char *copy)
{
    if (!copy)
        return -ENOMEM;
    free(*place);
    *place = copy;
    return 0;
}

static int read_address(const char *text, struct settings_listener *listener)
{
    char host[46];
    uint16_t port;
    if (settings_address_read(text, 50051, host, &port) < 0)
        return SETTINGS_INVALID;
    listener->port = port;
    return keep(&listener->host, strdup(host));
}

/* 0, -ENOMEM, SETTINGS_INVALID without a sentence. */
static int read_text(const struct settings_field *field, const char *text, const char *directory, void *entry)
{
    char **place = member(field, entry);
    if (!text || strlen(text) > SETTINGS_TEXT_MAX_BYTES)
        return SETTINGS_INVALID;
    if (field->kind == FIELD_ADDRESS)
        return read_address(text, entry);
    if (field->kind == FIELD_NAME && !settings_name_is_good(text))
        return SETTINGS_INVALID;
    if (*text == '\0') {
        free(take_ptr(*place));
        return field->default_text ? 0 : SETTINGS_INVALID;
    }
    return keep(place, field->kind == FIELD_PATH ? settings_path_resolve(text, directory) : strdup(text));
}

static int read_mib(const json_t *written, uint64_t *ret_bytes)
{
    const double bytes_per_mib = 1048576.0, maximum = 16777216.0;
    double number = json_is_number(written) ? json_number_value(written) : -1;
    if (!(number >= 0 && number <= maximum))
        return SETTINGS_INVALID;
    *ret_bytes = (uint64_t)(number * bytes_per_mib + 0.5);
    return number > 0 && *ret_bytes == 0 ? SETTINGS_INVALID : 0;
}

static int read_plain(const struct settings_field *field, const json_t *written, void *value)
{
    const char *text = json_text(written);
    switch (field->kind) {
    case FIELD_FLAG:
        if (!json_is_boolean(written))
            return SETTINGS_INVALID;
        *(bool *)value = json_is_true(written);
        return 0;
    case FIELD_MODE:
        if (!text || (strcmp(text, "read") != 0 && strcmp(text, "write") != 0))
            return SETTINGS_INVALID;
        *(bool *)value = *text == 'w';
        return 0;
    case FIELD_MIB:
        return read_mib(written, value);
    case FIELD_COUNT:
        if (!json_is_integer(written) || json_integer_value(written) < 0 ||
            json_integer_value(written) > SETTINGS_COUNT_MAX)
            return SETTINGS_INVALID;
        *(uint32_t *)value = (uint32_t)json_integer_value(written);
        return 0;
    default: /* FIELD_CONTRACT */
        if (!json_is_object(written))
            return SETTINGS_INVALID;
        json_decref(*(json_t **)value);
        *(json_t **)value = json_deep_copy(written);
        return *(json_t **)value ? 0 : -ENOMEM;
    }
}

/* ---- Lists ------------------------------------------------------------------------------------- */

static int append_text(char ***list, size_t *n, const char *text)
{
    char **grown = reallocarray(*list, *n + 1, sizeof(**list));
    if (!grown)
        return -ENOMEM;
    *list = grown;
    grown[*n] = strdup(text);
    if (!grown[*n])
        return -ENOMEM;
    (*n)++;
    return 0;
}

static int append_credential(struct settings_principal *principal, enum settings_credential_kind kind,
                             const char *value)
{
    if (principal->n_credentials >= SETTINGS_LIST_MAX)
        return SETTINGS_INVALID;
    struct settings_credential *grown =
        reallocarray(principal->credentials, principal->n_credentials + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    principal->credentials = grown;
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    grown[principal->n_credentials++] = (struct settings_credential){kind, copy};
    return 0;
}

static int read_credential(const struct settings_field *field, const char *text,
                           struct settings_principal *principal)
{
    enum { SUBJECT_MAX_BYTES = 255 };
    char digits[CREDENTIAL_HEX_CHARACTERS];
    if (field->kind == FIELD_SUBJECT)
        return *text && strlen(text) <= SUBJECT_MAX_BYTES
                   ? append_credential(principal, CREDENTIAL_JWT_SUBJECT, text)
                   : SETTINGS_INVALID;
    bool good = credential_read_hex(text, digits) ||
                (field->kind == FIELD_ED25519 && credential_read_peer_id(text, digits));
    if (!good)
        return SETTINGS_INVALID;
    enum settings_credential_kind kind = field->kind == FIELD_TOKEN         ? CREDENTIAL_TOKEN_SHA256
                                         : field->kind == FIELD_CERTIFICATE ? CREDENTIAL_CERTIFICATE_SHA256
                                                                            : CREDENTIAL_ED25519;
    return append_credential(principal, kind, digits);
}

static int read_item(const struct settings_field *field, const json_t *written, void *entry,
                     struct text *problem)
{
    const char *text = json_text(written);
    int r = SETTINGS_INVALID;
    if (text && strlen(text) <= SETTINGS_TEXT_MAX_BYTES) {
        if (field->kind >= FIELD_TOKEN)
            r = read_credential(field, text, entry);
        else if (field->kind == FIELD_TEXTS || settings_name_is_good(text))
            r = append_text(member(field, entry), settings_member(entry, field->offset_n), text);
    }
    return r == SETTINGS_INVALID ? refuse_item(field, written, problem) : r;
}

/* One text stands for a list of one. */
static int read_list(const struct settings_field *field, const json_t *written, void *entry,
                     struct text *problem)
{
    size_t i;
    json_t *item;
    if (json_is_string(written))
        return read_item(field, written, entry, problem);
    if (!json_is_array(written) || json_array_size(written) > SETTINGS_LIST_MAX)
        return refuse(field, written, problem);
    json_array_foreach(written, i, item)
    {
        int r = read_item(field, item, entry, problem);
        if (r)
            return r;
    }
    return 0;
}

int settings_field_read(const struct settings_field *field, const json_t *written, const char *directory,
                        void *entry, struct text *problem)
{
    int r;
    if (is_list(field->kind))
        return read_list(field, written, entry, problem);
    if (field->kind <= FIELD_PATH)
        r = read_text(field, json_text(written), directory, entry);
    else
        r = read_plain(field, written, member(field, entry));
    return r == SETTINGS_INVALID ? refuse(field, written, problem) : r;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static json_t *write_address(const struct settings_listener *listener)
{
    bool v6 = strchr(listener->host, ':') != NULL;
    return json_sprintf("%s%s%s:%u", v6 ? "[" : "", listener->host, v6 ? "]" : "", (unsigned)listener->port);
}

static json_t *write_texts(char *const *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(array, json_string(list[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *write_credentials(const struct settings_principal *principal, enum settings_field_kind kind)
{
    static const enum settings_credential_kind kinds[] = {
        [FIELD_TOKEN] = CREDENTIAL_TOKEN_SHA256,
        [FIELD_CERTIFICATE] = CREDENTIAL_CERTIFICATE_SHA256,
        [FIELD_ED25519] = CREDENTIAL_ED25519,
        [FIELD_SUBJECT] = CREDENTIAL_JWT_SUBJECT,
    };
    json_t *array = json_array();
    for (size_t i = 0; i < principal->n_credentials; i++) {
        const struct settings_credential *credential = &principal->credentials[i];
        if (credential->kind == kinds[kind] &&
            json_array_append_new(array, json_string(credential->value)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *settings_field_write(const struct settings_field *field, const void *entry)
{
    const double bytes_per_mib = 1048576.0;
    const void *value = const_member(field, entry);
    const size_t *n = settings_const_member(entry, field->offset_n);
    json_t *document;
    const char *text;
    switch (field->kind) {
    case FIELD_ADDRESS:
        return write_address(entry);
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_PATH:
        text = *(char *const *)value;
        return json_string(text ? text : "");
    case FIELD_FLAG:
        return json_boolean(*(const bool *)value);
    case FIELD_MODE:
        return json_string(*(const bool *)value ? "write" : "read");
    case FIELD_MIB:
        return json_number((double)*(const uint64_t *)value / bytes_per_mib);
    case FIELD_COUNT:
        return json_integer(*(const uint32_t *)value);
    case FIELD_CONTRACT:
        document = *(json_t *const *)value;
        return document ? json_incref(document) : json_object();
    case FIELD_NAMES:
    case FIELD_TEXTS:
        return write_texts(*(char *const *const *)value, *n);
    default:
        return write_credentials(entry, field->kind);
    }
}

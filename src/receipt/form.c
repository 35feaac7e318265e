/* SPDX-License-Identifier: Apache-2.0 */
/* See form.h. A member that is not in the tables is an error: nothing in a receipt goes unread. */
#include "receipt/form.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/key_sizes.h"
#include "base/text.h"
#include "receipt/receipt.h"

enum kind {
    KIND_TEXT,
    KIND_TEXTS,   /* an array of strings */
    KIND_NUMBER,  /* 0 to 2^53 - 1 */
    KIND_TIME,    /* a string of digits, signed, 64 bits */
    KIND_HASH,    /* 64 lowercase hex digits */
    KIND_VERSION, /* 1 */
    KIND_OBJECT,
};

struct member {
    const char *key; /* NULL ends a table */
    enum kind kind;
    bool optional;
    const struct member *inside; /* KIND_OBJECT */
};

static const char *const kind_words[] = {
    [KIND_TEXT] = "must be a string",
    [KIND_TEXTS] = "must be an array of strings",
    [KIND_NUMBER] = "must be an integer from 0 to 2^53 - 1",
    [KIND_TIME] = "must be a string of decimal digits",
    [KIND_HASH] = "must be 64 lowercase hexadecimal digits",
    [KIND_VERSION] = "must be 1; other versions are not known here",
    [KIND_OBJECT] = "must be an object",
};

static const struct member module_members[] = {
    {"name", KIND_TEXT},
    {"sha256", KIND_HASH, .optional = true},
    {NULL},
};

static const struct member stream_members[] = {
    {"bytes", KIND_NUMBER},
    {"sha256", KIND_HASH, .optional = true},
    {NULL},
};

static const struct member events_members[] = {
    {"count", KIND_NUMBER},
    {"sha256", KIND_HASH, .optional = true},
    {NULL},
};

static const struct member outcome_members[] = {
    {"kind", KIND_TEXT}, {"limit", KIND_TEXT}, {"exit_code", KIND_NUMBER}, {"cause", KIND_TEXT}, {NULL},
};

static const struct member usage_members[] = {
    {"wall_ns", KIND_NUMBER},           {"cpu_ns", KIND_NUMBER},        {"fuel", KIND_NUMBER},
    {"memory_peak_bytes", KIND_NUMBER}, {"host_calls", KIND_NUMBER},    {"input_bytes", KIND_NUMBER},
    {"output_bytes", KIND_NUMBER},      {"written_bytes", KIND_NUMBER}, {"files_opened", KIND_NUMBER},
    {"parked_ns", KIND_NUMBER},         {"denials", KIND_NUMBER},       {NULL},
};

static const struct member body_members[] = {
    {"version", KIND_VERSION},
    {"run_id", KIND_TEXT},
    {"node", KIND_TEXT},
    {"node_ml_dsa_65_sha256", KIND_HASH, .optional = true},
    {"principal", KIND_TEXT},
    {"capability", KIND_TEXT},
    {"module", KIND_OBJECT, .inside = module_members},
    {"arguments_sha256", KIND_HASH, .optional = true},
    {"inputs_sha256", KIND_HASH, .optional = true},
    {"mounts", KIND_TEXTS},
    {"contract_sha256", KIND_HASH, .optional = true},
    {"output", KIND_OBJECT, .inside = stream_members},
    {"errors", KIND_OBJECT, .inside = stream_members},
    {"events", KIND_OBJECT, .inside = events_members},
    {"outcome", KIND_OBJECT, .inside = outcome_members},
    {"usage", KIND_OBJECT, .inside = usage_members},
    {"started_ns", KIND_TIME},
    {"ended_ns", KIND_TIME},
    {NULL},
};

/* What they hold is looked at when they are decoded. */
static const struct member signature_members[] = {
    {"public_key", KIND_TEXT},
    {"signature", KIND_TEXT},
    {NULL},
};

static const struct member signatures_members[] = {
    {"ed25519", KIND_OBJECT, .inside = signature_members},
    {"ml_dsa_65", KIND_OBJECT, .optional = true, .inside = signature_members},
    {NULL},
};

static const struct member root_members[] = {
    {"receipt", KIND_OBJECT, .inside = body_members},
    {"signatures", KIND_OBJECT, .inside = signatures_members},
    {NULL},
};

static bool is_number(const json_t *value)
{
    json_int_t number = json_integer_value(value);
    return json_is_integer(value) && number >= 0 && number < (json_int_t)1 << 53;
}

static bool is_hash(const json_t *value)
{
    uint8_t hash[RECEIPT_HASH_BYTES];
    return json_text(value) && json_string_length(value) == 2 * sizeof hash &&
           hex_read(json_text(value), hash, sizeof hash) == 0;
}

static bool is_time(const json_t *value)
{
    char again[32];
    const char *text = json_text(value);
    if (!text)
        return false;
    snprintf(again, sizeof again, "%" PRId64, (int64_t)strtoll(text, NULL, 10));
    return strcmp(again, text) == 0;
}

static bool is_texts(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_text(json_array_get(value, i)))
            return false;
    return json_is_array(value);
}

static bool is_of_kind(const json_t *value, enum kind kind)
{
    switch (kind) {
    case KIND_TEXT:
        return json_text(value) != NULL;
    case KIND_TEXTS:
        return is_texts(value);
    case KIND_NUMBER:
        return is_number(value);
    case KIND_TIME:
        return is_time(value);
    case KIND_HASH:
        return is_hash(value);
    case KIND_VERSION:
        return json_is_integer(value) && json_integer_value(value) == RECEIPT_VERSION;
    case KIND_OBJECT:
        return json_is_object(value);
    }
    return false;
}

static int refuse(char **reterr_message, const char *path, const char *key, const char *problem)
{
    cleanup_text struct text message = {0};
    text_append_format(&message, "%s%s", path, *path && *key ? "." : "");
    text_append_escaped(&message, key, strlen(key), 64);
    text_append_format(&message, " %s", problem);
    *reterr_message = text_take(&message);
    return *reterr_message ? -EINVAL : -ENOMEM;
}

static const char *unknown_key(const json_t *object, const struct member *members)
{
    json_t *open = (json_t *)(uintptr_t)object; /* jansson offers no way through an object that is const */
    for (void *i = json_object_iter(open); i; i = json_object_iter_next(open, i)) {
        const struct member *member = members;
        while (member->key && strcmp(member->key, json_object_iter_key(i)) != 0)
            member++;
        if (!member->key)
            return json_object_iter_key(i);
    }
    return NULL;
}

static int check_object(const json_t *object, const struct member *members, const char *path,
                        char **reterr_message)
{
    char inside[64];
    for (const struct member *member = members; member->key; member++) {
        const json_t *value = json_object_get(object, member->key);
        if (!value && member->optional)
            continue;
        if (!value)
            return refuse(reterr_message, path, member->key, "is missing");
        if (!is_of_kind(value, member->kind))
            return refuse(reterr_message, path, member->key, kind_words[member->kind]);
        if (member->kind != KIND_OBJECT)
            continue;
        snprintf(inside, sizeof inside, "%s%s%s", path, *path ? "." : "", member->key);
        int r = check_object(value, member->inside, inside, reterr_message);
        if (r < 0)
            return r;
    }
    const char *unknown = unknown_key(object, members);
    return unknown ? refuse(reterr_message, path, unknown, "is no member of a receipt of version 1") : 0;
}

int receipt_form_check(const json_t *root, char **reterr_message)
{
    if (!json_is_object(root))
        return refuse(reterr_message, "", "", "it must be a JSON object");
    return check_object(root, root_members, "", reterr_message);
}

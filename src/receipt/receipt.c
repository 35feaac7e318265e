/* SPDX-License-Identifier: Apache-2.0 */
/* Writing receipts; see receipt.h. */
#include "receipt/receipt.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/base64.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/key_sizes.h"
#include "base/text.h"

static const uint64_t exact_max = (UINT64_C(1) << 53) - 1;

/* An object that is being filled; `failed` once memory was short. */
struct members {
    json_t *object;
    bool failed;
};

static void set(struct members *members, const char *key, json_t *value)
{
    if (json_object_set_new(members->object, key, value) != 0)
        members->failed = true;
}

static json_t *string_of(const char *characters)
{
    size_t length = characters ? strlen(characters) : 0;
    if (!length || text_is_utf8(characters, length))
        return json_stringn(length ? characters : "", length);
    return json_escaped(characters, length, length);
}

static void set_string(struct members *members, const char *key, const char *characters)
{
    set(members, key, string_of(characters));
}

static void set_number(struct members *members, const char *key, uint64_t number)
{
    set(members, key, json_integer((json_int_t)(number < exact_max ? number : exact_max)));
}

static void set_time(struct members *members, const char *key, int64_t time_ns)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64, time_ns);
    set_string(members, key, digits);
}

static void set_hash(struct members *members, const char *key, const uint8_t *hash)
{
    char digits[2 * RECEIPT_HASH_BYTES + 1];
    if (!hash)
        return;
    hex_write(hash, RECEIPT_HASH_BYTES, digits);
    set_string(members, key, digits);
}

static struct members members_new(void)
{
    return (struct members){.object = json_object()};
}

static void set_members(struct members *members, const char *key, struct members *value)
{
    members->failed |= value->failed;
    set(members, key, take_ptr(value->object));
}

static void set_module(struct members *body, const struct receipt_facts *facts)
{
    struct members module = members_new();
    set_string(&module, "name", facts->module_name);
    set_hash(&module, "sha256", facts->module_sha256);
    set_members(body, "module", &module);
}

static void set_mounts(struct members *body, const struct receipt_facts *facts)
{
    json_t *mounts = json_array();
    for (size_t i = 0; i < facts->n_mounts; i++)
        if (json_array_append_new(mounts, string_of(facts->mounts[i])) != 0)
            body->failed = true;
    set(body, "mounts", mounts);
}

static void set_stream(struct members *body, const char *key, const char *count_key, uint64_t count,
                       const uint8_t *hash)
{
    struct members stream = members_new();
    set_number(&stream, count_key, count);
    set_hash(&stream, "sha256", hash);
    set_members(body, key, &stream);
}

static void set_outcome(struct members *body, const struct berth_outcome *outcome)
{
    struct members members = members_new();
    set_string(&members, "kind", berth_outcome_name(outcome->kind));
    set_string(&members, "limit", berth_limit_name(outcome->limit));
    set_number(&members, "exit_code", outcome->exit_code);
    set_string(&members, "cause", outcome->cause);
    set_members(body, "outcome", &members);
}

static void set_usage(struct members *body, const struct berth_usage *usage)
{
    struct members members = members_new();
    set_number(&members, "wall_ns", usage->wall_ns);
    set_number(&members, "cpu_ns", usage->cpu_ns);
    set_number(&members, "fuel", usage->fuel);
    set_number(&members, "memory_peak_bytes", usage->memory_peak_bytes);
    set_number(&members, "host_calls", usage->host_calls);
    set_number(&members, "input_bytes", usage->input_bytes);
    set_number(&members, "output_bytes", usage->output_bytes);
    set_number(&members, "written_bytes", usage->written_bytes);
    set_number(&members, "files_opened", usage->files_opened);
    set_number(&members, "parked_ns", usage->parked_ns);
    set_number(&members, "denials", usage->denials);
    set_members(body, "usage", &members);
}

int receipt_body(const struct receipt_facts *facts, char **ret, size_t *ret_size_bytes)
{
    struct members body = members_new();
    set_number(&body, "version", RECEIPT_VERSION);
    set_string(&body, "run_id", facts->run_id);
    set_string(&body, "node", facts->node);
    set_hash(&body, "node_ml_dsa_65_sha256", facts->node_ml_dsa_65_sha256);
    set_string(&body, "principal", facts->principal);
    set_string(&body, "capability", facts->capability);
    set_module(&body, facts);
    set_hash(&body, "arguments_sha256", facts->arguments_sha256);
    set_hash(&body, "inputs_sha256", facts->inputs_sha256);
    set_mounts(&body, facts);
    set_hash(&body, "contract_sha256", facts->contract_sha256);
    set_stream(&body, "output", "bytes", facts->output_bytes, facts->output_sha256);
    set_stream(&body, "errors", "bytes", facts->errors_bytes, facts->errors_sha256);
    set_stream(&body, "events", "count", facts->events, facts->events_sha256);
    set_outcome(&body, &facts->outcome);
    set_usage(&body, &facts->usage);
    set_time(&body, "started_ns", facts->started_ns);
    set_time(&body, "ended_ns", facts->ended_ns);
    cleanup_json json_t *object = body.object;
    return body.failed ? -ENOMEM : json_canonical(object, ret, ret_size_bytes);
}

static void append_signature(struct text *text, const char *name, const uint8_t *public_key,
                             size_t public_key_bytes, const uint8_t *signature, size_t signature_bytes)
{
    char key_digits[2 * ML_DSA_65_PUBLIC_KEY_BYTES + 1];
    uint8_t encoded[4 * (ML_DSA_65_SIGNATURE_BYTES / 3 + 1) + 1];
    hex_write(public_key, public_key_bytes, key_digits);
    EVP_EncodeBlock(encoded, signature, signature_bytes);
    /* Piece by piece: a format is gone through twice, and these are thousands of characters. */
    const char *const pieces[] = {
        "\"", name, "\":{\"public_key\":\"", key_digits, "\",\"signature\":\"", (char *)encoded, "\"}"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        text_append(text, pieces[i]);
}

int receipt_text(const char *body, const uint8_t *ed25519_public_key, const uint8_t *ed25519_signature,
                 const uint8_t *ml_dsa_public_key, const uint8_t *ml_dsa_signature, char **ret)
{
    cleanup_text struct text text = {0};
    text_append(&text, "{\"receipt\":");
    text_append(&text, body);
    text_append(&text, ",\"signatures\":{");
    append_signature(&text, "ed25519", ed25519_public_key, ED25519_PUBLIC_KEY_BYTES, ed25519_signature,
                     ED25519_SIGNATURE_BYTES);
    if (ml_dsa_public_key) {
        text_append(&text, ",");
        append_signature(&text, "ml_dsa_65", ml_dsa_public_key, ML_DSA_65_PUBLIC_KEY_BYTES, ml_dsa_signature,
                         ML_DSA_65_SIGNATURE_BYTES);
    }
    text_append(&text, "}}");
    *ret = text_take(&text);
    return *ret ? 0 : -ENOMEM;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a receipt; see include/berth/receipt.h. All checks are made and told, also after one has failed;
 * the error is about the first. What is signed is written anew from the values that were read, so that what
 * is compared is what was signed.
 */
#include <berth/receipt.h>

#include <errno.h>
#include <inttypes.h>
#include <openssl/base64.h>
#include <openssl/curve25519.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/key_sizes.h"
#include "base/peer_id.h"
#include "base/text.h"
#include "receipt/form.h"
#include "receipt/receipt.h"

enum {
    SHOWN_MAX_BYTES = 200, /* of a value in a sentence */
    HASH_CHARACTERS = 2 * RECEIPT_HASH_BYTES + 1,
};

static const char valid[] = "valid", broken[] = "broken", absent[] = "absent";

struct verification {
    const json_t *body, *signatures;
    uint8_t *signed_bytes;
    size_t signed_size;
    berth_receipt_check_fn *check;
    void *payload;
    berth_status status; /* BERTH_OK as long as everything holds */
    berth_error **reterr;
};

static void tell(struct verification *v, const char *field, bool ok, const char *expected, const char *found)
{
    cleanup_text struct text safe_expected = {0}, safe_found = {0};
    text_append_escaped(&safe_expected, expected, strlen(expected), SHOWN_MAX_BYTES);
    text_append_escaped(&safe_found, found, strlen(found), SHOWN_MAX_BYTES);
    expected = safe_expected.length ? safe_expected.data : "";
    found = safe_found.length ? safe_found.data : "";
    if (!ok && v->status == BERTH_OK)
        v->status = error_set(v->reterr, BERTH_REFUSED, "%s does not match: expected %s, found %s", field,
                              *expected ? expected : "nothing", *found ? found : "nothing");
    if (v->check)
        v->check(v->payload, field, ok, expected, found);
}

static void compare(struct verification *v, const char *field, const char *expected, const char *found)
{
    tell(v, field, strcmp(expected, found) == 0, expected, found);
}

static void compare_hash(struct verification *v, const char *field, const uint8_t *expected,
                         const json_t *found)
{
    char digits[HASH_CHARACTERS];
    hex_write(expected, RECEIPT_HASH_BYTES, digits);
    compare(v, field, digits, found ? json_text(found) : absent);
}

/* ---- Signatures ---------------------------------------------------------------------------------------- */

/* Exactly size_bytes bytes in base64 (RFC 4648, 4) with padding, and no other way to write them. */
static bool decode_base64(const char *text, uint8_t *ret, size_t size_bytes)
{
    uint8_t decoded[ML_DSA_65_SIGNATURE_BYTES + 3], again[4 * (ML_DSA_65_SIGNATURE_BYTES / 3 + 1) + 1];
    size_t length;
    if (EVP_DecodeBase64(decoded, &length, sizeof decoded, (const uint8_t *)text, strlen(text)) != 1 ||
        length != size_bytes)
        return false;
    EVP_EncodeBlock(again, decoded, length);
    memcpy(ret, decoded, length);
    return strcmp((const char *)again, text) == 0;
}

static bool decode_signature(const json_t *entry, uint8_t *ret_key, size_t key_bytes, uint8_t *ret_signature,
                             size_t signature_bytes)
{
    const json_t *key = json_object_get(entry, "public_key");
    return json_string_length(key) == 2 * key_bytes && hex_read(json_text(key), ret_key, key_bytes) == 0 &&
           decode_base64(json_text(json_object_get(entry, "signature")), ret_signature, signature_bytes);
}

static bool ml_dsa_65_verifies(const struct verification *v, const uint8_t *public_key,
                               const uint8_t *signature)
{
    EVP_PKEY *key = EVP_PKEY_pqdsa_new_raw_public_key(NID_MLDSA65, public_key, ML_DSA_65_PUBLIC_KEY_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool verifies =
        key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(context, signature, ML_DSA_65_SIGNATURE_BYTES, v->signed_bytes, v->signed_size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return verifies;
}

/* The key is the node's: its peer id says so. */
static void check_ed25519(struct verification *v)
{
    uint8_t key[ED25519_PUBLIC_KEY_BYTES], signature[ED25519_SIGNATURE_BYTES];
    char peer_id[PEER_ID_CHARACTERS] = "";
    bool ok = decode_signature(json_object_get(v->signatures, "ed25519"), key, sizeof key, signature,
                               sizeof signature);
    if (ok) {
        peer_id_of_ed25519(key, peer_id);
        ok = ED25519_verify(v->signed_bytes, v->signed_size, signature, key) == 1;
    }
    tell(v, "signatures.ed25519", ok, valid, ok ? valid : broken);
    compare(v, "signatures.ed25519.public_key", json_text(json_object_get(v->body, "node")), peer_id);
}

/* The key is the node's: what Ed25519 signed names it. So a signature that was taken away is noticed as well.
 */
static void check_ml_dsa_65(struct verification *v, const struct berth_receipt_expectation *expectation)
{
    uint8_t key[ML_DSA_65_PUBLIC_KEY_BYTES], signature[ML_DSA_65_SIGNATURE_BYTES];
    uint8_t key_hash[RECEIPT_HASH_BYTES];
    char found[HASH_CHARACTERS] = "", expected[HASH_CHARACTERS];
    const json_t *entry = json_object_get(v->signatures, "ml_dsa_65");
    const json_t *named = json_object_get(v->body, "node_ml_dsa_65_sha256");
    if (!entry) {
        bool needed = named || expectation->require_post_quantum || expectation->ml_dsa_65_public_key;
        if (needed)
            tell(v, "signatures.ml_dsa_65", false, valid, absent);
        return;
    }
    bool decoded = decode_signature(entry, key, sizeof key, signature, sizeof signature);
    bool ok = decoded && ml_dsa_65_verifies(v, key, signature);
    tell(v, "signatures.ml_dsa_65", ok, valid, ok ? valid : broken);
    if (decoded) {
        SHA256(key, sizeof key, key_hash);
        hex_write(key_hash, sizeof key_hash, found);
    }
    compare(v, "node_ml_dsa_65_sha256", decoded ? found : "the key's", named ? json_text(named) : absent);
    if (expectation->ml_dsa_65_public_key) {
        SHA256(expectation->ml_dsa_65_public_key, ML_DSA_65_PUBLIC_KEY_BYTES, key_hash);
        hex_write(key_hash, sizeof key_hash, expected);
        compare(v, "signatures.ml_dsa_65.public_key", expected, found);
    }
}

/* ---- What is expected ---------------------------------------------------------------------------------- */

static const json_t *member_of(const struct verification *v, const char *object, const char *key)
{
    return json_object_get(json_object_get(v->body, object), key);
}

static void compare_text(struct verification *v, const char *key, const char *expected)
{
    if (expected)
        compare(v, key, expected, json_text(json_object_get(v->body, key)));
}

static void check_module(struct verification *v, const struct berth_receipt_expectation *expectation)
{
    uint8_t hash[RECEIPT_HASH_BYTES];
    const json_t *found = member_of(v, "module", "sha256");
    if (expectation->module) {
        SHA256(expectation->module, expectation->module_bytes, hash);
        compare_hash(v, "module.sha256", hash, found);
    }
    if (expectation->module_sha256)
        compare_hash(v, "module.sha256", expectation->module_sha256, found);
}

static void check_output(struct verification *v, const struct berth_receipt_expectation *expectation)
{
    uint8_t hash[RECEIPT_HASH_BYTES];
    char expected[32], found[32];
    const json_t *sha256 = member_of(v, "output", "sha256");
    if (expectation->output) {
        snprintf(expected, sizeof expected, "%zu", expectation->output_bytes);
        snprintf(found, sizeof found, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(member_of(v, "output", "bytes")));
        compare(v, "output.bytes", expected, found);
        SHA256(expectation->output, expectation->output_bytes, hash);
        compare_hash(v, "output.sha256", hash, sha256);
    }
    if (expectation->output_sha256)
        compare_hash(v, "output.sha256", expectation->output_sha256, sha256);
}

static void check_outcome(struct verification *v, const struct berth_receipt_expectation *expectation)
{
    char expected[32], found[32];
    if (!expectation->outcome)
        return;
    compare(v, "outcome.kind", expectation->outcome, json_text(member_of(v, "outcome", "kind")));
    snprintf(expected, sizeof expected, "%" PRIu32, expectation->exit_code);
    snprintf(found, sizeof found, "%" JSON_INTEGER_FORMAT,
             json_integer_value(member_of(v, "outcome", "exit_code")));
    compare(v, "outcome.exit_code", expected, found);
}

static void check_arguments(struct verification *v, const char *const *arguments)
{
    uint8_t hash[RECEIPT_HASH_BYTES];
    SHA256_CTX context;
    if (!arguments)
        return;
    SHA256_Init(&context);
    for (; *arguments; arguments++)
        SHA256_Update(&context, *arguments, strlen(*arguments) + 1);
    SHA256_Final(hash, &context);
    compare_hash(v, "arguments_sha256", hash, json_object_get(v->body, "arguments_sha256"));
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

static berth_status read_receipt(const char *json, size_t size_bytes, json_t **ret, berth_error **reterr)
{
    cleanup_free char *problem = NULL;
    cleanup_json json_t *root = NULL;
    int r = json_read(json, size_bytes, &root, &problem);
    if (r == 0)
        r = receipt_form_check(root, &problem);
    if (r == -EINVAL)
        return error_set(reterr, BERTH_INVALID, "not a receipt: %s", problem);
    if (r < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    *ret = take_ptr(root);
    return BERTH_OK;
}

static int find_signed_bytes(const json_t *body, uint8_t **ret, size_t *ret_size_bytes)
{
    cleanup_free char *canonical = NULL;
    size_t size;
    int r = json_canonical(body, &canonical, &size);
    return r < 0 ? r : receipt_signed_bytes(canonical, size, ret, ret_size_bytes);
}

berth_status berth_receipt_verify(const char *json, size_t size_bytes,
                                  const struct berth_receipt_expectation *expectation,
                                  berth_receipt_check_fn *check, void *payload, berth_error **reterr)
{
    static const struct berth_receipt_expectation nothing = {.size = sizeof nothing};
    cleanup_json json_t *root = NULL;
    cleanup_free uint8_t *signed_bytes = NULL;
    size_t signed_size;
    if (!expectation)
        expectation = &nothing;
    if (expectation->size != sizeof *expectation)
        return error_set(reterr, BERTH_INVALID, "the expectation was not made for this version of berth");
    berth_status status = read_receipt(json, size_bytes, &root, reterr);
    if (status != BERTH_OK)
        return status;
    const json_t *body = json_object_get(root, "receipt");
    if (find_signed_bytes(body, &signed_bytes, &signed_size) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");

    struct verification v = {
        .body = body,
        .signatures = json_object_get(root, "signatures"),
        .signed_bytes = signed_bytes,
        .signed_size = signed_size,
        .check = check,
        .payload = payload,
        .reterr = reterr,
    };
    check_ed25519(&v);
    check_ml_dsa_65(&v, expectation);
    compare_text(&v, "node", expectation->node);
    compare_text(&v, "principal", expectation->principal);
    compare_text(&v, "run_id", expectation->run_id);
    check_module(&v, expectation);
    check_arguments(&v, expectation->arguments);
    check_output(&v, expectation);
    if (expectation->errors_sha256)
        compare_hash(&v, "errors.sha256", expectation->errors_sha256, member_of(&v, "errors", "sha256"));
    check_outcome(&v, expectation);
    return v.status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: what the node writes holds, nothing in it can be changed, and what is expected is compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <openssl/curve25519.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <string.h>

#include <berth/receipt.h>

#include "base/error.h"
#include "base/json.h"
#include "base/key_sizes.h"
#include "base/peer_id.h"
#include "base/text.h"
#include "receipt/receipt.h"

static const char output[] = "one CRITICAL line\n";
static const char module[] = "\0asm\1\0\0\0";

struct node {
    uint8_t ed25519_private[64], ed25519_public[ED25519_PUBLIC_KEY_BYTES];
    uint8_t ml_dsa_public[ML_DSA_65_PUBLIC_KEY_BYTES], ml_dsa_sha256[RECEIPT_HASH_BYTES];
    EVP_PKEY *ml_dsa;
    char peer_id[PEER_ID_CHARACTERS];
};

static void node_init(struct node *node, uint8_t seed_byte)
{
    uint8_t seed[32];
    size_t size = sizeof node->ml_dsa_public;
    memset(seed, seed_byte, sizeof seed);
    ED25519_keypair_from_seed(node->ed25519_public, node->ed25519_private, seed);
    peer_id_of_ed25519(node->ed25519_public, node->peer_id);
    node->ml_dsa = EVP_PKEY_pqdsa_new_raw_private_key(NID_MLDSA65, seed, sizeof seed);
    assert_non_null(node->ml_dsa);
    assert_int_equal(EVP_PKEY_get_raw_public_key(node->ml_dsa, node->ml_dsa_public, &size), 1);
    SHA256(node->ml_dsa_public, size, node->ml_dsa_sha256);
}

static void node_done(struct node *node)
{
    EVP_PKEY_free(node->ml_dsa);
}
#define cleanup_node cleanup(node_done)

static uint8_t output_sha256[32], module_sha256[32], arguments_sha256[32], nothing_sha256[32];
static const char *const mounts[] = {"/logs", "/data"};

static struct receipt_facts facts_of(const struct node *node)
{
    SHA256((const uint8_t *)output, sizeof output - 1, output_sha256);
    SHA256((const uint8_t *)module, sizeof module - 1, module_sha256);
    SHA256((const uint8_t *)"CRITICAL\0x", 11, arguments_sha256);
    SHA256((const uint8_t *)"", 0, nothing_sha256);
    return (struct receipt_facts){
        .run_id = "0123456789abcdef0123456789abcdef",
        .node = node->peer_id,
        .node_ml_dsa_65_sha256 = node->ml_dsa_sha256,
        .principal = "alice",
        .capability = "logs",
        .module_name = "filter.wasm",
        .module_sha256 = module_sha256,
        .arguments_sha256 = arguments_sha256,
        .inputs_sha256 = nothing_sha256,
        .mounts = mounts,
        .n_mounts = 2,
        .contract_sha256 = nothing_sha256,
        .output_sha256 = output_sha256,
        .output_bytes = sizeof output - 1,
        .errors_sha256 = nothing_sha256,
        .events_sha256 = nothing_sha256,
        .outcome = {.kind = BERTH_OUTCOME_EXITED, .cause = "", .remedy = ""},
        .usage = {.wall_ns = 5, .fuel = UINT64_MAX},
        .started_ns = 1790000000000000000,
        .ended_ns = -1,
    };
}

/* Signs the body as a node does; the keys of `named` are written beside the signatures. */
static char *sign(const struct node *node, const struct node *named, const char *body, bool post_quantum)
{
    cleanup_free uint8_t *bytes = NULL;
    uint8_t signature[ED25519_SIGNATURE_BYTES], ml_dsa_signature[ML_DSA_65_SIGNATURE_BYTES];
    size_t size, signature_size = sizeof ml_dsa_signature;
    char *text = NULL;
    assert_int_equal(receipt_signed_bytes(body, strlen(body), &bytes, &size), 0);
    assert_int_equal(ED25519_sign(signature, bytes, size, node->ed25519_private), 1);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, node->ml_dsa), 1);
    assert_int_equal(EVP_DigestSign(context, ml_dsa_signature, &signature_size, bytes, size), 1);
    EVP_MD_CTX_free(context);
    assert_int_equal(receipt_text(body, named->ed25519_public, signature,
                                  post_quantum ? named->ml_dsa_public : NULL, ml_dsa_signature, &text),
                     0);
    return text;
}

static char *body_of(const struct receipt_facts *facts)
{
    char *body = NULL;
    size_t size;
    assert_int_equal(receipt_body(facts, &body, &size), 0);
    assert_int_equal(strlen(body), size);
    return body;
}

static char *receipt_of(const struct node *node)
{
    struct receipt_facts facts = facts_of(node);
    cleanup_free char *body = body_of(&facts);
    return sign(node, node, body, true);
}

static void note_check(void *payload, const char *field, bool ok, const char *expected, const char *found)
{
    struct text *notes = payload;
    assert_non_null(expected);
    assert_non_null(found);
    text_append_format(notes, "%s%s%s", notes->length ? " " : "", ok ? "" : "!", field);
}

/* Refused, and the sentence begins with the field. */
static void assert_refused(const char *text, const struct berth_receipt_expectation *expectation,
                           const char *field)
{
    cleanup_error berth_error *error = NULL;
    assert_int_equal(berth_receipt_verify(text, strlen(text), expectation, NULL, NULL, &error),
                     BERTH_REFUSED);
    assert_memory_equal(berth_error_message(error), field, strlen(field));
    assert_int_equal(berth_error_message(error)[strlen(field)], ' ');
}

static void assert_no_receipt(const char *text, size_t size, const char *reason)
{
    cleanup_error berth_error *error = NULL;
    assert_int_equal(berth_receipt_verify(text, size, NULL, NULL, NULL, &error), BERTH_INVALID);
    if (!strstr(berth_error_message(error), reason))
        fail_msg("'%s' does not say '%s'", berth_error_message(error), reason);
}

static void assert_holds(const char *text, const struct berth_receipt_expectation *expectation)
{
    cleanup_error berth_error *error = NULL;
    if (berth_receipt_verify(text, strlen(text), expectation, NULL, NULL, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
}

/* The text with the first `from` in it replaced. */
static char *replaced(const char *text, const char *from, const char *to)
{
    struct text result = {0};
    const char *at = strstr(text, from);
    assert_non_null(at);
    text_append_bytes(&result, text, (size_t)(at - text));
    text_append(&result, to);
    text_append(&result, at + strlen(from));
    return text_take(&result);
}

/* ---- What is written ----------------------------------------------------------------------------------- */

static void the_body_is_canonical_and_complete(void **state)
{
    (void)state;
    static const char expected[] =
        "{\"arguments_sha256\":\"%s\",\"capability\":\"logs\",\"contract_sha256\":\"%s\",\"ended_ns\":\"-1\","
        "\"errors\":{\"bytes\":0,\"sha256\":\"%s\"},\"events\":{\"count\":0,\"sha256\":\"%s\"},"
        "\"inputs_sha256\":\"%s\",\"module\":{\"name\":\"filter.wasm\",\"sha256\":\"%s\"},"
        "\"mounts\":[\"/logs\",\"/data\"],\"node\":\"%s\",";
    static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    static const char module_digits[] = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
    cleanup_text struct text start = {0};
    cleanup_node struct node node;
    node_init(&node, 1);
    struct receipt_facts facts = facts_of(&node);
    cleanup_free char *body = body_of(&facts);
    cleanup_json json_t *value = json_loads(body, 0, NULL);
    cleanup_free char *canonical = NULL;
    size_t size;
    assert_int_equal(json_canonical(value, &canonical, &size), 0);
    assert_string_equal(body, canonical);
    text_append_format(&start, expected, json_string_value(json_object_get(value, "arguments_sha256")),
                       nothing, nothing, nothing, nothing, module_digits, node.peer_id);
    assert_memory_equal(body, start.data, start.length);
    const json_t *usage = json_object_get(value, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "fuel")), (INT64_C(1) << 53) - 1);
    assert_int_equal(json_object_size(usage), 11);
    assert_string_equal(json_string_value(json_object_get(value, "started_ns")), "1790000000000000000");
}

static void what_is_unknown_is_absent(void **state)
{
    (void)state;
    struct receipt_facts facts = {0};
    cleanup_free char *body = body_of(&facts);
    assert_null(strstr(body, "sha256"));
    assert_non_null(strstr(body, "\"principal\":\"\""));
    assert_non_null(strstr(body, "\"mounts\":[]"));
}

static void names_that_are_no_utf8_are_escaped(void **state)
{
    (void)state;
    struct receipt_facts facts = {.module_name = "a\xff\n", .principal = "b\n\"ü"};
    cleanup_free char *body = body_of(&facts);
    assert_non_null(strstr(body, "\"name\":\"a\\\\xff\\\\n\""));
    assert_non_null(strstr(body, "\"principal\":\"b\\n\\\"ü\""));
}

/* ---- What holds ---------------------------------------------------------------------------------------- */

static void a_receipt_holds_and_every_check_is_told(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    cleanup_free char *text = receipt_of(&node);
    cleanup_text struct text notes = {0};
    const char *arguments[] = {"CRITICAL", "x", NULL};
    const struct berth_receipt_expectation expectation = {
        .size = sizeof expectation,
        .node = node.peer_id,
        .principal = "alice",
        .run_id = "0123456789abcdef0123456789abcdef",
        .module = module,
        .module_bytes = sizeof module - 1,
        .module_sha256 = module_sha256,
        .output = output,
        .output_bytes = sizeof output - 1,
        .output_sha256 = output_sha256,
        .arguments = arguments,
        .require_post_quantum = true,
        .ml_dsa_65_public_key = node.ml_dsa_public,
    };
    assert_int_equal(berth_receipt_verify(text, strlen(text), &expectation, note_check, &notes, NULL),
                     BERTH_OK);
    assert_string_equal(
        notes.data, "signatures.ed25519 signatures.ed25519.public_key signatures.ml_dsa_65 "
                    "node_ml_dsa_65_sha256 signatures.ml_dsa_65.public_key node principal run_id "
                    "module.sha256 module.sha256 arguments_sha256 output.bytes output.sha256 output.sha256");
}

static void white_space_and_order_do_not_matter(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    cleanup_free char *text = receipt_of(&node);
    cleanup_json json_t *value = json_loads(text, 0, NULL);
    cleanup_free char *pretty = json_dumps(value, JSON_INDENT(4) | JSON_ENSURE_ASCII);
    assert_holds(pretty, NULL);
}

static void a_receipt_without_post_quantum_signature_holds_unless_one_is_asked_for(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    struct receipt_facts facts = facts_of(&node);
    facts.node_ml_dsa_65_sha256 = NULL;
    cleanup_free char *body = body_of(&facts), *text = sign(&node, &node, body, false);
    struct berth_receipt_expectation expectation = {.size = sizeof expectation};
    assert_holds(text, &expectation);
    expectation.require_post_quantum = true;
    assert_refused(text, &expectation, "signatures.ml_dsa_65");
    expectation.require_post_quantum = false;
    expectation.ml_dsa_65_public_key = node.ml_dsa_public;
    assert_refused(text, &expectation, "signatures.ml_dsa_65");
}

/* ---- What does not ------------------------------------------------------------------------------------- */

/* Changes each leaf of the value in turn and calls for the document. */
static size_t change_leaves(json_t *root, json_t *value)
{
    size_t changed = 0, i;
    const char *key;
    json_t *member;
    void *next;
    if (json_is_array(value))
        json_array_foreach(value, i, member) changed += change_leaves(root, member);
    if (json_is_object(value))
        json_object_foreach_safe(value, next, key, member) changed += change_leaves(root, member);
    if (json_is_integer(value) || json_is_string(value)) {
        cleanup_json json_t *before = json_copy(value);
        cleanup_text struct text other = {0};
        if (json_is_integer(value))
            json_integer_set(value, json_integer_value(value) + 1);
        else {
            text_append(&other, json_string_value(value));
            text_append(&other, "0");
            if (other.length > 1)
                other.data[other.length - 2] = other.data[other.length - 2] == '0' ? '1' : '0';
            json_string_setn(value, other.data, other.length - (other.length > 1));
        }
        cleanup_free char *text = json_dumps(root, 0);
        berth_status status = berth_receipt_verify(text, strlen(text), NULL, NULL, NULL, NULL);
        if (status != BERTH_REFUSED && status != BERTH_INVALID)
            fail_msg("holds: %s", text);
        if (json_is_integer(value))
            json_integer_set(value, json_integer_value(before));
        else
            json_string_set(value, json_string_value(before));
        changed++;
    }
    return changed;
}

static void no_value_can_be_changed(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    cleanup_free char *text = receipt_of(&node);
    cleanup_json json_t *root = json_loads(text, 0, NULL);
    assert_int_equal(change_leaves(root, root), 40);
    cleanup_free char *again = json_dumps(root, 0);
    assert_holds(again, NULL);
}

static void no_member_can_be_taken_away_or_added(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    cleanup_free char *text = receipt_of(&node);
    cleanup_json json_t *root = json_loads(text, 0, NULL);
    json_t *body = json_object_get(root, "receipt"), *member;
    const char *key;
    void *next;
    json_object_foreach_safe(body, next, key, member)
    {
        cleanup_json json_t *other = json_deep_copy(root);
        json_object_del(json_object_get(other, "receipt"), key);
        cleanup_free char *without = json_dumps(other, 0);
        assert_int_not_equal(berth_receipt_verify(without, strlen(without), NULL, NULL, NULL, NULL),
                             BERTH_OK);
    }
    cleanup_free char *in_body = replaced(text, "\"capability\"", "\"also\":1,\"capability\"");
    assert_no_receipt(in_body, strlen(in_body), "receipt.also is no member");
    cleanup_free char *beside = replaced(text, "{\"receipt\"", "{\"note\":\"trust me\",\"receipt\"");
    assert_no_receipt(beside, strlen(beside), "note is no member");
    cleanup_free char *twice = replaced(text, "{\"receipt\"", "{\"receipt\":{},\"receipt\"");
    assert_no_receipt(twice, strlen(twice), "duplicate");
}

static void another_nodes_signature_is_named(void **state)
{
    (void)state;
    cleanup_node struct node node, mallory;
    node_init(&node, 1);
    node_init(&mallory, 2);
    struct receipt_facts facts = facts_of(&node);
    cleanup_free char *body = body_of(&facts);
    cleanup_free char *forged = sign(&mallory, &mallory, body, true);
    assert_refused(forged, NULL, "signatures.ed25519.public_key");
    cleanup_free char *claimed = sign(&mallory, &node, body, true);
    assert_refused(claimed, NULL, "signatures.ed25519");
    const struct berth_receipt_expectation expectation = {.size = sizeof expectation,
                                                          .node = mallory.peer_id};
    cleanup_free char *honest = receipt_of(&node);
    assert_refused(honest, &expectation, "node");
}

static void a_post_quantum_key_that_the_node_does_not_name_is_refused(void **state)
{
    (void)state;
    cleanup_node struct node node, mallory;
    node_init(&node, 1);
    node_init(&mallory, 2);
    struct receipt_facts facts = facts_of(&node);
    facts.node_ml_dsa_65_sha256 = mallory.ml_dsa_sha256;
    cleanup_free char *body = body_of(&facts), *text = sign(&node, &node, body, true);
    assert_refused(text, NULL, "node_ml_dsa_65_sha256");
    facts.node_ml_dsa_65_sha256 = NULL;
    cleanup_free char *unnamed = body_of(&facts), *other = sign(&node, &node, unnamed, true);
    assert_refused(other, NULL, "node_ml_dsa_65_sha256");
    cleanup_free char *good = receipt_of(&node);
    const struct berth_receipt_expectation expectation = {.size = sizeof expectation,
                                                          .ml_dsa_65_public_key = mallory.ml_dsa_public};
    assert_refused(good, &expectation, "signatures.ml_dsa_65.public_key");
}

static void a_post_quantum_signature_that_was_taken_away_is_missed(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    struct receipt_facts facts = facts_of(&node);
    cleanup_free char *body = body_of(&facts), *text = sign(&node, &node, body, false);
    assert_refused(text, NULL, "signatures.ml_dsa_65");
}

static void what_is_expected_is_compared(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    cleanup_free char *text = receipt_of(&node);
    const char *fewer[] = {"CRITICAL", NULL}, *joined[] = {"CRITICALx", NULL}, *none[] = {NULL};
    static const uint8_t zeros[32];
    const struct {
        struct berth_receipt_expectation expectation;
        const char *field;
    } rows[] = {
        {{.principal = "bob"}, "principal"},
        {{.principal = ""}, "principal"},
        {{.run_id = "0"}, "run_id"},
        {{.module = "\0asm\2\0\0\0", .module_bytes = 8}, "module.sha256"},
        {{.module_sha256 = zeros}, "module.sha256"},
        {{.output = output, .output_bytes = sizeof output - 2}, "output.bytes"},
        {{.output = "one critical line\n", .output_bytes = sizeof output - 1}, "output.sha256"},
        {{.output_sha256 = zeros}, "output.sha256"},
        {{.arguments = fewer}, "arguments_sha256"},
        {{.arguments = joined}, "arguments_sha256"},
        {{.arguments = none}, "arguments_sha256"},
        {{.principal = "bob", .run_id = "0"}, "principal"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct berth_receipt_expectation expectation = rows[i].expectation;
        expectation.size = sizeof expectation;
        assert_refused(text, &expectation, rows[i].field);
    }
}

static void base64_has_one_form(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    struct receipt_facts facts = facts_of(&node);
    facts.node_ml_dsa_65_sha256 = NULL;
    cleanup_free char *body = body_of(&facts), *text = sign(&node, &node, body, false);
    char *end = strstr(text, "==\"}}");
    assert_non_null(end);
    /* 64 bytes leave four unused bits in the last digit. */
    char digit = end[-1];
    end[-1] = (char)(digit + 1);
    assert_refused(text, NULL, "signatures.ed25519");
    end[-1] = digit;
    assert_holds(text, NULL);
    cleanup_free char *spaced = replaced(text, "==\"}}", "== \"}}");
    assert_refused(spaced, NULL, "signatures.ed25519");
    cleanup_free char *bare = replaced(text, "==\"}}", "\"}}");
    assert_refused(bare, NULL, "signatures.ed25519");
    cleanup_free char *longer = replaced(text, "==\"}}", "==AAAA\"}}");
    assert_refused(longer, NULL, "signatures.ed25519");
}

static void what_is_no_receipt_gets_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "not a receipt: line 1"},
        {"\x1b[31m", "not a receipt"},
        {"null", "must be a JSON object"},
        {"[]", "must be a JSON object"},
        {"{}", "receipt is missing"},
        {"{\"receipt\":[]}", "receipt must be an object"},
        {"{\"receipt\":{\"version\":2}}", "receipt.version must be 1"},
        {"{\"receipt\":{\"version\":1.0}}", "receipt.version must be 1"},
        {"{\"receipt\":{\"version\":1,\"run_id\":\"a\\u0000b\"}}", "receipt.run_id must be a string"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_no_receipt(rows[i].text, strlen(rows[i].text), rows[i].reason);
    cleanup_free char *deep = malloc(100000);
    memset(deep, '[', 100000);
    assert_no_receipt(deep, 100000, "nest too deep");
    cleanup_free char *large = malloc((1 << 20) + 1);
    memset(large, ' ', (1 << 20) + 1);
    assert_no_receipt(large, (1 << 20) + 1, "longer than 1 MiB");
}

static void members_of_another_kind_are_named(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    cleanup_free char *text = receipt_of(&node);
    static const struct {
        const char *from, *to, *reason;
    } rows[] = {
        {"\"exit_code\":0", "\"exit_code\":-1", "receipt.outcome.exit_code must be an integer"},
        {"\"exit_code\":0", "\"exit_code\":0.5", "receipt.outcome.exit_code must be an integer"},
        {"\"exit_code\":0", "\"exit_code\":9007199254740992", "receipt.outcome.exit_code must be an integer"},
        {"\"exit_code\":0", "\"exit_code\":\"0\"", "receipt.outcome.exit_code must be an integer"},
        {"\"ended_ns\":\"-1\"", "\"ended_ns\":-1", "receipt.ended_ns must be a string of decimal digits"},
        {"\"ended_ns\":\"-1\"", "\"ended_ns\":\"-01\"", "receipt.ended_ns must be"},
        {"\"ended_ns\":\"-1\"", "\"ended_ns\":\"99999999999999999999\"", "receipt.ended_ns must be"},
        {"\"/logs\"", "7", "receipt.mounts must be an array of strings"},
        {"\"mounts\":[\"/logs\",\"/data\"]", "\"mounts\":{}", "receipt.mounts must be an array of strings"},
        {"e3b0c442", "E3B0C442", "must be 64 lowercase hexadecimal digits"},
        {"e3b0c442", "e3b0c4420", "must be 64 lowercase hexadecimal digits"},
        {"\"signatures\":{", "\"signatures\":{\"rsa\":{},", "signatures.rsa is no member"},
        {"\"public_key\":\"", "\"public_key\":1,\"x\":\"", "signatures.ed25519.public_key must be a string"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cleanup_free char *other = replaced(text, rows[i].from, rows[i].to);
        assert_no_receipt(other, strlen(other), rows[i].reason);
    }
}

static void nothing_from_a_receipt_is_shown_raw(void **state)
{
    (void)state;
    cleanup_node struct node node;
    node_init(&node, 1);
    struct receipt_facts facts = facts_of(&node);
    facts.principal = "\x1b[2J\nberth: all is well";
    cleanup_free char *body = body_of(&facts), *text = sign(&node, &node, body, true);
    const struct berth_receipt_expectation expectation = {.size = sizeof expectation, .principal = "alice"};
    cleanup_error berth_error *error = NULL;
    assert_int_equal(berth_receipt_verify(text, strlen(text), &expectation, NULL, NULL, &error),
                     BERTH_REFUSED);
    for (const char *c = berth_error_message(error); *c; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void an_expectation_of_another_version_is_refused(void **state)
{
    (void)state;
    const struct berth_receipt_expectation expectation = {.size = 8};
    assert_int_equal(berth_receipt_verify("{}", 2, &expectation, NULL, NULL, NULL), BERTH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_is_canonical_and_complete),
        cmocka_unit_test(what_is_unknown_is_absent),
        cmocka_unit_test(names_that_are_no_utf8_are_escaped),
        cmocka_unit_test(a_receipt_holds_and_every_check_is_told),
        cmocka_unit_test(white_space_and_order_do_not_matter),
        cmocka_unit_test(a_receipt_without_post_quantum_signature_holds_unless_one_is_asked_for),
        cmocka_unit_test(no_value_can_be_changed),
        cmocka_unit_test(no_member_can_be_taken_away_or_added),
        cmocka_unit_test(another_nodes_signature_is_named),
        cmocka_unit_test(a_post_quantum_key_that_the_node_does_not_name_is_refused),
        cmocka_unit_test(a_post_quantum_signature_that_was_taken_away_is_missed),
        cmocka_unit_test(what_is_expected_is_compared),
        cmocka_unit_test(base64_has_one_form),
        cmocka_unit_test(what_is_no_receipt_gets_a_sentence),
        cmocka_unit_test(members_of_another_kind_are_named),
        cmocka_unit_test(nothing_from_a_receipt_is_shown_raw),
        cmocka_unit_test(an_expectation_of_another_version_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

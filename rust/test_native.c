/* SPDX-License-Identifier: Apache-2.0 */
/* The border to Rust as C sees it: outcomes, ownership, the limiter's questions, and that one link line
 * reaches the engine and the cryptographic library. What the scan and the TOML reader find is tested in
 * rust/src. */
#include "berth_native.h"

#include <errno.h>
#include <openssl/curve25519.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <wasmtime.h>

#include <cmocka.h>

enum { PAGE_BYTES = 65536 };

/*
 * (module (memory (export "m") 1 5) (table (export "t") 1 4 funcref)
 *   (func (export "g") (param i32) (result i32) local.get 0 memory.grow)
 *   (func (export "h") (param i32) (result i32) ref.null func local.get 0 table.grow 0))
 */
static const uint8_t growing_module[] = {
    0,  'a', 's',  'm',  1,    0,    0,    0,                                              /* header */
    1,  6,   1,    0x60, 1,    0x7f, 1,    0x7f,                                           /* types */
    3,  3,   2,    0,    0,                                                                /* functions */
    4,  5,   1,    0x70, 1,    1,    4,                                                    /* table */
    5,  4,   1,    1,    1,    5,                                                          /* memory */
    7,  17,  4,    1,    'm',  2,    0,    1,    't', 1,    0, 1, 'g', 0, 0, 1, 'h', 0, 1, /* exports */
    10, 18,  2,    6,    0,    0x20, 0,    0x40, 0,   0x0b,                                /* code */
    9,  0,   0xd0, 0x70, 0x20, 0,    0xfc, 0x0f, 0,   0x0b,
};

static struct berth_native_scan_caps any_size(void)
{
    struct berth_native_scan_caps caps;
    memset(&caps, 0xff, sizeof(caps));
    caps.allow_simd = false;
    return caps;
}

/* ---- Outcomes and ownership ---- */

static void toml_gives_json_or_a_message_but_never_both(void **state)
{
    char *json = NULL, *message = NULL;
    (void)state;
    assert_int_equal(berth_native_toml_to_json("a = 1", 5, &json, &message), 0);
    assert_string_equal(json, "{\"a\":1}");
    assert_null(message);
    berth_native_free(json);

    assert_int_equal(berth_native_toml_to_json("a = ", 4, &json, &message), -EINVAL);
    assert_null(json);
    assert_memory_equal(message, "line 1, column ", 15);
    berth_native_free(message);
    berth_native_free(NULL);
}

static void a_missing_argument_is_an_error_and_not_a_crash(void **state)
{
    const struct berth_native_scan_caps caps = any_size();
    char *text = NULL, *message = NULL;
    uint8_t *copy = NULL;
    size_t length = 1;
    (void)state;
    assert_int_equal(berth_native_toml_to_json(NULL, 1, &text, &message), -EINVAL);
    berth_native_free(message);
    assert_int_equal(berth_native_toml_to_json(NULL, 0, &text, &message), 0);
    berth_native_free(text);
    assert_int_equal(berth_native_module_scan(NULL, 1, &caps, &text, &message), -EINVAL);
    berth_native_free(message);
    assert_int_equal(berth_native_module_scan(growing_module, SIZE_MAX, &caps, &text, &message), -EINVAL);
    berth_native_free(message);
    assert_int_equal(berth_native_module_scan(growing_module, sizeof(growing_module), NULL, &text, &message),
                     -EINVAL);
    berth_native_free(message);
    assert_int_equal(berth_native_module_strip(NULL, 1, 0, &copy, &length), -EINVAL);
    assert_null(copy);
    assert_int_equal(length, 0);
}

static void expect_refusal(const void *wasm, size_t length, const struct berth_native_scan_caps *caps,
                           int expected)
{
    char *facts = NULL, *message = NULL;
    assert_int_equal(berth_native_module_scan(wasm, length, caps, &facts, &message), expected);
    assert_null(facts);
    assert_non_null(message);
    berth_native_free(message);
}

static void each_refusal_has_its_number(void **state)
{
    static const uint8_t shared_memory[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 5, 4, 1, 3, 1, 1};
    struct berth_native_scan_caps caps = any_size();
    (void)state;
    expect_refusal(NULL, 0, &caps, BERTH_NATIVE_REFUSED_NOT_WASM);
    expect_refusal("(module)", 8, &caps, BERTH_NATIVE_REFUSED_NOT_WASM);
    expect_refusal(growing_module, sizeof(growing_module) - 1, &caps, BERTH_NATIVE_REFUSED_INVALID);
    expect_refusal(shared_memory, sizeof(shared_memory), &caps, BERTH_NATIVE_REFUSED_FEATURE);
    caps.functions_max = 1;
    expect_refusal(growing_module, sizeof(growing_module), &caps, BERTH_NATIVE_REFUSED_CAP);
}

static void every_cap_is_read_from_its_own_member(void **state)
{
    struct berth_native_scan_caps caps = any_size();
    char *facts = NULL, *message = NULL;
    (void)state;
    assert_int_equal(
        berth_native_module_scan(growing_module, sizeof(growing_module), &caps, &facts, &message), 0);
    assert_non_null(strstr(facts, "\"exports\":[{\"name\":\"m\",\"kind\":\"memory\",\"type\":\"1..5\"}"));
    berth_native_free(facts);
    /* The last number before allow_simd: a member too many or too few on one side would shift it. */
    static const uint8_t named[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 0, 6, 4, 'n', 'a', 'm', 'e', 0};
    caps.name_section_max_bytes = 0;
    expect_refusal(named, sizeof(named), &caps, BERTH_NATIVE_REFUSED_CAP);
}

static void a_stripped_module_is_a_copy_of_its_own(void **state)
{
    uint8_t wasm[sizeof(growing_module) + 4];
    uint8_t *copy = NULL;
    size_t length = 0;
    (void)state;
    memcpy(wasm, growing_module, sizeof(growing_module));
    memcpy(wasm + sizeof(growing_module), "\0\2\1x", 4);
    assert_int_equal(berth_native_module_strip(wasm, sizeof(wasm), 0, &copy, &length), 0);
    assert_int_equal(length, sizeof(growing_module));
    assert_memory_equal(copy, growing_module, length);
    berth_native_free(copy);
    assert_int_equal(berth_native_module_strip(wasm, sizeof(wasm) - 1, 0, &copy, &length),
                     BERTH_NATIVE_REFUSED_INVALID);
    assert_null(copy);
}

static void versions_are_those_of_the_headers(void **state)
{
    (void)state;
    assert_string_equal(berth_native_engine_version(), WASMTIME_VERSION);
    assert_ptr_equal(berth_native_cpu_features(), berth_native_cpu_features());
    assert_true(strlen(berth_native_cpu_features()) > 0);
}

static void the_cryptographic_library_is_linked_under_its_prefix(void **state)
{
    /* FIPS 180-2, appendix B.1. */
    static const uint8_t expected[] = {0xba, 0x78, 0x16, 0xbf};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    (void)state;
    SHA256((const uint8_t *)"abc", 3, digest);
    assert_memory_equal(digest, expected, sizeof(expected));
    uint8_t public_key[ED25519_PUBLIC_KEY_LEN], private_key[ED25519_PRIVATE_KEY_LEN];
    uint8_t signature[ED25519_SIGNATURE_LEN];
    ED25519_keypair(public_key, private_key);
    assert_int_equal(ED25519_sign(signature, digest, sizeof(digest), private_key), 1);
    assert_int_equal(ED25519_verify(digest, sizeof(digest), signature, public_key), 1);
}

/* ---- Limiter ---- */

struct questions {
    uint64_t memory_limit_bytes;
    uint64_t memory_current_bytes;
    uint64_t memory_desired_bytes;
    uint64_t memory_maximum_bytes;
    uint64_t table_desired;
    uint64_t table_maximum;
    uint64_t failed_current_bytes;
    uint64_t failed_desired_bytes;
    int asked;
    int failed;
};

static bool memory_growing(void *payload, uint64_t current_bytes, uint64_t desired_bytes,
                           uint64_t maximum_bytes)
{
    struct questions *questions = payload;
    questions->asked++;
    questions->memory_current_bytes = current_bytes;
    questions->memory_desired_bytes = desired_bytes;
    questions->memory_maximum_bytes = maximum_bytes;
    return desired_bytes <= questions->memory_limit_bytes;
}

static bool table_growing(void *payload, uint64_t current, uint64_t desired, uint64_t maximum)
{
    struct questions *questions = payload;
    (void)current;
    questions->asked++;
    questions->table_desired = desired;
    questions->table_maximum = maximum;
    return desired <= 2;
}

static void memory_grow_failed(void *payload, uint64_t current_bytes, uint64_t desired_bytes)
{
    struct questions *questions = payload;
    questions->failed++;
    questions->failed_current_bytes = current_bytes;
    questions->failed_desired_bytes = desired_bytes;
}

struct guest {
    struct questions questions;
    struct berth_native_limiter limiter;
    wasm_engine_t *engine;
    wasmtime_store_t *store;
    wasmtime_module_t *module;
    wasmtime_instance_t instance;
};

/* config: consumed; NULL for the engine's defaults. */
static void guest_open(struct guest *guest, uint64_t memory_limit_bytes, wasm_config_t *config)
{
    *guest = (struct guest){.questions = {.memory_limit_bytes = memory_limit_bytes},
                            .limiter = {.payload = &guest->questions,
                                        .memory_growing = memory_growing,
                                        .table_growing = table_growing,
                                        .memory_grow_failed = memory_grow_failed,
                                        .instances = 1,
                                        .tables = 1,
                                        .memories = 1}};
    guest->engine = config ? wasm_engine_new_with_config(config) : wasm_engine_new();
    guest->store = wasmtime_store_new(guest->engine, NULL, NULL);
    berth_native_store_limiter(guest->store, &guest->limiter);
    assert_null(wasmtime_module_new(guest->engine, growing_module, sizeof(growing_module), &guest->module));
}

static bool guest_instantiate(struct guest *guest)
{
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error = wasmtime_instance_new(wasmtime_store_context(guest->store), guest->module, NULL,
                                                    0, &guest->instance, &trap);
    assert_null(trap);
    if (error)
        wasmtime_error_delete(error);
    return !error;
}

static int guest_grow(struct guest *guest, const char *export, int delta)
{
    wasmtime_context_t *context = wasmtime_store_context(guest->store);
    wasmtime_val_t argument = {.kind = WASMTIME_I32, .of.i32 = delta}, result;
    wasmtime_extern_t function;
    wasm_trap_t *trap = NULL;
    assert_true(wasmtime_instance_export_get(context, &guest->instance, export, 1, &function));
    assert_null(wasmtime_func_call(context, &function.of.func, &argument, 1, &result, 1, &trap));
    assert_null(trap);
    return result.of.i32;
}

static void guest_close(struct guest *guest)
{
    wasmtime_module_delete(guest->module);
    wasmtime_store_delete(guest->store);
    wasm_engine_delete(guest->engine);
}

static void growth_is_asked_for_with_its_numbers_and_refused_when_the_owner_says_no(void **state)
{
    struct guest guest;
    struct questions *questions = &guest.questions;
    (void)state;
    guest_open(&guest, 3 * PAGE_BYTES, NULL);
    assert_true(guest_instantiate(&guest));
    assert_int_equal(questions->asked, 2);
    assert_int_equal(questions->memory_current_bytes, 0);
    assert_int_equal(questions->memory_desired_bytes, PAGE_BYTES);
    assert_int_equal(questions->memory_maximum_bytes, 5 * PAGE_BYTES);
    assert_int_equal(questions->table_maximum, 4);

    assert_int_equal(guest_grow(&guest, "g", 2), 1);
    assert_int_equal(questions->memory_current_bytes, PAGE_BYTES);
    assert_int_equal(guest_grow(&guest, "g", 1), -1);
    assert_int_equal(questions->memory_desired_bytes, 4 * PAGE_BYTES);
    assert_int_equal(guest_grow(&guest, "g", 0), 3);
    assert_int_equal(guest_grow(&guest, "h", 1), 1);
    assert_int_equal(guest_grow(&guest, "h", 1), -1);
    assert_int_equal(questions->table_desired, 3);
    guest_close(&guest);
}

static void growth_that_the_module_itself_forbids_is_not_asked_for(void **state)
{
    struct guest guest;
    (void)state;
    guest_open(&guest, UINT64_MAX, NULL);
    assert_true(guest_instantiate(&guest));
    int asked = guest.questions.asked;
    assert_int_equal(guest_grow(&guest, "g", 5), -1);
    assert_int_equal(guest_grow(&guest, "g", -1), -1);
    assert_int_equal(guest_grow(&guest, "h", 4), -1);
    assert_int_equal(guest.questions.asked, asked);
    guest_close(&guest);
}

static void growth_that_was_allowed_and_failed_is_reported_with_the_same_numbers(void **state)
{
    struct guest guest;
    struct questions *questions = &guest.questions;
    wasm_config_t *config = wasm_config_new();
    (void)state;
    /* Room for two pages that cannot be moved to where there is more. */
    wasmtime_config_memory_reservation_set(config, 2 * PAGE_BYTES);
    wasmtime_config_memory_may_move_set(config, false);
    guest_open(&guest, UINT64_MAX, config);
    assert_true(guest_instantiate(&guest));
    assert_int_equal(guest_grow(&guest, "g", 1), 1);
    assert_int_equal(questions->failed, 0);
    assert_int_equal(guest_grow(&guest, "g", 2), -1);
    assert_int_equal(questions->failed, 1);
    assert_int_equal(questions->failed_current_bytes, 2 * PAGE_BYTES);
    assert_int_equal(questions->failed_desired_bytes, 4 * PAGE_BYTES);
    guest_close(&guest);
}

static void the_first_page_is_asked_for_too(void **state)
{
    struct guest guest;
    (void)state;
    guest_open(&guest, PAGE_BYTES - 1, NULL);
    assert_false(guest_instantiate(&guest));
    guest_close(&guest);
}

static void a_second_instance_is_more_than_the_limiter_allows(void **state)
{
    struct guest guest;
    (void)state;
    guest_open(&guest, UINT64_MAX, NULL);
    assert_true(guest_instantiate(&guest));
    assert_false(guest_instantiate(&guest));
    guest_close(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toml_gives_json_or_a_message_but_never_both),
        cmocka_unit_test(a_missing_argument_is_an_error_and_not_a_crash),
        cmocka_unit_test(each_refusal_has_its_number),
        cmocka_unit_test(every_cap_is_read_from_its_own_member),
        cmocka_unit_test(a_stripped_module_is_a_copy_of_its_own),
        cmocka_unit_test(versions_are_those_of_the_headers),
        cmocka_unit_test(the_cryptographic_library_is_linked_under_its_prefix),
        cmocka_unit_test(growth_is_asked_for_with_its_numbers_and_refused_when_the_owner_says_no),
        cmocka_unit_test(growth_that_the_module_itself_forbids_is_not_asked_for),
        cmocka_unit_test(growth_that_was_allowed_and_failed_is_reported_with_the_same_numbers),
        cmocka_unit_test(the_first_page_is_asked_for_too),
        cmocka_unit_test(a_second_instance_is_more_than_the_limiter_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

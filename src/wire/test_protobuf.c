/* SPDX-License-Identifier: Apache-2.0 */
/* The guard before protobuf-c: honest messages pass unchanged, hostile ones cost neither memory nor time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "wire/berth.pb-c.h"
#include "wire/liop.pb-c.h"
#include "wire/protobuf.h"

enum {
    FIELDS_MAX = 64,
    MEMORY_MAX = 1 << 16,
};

static int unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size_bytes)
{
    cleanup_message ProtobufCMessage *message = NULL;
    int r = message_unpack(descriptor, bytes, size_bytes, FIELDS_MAX, MEMORY_MAX, &message);
    assert_true((r == 0) == (message != NULL));
    return r;
}

#define LOGIC(literal) unpack(&liop__v1__logic_request__descriptor, literal, sizeof(literal) - 1)
#define RUN(literal)   unpack(&berth__v1__run_request__descriptor, literal, sizeof(literal) - 1)
#define PIECE(literal) unpack(&berth__v1__run_message__descriptor, literal, sizeof(literal) - 1)

static void a_message_comes_back_as_it_was_packed(void **state)
{
    (void)state;
    Berth__V1__RunRequest request;
    Berth__V1__RunRequest__InputsEntry input, *inputs[] = {&input};
    char *arguments[] = {(char[]){"CRITICAL"}, (char[]){""}, (char[]){"größer"}};
    berth__v1__run_request__init(&request);
    berth__v1__run_request__inputs_entry__init(&input);
    input.key = (char[]){"limit"};
    input.value = (ProtobufCBinaryData){.data = (uint8_t[]){'4', '0'}, .len = 2};
    request.module = (ProtobufCBinaryData){.data = (uint8_t[]){0, 'a', 's', 'm'}, .len = 4};
    request.arguments = arguments;
    request.n_arguments = 3;
    request.inputs = inputs;
    request.n_inputs = 1;
    request.deadline_ms = UINT64_MAX;
    request.detach = true;
    uint8_t bytes[256];
    size_t size = berth__v1__run_request__pack(&request, bytes);
    cleanup_message ProtobufCMessage *message = NULL;
    assert_int_equal(
        message_unpack(&berth__v1__run_request__descriptor, bytes, size, 9, MEMORY_MAX, &message), 0);
    const Berth__V1__RunRequest *again = (const Berth__V1__RunRequest *)message;
    assert_int_equal(again->n_arguments, 3);
    assert_string_equal(again->arguments[2], "größer");
    assert_string_equal(again->inputs[0]->key, "limit");
    assert_memory_equal(again->inputs[0]->value.data, "40", 2);
    assert_int_equal(again->deadline_ms, UINT64_MAX);
    assert_true(again->detach);
    ProtobufCMessage *none = NULL;
    assert_int_equal(message_unpack(&berth__v1__run_request__descriptor, bytes, size, 8, MEMORY_MAX, &none),
                     MESSAGE_MALFORMED);
}

static void nothing_is_an_empty_message(void **state)
{
    (void)state;
    assert_int_equal(LOGIC(""), 0);
    assert_int_equal(unpack(&liop__v1__logic_request__descriptor, NULL, 0), 0);
}

static void unknown_fields_of_newer_clients_pass(void **state)
{
    (void)state;
    assert_int_equal(LOGIC("\x30\x02"), 0); /* 6: varint */
    assert_int_equal(LOGIC("\xfa\x07\x03"
                           "abc"),
                     0);                                                     /* 127: bytes */
    assert_int_equal(LOGIC("\xf9\x07\1\2\3\4\5\6\7\x8\xfd\x07\1\2\3\4"), 0); /* 127: 64 and 32 bits */
    assert_int_equal(LOGIC("\xf8\xff\xff\xff\x0f\x01"), 0);                  /* the largest number */
}

static void every_way_to_be_cut_short_is_malformed(void **state)
{
    (void)state;
    static const char whole[] = "\x0a\x05token\x1a\x08\x0a\x03key\x12\x01v\x30\x80\x01";
    size_t ends[] = {0, 7, 17, 20};
    size_t next = 0;
    for (size_t size = 0; size < sizeof whole; size++) {
        bool is_end = next < 4 && size == ends[next];
        next += is_end;
        assert_int_equal(unpack(&liop__v1__logic_request__descriptor, whole, size),
                         is_end ? 0 : MESSAGE_MALFORMED);
    }
}

static void varints_of_more_than_64_bits_are_malformed(void **state)
{
    (void)state;
    assert_int_equal(RUN("\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0);
    assert_int_equal(RUN("\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), MESSAGE_MALFORMED);
    assert_int_equal(RUN("\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), MESSAGE_MALFORMED);
    assert_int_equal(RUN("\x40\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), MESSAGE_MALFORMED);
}

static void tags_that_name_no_field_are_malformed(void **state)
{
    (void)state;
    assert_int_equal(LOGIC("\x00\x01"), MESSAGE_MALFORMED);                     /* field 0 */
    assert_int_equal(LOGIC("\x88\x80\x80\x80\x80\x01\x01"), MESSAGE_MALFORMED); /* six bytes */
    assert_int_equal(LOGIC("\xf8\xff\xff\xff\x1f\x01"), MESSAGE_MALFORMED);     /* 30 bits */
    assert_int_equal(LOGIC("\x33\x34"), MESSAGE_MALFORMED);                     /* a group */
    assert_int_equal(LOGIC("\x36"), MESSAGE_MALFORMED);                         /* wire type 6 */
}

static void a_field_of_another_wire_type_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(LOGIC("\x08\x01"), MESSAGE_MALFORMED);            /* session_token as a number */
    assert_int_equal(RUN("\x42\x01\x01"), MESSAGE_MALFORMED);          /* deadline_ms, packed */
    assert_int_equal(RUN("\x41\1\2\3\4\5\6\7\x8"), MESSAGE_MALFORMED); /* deadline_ms in 64 bits */
    assert_int_equal(LOGIC("\x18\x01"), MESSAGE_MALFORMED);            /* inputs as a number */
}

static void lengths_beyond_the_end_are_malformed(void **state)
{
    (void)state;
    assert_int_equal(LOGIC("\x12\xff\xff\xff\xff\x0f"
                           "x"),
                     MESSAGE_MALFORMED);
    assert_int_equal(LOGIC("\x12\xff\xff\xff\xff\x07"
                           "x"),
                     MESSAGE_MALFORMED);
    assert_int_equal(LOGIC("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                           "x"),
                     MESSAGE_MALFORMED);
    assert_int_equal(LOGIC("\x1a\x04\x0a\x03"
                           "ab"
                           "\x0a\x01x"),
                     MESSAGE_MALFORMED); /* what is inside an input reaches out of it */
}

static void strings_are_utf8_without_nul(void **state)
{
    (void)state;
    assert_int_equal(RUN("\x22\x02\xc3\xa4"), 0);
    assert_int_equal(RUN("\x22\x02\xc3\x28"), MESSAGE_MALFORMED);
    assert_int_equal(RUN("\x22\x03\xed\xa0\x80"), MESSAGE_MALFORMED); /* a surrogate */
    assert_int_equal(RUN("\x22\x02\xc0\x80"), MESSAGE_MALFORMED);     /* an overlong NUL */
    assert_int_equal(RUN("\x22\x03"
                         "a\0b"),
                     MESSAGE_MALFORMED);
    assert_int_equal(RUN("\x0a\x03"
                         "a\0b"),
                     0); /* bytes may be anything */
}

static void what_is_not_repeated_comes_once(void **state)
{
    (void)state;
    assert_int_equal(LOGIC("\x0a\x01"
                           "a"
                           "\x0a\x01"
                           "b"),
                     MESSAGE_MALFORMED);
    assert_int_equal(RUN("\x40\x01\x40\x01"), MESSAGE_MALFORMED);
    assert_int_equal(RUN("\x22\x01"
                         "a"
                         "\x22\x01"
                         "b"),
                     0);
}

static void a_oneof_holds_one(void **state)
{
    (void)state;
    assert_int_equal(PIECE("\x12\x01o"), 0);
    assert_int_equal(PIECE("\x12\x01o\x1a\x01"
                           "e"),
                     MESSAGE_MALFORMED);
    assert_int_equal(PIECE("\x0a\x00\x0a\x00"), MESSAGE_MALFORMED);
    assert_int_equal(PIECE("\x22\x02\x08\x01\x2a\x00"), MESSAGE_MALFORMED);
}

/* n copies of a field. */
static int unpack_many(const ProtobufCMessageDescriptor *descriptor, const char *field, size_t field_size,
                       size_t n, uint32_t max_fields)
{
    cleanup_message ProtobufCMessage *message = NULL;
    cleanup_free char *bytes = malloc(n * field_size);
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + i * field_size, field, field_size);
    return message_unpack(descriptor, bytes, n * field_size, max_fields, SIZE_MAX, &message);
}

static void a_million_keys_are_too_many(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *logic = &liop__v1__logic_request__descriptor;
    assert_int_equal(unpack_many(logic, "\x1a\x00", 2, 1000000, 1000), MESSAGE_MALFORMED);
    assert_int_equal(unpack_many(logic, "\x30\x01", 2, 1000000, 1000), MESSAGE_MALFORMED);
    assert_int_equal(unpack_many(logic, "\x1a\x00", 2, 1000, 1000), 0);
    assert_int_equal(unpack_many(logic, "\x1a\x00", 2, 1001, 1000), MESSAGE_MALFORMED);
    assert_int_equal(unpack_many(&berth__v1__run_request__descriptor, "\x22\x00", 2, 1001, 1000),
                     MESSAGE_MALFORMED);
}

static void fields_inside_messages_count(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *logic = &liop__v1__logic_request__descriptor;
    static const char input[] = "\x1a\x06\x0a\x01k\x12\x01v";
    assert_int_equal(unpack_many(logic, input, 8, 10, 30), 0);
    assert_int_equal(unpack_many(logic, input, 8, 10, 29), MESSAGE_MALFORMED);
}

static void a_message_takes_no_more_memory_than_allowed(void **state)
{
    (void)state;
    ProtobufCMessage *message = NULL;
    enum { MODULE_BYTES = 100000 };
    cleanup_free uint8_t *bytes = calloc(1, MODULE_BYTES + 4);
    memcpy(bytes, "\x12\xa0\x8d\x06", 4); /* 100,000 */
    assert_int_equal(message_unpack(&liop__v1__logic_request__descriptor, bytes, MODULE_BYTES + 4, 1,
                                    MODULE_BYTES + 200, &message),
                     0);
    message_free(message);
    message = NULL;
    assert_int_equal(message_unpack(&liop__v1__logic_request__descriptor, bytes, MODULE_BYTES + 4, 1,
                                    MODULE_BYTES, &message),
                     MESSAGE_MALFORMED);
    assert_null(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_as_it_was_packed),
        cmocka_unit_test(nothing_is_an_empty_message),
        cmocka_unit_test(unknown_fields_of_newer_clients_pass),
        cmocka_unit_test(every_way_to_be_cut_short_is_malformed),
        cmocka_unit_test(varints_of_more_than_64_bits_are_malformed),
        cmocka_unit_test(tags_that_name_no_field_are_malformed),
        cmocka_unit_test(a_field_of_another_wire_type_is_malformed),
        cmocka_unit_test(lengths_beyond_the_end_are_malformed),
        cmocka_unit_test(strings_are_utf8_without_nul),
        cmocka_unit_test(what_is_not_repeated_comes_once),
        cmocka_unit_test(a_oneof_holds_one),
        cmocka_unit_test(a_million_keys_are_too_many),
        cmocka_unit_test(fields_inside_messages_count),
        cmocka_unit_test(a_message_takes_no_more_memory_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The shortcut reads what protobuf-c writes, and takes nothing else for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "client/sole_field.h"
#include "wire/berth.pb-c.h"

static void output_that_protobuf_packs_is_read_where_it_lies(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        Berth__V1__RunMessage message;
        uint8_t *field, head[SOLE_FIELD_HEAD_BYTES];
        size_t field_bytes;
        uint8_t *output = calloc(1, sizes[i] + 1);
        berth__v1__run_message__init(&message);
        message.kind_case = BERTH__V1__RUN_MESSAGE__KIND_OUTPUT;
        message.output = (ProtobufCBinaryData){sizes[i], output};
        size_t size = berth__v1__run_message__get_packed_size(&message);
        uint8_t *packed = malloc(size);
        berth__v1__run_message__pack(&message, packed);
        assert_true(sole_field_read(packed, size, 2, &field, &field_bytes));
        assert_int_equal(field_bytes, sizes[i]);
        assert_ptr_equal(field + field_bytes, packed + size);
        assert_false(sole_field_read(packed, size, 3, &field, &field_bytes));
        assert_int_equal(sole_field_write(2, sizes[i], head), size - sizes[i]);
        assert_memory_equal(head, packed, size - sizes[i]);
        free(packed);
        free(output);
    }
}

static void anything_else_is_left_to_protobuf(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\x12", 1},                                          /* no length */
        {"\x12\x01", 2},                                      /* no bytes */
        {"\x12\x00\x12\x00", 4},                              /* twice */
        {"\x12\x01xy", 4},                                    /* something behind it */
        {"\x10\x01", 2},                                      /* a number */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a length of 2^64 - 1 */
        {"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11}, /* a length that does not end */
        {"\xff\xff\xff\xff", 4},                              /* a tag that does not end */
    };
    uint8_t bytes[16], *field;
    size_t field_bytes;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(bytes, cases[i].bytes, cases[i].size);
        assert_false(sole_field_read(bytes, cases[i].size, 2, &field, &field_bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_that_protobuf_packs_is_read_where_it_lies),
        cmocka_unit_test(anything_else_is_left_to_protobuf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

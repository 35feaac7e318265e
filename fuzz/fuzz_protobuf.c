/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages from hostile bytes: what the guard lets through protobuf-c can read, its strings are UTF-8 and its
 * memory stays under the cap; what was read can be packed and read again.
 *
 * The first byte chooses the message, the rest is the message.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wire/berth.pb-c.h"
#include "wire/liop.pb-c.h"
#include "wire/protobuf.h"

enum {
    FIELDS_MAX = 1000,
    MEMORY_MAX = 1 << 22,
    INPUT_MAX = 1 << 14, /* so that an honest message never needs more memory than that */
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static const ProtobufCMessageDescriptor *descriptor_of(uint8_t choice)
{
    switch (choice % 8) {
    case 0:
        return &liop__v1__logic_request__descriptor;
    case 1:
        return &liop__v1__intent_request__descriptor;
    case 2:
        return &liop__v1__intent_response__descriptor;
    case 3:
        return &liop__v1__logic_response__descriptor;
    case 4:
        return &berth__v1__run_request__descriptor;
    case 5:
        return &berth__v1__run_message__descriptor;
    case 6:
        return &berth__v1__watch_request__descriptor;
    default:
        return &berth__v1__watch_response__descriptor;
    }
}

/* Reads every byte, so that a sanitizer sees what is not there. */
static void check_strings(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *member = (const char *)message + field->offset;
        if (field->type != PROTOBUF_C_TYPE_STRING || field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            continue;
        size_t n = 1;
        char *const *strings = (char *const *)(const void *)member;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)(const void *)((const char *)message + field->quantifier_offset);
            strings = *(char *const *const *)(const void *)member;
        }
        for (size_t j = 0; j < n; j++)
            must(text_is_utf8(strings[j], strlen(strings[j])));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_message ProtobufCMessage *message = NULL, *again = NULL, *small = NULL;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    const ProtobufCMessageDescriptor *descriptor = descriptor_of(data[0]);
    int limited = message_unpack(descriptor, data + 1, size - 1, 16, 4096, &small);
    must((limited == 0) == (small != NULL));
    int r = message_unpack(descriptor, data + 1, size - 1, FIELDS_MAX, MEMORY_MAX, &message);
    must(r == 0 || r == MESSAGE_MALFORMED);
    must((r == 0) == (message != NULL));
    must(limited != 0 || r == 0);
    if (r != 0)
        return 0;
    check_strings(message);
    size_t packed_size = protobuf_c_message_get_packed_size(message);
    cleanup_free uint8_t *packed = malloc(packed_size + 1);
    must(protobuf_c_message_pack(message, packed) == packed_size);
    must(message_unpack(descriptor, packed, packed_size, FIELDS_MAX, MEMORY_MAX, &again) == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See protobuf.h. Wire format: "Encoding" of the protobuf documentation, protobuf.dev. */
#include "wire/protobuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum {
    DEPTH_MAX = 16,        /* ours have 3; the walk and the unpacking recurse */
    KNOWN_FIELDS_MAX = 64, /* of one message, for the set of those seen */
    VARINT_MAX_BYTES = 10,
    TAG_MAX_BYTES = 5,
    LENGTH_MAX_BYTES = 5,
    FIELD_NUMBER_MAX = (1 << 29) - 1,
};

struct walk {
    const uint8_t *at, *end;
    const ProtobufCMessageDescriptor *descriptor;
    uint64_t seen; /* a bit for each field of the descriptor that is not repeated; a oneof sets those of all
                      its members */
    uint32_t *fields_left;
    unsigned depth;
};

static bool walk_message(struct walk *walk);

static bool read_varint(struct walk *walk, int max_bytes, uint64_t *ret)
{
    uint64_t value = 0;
    for (int i = 0; i < max_bytes && walk->at < walk->end; i++) {
        uint8_t byte = *walk->at++;
        if (i == VARINT_MAX_BYTES - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct walk *walk, uint64_t size_bytes)
{
    if (size_bytes > (uint64_t)(walk->end - walk->at))
        return false;
    walk->at += size_bytes;
    return true;
}

static bool count_field(struct walk *walk)
{
    if (*walk->fields_left == 0)
        return false;
    --*walk->fields_left;
    return true;
}

static ProtobufCWireType wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static bool skip_value(struct walk *walk, ProtobufCWireType type)
{
    uint64_t number;
    switch (type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(walk, VARINT_MAX_BYTES, &number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(walk, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(walk, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return read_varint(walk, LENGTH_MAX_BYTES, &number) && skip(walk, number);
    default:
        return false;
    }
}

static bool walk_packed(struct walk *walk, ProtobufCWireType element)
{
    while (walk->at < walk->end)
        if (!count_field(walk) || !skip_value(walk, element))
            return false;
    return true;
}

static bool is_text(const uint8_t *bytes, size_t size_bytes)
{
    return !memchr(bytes, 0, size_bytes) && text_is_utf8((const char *)bytes, size_bytes);
}

/* A known field with a length in front. */
static bool walk_contents(struct walk *walk, const ProtobufCFieldDescriptor *field)
{
    uint64_t size_bytes;
    if (!read_varint(walk, LENGTH_MAX_BYTES, &size_bytes))
        return false;
    struct walk inside = {.at = walk->at, .fields_left = walk->fields_left, .depth = walk->depth + 1};
    if (!skip(walk, size_bytes))
        return false;
    inside.end = walk->at;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return is_text(inside.at, size_bytes);
    case PROTOBUF_C_TYPE_BYTES:
        return true;
    case PROTOBUF_C_TYPE_MESSAGE:
        inside.descriptor = field->descriptor;
        return walk_message(&inside);
    default:
        return walk_packed(&inside, wire_type_of(field->type));
    }
}

static bool comes_once(struct walk *walk, const ProtobufCFieldDescriptor *field)
{
    const ProtobufCFieldDescriptor *fields = walk->descriptor->fields;
    bool in_oneof = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if (walk->seen >> (field - fields) & 1)
        return false;
    for (unsigned i = 0; i < walk->descriptor->n_fields; i++)
        if (&fields[i] == field || (in_oneof && fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
                                    fields[i].quantifier_offset == field->quantifier_offset))
            walk->seen |= UINT64_C(1) << i;
    return true;
}

static bool walk_field(struct walk *walk)
{
    uint64_t tag;
    if (!count_field(walk) || !read_varint(walk, TAG_MAX_BYTES, &tag))
        return false;
    uint64_t number = tag >> 3;
    ProtobufCWireType type = (ProtobufCWireType)(tag & 7);
    if (number == 0 || number > FIELD_NUMBER_MAX)
        return false;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(walk->descriptor, (unsigned)number);
    if (!field)
        return skip_value(walk, type);
    ProtobufCWireType expected = wire_type_of(field->type);
    bool is_packed =
        type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && field->label == PROTOBUF_C_LABEL_REPEATED;
    if ((type != expected && !is_packed) || !comes_once(walk, field))
        return false;
    return type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ? walk_contents(walk, field) : skip_value(walk, type);
}

static bool walk_message(struct walk *walk)
{
    if (walk->depth >= DEPTH_MAX || walk->descriptor->n_fields > KNOWN_FIELDS_MAX)
        return false;
    while (walk->at < walk->end)
        if (!walk_field(walk))
            return false;
    return true;
}

struct budget {
    size_t left_bytes;
    int failure; /* 0, MESSAGE_MALFORMED, -ENOMEM */
};

static void *allocate(void *data, size_t size_bytes)
{
    struct budget *budget = data;
    if (size_bytes > budget->left_bytes) {
        budget->failure = MESSAGE_MALFORMED;
        return NULL;
    }
    budget->left_bytes -= size_bytes;
    void *memory = malloc(size_bytes);
    if (!memory)
        budget->failure = -ENOMEM;
    return memory;
}

static void release(void *data, void *memory)
{
    (void)data;
    free(memory);
}

int message_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size_bytes,
                   uint32_t max_fields, size_t max_alloc_bytes, ProtobufCMessage **ret)
{
    struct walk walk = {
        .at = bytes,
        .end = bytes,
        .descriptor = descriptor,
        .fields_left = &max_fields,
    };
    struct budget budget = {.left_bytes = max_alloc_bytes};
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = &budget};
    if (size_bytes > INT32_MAX) /* protobuf-c counts some lengths in int */
        return MESSAGE_MALFORMED;
    if (size_bytes > 0)
        walk.end += size_bytes;
    if (!walk_message(&walk))
        return MESSAGE_MALFORMED;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, size_bytes, bytes);
    if (!message)
        return budget.failure ? budget.failure : MESSAGE_MALFORMED;
    *ret = message;
    return 0;
}

void message_free(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

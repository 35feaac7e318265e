/* SPDX-License-Identifier: Apache-2.0 */
/* See sole_field.h. Varints as in "Encoding" of the protobuf documentation. */
#include "client/sole_field.h"

enum { LENGTH_DELIMITED = 2, VARINT_MAX_BYTES = 10 };

/* Returns how many bytes it took, 0 if there is no varint. */
static size_t varint_read(const uint8_t *bytes, size_t size_bytes, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size_bytes && i < VARINT_MAX_BYTES - 1; i++) {
        value |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
        if (!(bytes[i] & 0x80)) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

static size_t varint_write(uint64_t value, uint8_t *ret)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        ret[length++] = (uint8_t)(value | 0x80);
    ret[length++] = (uint8_t)value;
    return length;
}

bool sole_field_read(uint8_t *message, size_t size_bytes, uint32_t number, uint8_t **ret,
                     size_t *ret_size_bytes)
{
    uint64_t tag, length;
    size_t tag_bytes = varint_read(message, size_bytes, &tag);
    if (tag_bytes == 0 || tag != ((uint64_t)number << 3 | LENGTH_DELIMITED))
        return false;
    size_t length_bytes = varint_read(message + tag_bytes, size_bytes - tag_bytes, &length);
    if (length_bytes == 0 || length != size_bytes - tag_bytes - length_bytes)
        return false;
    *ret = message + tag_bytes + length_bytes;
    *ret_size_bytes = (size_t)length;
    return true;
}

size_t sole_field_write(uint32_t number, size_t size_bytes, uint8_t ret[static SOLE_FIELD_HEAD_BYTES])
{
    size_t length = varint_write((uint64_t)number << 3 | LENGTH_DELIMITED, ret);
    return length + varint_write(size_bytes, ret + length);
}

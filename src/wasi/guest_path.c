/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_path.h. */
#include "wasi/guest_path.h"

#include "wasi/guest_memory.h"

/* Length of the well-formed sequence at bytes, or 0. The second byte has a narrower range after some lead
 * bytes: that excludes overlong forms, surrogates and what lies above U+10FFFF. */
static size_t sequence_length(const unsigned char *bytes, size_t length)
{
    unsigned char lead = bytes[0];
    if (lead < 0x80)
        return lead ? 1 : 0;
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || size > length)
        return 0;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool guest_text_valid(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t size = sequence_length((const unsigned char *)bytes + i, length - i);
        if (!size)
            return false;
        i += size;
    }
    return true;
}

int guest_path_import(struct call *call, uint32_t address, uint32_t length, struct guest_path *ret)
{
    uint8_t *bytes;
    int r = guest_range(call, "the path", address, length, 1, &bytes);
    if (r)
        return r;
    if (!length)
        return ERRNO_NOENT;
    if (length >= sizeof ret->text)
        return ERRNO_NAMETOOLONG;
    memcpy(ret->text, bytes, length);
    ret->text[length] = '\0';
    if (!guest_text_valid(ret->text, length))
        return ERRNO_ILSEQ;
    ret->length = length;
    ret->directory = false;
    while (ret->length > 1 && ret->text[ret->length - 1] == '/') {
        ret->text[--ret->length] = '\0';
        ret->directory = true;
    }
    return 0;
}

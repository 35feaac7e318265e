/* SPDX-License-Identifier: Apache-2.0 */
/* See hex.h. */
#include "base/hex.h"

#include <errno.h>

void hex_write(const uint8_t *bytes, size_t size_bytes, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size_bytes; i++) {
        *ret++ = digits[bytes[i] >> 4];
        *ret++ = digits[bytes[i] & 15];
    }
    *ret = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_read(const char *text, uint8_t *ret, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        int high = digit(text[2 * i]);
        int low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return -EINVAL;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * size_bytes] == '\0' ? 0 : -EINVAL;
}

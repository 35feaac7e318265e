/* SPDX-License-Identifier: Apache-2.0 */
/* See base64url.h. */
#include "base/base64url.h"

#include <errno.h>
#include <stdint.h>

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_read(const char *text, size_t length, void *ret, size_t capacity, size_t *ret_bytes)
{
    uint8_t *bytes = ret;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    if (length % 4 == 1)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        if (n == capacity)
            return -EINVAL;
        bytes[n++] = (uint8_t)(bits >> n_bits);
        bits &= (1U << n_bits) - 1;
    }
    *ret_bytes = n;
    return bits == 0 ? 0 : -EINVAL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See settings_credential.h. */
#include "node/settings/settings_credential.h"

#include <stdint.h>
#include <string.h>

#include "base/hex.h"
#include "base/peer_id.h"

bool credential_read_hex(const char *text, char ret[static CREDENTIAL_HEX_CHARACTERS])
{
    static const char upper[] = "ABCDEF";
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        if (*c == ':' && n > 0 && n % 2 == 0 && c[1] != '\0' && c[1] != ':')
            continue;
        const char *letter = strchr(upper, *c);
        char digit = letter ? (char)('a' + (letter - upper)) : *c;
        if (!strchr("0123456789abcdef", digit) || n == CREDENTIAL_HEX_CHARACTERS - 1)
            return false;
        ret[n++] = digit;
    }
    ret[n] = '\0';
    return n == CREDENTIAL_HEX_CHARACTERS - 1;
}

/* The number's bytes, big endian; false if a character is no digit or the number does not fit. */
static bool read_base58(const char *text, uint8_t *number, size_t size_bytes)
{
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    memset(number, 0, size_bytes);
    for (; *text; text++) {
        const char *digit = strchr(alphabet, *text);
        if (!digit)
            return false;
        unsigned carry = (unsigned)(digit - alphabet);
        for (size_t i = size_bytes; i-- > 0; carry >>= 8) {
            carry += number[i] * 58U;
            number[i] = (uint8_t)carry;
        }
        if (carry)
            return false;
    }
    return true;
}

/* Written back it must be the same text, which says all about prefix, length and case. */
bool credential_read_peer_id(const char *text, char ret[static CREDENTIAL_HEX_CHARACTERS])
{
    uint8_t number[5 + ED25519_PUBLIC_KEY_BYTES];
    char again[PEER_ID_CHARACTERS];
    if (!read_base58(text, number, sizeof(number)))
        return false;
    peer_id_of_ed25519(number + 5, again);
    if (strcmp(text, again) != 0)
        return false;
    hex_write(number + 5, ED25519_PUBLIC_KEY_BYTES, ret);
    return true;
}

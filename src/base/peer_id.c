/* SPDX-License-Identifier: Apache-2.0 */
/* See peer_id.h. */
#include "base/peer_id.h"

#include <stddef.h>
#include <string.h>

enum {
    DIGITS = PEER_ID_CHARACTERS - 2, /* without the leading '1' and the NUL */
};

void peer_id_of_ed25519(const uint8_t public_key[static ED25519_PUBLIC_KEY_BYTES],
                        char ret[static PEER_ID_CHARACTERS])
{
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    /* Multihash "identity" (00), 36 bytes; the key's type 1, Ed25519; its 32 bytes. The 00 is base58's
     * leading '1' and no digit of the number. */
    uint8_t number[5 + ED25519_PUBLIC_KEY_BYTES] = {36, 0x08, 0x01, 0x12, 32};
    memcpy(number + 5, public_key, ED25519_PUBLIC_KEY_BYTES);
    for (size_t place = DIGITS; place > 0; place--) {
        unsigned remainder = 0;
        for (size_t i = 0; i < sizeof number; i++) {
            unsigned value = remainder << 8 | number[i];
            number[i] = (uint8_t)(value / 58);
            remainder = value % 58;
        }
        ret[place] = alphabet[remainder];
    }
    ret[0] = alphabet[0];
    ret[PEER_ID_CHARACTERS - 1] = '\0';
}

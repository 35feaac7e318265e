/* SPDX-License-Identifier: Apache-2.0 */
/* See hash.h. */
#include "wire/hash.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdalign.h>

static_assert(sizeof(SHA256_CTX) <= sizeof(struct hash) && alignof(SHA256_CTX) <= alignof(struct hash),
              "struct hash has room for the library's state");

static SHA256_CTX *state_of(struct hash *hash)
{
    return (SHA256_CTX *)hash->state;
}

void hash_init(struct hash *hash)
{
    SHA256_Init(state_of(hash));
}

void hash_add(struct hash *hash, const void *bytes, size_t size_bytes)
{
    SHA256_Update(state_of(hash), bytes, size_bytes);
}

void hash_end(struct hash *hash, uint8_t ret[static HASH_BYTES])
{
    SHA256_Final(ret, state_of(hash));
}

void hash_of(const void *bytes, size_t size_bytes, uint8_t ret[static HASH_BYTES])
{
    SHA256(bytes, size_bytes, ret);
}

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

int random_bytes(void *ret, size_t size_bytes)
{
    return RAND_bytes(ret, size_bytes) == 1 ? 0 : -EIO;
}

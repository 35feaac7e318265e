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

int random_bytes(void *ret, size_t size_bytes)
{
    return RAND_bytes(ret, size_bytes) == 1 ? 0 : -EIO;
}

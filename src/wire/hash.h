/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), at once or piece by piece; its lowercase form is hex_write() of base/hex.h. */
#ifndef BERTH_WIRE_HASH_H
#define BERTH_WIRE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/hex.h"

enum { HASH_BYTES = 32, HASH_CHARACTERS = 65 /* with the NUL */ };

struct hash {
    uint64_t state[14]; /* the library's own, by size and alignment */
};

void hash_init(struct hash *hash);
void hash_add(struct hash *hash, const void *bytes, size_t size_bytes);
/* May be followed by nothing but hash_init(). */
void hash_end(struct hash *hash, uint8_t ret[static HASH_BYTES]);

void hash_of(const void *bytes, size_t size_bytes, uint8_t ret[static HASH_BYTES]);

/* size_bytes random bytes. 0 or -EIO. */
int random_bytes(void *ret, size_t size_bytes);

#endif

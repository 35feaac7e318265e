/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that others made with ECDSA on P-256 and SHA-256 (FIPS 186-5; "ES256" in RFC 7518, section 3.4).
 */
#ifndef BERTH_WIRE_P256_H
#define BERTH_WIRE_P256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { P256_COORDINATE_BYTES = 32, P256_SIGNATURE_BYTES = 64 };

struct p256_key; /* a public key */

/* Coordinates big endian. 0; -EINVAL: no point of the curve; -ENOMEM. */
int p256_key_new(const uint8_t x[static P256_COORDINATE_BYTES], const uint8_t y[static P256_COORDINATE_BYTES],
                 struct p256_key **ret);
void p256_key_free(struct p256_key *key); /* accepts NULL */

/* signature: r and s, big endian. */
bool p256_verify(const struct p256_key *key, const void *bytes, size_t size_bytes,
                 const uint8_t signature[static P256_SIGNATURE_BYTES]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that say who a node or a caller is: Ed25519 (RFC 8032) and, for nodes, ML-DSA-65 (FIPS 204) beside
 * it, both from one 64-byte secret (32 for Ed25519, 32 for ML-DSA). No files here: whoever has an identity
 * reads and writes the secret. Key material is wiped when it is freed.
 */
#ifndef BERTH_WIRE_IDENTITY_H
#define BERTH_WIRE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/key_sizes.h"
#include "base/peer_id.h" /* and peer_id_of_ed25519() */

enum {
    IDENTITY_SECRET_BYTES = 64,
    IDENTITY_NONCE_BYTES = 32,
    IDENTITY_PROOF_BYTES = 24 + IDENTITY_NONCE_BYTES + ED25519_PUBLIC_KEY_BYTES + 32,
};

struct identity;

/* 0, -ENOMEM, -EIO (no randomness). */
int identity_secret_new(uint8_t ret_secret[static IDENTITY_SECRET_BYTES]);
/* 0, -ENOMEM, -EINVAL. ML-DSA-65 is made only if `post_quantum`. */
int identity_new(const uint8_t secret[static IDENTITY_SECRET_BYTES], bool post_quantum,
                 struct identity **ret);
void identity_free(struct identity *identity); /* accepts NULL */
DEFINE_CLEANUP(struct identity *, identity_free)
#define cleanup_identity cleanup(identity_free_cleanup)

const uint8_t *identity_ed25519_public_key(const struct identity *identity);
const uint8_t *identity_ml_dsa_65_public_key(const struct identity *identity); /* NULL without it */
const char *identity_peer_id(const struct identity *identity);                 /* "12D3KooW…" */

/* Safe from any thread. ML-DSA-65 signs with an empty context string. 0, -ENOMEM, -EIO (also for an identity
 * without that key). */
int identity_sign_ed25519(const struct identity *identity, const void *bytes, size_t size_bytes,
                          uint8_t ret_signature[static ED25519_SIGNATURE_BYTES]);
int identity_sign_ml_dsa_65(const struct identity *identity, const void *bytes, size_t size_bytes,
                            uint8_t ret_signature[static ML_DSA_65_SIGNATURE_BYTES]);

bool ed25519_verify(const uint8_t public_key[static ED25519_PUBLIC_KEY_BYTES], const void *bytes,
                    size_t size_bytes, const uint8_t signature[static ED25519_SIGNATURE_BYTES]);

/* What a caller signs with Ed25519 to prove who it is: IdentityProof.signature in liop.proto. */
void identity_proof_bytes(const uint8_t nonce[static IDENTITY_NONCE_BYTES],
                          const uint8_t node_public_key[static ED25519_PUBLIC_KEY_BYTES],
                          const char *capability, uint8_t ret[static IDENTITY_PROOF_BYTES]);

#endif

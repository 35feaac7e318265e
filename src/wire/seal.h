/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: an ML-KEM-768 (FIPS 203) key exchange, and what is encrypted under its secret. Two modes:
 *   - sealed messages, berth's own: AES-256-GCM under keys from HKDF-SHA-256, one key per direction, the
 * sequence number as nonce, direction, session token and capability bound in. Both directions are sealed.
 *   - LIOP version 1, for public clients: the KEM secret itself is the AES-256-GCM key; payload under a nonce
 * of the request, inputs each with a nonce in front; nothing is bound. The secret may also be that of Kyber
 * round 3: K_R3 = SHAKE256(K_FIPS | SHA3-256(ciphertext)), tried if the tag does not fit the first.
 */
#ifndef BERTH_WIRE_SEAL_H
#define BERTH_WIRE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum {
    KEM_PUBLIC_KEY_BYTES = 1184,
    KEM_CIPHERTEXT_BYTES = 1088,
    KEM_SECRET_BYTES = 32,
    SEAL_TAG_BYTES = 16,
    SEAL_NONCE_BYTES = 12,
    SESSION_TOKEN_CHARACTERS = 33, /* 32 lowercase hex digits and NUL */
};

enum seal_outcome {
    SEAL_BROKEN = 1
}; /* the tag does not fit, a length is wrong, or the counter is used up */

/* ---- Key exchange -------------------------------------------------------------------------------------- */

struct kem_key; /* a decapsulation key */

/* A fresh pair. 0, -ENOMEM. */
int kem_key_new(struct kem_key **ret, uint8_t ret_public_key[static KEM_PUBLIC_KEY_BYTES]);
void kem_key_free(struct kem_key *key); /* wipes; accepts NULL */
DEFINE_CLEANUP(struct kem_key *, kem_key_free)
#define cleanup_kem_key cleanup(kem_key_free_cleanup)

/* 0, -ENOMEM, SEAL_BROKEN (wrong length). A ciphertext for another key gives another secret, as FIPS 203
 * says. */
int kem_decapsulate(const struct kem_key *key, const uint8_t *ciphertext, size_t size_bytes,
                    uint8_t ret_secret[static KEM_SECRET_BYTES]);
/* 0, -ENOMEM, SEAL_BROKEN (no valid key). */
int kem_encapsulate(const uint8_t *public_key, size_t size_bytes,
                    uint8_t ret_ciphertext[static KEM_CIPHERTEXT_BYTES],
                    uint8_t ret_secret[static KEM_SECRET_BYTES]);
/* Kyber round 3's secret from that of FIPS 203. 0 or -ENOMEM. */
int kem_secret_round3(const uint8_t secret[static KEM_SECRET_BYTES],
                      const uint8_t ciphertext[static KEM_CIPHERTEXT_BYTES],
                      uint8_t ret_secret[static KEM_SECRET_BYTES]);

/* What the node signs for IntentResponse.kem_signature: "berth kem key v1" | 0x00 | session token | 0x00 |
 * capability | 0x00 | public key. The caller frees *ret with free(). 0 or -ENOMEM. */
int kem_signed_bytes(const char *session_token, const char *capability,
                     const uint8_t public_key[static KEM_PUBLIC_KEY_BYTES], uint8_t **ret,
                     size_t *ret_size_bytes);

/* ---- Sealed messages ----------------------------------------------------------------------------------- */
/*
 *   key   = HKDF-SHA-256 (RFC 5869), 32 bytes; input keying material: the KEM secret; salt: the session
 * token; info: "berth seal v1" | 0x00 | direction | 0x00 | SHA-256(capability) nonce = 00 00 00 00 | sequence
 * number, 8 bytes big endian; 0 for the first message of a direction additional data = direction | session
 * token message = ciphertext | 16-byte tag direction is one byte, enum seal_direction; token and capability
 * are their characters without a NUL. The last sequence number, 2^64 - 1, is never used. Messages open only
 * in the order in which they were closed.
 */

enum seal_direction { SEAL_TO_NODE = 0, SEAL_TO_CALLER = 1 };

struct seal; /* one direction of one session: a key and the next sequence number */

/* session_token: 1 to 32 characters, as received. 0, -ENOMEM, -EINVAL (the token). */
int seal_new(const uint8_t secret[static KEM_SECRET_BYTES], const char *session_token, const char *capability,
             enum seal_direction direction, struct seal **ret);
void seal_free(struct seal *seal); /* wipes; accepts NULL */
DEFINE_CLEANUP(struct seal *, seal_free)
#define cleanup_seal cleanup(seal_free_cleanup)

/* Encrypts into `out`, which has room for size_bytes + SEAL_TAG_BYTES and may be `bytes` itself. 0,
 * SEAL_BROKEN. */
int seal_close(struct seal *seal, const uint8_t *bytes, size_t size_bytes, uint8_t *out);
/* Decrypts what the other side closed as this sequence number; `out` has room for size_bytes - SEAL_TAG_BYTES
 * and may be `bytes` itself; it is zeroed if the seal is broken. The same number is expected again then. 0,
 * SEAL_BROKEN. */
int seal_open(struct seal *seal, const uint8_t *bytes, size_t size_bytes, uint8_t *out);

/* ---- LIOP version 1 ------------------------------------------------------------------------------------ */

/* Ciphertext and tag under this key and nonce, in place: the first size_bytes - SEAL_TAG_BYTES bytes are the
 * plaintext then. If the seal is broken all bytes are as they were, so that another secret can be tried. 0,
 * SEAL_BROKEN, -ENOMEM. */
int liop_open(const uint8_t secret[static KEM_SECRET_BYTES], const uint8_t *nonce, size_t nonce_bytes,
              uint8_t *bytes, size_t size_bytes);
/* The same for an input, nonce in front; *ret_plain points into `bytes`. */
int liop_open_input(const uint8_t secret[static KEM_SECRET_BYTES], uint8_t *bytes, size_t size_bytes,
                    uint8_t **ret_plain, size_t *ret_plain_bytes);

#endif

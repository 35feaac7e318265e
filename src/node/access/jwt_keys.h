/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that bearer tokens are signed with: a JWK set (RFC 7517) with Ed25519 keys (RFC 8037) and P-256 keys
 * (RFC 7518, section 6.2.1). Keys of other kinds, for other uses or other algorithms are passed over; a
 * private or symmetric key has no place in it.
 *
 * The algorithm belongs to the key (RFC 8725, section 3.1): EdDSA or ES256, whatever a token says.
 */
#ifndef BERTH_NODE_JWT_KEYS_H
#define BERTH_NODE_JWT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum { JWT_KEYS_MAX = 64 };

enum jwt_algorithm { JWT_EDDSA, JWT_ES256 };

struct jwt_key;
struct jwt_keys;

/* 0; -ENOMEM; -EINVAL with a sentence that is safe to print, which the caller frees. A set without a usable
 * key is invalid, and so is one that has an algorithm and id twice. */
int jwt_keys_parse(const char *json, size_t size_bytes, struct jwt_keys **ret, char **reterr_message);
struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys); /* accepts NULL */
void jwt_keys_unref(struct jwt_keys *keys);           /* accepts NULL */
DEFINE_CLEANUP(struct jwt_keys *, jwt_keys_unref)
#define cleanup_jwt_keys cleanup(jwt_keys_unref_cleanup)

/* The key of that algorithm and id. id NULL: the only one of that algorithm. NULL: there is none, or no only
 * one. */
const struct jwt_key *jwt_keys_find(const struct jwt_keys *keys, enum jwt_algorithm algorithm,
                                    const char *id);

/* Whether the signature (64 bytes) is that of the key. */
bool jwt_key_verify(const struct jwt_key *key, const void *bytes, size_t size_bytes,
                    const uint8_t signature[static 64]);

#endif

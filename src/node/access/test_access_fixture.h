/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of access: one made from the text of a berth.toml, callers with fixed clocks, and tokens signed
 * here. */
#ifndef BERTH_NODE_TEST_ACCESS_FIXTURE_H
#define BERTH_NODE_TEST_ACCESS_FIXTURE_H

#include "base/clock.h"
#include "node/access/access.h"
#include "wire/identity.h"

enum { NOW_S = 1700000000 };
#define NOW_NS (1000 * NS_PER_S)

struct fixture {
    struct settings *settings;
    struct access *access;
    struct identity *node, *other; /* keys: the node's, and a caller's and issuer's */
};

/* Fails the test if the settings are not right. */
void fixture_init(struct fixture *fixture, const char *toml);
void fixture_done(struct fixture *fixture);
/* As SIGHUP does. */
void fixture_reload(struct fixture *fixture, const char *toml);

/* "Bearer TOKEN" from 127.0.0.1 at NOW. NULL: without a header. The caller's name, or NULL and *ret_refusal.
 */
const char *who(struct fixture *fixture, const char *token, struct refusal *ret_refusal);
struct principal *caller(struct fixture *fixture, const char *token);

/* SHA-256 in hex, as berth.toml wants it. */
const char *sha256_of(const char *token, char ret[static 65]);

/* A JWT or JWS: both parts as text, signed with Ed25519 by fixture->other. The caller frees it. */
char *sign(const struct fixture *fixture, const char *header, const char *payload);
char *base64url(const void *bytes, size_t size_bytes);
/* A JWK set with that key. The caller frees it. */
char *jwks_of(const struct identity *identity, const char *id);

#endif

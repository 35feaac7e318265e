/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: what NegotiateIntent leaves for the one ExecuteLogic that may follow. 128-bit random tokens,
 * single use, a lifetime, a bounded table, a bound per principal. A session that is taken out or dies wipes
 * its key. Nonces for identity proofs are kept the same way.
 */
#ifndef BERTH_NODE_SESSION_H
#define BERTH_NODE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "node/access/access.h"
#include "wire/seal.h"

struct session {
    char token[SESSION_TOKEN_CHARACTERS];
    struct kem_key *key;
    struct principal *principal; /* borrowed */
    char *capability;            /* as the caller asked for it */
    bool sealed;
    uint64_t expires_ns; /* CLOCK_MONOTONIC */
};

struct session_table;

int session_table_new(uint32_t max, uint32_t max_per_principal, struct session_table **ret);
void session_table_free(struct session_table *table);

/* After a reload. What is there stays. */
void session_table_set_limits(struct session_table *table, uint32_t max, uint32_t max_per_principal);

/* Makes a session with a fresh token; takes over the key. 0; 1: the table or the principal's share is full
 * (key is freed); -ENOMEM, -EIO. */
int session_open(struct session_table *table, struct principal *principal, const char *capability,
                 bool sealed, struct kem_key *key, uint64_t now_ns, uint64_t lifetime_ns,
                 const struct session **ret);

/* Whether session_take() would find it. */
bool session_lives(const struct session_table *table, const char *token, uint64_t now_ns);

/* Takes the session out, once: it now belongs to the caller. NULL: unknown, used or expired: nobody can tell
 * which. */
struct session *session_take(struct session_table *table, const char *token, uint64_t now_ns);
void session_free(struct session *session); /* accepts NULL */
DEFINE_CLEANUP(struct session *, session_free)
#define cleanup_session cleanup(session_free_cleanup)

/* Lets go of what has expired; returns when the next one does, UINT64_MAX: none. */
uint64_t session_expire(struct session_table *table, uint64_t now_ns);
uint32_t session_count(const struct session_table *table);

struct nonce_table;
int nonce_table_new(uint32_t max, struct nonce_table **ret);
void nonce_table_free(struct nonce_table *table);
/* A fresh nonce; when the table is full the oldest one goes. 0, -EIO. */
int nonce_issue(struct nonce_table *table, uint64_t now_ns, uint64_t lifetime_ns, uint8_t ret[static 32]);
/* True once, if it was issued here and lives. */
bool nonce_redeem(struct nonce_table *table, const uint8_t nonce[static 32], uint64_t now_ns);

#endif

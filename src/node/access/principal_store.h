/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The principals that were seen, by name, with what each has used of its budgets, and the addresses that
 * callers come from. It outlives every `access`: the next one goes on with it. A principal is never freed
 * before the store, since sessions and runs point at it; their number is bounded.
 */
#ifndef BERTH_NODE_PRINCIPAL_STORE_H
#define BERTH_NODE_PRINCIPAL_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "node/access/address_table.h"
#include "wire/hash.h"

struct policy;

enum { PRINCIPALS_MAX = 65536, ADDRESSES_MAX = 65536 };

struct principal {
    char *name;
    struct token_bucket handshakes, runs;
    uint32_t running, sessions;
    const struct policy *policy; /* of the access with this generation; NULL: it is no longer configured */
    uint64_t generation;
    bool shows_once; /* the token it showed last is good for one session: */
    uint8_t once_sha256[HASH_BYTES];
    struct principal *next; /* in the same place */
};

struct principal_store {
    unsigned references;
    uint64_t generations; /* how many accesses there were */
    uint32_t count, running;
    uint8_t seed[HASH_BYTES];
    struct principal **places;
    struct address_table *addresses;
    uint8_t (*used)[HASH_BYTES]; /* tokens that were good for one session, and had it */
    size_t n_used;
};

/* 0, -ENOMEM, -EIO. One reference. */
int principal_store_new(struct principal_store **ret);
void principal_store_unref(struct principal_store *store); /* accepts NULL */

/* Makes it if it is not there. 0; 1: there are too many; -ENOMEM. */
int principal_store_find(struct principal_store *store, const char *name, struct principal **ret);

bool principal_store_is_used(const struct principal_store *store, const uint8_t sha256[static HASH_BYTES]);
int principal_store_use(struct principal_store *store,
                        const uint8_t sha256[static HASH_BYTES]); /* 0 or -ENOMEM */

#endif

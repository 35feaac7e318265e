/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nonces for identity proofs (session.h). They are random, given out in a circle of places, and found by
 * their own first bytes: nobody but us chooses what stands in the table.
 */
#include <errno.h>
#include <string.h>

#include "base/checked_math.h"
#include "node/access/session.h"
#include "wire/hash.h"

enum { NONCE_BYTES = 32 };

struct nonce {
    uint8_t bytes[NONCE_BYTES];
    uint64_t expires_ns; /* 0: free, or redeemed */
    uint32_t next;       /* in the same place, plus one; 0: none */
};

struct nonce_table {
    uint32_t max, turn; /* turn: the place in the circle that is used next */
    struct nonce *nonces;
    uint32_t *places; /* `max` of them: an index plus one; 0: none */
};

int nonce_table_new(uint32_t max, struct nonce_table **ret)
{
    struct nonce_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    table->max = max;
    table->nonces = calloc(max, sizeof(*table->nonces));
    table->places = calloc(max, sizeof(*table->places));
    if (!table->nonces || !table->places) {
        nonce_table_free(table);
        return -ENOMEM;
    }
    *ret = table;
    return 0;
}

void nonce_table_free(struct nonce_table *table)
{
    if (!table)
        return;
    free(table->nonces);
    free(table->places);
    free(table);
}

static uint32_t *place_of(const struct nonce_table *table, const uint8_t nonce[static NONCE_BYTES])
{
    uint64_t number;
    memcpy(&number, nonce, sizeof(number));
    return &table->places[number % table->max];
}

/* The link that leads to it, or the one that ends the chain. */
static uint32_t *find(const struct nonce_table *table, const uint8_t nonce[static NONCE_BYTES])
{
    uint32_t *link = place_of(table, nonce);
    while (*link && memcmp(table->nonces[*link - 1].bytes, nonce, NONCE_BYTES) != 0)
        link = &table->nonces[*link - 1].next;
    return link;
}

/* Takes it out of its chain, if it is in one. */
static void drop(struct nonce_table *table, struct nonce *nonce)
{
    if (nonce->expires_ns == 0)
        return;
    *find(table, nonce->bytes) = nonce->next;
    nonce->expires_ns = 0;
}

int nonce_issue(struct nonce_table *table, uint64_t now_ns, uint64_t lifetime_ns, uint8_t ret[static 32])
{
    struct nonce *nonce = &table->nonces[table->turn];
    drop(table, nonce);
    int r = random_bytes(nonce->bytes, NONCE_BYTES);
    if (r < 0)
        return r;
    uint32_t *place = place_of(table, nonce->bytes);
    nonce->expires_ns = saturating_add_u64(now_ns, lifetime_ns);
    nonce->next = *place;
    *place = table->turn + 1;
    table->turn = (table->turn + 1) % table->max;
    memcpy(ret, nonce->bytes, NONCE_BYTES);
    return 0;
}

bool nonce_redeem(struct nonce_table *table, const uint8_t bytes[static 32], uint64_t now_ns)
{
    uint32_t link = *find(table, bytes);
    if (!link)
        return false;
    struct nonce *nonce = &table->nonces[link - 1];
    bool lives = nonce->expires_ns > now_ns;
    drop(table, nonce);
    return lives;
}

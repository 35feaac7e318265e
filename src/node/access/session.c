/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See session.h. Sessions are found by a keyed hash of their token, so that neither where the search goes nor
 * how long a comparison takes says anything about other tokens.
 */
#include "node/access/session.h"

#include <errno.h>
#include <string.h>

#include "base/checked_math.h"
#include "wire/hash.h"

enum { TOKEN_BYTES = 16, SEED_BYTES = 32, PLACES_MIN = 64 };

struct entry {
    struct session *session;
    uint8_t digest[HASH_BYTES];
    struct entry *next;           /* in the same place */
    struct entry *sooner, *later; /* all, by when they expire */
};

struct session_table {
    uint8_t seed[SEED_BYTES];
    uint32_t max, max_per_principal, count;
    size_t n_places; /* a power of two */
    struct entry **places;
    struct entry *soonest, *latest;
};

DEFINE_CLEANUP(struct session_table *, session_table_free)

int session_table_new(uint32_t max, uint32_t max_per_principal, struct session_table **ret)
{
    cleanup(session_table_free_cleanup) struct session_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    table->max = max;
    table->max_per_principal = max_per_principal;
    for (table->n_places = PLACES_MIN; table->n_places < max; table->n_places *= 2)
        ;
    table->places = calloc(table->n_places, sizeof(*table->places));
    if (!table->places)
        return -ENOMEM;
    int r = random_bytes(table->seed, sizeof(table->seed));
    if (r == 0)
        *ret = take_ptr(table);
    return r;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    kem_key_free(session->key);
    free(session->capability);
    explicit_bzero(session->token, sizeof(session->token));
    free(session);
}

static void free_entry(struct entry *entry)
{
    session_free(entry->session);
    explicit_bzero(entry, sizeof(*entry));
    free(entry);
}

void session_table_free(struct session_table *table)
{
    struct entry *entry = table ? table->soonest : NULL;
    while (entry) {
        struct entry *later = entry->later;
        free_entry(entry);
        entry = later;
    }
    if (!table)
        return;
    free(table->places);
    explicit_bzero(table, sizeof(*table));
    free(table);
}

void session_table_set_limits(struct session_table *table, uint32_t max, uint32_t max_per_principal)
{
    table->max = max;
    table->max_per_principal = max_per_principal;
}

/* ---- Finding ----------------------------------------------------------------------------------- */

static void digest_of(const struct session_table *table, const char *token, uint8_t ret[static HASH_BYTES])
{
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, table->seed, sizeof(table->seed));
    hash_add(&hash, token, SESSION_TOKEN_CHARACTERS - 1);
    hash_end(&hash, ret);
}

static struct entry **place_of(const struct session_table *table, const uint8_t digest[static HASH_BYTES])
{
    uint64_t number;
    memcpy(&number, digest, sizeof(number));
    return &table->places[number & (table->n_places - 1)];
}

/* The link to the entry, or NULL. */
static struct entry **find(const struct session_table *table, const char *token)
{
    uint8_t digest[HASH_BYTES];
    if (strnlen(token, SESSION_TOKEN_CHARACTERS) != SESSION_TOKEN_CHARACTERS - 1)
        return NULL;
    digest_of(table, token, digest);
    struct entry **link = place_of(table, digest);
    while (*link && memcmp((*link)->digest, digest, HASH_BYTES) != 0)
        link = &(*link)->next;
    return *link ? link : NULL;
}

/* ---- Opening and taking ------------------------------------------------------------------------ */

static void link_by_expiry(struct session_table *table, struct entry *entry)
{
    struct entry *sooner = table->latest;
    while (sooner && sooner->session->expires_ns > entry->session->expires_ns)
        sooner = sooner->sooner;
    entry->sooner = sooner;
    entry->later = sooner ? sooner->later : table->soonest;
    *(sooner ? &sooner->later : &table->soonest) = entry;
    *(entry->later ? &entry->later->sooner : &table->latest) = entry;
}

static struct session *unlink_entry(struct session_table *table, struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    *(entry->sooner ? &entry->sooner->later : &table->soonest) = entry->later;
    *(entry->later ? &entry->later->sooner : &table->latest) = entry->sooner;
    struct session *session = take_ptr(entry->session);
    table->count--;
    (*principal_sessions(session->principal))--;
    free_entry(entry);
    return session;
}

static int make(struct principal *principal, const char *capability, bool sealed, uint64_t expires_ns,
                struct session **ret)
{
    uint8_t token[TOKEN_BYTES];
    cleanup_session struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->capability = strdup(capability);
    if (!session->capability)
        return -ENOMEM;
    int r = random_bytes(token, sizeof(token));
    if (r < 0)
        return r;
    hex_write(token, sizeof(token), session->token);
    explicit_bzero(token, sizeof(token));
    session->principal = principal;
    session->sealed = sealed;
    session->expires_ns = expires_ns;
    *ret = take_ptr(session);
    return 0;
}

int session_open(struct session_table *table, struct principal *principal, const char *capability,
                 bool sealed, struct kem_key *key, uint64_t now_ns, uint64_t lifetime_ns,
                 const struct session **ret)
{
    cleanup_kem_key struct kem_key *owned_key = key;
    session_expire(table, now_ns);
    if (table->count >= table->max || *principal_sessions(principal) >= table->max_per_principal)
        return 1;
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    int r = make(principal, capability, sealed, saturating_add_u64(now_ns, lifetime_ns), &entry->session);
    if (r < 0) {
        free(entry);
        return r;
    }
    entry->session->key = take_ptr(owned_key);
    digest_of(table, entry->session->token, entry->digest);
    struct entry **place = place_of(table, entry->digest);
    entry->next = *place;
    *place = entry;
    link_by_expiry(table, entry);
    table->count++;
    (*principal_sessions(principal))++;
    *ret = entry->session;
    return 0;
}

bool session_lives(const struct session_table *table, const char *token, uint64_t now_ns)
{
    struct entry **link = find(table, token);
    return link && (*link)->session->expires_ns > now_ns;
}

struct session *session_take(struct session_table *table, const char *token, uint64_t now_ns)
{
    struct entry **link = find(table, token);
    if (!link)
        return NULL;
    cleanup_session struct session *session = unlink_entry(table, link);
    return session->expires_ns > now_ns ? take_ptr(session) : NULL;
}

uint64_t session_expire(struct session_table *table, uint64_t now_ns)
{
    while (table->soonest && table->soonest->session->expires_ns <= now_ns)
        session_free(unlink_entry(table, find(table, table->soonest->session->token)));
    return table->soonest ? table->soonest->session->expires_ns : UINT64_MAX;
}

uint32_t session_count(const struct session_table *table)
{
    return table->count;
}

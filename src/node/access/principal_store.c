/* SPDX-License-Identifier: Apache-2.0 */
/* See principal_store.h. */
#include "node/access/principal_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "node/access/access.h"

enum { PLACES = 4096 };

DEFINE_CLEANUP(struct principal_store *, principal_store_unref)

int principal_store_new(struct principal_store **ret)
{
    cleanup(principal_store_unref_cleanup) struct principal_store *store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    store->references = 1;
    store->places = calloc(PLACES, sizeof(*store->places));
    if (!store->places)
        return -ENOMEM;
    int r = random_bytes(store->seed, sizeof(store->seed));
    if (r == 0)
        r = address_table_new(ADDRESSES_MAX, &store->addresses);
    if (r == 0)
        *ret = take_ptr(store);
    return r;
}

static void free_chain(struct principal *principal)
{
    while (principal) {
        struct principal *next = principal->next;
        free(principal->name);
        free(principal);
        principal = next;
    }
}

void principal_store_unref(struct principal_store *store)
{
    if (!store || --store->references > 0)
        return;
    for (size_t i = 0; store->places && i < PLACES; i++)
        free_chain(store->places[i]);
    free(store->places);
    free(store->used);
    address_table_free(store->addresses);
    free(store);
}

int principal_store_find(struct principal_store *store, const char *name, struct principal **ret)
{
    uint8_t digest[HASH_BYTES];
    uint32_t number;
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, store->seed, sizeof(store->seed));
    hash_add(&hash, name, strlen(name));
    hash_end(&hash, digest);
    memcpy(&number, digest, sizeof(number));
    struct principal **place = &store->places[number % PLACES];
    for (*ret = *place; *ret; *ret = (*ret)->next)
        if (strcmp((*ret)->name, name) == 0)
            return 0;
    if (store->count >= PRINCIPALS_MAX)
        return 1;
    struct principal *principal = calloc(1, sizeof(*principal));
    char *copy = strdup(name);
    if (!principal || !copy) {
        free(principal);
        free(copy);
        return -ENOMEM;
    }
    principal->name = copy;
    principal->next = *place;
    *place = *ret = principal;
    store->count++;
    return 0;
}

bool principal_store_is_used(const struct principal_store *store, const uint8_t sha256[static HASH_BYTES])
{
    for (size_t i = 0; i < store->n_used; i++)
        if (memcmp(store->used[i], sha256, HASH_BYTES) == 0)
            return true;
    return false;
}

int principal_store_use(struct principal_store *store, const uint8_t sha256[static HASH_BYTES])
{
    void *grown = reallocarray(store->used, store->n_used + 1, sizeof(*store->used));
    if (!grown)
        return -ENOMEM;
    store->used = grown;
    memcpy(store->used[store->n_used++], sha256, HASH_BYTES);
    return 0;
}

const char *principal_name(const struct principal *principal)
{
    return principal->name;
}

uint32_t *principal_sessions(struct principal *principal)
{
    return &principal->sessions;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See address_table.h. */
#include "node/access/address_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/hash.h"

enum { SEED_BYTES = 16, NETWORK_BYTES = 8 };

static const uint32_t none = UINT32_MAX;

struct address_table {
    uint8_t seed[SEED_BYTES];
    uint32_t maximum, count;
    uint32_t newest, oldest;
    uint32_t *places; /* `maximum` of them, each the first entry of a chain, plus one; 0: empty */
    struct address *entries;
};

DEFINE_CLEANUP(struct address_table *, address_table_free)

int address_table_new(uint32_t maximum, struct address_table **ret)
{
    cleanup(address_table_free_cleanup) struct address_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    table->maximum = maximum;
    table->newest = table->oldest = none;
    table->places = calloc(maximum, sizeof(*table->places));
    table->entries = calloc(maximum, sizeof(*table->entries));
    if (!table->places || !table->entries)
        return -ENOMEM;
    int r = random_bytes(table->seed, sizeof(table->seed));
    if (r == 0)
        *ret = take_ptr(table);
    return r;
}

void address_table_free(struct address_table *table)
{
    if (!table)
        return;
    free(table->places);
    free(table->entries);
    free(table);
}

static void read_address(const char *text, uint8_t ret[static ADDRESS_BYTES])
{
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memset(ret, 0, ADDRESS_BYTES);
    if (!text)
        return;
    if (inet_pton(AF_INET, text, ret + sizeof(mapped)) == 1)
        memcpy(ret, mapped, sizeof(mapped));
    else if (inet_pton(AF_INET6, text, ret) != 1)
        memset(ret, 0, ADDRESS_BYTES);
    else if (memcmp(ret, mapped, sizeof(mapped)) != 0)
        memset(ret + NETWORK_BYTES, 0, ADDRESS_BYTES - NETWORK_BYTES);
}

static uint32_t *place_of(const struct address_table *table, const uint8_t bytes[static ADDRESS_BYTES])
{
    uint8_t digest[HASH_BYTES];
    uint64_t number;
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, table->seed, sizeof(table->seed));
    hash_add(&hash, bytes, ADDRESS_BYTES);
    hash_end(&hash, digest);
    memcpy(&number, digest, sizeof(number));
    return &table->places[number % table->maximum];
}

static void unlink_by_age(struct address_table *table, uint32_t index)
{
    const struct address *entry = &table->entries[index];
    *(entry->newer == none ? &table->newest : &table->entries[entry->newer].older) = entry->older;
    *(entry->older == none ? &table->oldest : &table->entries[entry->older].newer) = entry->newer;
}

static void link_newest(struct address_table *table, uint32_t index)
{
    struct address *entry = &table->entries[index];
    entry->newer = none;
    entry->older = table->newest;
    *(entry->older == none ? &table->oldest : &table->entries[entry->older].newer) = index;
    table->newest = index;
}

/* Takes the entry out of its place; its link there is index + 1, as in `places`. */
static void unlink_from_place(struct address_table *table, uint32_t index)
{
    uint32_t *link = place_of(table, table->entries[index].bytes);
    while (*link != index + 1)
        link = &table->entries[*link - 1].next;
    *link = table->entries[index].next;
}

static uint32_t take_entry(struct address_table *table)
{
    if (table->count < table->maximum)
        return table->count++;
    uint32_t index = table->oldest;
    unlink_by_age(table, index);
    unlink_from_place(table, index);
    return index;
}

struct address *address_table_find(struct address_table *table, const char *text)
{
    uint8_t bytes[ADDRESS_BYTES];
    read_address(text, bytes);
    uint32_t *place = place_of(table, bytes);
    uint32_t link = *place;
    while (link && memcmp(table->entries[link - 1].bytes, bytes, ADDRESS_BYTES) != 0)
        link = table->entries[link - 1].next;
    if (link) {
        unlink_by_age(table, link - 1);
        link_newest(table, link - 1);
        return &table->entries[link - 1];
    }
    uint32_t index = take_entry(table);
    struct address *entry = &table->entries[index];
    *entry = (struct address){.next = *place};
    memcpy(entry->bytes, bytes, ADDRESS_BYTES);
    *place = index + 1;
    link_newest(table, index);
    return entry;
}

size_t address_table_count(const struct address_table *table)
{
    return table->count;
}

bool address_has_proven(const struct address *address, uint64_t fingerprint)
{
    for (size_t i = 0; i < ADDRESS_PROVEN; i++)
        if (address->proven[i] == fingerprint && fingerprint != 0)
            return true;
    return false;
}

void address_prove(struct address *address, uint64_t fingerprint)
{
    if (address_has_proven(address, fingerprint))
        return;
    memmove(address->proven + 1, address->proven, (ADDRESS_PROVEN - 1) * sizeof(*address->proven));
    address->proven[0] = fingerprint;
}

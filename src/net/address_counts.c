/* SPDX-License-Identifier: Apache-2.0 */
/* See address_counts.h. */
#include "net/address_counts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 17, NETWORK_BYTES = 8, BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 16 };

struct address_count {
    struct address_count *next;
    uint8_t key[KEY_BYTES];
    uint32_t n;
};

int address_counts_init(struct address_counts *counts, uint32_t n_connections_max)
{
    size_t n = BUCKETS_MIN;
    while (n < n_connections_max && n < BUCKETS_MAX)
        n *= 2;
    *counts = (struct address_counts){.buckets = calloc(n, sizeof(struct address_count *)), .n_buckets = n};
    return counts->buckets ? 0 : -ENOMEM;
}

void address_counts_done(struct address_counts *counts)
{
    free(counts->buckets);
    *counts = (struct address_counts){0};
}

/* First byte: what kind of address the rest is. */
static void make_key(const char *address, uint8_t ret[static KEY_BYTES])
{
    struct in6_addr six;
    struct in_addr four;
    memset(ret, 0, KEY_BYTES);
    if (inet_pton(AF_INET, address, &four) == 1) {
        ret[0] = 4;
        memcpy(ret + 1, &four, sizeof four);
    } else if (inet_pton(AF_INET6, address, &six) == 1) {
        ret[0] = 6;
        memcpy(ret + 1, &six, NETWORK_BYTES);
    } else {
        memcpy(ret + 1, address, strnlen(address, KEY_BYTES - 1));
    }
}

/* FNV-1a; a chain is never longer than the number of connections, so collisions made on purpose are no
 * harm. */
static struct address_count **bucket(const struct address_counts *counts, const uint8_t key[static KEY_BYTES])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < KEY_BYTES; i++)
        hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
    return &counts->buckets[(hash ^ hash >> 32) & (counts->n_buckets - 1)];
}

int address_counts_add(struct address_counts *counts, const char *address, uint32_t maximum,
                       struct address_count **ret_entry)
{
    uint8_t key[KEY_BYTES];
    make_key(address, key);
    struct address_count **first = bucket(counts, key), *entry = *first;
    while (entry && memcmp(entry->key, key, KEY_BYTES) != 0)
        entry = entry->next;
    if ((entry ? entry->n : 0) >= maximum)
        return -EAGAIN;
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry)
            return -ENOMEM;
        memcpy(entry->key, key, KEY_BYTES);
        entry->next = *first;
        *first = entry;
    }
    entry->n++;
    *ret_entry = entry;
    return 0;
}

void address_counts_drop(struct address_counts *counts, struct address_count *entry)
{
    if (!entry || --entry->n > 0)
        return;
    struct address_count **link = bucket(counts, entry->key);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    free(entry);
}

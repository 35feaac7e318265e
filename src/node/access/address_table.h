/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of the addresses that callers come from: how often they failed and shook hands lately, and
 * which credentials proved right from there. An IPv6 address counts as its /64, which is what one host has.
 * Bounded; the address that was silent longest makes room. Places are chosen by a hash with a random seed.
 */
#ifndef BERTH_NODE_ADDRESS_TABLE_H
#define BERTH_NODE_ADDRESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/access/token_bucket.h"

enum { ADDRESS_BYTES = 16, ADDRESS_PROVEN = 4 };

struct address {
    uint8_t bytes[ADDRESS_BYTES]; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
    struct token_bucket failures, handshakes;
    uint64_t proven[ADDRESS_PROVEN]; /* fingerprints of credentials, newest first; 0: none */
    uint32_t next;                   /* in the same place */
    uint32_t newer, older;           /* all, by the time they were last seen */
};

struct address_table;

/* 0, -ENOMEM, -EIO (no randomness). */
int address_table_new(uint32_t maximum, struct address_table **ret);
void address_table_free(struct address_table *table); /* accepts NULL */

/* The entry of an address ("127.0.0.1", "::1"; NULL and what is none are one address together), made if it is
 * not there. Valid until the next call. */
struct address *address_table_find(struct address_table *table, const char *text);
size_t address_table_count(const struct address_table *table);

bool address_has_proven(const struct address *address, uint64_t fingerprint);
void address_prove(struct address *address, uint64_t fingerprint);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each peer address has. Addresses are what one customer of the network has: an IPv4
 * address, or the first 64 bits of an IPv6 address. Holds entries for live connections only.
 */
#ifndef BERTH_NET_ADDRESS_COUNTS_H
#define BERTH_NET_ADDRESS_COUNTS_H

#include <stddef.h>
#include <stdint.h>

struct address_count;

struct address_counts {
    struct address_count **buckets;
    size_t n_buckets; /* a power of two */
};

/* 0 or -ENOMEM. */
int address_counts_init(struct address_counts *counts, uint32_t n_connections_max);
void address_counts_done(struct address_counts *counts);

/* One more connection; *ret_entry is given back by address_counts_drop(). 0, -ENOMEM, or -EAGAIN: there are
 * `maximum` already. An address that is no IP address counts like any other text. */
int address_counts_add(struct address_counts *counts, const char *address, uint32_t maximum,
                       struct address_count **ret_entry);
/* Accepts NULL. */
void address_counts_drop(struct address_counts *counts, struct address_count *entry);

#endif

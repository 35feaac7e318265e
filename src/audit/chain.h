/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log as rows, and what ties them together. Both the writer and the verifier see the file through
 * this.
 *
 *   node        one row: public_key, 32 bytes of Ed25519
 *   entries     number 1, 2, 3 …; time_ns; event, subject, run, details (text); hash
 *   signatures  number of the last entry of a commit; signature
 *
 * hash of an entry, SHA-256 over, all integers big-endian:
 *   "berth audit entry 1" and a NUL   20 bytes
 *   hash of the entry before          32 bytes; zeros for the first
 *   number                            u64
 *   time_ns                           i64, two's complement
 *   event, subject, run, details      each its length in bytes as u32, then its bytes
 *
 * A signature is Ed25519 (RFC 8032) over, and so signs everything up to that entry:
 *   "berth audit commit 1" and a NUL  21 bytes
 *   number                            u64
 *   hash                              32 bytes
 *
 * The order is by number. Times are what the wall clock said and may go backwards.
 */
#ifndef BERTH_AUDIT_CHAIN_H
#define BERTH_AUDIT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "audit/database.h"
#include "base/text.h"

enum {
    CHAIN_HASH_BYTES = 32,
    CHAIN_KEY_BYTES = 32,
    CHAIN_SIGNATURE_BYTES = 64,
    CHAIN_SIGNED_BYTES = 21 + 8 + CHAIN_HASH_BYTES,
};

extern const struct database_kind chain_database;

enum chain_field { FIELD_EVENT = 0, FIELD_SUBJECT, FIELD_RUN, FIELD_DETAILS, CHAIN_FIELDS };

/* Borrowed. Text ends with a NUL that is not counted. */
struct chain_entry {
    uint64_t number;
    int64_t time_ns;
    const char *text[CHAIN_FIELDS];
    uint32_t size_bytes[CHAIN_FIELDS];
    uint8_t hash[CHAIN_HASH_BYTES];
};

/* The hash that belongs to the entry; entry->hash is not looked at. */
void chain_hash(const uint8_t previous[static CHAIN_HASH_BYTES], const struct chain_entry *entry,
                uint8_t ret[static CHAIN_HASH_BYTES]);
void chain_signed_bytes(uint64_t number, const uint8_t hash[static CHAIN_HASH_BYTES],
                        uint8_t ret[static CHAIN_SIGNED_BYTES]);

/* The columns of chain_entry_read(), for a SELECT. */
#define CHAIN_COLUMNS "number, time_ns, event, subject, run, details, hash"

/* Valid until the statement is stepped. NULL, or what is wrong with the row: "its event is no text". */
const char *chain_entry_read(sqlite3_stmt *row, struct chain_entry *ret);

/* 0, 1: there is not exactly one key; or a negative errno. */
int chain_key(sqlite3 *connection, uint8_t ret[static CHAIN_KEY_BYTES]);

struct chain_end {
    uint64_t number; /* of the last entry; 0: there is none */
    uint64_t signatures;
    uint8_t hash[CHAIN_HASH_BYTES]; /* zeros if there is none */
};

/* Walks from entry `first` (its predecessor is believed) to the end. `head`: a hash that must come by, or
 * NULL. The caller has begun a transaction if there may be a writer. 0; 1: something does not fit, and *fault
 * says which entry and why, *ret is then where the walk ended; or a negative errno. */
int chain_walk(sqlite3 *connection, uint64_t first, const uint8_t public_key[static CHAIN_KEY_BYTES],
               const uint8_t *head, struct chain_end *ret, struct text *fault);

#endif

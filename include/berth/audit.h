/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log of a node, for reading: entries in order, each chained to the one before by SHA-256, each
 * batch signed with the node's Ed25519 key. docs/operations.md has the events and their details.
 */
#ifndef BERTH_AUDIT_H
#define BERTH_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_audit_entry {
    uint64_t number; /* 1, 2, 3 … without a gap */
    int64_t time_ns; /* since 1970, the node's clock */
    const char *event;
    const char *subject; /* principal, or "" */
    const char *run;     /* run id, or "" */
    const char *details; /* JSON object */
    char hash[65];       /* lowercase hex of SHA-256 over the previous hash and this entry */
};

/* Which entries; zero or NULL: no condition. */
struct berth_audit_query {
    size_t size; /* sizeof(struct berth_audit_query) */
    uint64_t from_number;
    int64_t since_ns, until_ns; /* from since_ns on, before until_ns */
    const char *event, *subject, *run;
    uint64_t limit; /* the newest so many, still in order */
};

/* Returning false ends the listing. Strings are valid during the call. */
typedef bool berth_audit_visit_fn(void *payload, const struct berth_audit_entry *entry);

/* Errors: BERTH_NOT_FOUND, BERTH_IO, BERTH_INVALID (no audit log). */
BERTH_API BERTH_MUST_USE berth_status berth_audit_list(const char *path,
                                                       const struct berth_audit_query *query,
                                                       berth_audit_visit_fn *visit, void *payload,
                                                       berth_error **reterr);

struct berth_audit_verdict {
    uint64_t entries;
    uint64_t signatures;
    char head[65]; /* hash of the last entry, to be kept elsewhere against truncation */
    char node[64]; /* peer id of the key that signed */
};

/* Walks the whole chain. `node`: the peer id that must have signed, NULL: whoever did, consistently. `head`:
 * a hash that must appear in the chain, so that a log that was cut back is noticed; NULL: none. Errors:
 * BERTH_REFUSED: the sentence names the first entry that does not fit and why. */
BERTH_API BERTH_MUST_USE berth_status berth_audit_verify(const char *path, const char *node, const char *head,
                                                         struct berth_audit_verdict *ret,
                                                         berth_error **reterr);

#ifdef __cplusplus
}
#endif

#endif

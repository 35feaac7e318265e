/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who calls, and what that caller may do: credentials in, a verified principal out, and for a capability the
 * contract and the budgets that hold. One `access` is made from settings and replaced as a whole by a reload;
 * budgets, which are kept by the name of the principal, go on.
 *
 * Nothing is counted or granted by what a caller says of itself. Every credential that is shown must be
 * right: a wrong one is never made good by another, or by "anyone". A wrong one costs the address it came
 * from; an address that failed too often is not looked at, but for the credentials that proved right from
 * there before.
 */
#ifndef BERTH_NODE_ACCESS_H
#define BERTH_NODE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/contract.h>

#include "base/cleanup.h"
#include "node/settings/settings.h"
#include "wire/grpc.h"

struct access;
struct principal;

/* What a caller shows. Everything is borrowed; what is absent is NULL. */
struct credentials {
    const char *address;               /* "127.0.0.1" */
    const char *authorization;         /* header: "Bearer …", at most 8 KiB */
    const uint8_t *certificate_sha256; /* 32 bytes, verified by TLS */
    /* Ed25519 proof (liop.proto, IdentityProof); the nonce has been redeemed by the caller of this. */
    const uint8_t *proof_public_key, *proof_signature;
    const uint8_t *proof_nonce;
    const char *capability;
};

/* An answer that is no: a gRPC status and a sentence for the caller that tells nothing about other
 * principals. `reason` is for the audit log. */
struct refusal {
    enum grpc_status status;
    char sentence[256];
    char reason[64]; /* "unknown token", "expired", "rate", … */
};

/* settings: complete; borrowed, they must outlive the access. node_public_key: 32 bytes of Ed25519, for
 * proofs. old: budgets are taken over from it, which stays whole; may be NULL. Reads the files of jwt.keys
 * and jwt.revoked. Errors: BERTH_INVALID, BERTH_NOT_FOUND and BERTH_IO name the file. */
berth_status access_new(const struct settings *settings, const uint8_t *node_public_key, struct access *old,
                        struct access **ret, berth_error **reterr);
void access_free(struct access *access); /* accepts NULL */

/* The verified principal, or 1 and a refusal (UNAUTHENTICATED, RESOURCE_EXHAUSTED); -ENOMEM. Constant time in
 * secrets. The principal lives as long as the budgets do, over reloads. now_ns: CLOCK_MONOTONIC; now_s:
 * seconds since 1970. */
int access_authenticate(struct access *access, const struct credentials *credentials, uint64_t now_ns,
                        int64_t now_s, struct principal **ret, struct refusal *ret_refusal);

/* "ana"; with a JWT of a principal that stands for any subject "ci/SUBJECT". Safe to print. */
const char *principal_name(const struct principal *principal);
/* How many sessions wait for their run; counted by the session table. */
uint32_t *principal_sessions(struct principal *principal);

/* The principal of that name, for runs that were recorded under it. NULL: it is no longer configured. */
struct principal *access_principal(struct access *access, const char *name);

/* True if callers without any credentials are somebody here. */
bool access_admits_anyone(const struct access *access);

/* A handshake by this principal from this address may go on: 0, or 1 with RESOURCE_EXHAUSTED. Before any KEM
 * work. */
int access_charge_handshake(struct access *access, struct principal *principal, const char *address,
                            uint64_t now_ns, struct refusal *ret_refusal);

/* What a run under this capability may do. Borrowed until the access is freed; who needs the contract longer
 * takes a reference. */
struct grant {
    const char *capability;   /* its true name, when "" asked for the default one */
    berth_contract *contract; /* effective for this principal, mounts included (host = path on this host) */
    const struct settings_capability *settings;
    bool exclusive; /* has a quota that must be counted in one place: one worker */
};
/* 0, or 1 with PERMISSION_DENIED (unknown or not granted: the same sentence). */
int access_grant(struct access *access, struct principal *principal, const char *capability,
                 const struct grant **ret, struct refusal *ret_refusal);

/* Takes a place among the principal's runs: 0, or 1 with RESOURCE_EXHAUSTED (concurrency or runs per minute).
 */
int access_begin_run(struct access *access, struct principal *principal, uint64_t now_ns,
                     struct refusal *ret_refusal);
void access_end_run(struct access *access, struct principal *principal);

/* JWKS from a URL: the front fetches and hands the text in. */
const char *access_jwks_url(const struct access *access); /* NULL: none */
berth_status access_set_jwks(struct access *access, const char *json, size_t size_bytes,
                             berth_error **reterr);

#endif

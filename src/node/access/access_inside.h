/* SPDX-License-Identifier: Apache-2.0 */
/* What access.c and access_authenticate.c share. */
#ifndef BERTH_NODE_ACCESS_INSIDE_H
#define BERTH_NODE_ACCESS_INSIDE_H

#include "node/access/access.h"
#include "node/access/credential_index.h"
#include "node/access/jwt_keys.h"
#include "node/access/principal_store.h"
#include "node/access/revocations.h"
#include "wire/identity.h"

/* A principal of the settings. */
struct policy {
    const struct settings_principal *settings;
    struct grant *grants; /* as many as capabilities; without a contract until one is asked for */
    bool any_subject;     /* stands for many: "name/subject" */
};

struct access {
    const struct settings *settings;
    uint8_t node_public_key[ED25519_PUBLIC_KEY_BYTES];
    struct policy *policies; /* by the index of the principal in the settings */
    const struct policy *anyone;
    struct credential_index *credentials;
    struct jwt_keys *jwt_keys; /* NULL: none, or not fetched yet */
    struct revocations *revoked;
    struct principal_store *store;
    uint64_t generation;
};

/* What holds for a principal under these settings; NULL: nothing any more. */
const struct policy *access_policy_of(const struct access *access, struct principal *principal);

/* 1, so that callers write `return access_refuse(…)`. */
int access_refuse(struct refusal *refusal, enum grpc_status status, const char *reason, const char *sentence);

#endif

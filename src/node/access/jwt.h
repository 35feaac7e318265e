/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens (RFC 7519) in the one form that is accepted here: compact (RFC 7515, section 7.1), signed
 * with EdDSA or ES256, checked as RFC 8725 asks. What a header says of keys is never followed; extensions
 * that must be understood are not.
 */
#ifndef BERTH_NODE_JWT_H
#define BERTH_NODE_JWT_H

#include <stdbool.h>

#include "base/text.h"
#include "node/access/jwt_keys.h"

enum { JWT_MAX_BYTES = 8192, JWT_SUBJECT_MAX_BYTES = 255 };

enum jwt_outcome {
    JWT_VALID = 0,
    JWT_MALFORMED, /* no JWT of this form */
    JWT_NO_KEY,    /* no key of its algorithm and id */
    JWT_WRONG_SIGNATURE,
    JWT_EXPIRED,
    JWT_NOT_YET_VALID,
    JWT_WRONG_ISSUER,
    JWT_WRONG_AUDIENCE,
    JWT_NO_SCOPE, /* it is right, but not for this */
};

/* NULL: not looked at. */
struct jwt_expected {
    const char *issuer, *audience, *scope;
    int64_t now_s, leeway_s; /* now: seconds since 1970 */
};

struct jwt_claims {
    char subject[JWT_SUBJECT_MAX_BYTES + 1]; /* not empty; as the issuer wrote it */
    double expires_s;
};

/* Whether a bearer token has the outer form of one: three parts. */
bool jwt_looks_like(const char *token);

/* A signed text of any content (RFC 7515): its payload, if a key signed it. The caller frees it. An enum
 * jwt_outcome up to JWT_WRONG_SIGNATURE, or -ENOMEM. */
int jws_open(const struct jwt_keys *keys, const char *token, char **ret_payload, size_t *ret_bytes);

/* An enum jwt_outcome or -ENOMEM. The claims are set only if it is valid or has no scope. */
int jwt_verify(const struct jwt_keys *keys, const char *token, const struct jwt_expected *expected,
               struct jwt_claims *ret);

/* "expired", "wrong audience": for the log and for the caller. */
const char *jwt_outcome_name(enum jwt_outcome outcome);

#endif
